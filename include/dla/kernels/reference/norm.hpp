// SPDX-License-Identifier: MIT
// Batch and layer normalisation of the reference policy. Variances take two passes: mean first, then the squared distances from it.
#pragma once

#include <dla/kernels/reference/wide.hpp>
#include <dla/kernels/types.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla {

template <class T>
index_t batch_norm_scratch(const Reference<T>&, const NormDims&) {
    return 0;
}

/// y = (x - mean) * invstd * w + b with mean and biased variance of the batch; running statistics (or null) take the unbiased variance.
/// momentum < 0 means 1 / tracked. An empty batch leaves the running mean and variance alone and reports mean = invstd = 0.
template <class T>
void batch_norm_forward(const Reference<T>&, std::byte*, const NormDims& d, double eps, double momentum, const detail::Of<T>* x, const detail::MasterOf<T>* w,
                        const detail::MasterOf<T>* b, detail::StatisticOf<T>* running_mean, detail::StatisticOf<T>* running_var, std::int64_t* tracked,
                        detail::Of<T>* y, detail::StatisticOf<T>* mean, detail::StatisticOf<T>* invstd) {
    using Sum = detail::Wide<T>;
    using Statistic = detail::StatisticOf<T>;
    using std::sqrt;
    if (tracked) ++*tracked;
    const index_t n = d.outer * d.inner;
    for (index_t c = 0; c < d.channels; ++c) {
        if (n == 0) {
            mean[c] = invstd[c] = Statistic{0};
            continue;
        }
        const auto each = [&](auto f) {
            for (index_t o = 0; o < d.outer; ++o)
                for (index_t i = 0; i < d.inner; ++i) f((o * d.channels + c) * d.inner + i);
        };
        Sum sum{}, squares{};
        each([&](index_t i) { sum += static_cast<Sum>(x[i]); });
        const Sum mu = sum / static_cast<Sum>(n);
        each([&](index_t i) { squares += (static_cast<Sum>(x[i]) - mu) * (static_cast<Sum>(x[i]) - mu); });
        const Sum scale = Sum{1} / sqrt(squares / static_cast<Sum>(n) + static_cast<Sum>(eps));
        const Sum gain = w ? static_cast<Sum>(w[c]) : Sum{1}, shift = b ? static_cast<Sum>(b[c]) : Sum{0};
        each([&](index_t i) { y[i] = static_cast<T>((static_cast<Sum>(x[i]) - mu) * scale * gain + shift); });
        mean[c] = static_cast<Statistic>(mu);
        invstd[c] = static_cast<Statistic>(scale);
        if (!running_mean) continue;
        const Sum m = static_cast<Sum>(momentum < 0 ? 1.0 / static_cast<double>(*tracked) : momentum);
        running_mean[c] = static_cast<Statistic>((Sum{1} - m) * static_cast<Sum>(running_mean[c]) + m * mu);
        running_var[c] = static_cast<Statistic>((Sum{1} - m) * static_cast<Sum>(running_var[c]) + m * (squares / static_cast<Sum>(n - 1)));
    }
}

/// y = (x - running_mean) / sqrt(running_var + eps) * w + b; y may be x.
template <class T>
void batch_norm_infer(const Reference<T>&, const NormDims& d, double eps, const detail::Of<T>* x, const detail::MasterOf<T>* w, const detail::MasterOf<T>* b,
                      const detail::StatisticOf<T>* running_mean, const detail::StatisticOf<T>* running_var, detail::Of<T>* y) {
    using Sum = detail::Wide<T>;
    using std::sqrt;
    for (index_t c = 0; c < d.channels; ++c) {
        const Sum mu = static_cast<Sum>(running_mean[c]), scale = Sum{1} / sqrt(static_cast<Sum>(running_var[c]) + static_cast<Sum>(eps));
        const Sum gain = w ? static_cast<Sum>(w[c]) : Sum{1}, shift = b ? static_cast<Sum>(b[c]) : Sum{0};
        for (index_t o = 0; o < d.outer; ++o)
            for (index_t i = 0; i < d.inner; ++i) {
                const index_t at = (o * d.channels + c) * d.inner + i;
                y[at] = static_cast<T>((static_cast<Sum>(x[at]) - mu) * scale * gain + shift);
            }
    }
}

