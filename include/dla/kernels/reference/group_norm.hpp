// SPDX-License-Identifier: MIT
// Group normalisation of the reference policy, in two passes: the mean first, then the squared distances from it.
#pragma once

#include <dla/kernels/reference/wide.hpp>
#include <dla/kernels/types.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla {

namespace detail {

/// f(place, channel) for the values of a channel of sample n.
template <class F>
void each_of_channel(const GroupNormDims& d, index_t n, index_t c, const F& f) {
    for (index_t i = 0; i < d.positions; ++i) f(d.channels_first ? (n * d.channels + c) * d.positions + i : (n * d.positions + i) * d.channels + c, c);
}
/// The same for all channels of group g.
template <class F>
void each_of_group(const GroupNormDims& d, index_t n, index_t g, const F& f) {
    for (index_t c = g * d.group_channels(); c < (g + 1) * d.group_channels(); ++c) each_of_channel(d, n, c, f);
}

}  // namespace detail

template <class T>
index_t group_norm_scratch(const Reference<T>&, const GroupNormDims&) {
    return 0;
}

/// y = (x - mean) * invstd * w + b with the mean and the biased variance of the group; w, b [channels] or null; mean, invstd [batch, groups] or null.
template <class T>
void group_norm_forward(const Reference<T>&, std::byte*, const GroupNormDims& d, double eps, const detail::Of<T>* x, const detail::MasterOf<T>* w,
                        const detail::MasterOf<T>* b, detail::Of<T>* y, detail::StatisticOf<T>* mean, detail::StatisticOf<T>* invstd) {
    using Sum = detail::Wide<T>;
    using Statistic = detail::StatisticOf<T>;
    using std::sqrt;
    const Sum count = static_cast<Sum>(d.group_values());
    for (index_t n = 0; n < d.batch; ++n)
        for (index_t g = 0; g < d.groups; ++g) {
            Sum sum{}, squares{};
            detail::each_of_group(d, n, g, [&](index_t i, index_t) { sum += static_cast<Sum>(x[i]); });
            const Sum mu = sum / count;
            detail::each_of_group(d, n, g, [&](index_t i, index_t) { squares += (static_cast<Sum>(x[i]) - mu) * (static_cast<Sum>(x[i]) - mu); });
            const Sum scale = Sum{1} / sqrt(squares / count + static_cast<Sum>(eps));
            detail::each_of_group(d, n, g, [&](index_t i, index_t c) {
                y[i] = static_cast<T>((static_cast<Sum>(x[i]) - mu) * scale * (w ? static_cast<Sum>(w[c]) : Sum{1}) + (b ? static_cast<Sum>(b[c]) : Sum{0}));
            });
            if (mean) mean[n * d.groups + g] = static_cast<Statistic>(mu);
            if (invstd) invstd[n * d.groups + g] = static_cast<Statistic>(scale);
        }
}

/// dx (or null), may be dy; dw, db (both or neither null) accumulated.
template <class T>
void group_norm_backward(const Reference<T>&, std::byte*, const GroupNormDims& d, const detail::Of<T>* x, const detail::MasterOf<T>* w,
                         const detail::StatisticOf<T>* mean, const detail::StatisticOf<T>* invstd, const detail::Of<T>* dy, detail::Of<T>* dx,
                         detail::MasterOf<T>* dw, detail::MasterOf<T>* db) {
    using Sum = detail::Wide<T>;
    using Master = detail::MasterOf<T>;
    const auto unit = [&](index_t i, index_t of) { return (static_cast<Sum>(x[i]) - static_cast<Sum>(mean[of])) * static_cast<Sum>(invstd[of]); };
    for (index_t c = 0; dw && c < d.channels; ++c) {  // before dx, which may overwrite dy
        Sum weight{}, bias{};
        for (index_t n = 0; n < d.batch; ++n)
            detail::each_of_channel(d, n, c, [&](index_t i, index_t) {
                weight += static_cast<Sum>(dy[i]) * unit(i, n * d.groups + c / d.group_channels());
                bias += static_cast<Sum>(dy[i]);
            });
        dw[c] = static_cast<Master>(static_cast<Sum>(dw[c]) + weight);
        db[c] = static_cast<Master>(static_cast<Sum>(db[c]) + bias);
    }
    if (!dx) return;
    const Sum count = static_cast<Sum>(d.group_values());
    for (index_t n = 0; n < d.batch; ++n)
        for (index_t g = 0; g < d.groups; ++g) {
            const index_t of = n * d.groups + g;
            const auto scaled = [&](index_t i, index_t c) { return static_cast<Sum>(dy[i]) * (w ? static_cast<Sum>(w[c]) : Sum{1}); };
            Sum sum{}, product{};
            detail::each_of_group(d, n, g, [&](index_t i, index_t c) {
                sum += scaled(i, c);
                product += scaled(i, c) * unit(i, of);
            });
            detail::each_of_group(d, n, g, [&](index_t i, index_t c) {
                dx[i] = static_cast<T>((scaled(i, c) - sum / count - unit(i, of) * (product / count)) * static_cast<Sum>(invstd[of]));
            });
        }
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
