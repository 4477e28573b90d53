// SPDX-License-Identifier: MIT
// How a convolution through Winograd's transforms is cut into pieces, and when it pays. Functions of the sizes only.
#pragma once

#include <dla/kernels/cpu/conv2d_task.hpp>
#include <dla/kernels/cpu/tile.hpp>
#include <dla/kernels/types.hpp>

#include <array>
#include <utility>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

/// Steps in floats between rows and columns of an image, which rows and columns of a patch lie in it, and the results of the tile along each side.
struct WinogradWindow {
    index_t down, right;
    index_t row0, row1, column0, column1;
    index_t rows, columns;
};

inline constexpr index_t winograd_places = 36;
inline constexpr index_t winograd_skew = 16;  // floats between the places, whose values are written together: else they meet in one set of L1

/// The results that a tile makes along a side where `left` are wanted: three or two where that is enough.
constexpr index_t winograd_results(index_t left) { return std::clamp<index_t>(left, 2, 4); }
/// Whether a tile with so many results along a side has no place k of the six of that side.
constexpr bool winograd_leaves_out(index_t results, index_t k) { return k < 5 && k > results; }
/// Places of all tiles along a side of `size` results: two more than results of each.
constexpr index_t winograd_places_along(index_t size) { return size / 4 * 6 + (size % 4 != 0 ? winograd_results(size % 4) + 2 : 0); }

/// Images from which on there are tiles enough.
constexpr index_t winograd_least_images(const Conv2dDims& d) {
    return ceil_div(64, std::max<index_t>(1, ceil_div(d.out_height, 4) * ceil_div(d.out_width, 4)));
}

/// Whether a convolution has the form, and the size at which four times fewer multiplications outweigh the transforms of images and results, which take as
/// long as some 24 multiplications for each channel of a place (measured: 21).
constexpr bool winograd_saves(const Conv2dDims& d) {
    if (d.kernel_h != 3 || d.kernel_w != 3 || d.stride_h != 1 || d.stride_w != 1 || d.dilation_h != 1 || d.dilation_w != 1 || d.groups != 1) return false;
    // No padding above 2 on any side: each value of y depends on some of x.
    if (d.pad_top > 2 || d.pad_left > 2 || d.out_height > d.height + d.pad_top || d.out_width > d.width + d.pad_left) return false;
    if (d.in_channels < 16 || d.out_channels < 16) return false;
    const index_t products = d.in_channels * d.out_channels, places = winograd_places_along(d.out_height) * winograd_places_along(d.out_width);
    return places * (products + 24 * (d.in_channels + d.out_channels)) < 9 * d.out_height * d.out_width * products;
}
/// Whether it does where the weights must be transformed too, which takes what 64 tiles do.
constexpr bool winograd_pays(const Conv2dDims& d) { return d.batch >= winograd_least_images(d) && winograd_saves(d); }

/// Tiles of 4 x 4 results, or fewer at the last rows and columns; of all images in order.
struct WinogradTiles {
    index_t height, width, down, across, count;

    WinogradTiles(index_t batch, index_t h, index_t w) : height(h), width(w), down(ceil_div(h, 4)), across(ceil_div(w, 4)), count(batch * down * across) {}

    struct Place {
        index_t image, row, column;
    };
    Place place(index_t tile) const { return {tile / (down * across), tile / across % down * 4, tile % across * 4}; }
    /// Rows of tiles, of all images.
    index_t lines() const { return count / std::max<index_t>(1, across); }
    /// Results in front of a row of tiles, of all images in order: those of rows of tiles that follow each other lie together.
    index_t pixels_before(index_t line) const { return (line / down * height + line % down * 4) * width; }
    /// The results of a tile.
    WinogradWindow results(const Place& at, index_t channels) const {
        return {width * channels, channels, 0, std::min<index_t>(4, height - at.row), 0, std::min<index_t>(4, width - at.column), rows(at), columns(at)};
    }
    index_t rows(const Place& at) const { return winograd_results(height - at.row); }
    index_t columns(const Place& at) const { return winograd_results(width - at.column); }
    /// Positions along a row of an image that a row of tiles depends on.
    index_t span() const { return 4 * across + 2; }
    index_t results_at(const Place& at) const { return (at.image * height + at.row) * width + at.column; }
};

