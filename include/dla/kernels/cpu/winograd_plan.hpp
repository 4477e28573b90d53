// SPDX-License-Identifier: MIT
// How a convolution through Winograd's transforms is cut into pieces, and when it pays. Functions of the sizes only.
#pragma once

#include <dla/kernels/cpu/conv2d_task.hpp>
#include <dla/kernels/cpu/tile.hpp>
#include <dla/kernels/types.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

/// Steps in floats between rows and columns of an image, and which rows and columns of a patch lie in it.
struct WinogradWindow {
    index_t down, right;
    index_t row0, row1, column0, column1;
};

inline constexpr index_t winograd_places = 36;
inline constexpr index_t winograd_skew = 16;  // floats between the places, whose values are written together: else they meet in one set of L1

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
    const index_t tiles = ceil_div(d.out_height, 4) * ceil_div(d.out_width, 4);
    const index_t products = d.in_channels * d.out_channels;
    return 36 * tiles * (products + 24 * (d.in_channels + d.out_channels)) < 9 * d.out_height * d.out_width * products;
}
/// Whether it does where the weights must be transformed too, which takes what 64 tiles do.
constexpr bool winograd_pays(const Conv2dDims& d) { return d.batch >= winograd_least_images(d) && winograd_saves(d); }

/// Tiles of 4 x 4 results, of all images in order.
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
        return {width * channels, channels, 0, std::min<index_t>(4, height - at.row), 0, std::min<index_t>(4, width - at.column)};
    }
    /// Positions along a row of an image that a row of tiles depends on.
    index_t span() const { return 4 * across + 2; }
    index_t results_at(const Place& at) const { return (at.image * height + at.row) * width + at.column; }
};

/// The patch of an image that a tile's results depend on, from `row`, `column` on, which may lie outside.
inline WinogradWindow winograd_source(index_t height, index_t width, index_t channels, index_t row, index_t column) {
    const auto inside = [](index_t at, index_t size) { return std::clamp<index_t>(size - at, 0, 6); };
    return {width * channels, channels, std::max<index_t>(0, -row), inside(row, height), std::max<index_t>(0, -column), inside(column, width)};
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
            const auto padding = [&](index_t lines) { return static_cast<double>(tile_rows(lines, 6) + tile_rows(lines, 8)) / static_cast<double>(lines); };
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

private:
    /// Rows that register tiles of so many rows compute for so many rows of tiles.
    index_t tile_rows(index_t lines, index_t rows) const { return round_up(lines * tiles.across, rows); }
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
