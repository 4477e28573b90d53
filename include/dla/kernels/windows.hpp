// SPDX-License-Identifier: MIT
// Which values of an image an output of pooling or resizing is made of, and the other way round; for code on any device.
#pragma once

#include <dla/kernels/types.hpp>

namespace dla::detail {

// Not those of <algorithm>, which device code has not.
constexpr index_t least(index_t a, index_t b) { return a < b ? a : b; }
constexpr index_t most(index_t a, index_t b) { return a > b ? a : b; }

/// f(oh, ow) for each window of the pooling that has the pixel (ih, iw), in order.
template <class F>
constexpr void windows_of_pixel(const Pool2dDims& d, index_t ih, index_t iw, const F& f) {
    for (index_t kh = d.kernel_h - 1; kh >= 0; --kh) {  // the pixel's last place in a window belongs to the first of its windows
        const index_t top = ih + d.pad_h - kh * d.dilation_h;
        if (top < 0 || top % d.stride_h != 0 || top / d.stride_h >= d.out_height) continue;
        for (index_t kw = d.kernel_w - 1; kw >= 0; --kw) {
            const index_t left = iw + d.pad_w - kw * d.dilation_w;
            if (left < 0 || left % d.stride_w != 0 || left / d.stride_w >= d.out_width) continue;
            f(top / d.stride_h, left / d.stride_w);
        }
    }
}

/// The part of an average window that lies in the image, and what its sum is divided by (torch's avg_pool2d).
struct AverageWindow {
    index_t top, left, bottom, right, divisor;
    constexpr AverageWindow(const Pool2dDims& d, index_t oh, index_t ow)
        : top(oh * d.stride_h - d.pad_h),
          left(ow * d.stride_w - d.pad_w),
          bottom(least(top + d.kernel_h, d.height + d.pad_h)),
          right(least(left + d.kernel_w, d.width + d.pad_w)),
          divisor((bottom - top) * (right - left)) {
        top = most(top, 0);
        left = most(left, 0);
        bottom = least(bottom, d.height);
        right = least(right, d.width);
        if (!d.count_include_pad) divisor = (bottom - top) * (right - left);
        if (d.divisor_override != 0) divisor = d.divisor_override;
    }
    constexpr bool empty() const { return top >= bottom || left >= right; }
};

/// Output o of an axis is (1 - share) * x[low] + share * x[high]; high is low where one value is all, and share is then 0.
struct AxisSource {
    index_t low, high;
    double share;
    constexpr bool one() const { return low == high; }
    /// What input i, which is one of the two, contributes.
    constexpr double weight(index_t i) const { return i == low ? 1 - share : share; }
};

/// One axis of torch's interpolate with `scale` = in / out (align_corners: (in - 1) / (out - 1)), calculated in whole numbers. requires: sizes within 2^30.
/// nearest: floor(o * scale). bilinear: around max(0, (o + 0.5) * scale - 0.5), or o * scale with align_corners; beyond the last value: that one.
struct ResizedAxis {
    index_t in, out;
    Interpolation mode;
    bool align_corners;

    constexpr AxisSource source(index_t o) const {
        if (mode == Interpolation::nearest) return {o * in / out, o * in / out, 0};
        const index_t whole = align_corners ? most(out - 1, 1) : 2 * out;
        const index_t place = align_corners ? (out > 1 ? o * (in - 1) : 0) : most((2 * o + 1) * in - out, 0);  // in parts of `whole`
        const index_t low = place / whole, part = place % whole;
        if (part == 0 || low + 1 >= in) return {low, low, 0};
        return {low, low + 1, static_cast<double>(part) / static_cast<double>(whole)};
    }
    /// The outputs [first, last) that input i is a part of: with o, neither low nor high falls.
    struct Outputs {
        index_t first, last;
    };
    constexpr Outputs outputs(index_t i) const {
        return {first_where([&](index_t o) { return source(o).high >= i; }), first_where([&](index_t o) { return source(o).low > i; })};
    }

private:
    /// The first output for which f holds, as it does for all behind; `out` if there is none.
    template <class F>
    constexpr index_t first_where(const F& f) const {
        index_t before = 0, holds = out;
        while (before < holds) {
            const index_t middle = before + (holds - before) / 2;
            if (f(middle))
                holds = middle;
            else
                before = middle + 1;
        }
        return holds;
    }
};

/// Both axes of an image.
struct ResizedImage {
    ResizedAxis rows, columns;
    constexpr ResizedImage(const Resize2dDims& d, Interpolation mode, bool align_corners)
        : rows{d.height, d.out_height, mode, align_corners}, columns{d.width, d.out_width, mode, align_corners} {}
};

/// The values [first, last) of an axis of `in` that value o of one of `out` is the mean of (torch's adaptive_avg_pool2d). requires: sizes within 2^30.
/// With sizes exchanged: the outputs that input o is a part of.
struct AdaptiveWindow {
    index_t first, last;
    constexpr AdaptiveWindow(index_t o, index_t in, index_t out) : first(o * in / out), last(((o + 1) * in + out - 1) / out) {}
    constexpr index_t size() const { return last - first; }
};

}  // namespace dla::detail