/// dx (or null) = (dy - mean(dy) - (x - mean) * invstd^2 * mean(dy * (x - mean))) * invstd * w, may be dy; dw += sum(dy * (x - mean)) * invstd,
/// db += sum(dy) (both or neither null).
template <class T>
void batch_norm_backward(const Reference<T>&, std::byte*, const NormDims& d, const detail::Of<T>* x, const detail::MasterOf<T>* w,
                         const detail::StatisticOf<T>* mean, const detail::StatisticOf<T>* invstd, const detail::Of<T>* dy, detail::Of<T>* dx,
                         detail::MasterOf<T>* dw, detail::MasterOf<T>* db) {
    using Sum = detail::Wide<T>;
    using Master = detail::MasterOf<T>;
    const Sum n = static_cast<Sum>(d.outer * d.inner);
    for (index_t c = 0; c < d.channels; ++c) {
        const auto each = [&](auto f) {
            for (index_t o = 0; o < d.outer; ++o)
                for (index_t i = 0; i < d.inner; ++i) f((o * d.channels + c) * d.inner + i);
        };
        const Sum mu = static_cast<Sum>(mean[c]), scale = static_cast<Sum>(invstd[c]), gain = w ? static_cast<Sum>(w[c]) : Sum{1};
        Sum sum{}, product{};
        each([&](index_t i) {
            sum += static_cast<Sum>(dy[i]);
            product += static_cast<Sum>(dy[i]) * (static_cast<Sum>(x[i]) - mu);
        });
        if (dx)
            each([&](index_t i) {
                dx[i] = static_cast<T>((static_cast<Sum>(dy[i]) - sum / n - (static_cast<Sum>(x[i]) - mu) * scale * scale * (product / n)) * scale * gain);
            });
        if (dw) dw[c] = static_cast<Master>(static_cast<Sum>(dw[c]) + product * scale);
        if (db) db[c] = static_cast<Master>(static_cast<Sum>(db[c]) + sum);
    }
}

/// Gradients of batch_norm_infer: dx (or null) = dy * w / sqrt(running_var + eps), may be dy; dw += sum(dy * (x - running_mean)) / sqrt(..), db += sum(dy).
template <class T>
void batch_norm_infer_backward(const Reference<T>&, std::byte*, const NormDims& d, double eps, const detail::Of<T>* x, const detail::MasterOf<T>* w,
                               const detail::StatisticOf<T>* running_mean, const detail::StatisticOf<T>* running_var, const detail::Of<T>* dy,
                               detail::Of<T>* dx, detail::MasterOf<T>* dw, detail::MasterOf<T>* db) {
    using Sum = detail::Wide<T>;
    using std::sqrt;
    for (index_t c = 0; c < d.channels; ++c) {
        const Sum mu = static_cast<Sum>(running_mean[c]), scale = Sum{1} / sqrt(static_cast<Sum>(running_var[c]) + static_cast<Sum>(eps));
        const Sum gain = w ? static_cast<Sum>(w[c]) : Sum{1};
        Sum sum{}, product{};
        for (index_t o = 0; o < d.outer; ++o)
            for (index_t i = 0; i < d.inner; ++i) {
                const index_t at = (o * d.channels + c) * d.inner + i;
                const Sum slope = static_cast<Sum>(dy[at]);
                sum += slope;
                product += slope * (static_cast<Sum>(x[at]) - mu);
                if (dx) dx[at] = static_cast<T>(slope * scale * gain);
            }
        if (dw) dw[c] = static_cast<detail::MasterOf<T>>(static_cast<Sum>(dw[c]) + product * scale);
        if (db) db[c] = static_cast<detail::MasterOf<T>>(static_cast<Sum>(db[c]) + sum);
    }
}