/// Tiles [first, first + count) in an order in which those that have a place follow each other; tiles with fewer results along a side lack some of the 36:
/// first those that lack columns, those that lack nothing, those that lack rows, those that lack both.
class WinogradOrder {
public:
    WinogradOrder(const WinogradTiles& tiles, index_t first, index_t count)
        : of_(tiles), full_down_(tiles.height / 4), full_across_(tiles.width / 4), before_(ranks(first)), first_(first), all_(count) {
        const Ranks end = ranks(first + count);
        for (std::size_t kind = 0; kind < 3; ++kind) starts_[kind + 1] = starts_[kind] + end[kind] - before_[kind];
    }
    index_t position(index_t tile) const {
        const std::size_t kind = kind_of(tile / of_.across % of_.down, tile % of_.across);
        return starts_[kind] + ranks(tile)[kind] - before_[kind];
    }
    /// The positions of the tiles, in turn.
    class Walk {
    public:
        explicit Walk(const WinogradOrder& order)
            : of_(order), next_(order.starts_), row_(order.first_ / of_.of_.across % of_.of_.down), column_(order.first_ % of_.of_.across) {}
        index_t next() {
            const index_t position = next_[of_.kind_of(row_, column_)]++;
            if (++column_ == of_.of_.across) column_ = 0, row_ = row_ + 1 == of_.of_.down ? 0 : row_ + 1;
            return position;
        }

    private:
        const WinogradOrder& of_;
        std::array<index_t, 4> next_;
        index_t row_, column_;
    };
    /// Positions [first, last) of those that have place q.
    std::pair<index_t, index_t> tiles_with(index_t q) const {
        const bool all_rows = !lacks(of_.height, q / 6), all_columns = !lacks(of_.width, q % 6);
        return {all_columns ? 0 : starts_[1], all_rows ? (all_columns ? all_ : starts_[3]) : starts_[2]};
    }

private:
    using Ranks = std::array<index_t, 4>;  // how many tiles of each kind lie before one

    static bool lacks(index_t size, index_t place) { return size % 4 != 0 && winograd_leaves_out(winograd_results(size % 4), place); }
    std::size_t kind_of(index_t row, index_t column) const {
        const bool low = row >= full_down_, narrow = column >= full_across_;
        return low ? (narrow ? 3 : 2) : (narrow ? 0 : 1);
    }
    Ranks ranks(index_t tile) const {
        const index_t line = tile / of_.across, column = tile % of_.across, images = line / of_.down, row = line % of_.down;
        const index_t high = images * full_down_ + std::min(row, full_down_), low = images * (of_.down - full_down_) + std::max<index_t>(0, row - full_down_);
        const index_t wide = std::min(column, full_across_), narrow = column - wide, narrows = of_.across - full_across_;
        const bool is_low = row >= full_down_;
        return {high * narrows + (is_low ? 0 : narrow), high * full_across_ + (is_low ? 0 : wide), low * full_across_ + (is_low ? wide : 0),
                low * narrows + (is_low ? narrow : 0)};
    }

    const WinogradTiles& of_;
    index_t full_down_, full_across_;
    Ranks before_, starts_{};
    index_t first_, all_;
};

/// The patch of an image that a tile's results depend on, from `row`, `column` on, which may lie outside.
inline WinogradWindow winograd_source(index_t height, index_t width, index_t channels, index_t row, index_t column, index_t rows, index_t columns) {
    const auto inside = [](index_t at, index_t size) { return std::clamp<index_t>(size - at, 0, 6); };
    return {width * channels, channels, std::max<index_t>(0, -row), inside(row, height), std::max<index_t>(0, -column), inside(column, width), rows, columns};
}

/// y from x (forward), or dx from dy (turned: with the weights turned by half a turn).
struct WinogradPlan {
    index_t src_h, src_w, src_c, dst_c, pad_h, pad_w;
    bool turned;
    WinogradTiles tiles;
    index_t room;                   // the most tiles that are transformed and multiplied at a time: no fewer in a larger batch
    index_t block;                  // the tiles that are
    index_t task_lines = 1;         // rows of tiles that one task computes
    index_t src_row, place_floats;  // of what is transformed, for one tile and for a block
    index_t product_row, product_floats;

