// SPDX-License-Identifier: MIT
// Tiles at an image's border make fewer results, of fewer products: which tiles meet in which product.
#include <doctest/doctest.h>

#include <dla/kernels/cpu/winograd.hpp>

#include <algorithm>
#include <utility>
#include <vector>

using namespace dla;

TEST_CASE("winograd: tiles that have a place follow each other, and those at a border lack what fewer results do not need") {
    for (const auto& [height, width] : {std::pair<index_t, index_t>{8, 12}, {14, 14}, {7, 8}, {8, 6}, {5, 11}, {13, 9}, {3, 2}, {1, 30}}) {
        const detail::WinogradTiles tiles(3, height, width);
        CAPTURE(height);
        CAPTURE(width);
        index_t places = 0;
        for (const auto& [first, count] : {std::pair<index_t, index_t>{0, tiles.count}, {tiles.count / 3, tiles.count / 2}, {tiles.count - 1, 1}}) {
            const detail::WinogradOrder order(tiles, first, count);
            detail::WinogradOrder::Walk walk(order);
            std::vector<index_t> tile_at(static_cast<std::size_t>(count), -1);
            for (index_t t = first; t < first + count; ++t) {
                const index_t position = walk.next();
                REQUIRE(position == order.position(t));
                REQUIRE((position >= 0 && position < count));
                tile_at[static_cast<std::size_t>(position)] = t;
            }
            CHECK(std::count(tile_at.begin(), tile_at.end(), -1) == 0);
            for (index_t q = 0; q < 36; ++q) {
                const auto [from, end] = order.tiles_with(q);
                for (index_t position = 0; position < count; ++position) {
                    const auto at = tiles.place(tile_at[static_cast<std::size_t>(position)]);
                    // Two more places than results, infinity being the last of six.
                    const auto has = [](index_t results, index_t k) { return k == 5 || k < results + 1; };
                    const index_t rows = std::clamp<index_t>(height - at.row, 2, 4), columns = std::clamp<index_t>(width - at.column, 2, 4);
                    const bool wanted = has(rows, q / 6) && has(columns, q % 6);
                    CHECK((position >= from && position < end) == wanted);
                    places += first == 0 && count == tiles.count && wanted ? 1 : 0;
                }
            }
        }
        CHECK(places == 3 * detail::winograd_places_along(height) * detail::winograd_places_along(width));
    }
    CHECK(detail::winograd_places_along(14) == 22);
    CHECK(detail::winograd_places_along(7) == 11);
    CHECK(detail::winograd_places_along(8) == 12);
    CHECK(detail::winograd_places_along(5) == 10);
}