template <class T>
index_t layer_norm_scratch(const Reference<T>&, index_t, index_t) {
    return 0;
}

/// Each of `rows` rows normalised by its own mean and biased variance; w, b [columns] or null; mean, invstd [rows] or null.
template <class T>
void layer_norm_forward(const Reference<T>&, index_t rows, index_t columns, double eps, const detail::Of<T>* x, const detail::MasterOf<T>* w,
                        const detail::MasterOf<T>* b, detail::Of<T>* y, detail::StatisticOf<T>* mean, detail::StatisticOf<T>* invstd) {
    using Sum = detail::Wide<T>;
    using Statistic = detail::StatisticOf<T>;
    using std::sqrt;
    for (index_t r = 0; r < rows; ++r) {
        const T* in = x + r * columns;
        Sum sum{}, squares{};
        for (index_t c = 0; c < columns; ++c) sum += static_cast<Sum>(in[c]);
        const Sum mu = sum / static_cast<Sum>(columns);
        for (index_t c = 0; c < columns; ++c) squares += (static_cast<Sum>(in[c]) - mu) * (static_cast<Sum>(in[c]) - mu);
        const Sum scale = Sum{1} / sqrt(squares / static_cast<Sum>(columns) + static_cast<Sum>(eps));
        for (index_t c = 0; c < columns; ++c)
            y[r * columns + c] =
                static_cast<T>((static_cast<Sum>(in[c]) - mu) * scale * (w ? static_cast<Sum>(w[c]) : Sum{1}) + (b ? static_cast<Sum>(b[c]) : Sum{0}));
        if (mean) mean[r] = static_cast<Statistic>(mu);
        if (invstd) invstd[r] = static_cast<Statistic>(scale);
    }
}

/// dx (or null), may be dy; dw, db (both or neither null) accumulated.
template <class T>
void layer_norm_backward(const Reference<T>&, std::byte*, index_t rows, index_t columns, const detail::Of<T>* x, const detail::MasterOf<T>* w,
                         const detail::StatisticOf<T>* mean, const detail::StatisticOf<T>* invstd, const detail::Of<T>* dy, detail::Of<T>* dx,
                         detail::MasterOf<T>* dw, detail::MasterOf<T>* db) {
    using Sum = detail::Wide<T>;
    using Master = detail::MasterOf<T>;
    const auto unit = [&](index_t r, index_t c) { return (static_cast<Sum>(x[r * columns + c]) - static_cast<Sum>(mean[r])) * static_cast<Sum>(invstd[r]); };
    if (dw)  // before dx, which may overwrite dy
        for (index_t c = 0; c < columns; ++c) {
            Sum weight{}, bias{};
            for (index_t r = 0; r < rows; ++r) {
                weight += static_cast<Sum>(dy[r * columns + c]) * unit(r, c);
                bias += static_cast<Sum>(dy[r * columns + c]);
            }
            dw[c] = static_cast<Master>(static_cast<Sum>(dw[c]) + weight);
            db[c] = static_cast<Master>(static_cast<Sum>(db[c]) + bias);
        }
    if (!dx) return;
    for (index_t r = 0; r < rows; ++r) {
        const auto scaled = [&](index_t c) { return static_cast<Sum>(dy[r * columns + c]) * (w ? static_cast<Sum>(w[c]) : Sum{1}); };
        Sum sum{}, product{};
        for (index_t c = 0; c < columns; ++c) {
            sum += scaled(c);
            product += scaled(c) * unit(r, c);
        }
        const Sum n = static_cast<Sum>(columns);
        for (index_t c = 0; c < columns; ++c)
            dx[r * columns + c] = static_cast<T>((scaled(c) - sum / n - unit(r, c) * (product / n)) * static_cast<Sum>(invstd[r]));
    }
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