    WinogradPlan(const Conv2dDims& d, bool backward)
        : src_h(backward ? d.out_height : d.height),
          src_w(backward ? d.out_width : d.width),
          src_c(backward ? d.out_channels : d.in_channels),
          dst_c(backward ? d.in_channels : d.out_channels),
          pad_h(backward ? 2 - d.pad_top : d.pad_top),
          pad_w(backward ? 2 - d.pad_left : d.pad_left),
          turned(backward),
          tiles(d.batch, backward ? d.height : d.out_height, backward ? d.width : d.out_width) {
        src_row = round_up(src_c, 16) + 16;
        // What is transformed should stay in L2, and a few tasks keep all threads busy.
        block = room = std::clamp<index_t>(tiles.count / 8, 8, winograd_places * 48 * src_row <= 192 * 1024 ? 56 : 28);
        if (tiles.across <= block) {
            const auto padding = [&](index_t lines) {  // rows that register tiles compute for each that is wanted
                const WinogradOrder order(tiles, 0, lines * tiles.across);
                index_t computed = 0, wanted = 0;
                for (index_t q = 0; q < winograd_places; ++q) {
                    const auto [from, end] = order.tiles_with(q);
                    computed += round_up(end - from, 6) + round_up(end - from, 8);
                    wanted += end - from;
                }
                return static_cast<double>(computed) / static_cast<double>(wanted);
            };
            const index_t most = block / tiles.across;
            task_lines = most;
            for (index_t lines = most; lines > most / 2; --lines)
                if (padding(lines) < padding(task_lines)) task_lines = lines;
            block = task_lines * tiles.across;
        }
        place_floats = block * src_row + winograd_skew;
        product_row = std::min<index_t>(round_up(dst_c, 16), 2 * max_panel_width);
        product_floats = block * product_row + winograd_skew;
    }
    index_t panels(const TileTarget& tile) const { return ceil_div(dst_c, tile.panel_width); }
    index_t tasks() const { return ceil_div(tiles.lines(), task_lines); }
    /// Results [first, last) of a task, of all images in order.
    ConvTask task(index_t i) const { return {tiles.pixels_before(i * task_lines), tiles.pixels_before(std::min(tiles.lines(), (i + 1) * task_lines))}; }
    /// The most results of a task, and the most tasks, of as many images or fewer.
    index_t most_pixels() const { return std::max<index_t>(1, room / std::max<index_t>(1, tiles.across)) * 4 * tiles.width; }
    index_t most_tasks() const { return std::max(tasks(), std::min<index_t>(tiles.lines(), 34)); }
    index_t place_weights() const { return src_c * round_up(dst_c, max_panel_width); }
    static constexpr index_t chunk = 64;  // source channels whose weights are transformed at a time
    index_t own_floats() const {
        return std::max(winograd_places * (room * (src_row + product_row) + 2 * winograd_skew), max_panel_width * winograd_places * chunk);
    }
    index_t packed_floats() const { return winograd_places * place_weights(); }
    index_t scratch(int threads) const { return (packed_floats() + threads * own_floats()) * static_cast<index_t>(sizeof(float)); }

    // All tiles at a time, where they are few: their patches, and a panel of products of each thread.
    index_t all_patches() const { return winograd_places * all_place_floats(); }
    index_t all_place_floats() const { return tiles.count * src_row + winograd_skew; }
    index_t all_product_floats() const { return tiles.count * max_panel_width + winograd_skew; }
    index_t all_floats(int threads) const { return all_patches() + threads * winograd_places * all_product_floats(); }
};

/// The gradient of w, in parts of the batch that are added up in their order.
struct WinogradWeightsPlan {
    Conv2dDims d;
    WinogradTiles tiles;
    index_t block = 64;  // tiles at a time: their products with each other are added to a part's sums, which are larger than L2
    index_t in_row, out_row, parts;

    explicit WinogradWeightsPlan(const Conv2dDims& dims) : d(dims), tiles(d.batch, d.out_height, d.out_width) {
        in_row = round_up(d.in_channels, 16) + 16;
        out_row = round_up(d.out_channels, 16) + 16;
        const index_t floats = winograd_places * place_sums();
        parts = std::clamp<index_t>(std::min(ceil_div(tiles.count, block), lines()), 1, floats <= 128 * 1024 ? 16 : floats <= 512 * 1024 ? 8 : 4);
    }
    index_t sums_row() const { return round_up(d.out_channels, 16); }
    index_t place_sums() const { return d.in_channels * sums_row() + 16; }
    /// Floats of one part: the sums of each place, then those of dy.
    index_t part_floats() const { return winograd_places * place_sums() + sums_row(); }
    /// Rows of tiles, which have whole rows of dy.
    index_t lines() const { return d.batch * tiles.down; }
    index_t in_place() const { return block * in_row + winograd_skew; }
    index_t out_place() const { return block * out_row + winograd_skew; }
    index_t own_floats() const { return winograd_places * (in_place() + out_place()); }
    index_t scratch(int threads) const { return (parts * part_floats() + threads * own_floats()) * static_cast<index_t>(sizeof(float)); }
};

}  // namespace dla::detail::inline DLA_ABI_TAG

#include <dla/core/end_exact.inl.hpp>
