// SPDX-License-Identifier: MIT
// Group normalisation of Cpu<float>. Images: sums of each channel over pieces of a sample, as a batch normalisation has them of a batch, which are then joined
// for each group. Channels whose positions lie side by side: a group is one run of values, as a row of a LayerNorm.
#pragma once

#include <dla/kernels/cpu/run_norm.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG::base {
#include <dla/kernels/cpu/group_norm.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::base

#if !defined(DLA_NO_SIMD)
#include <dla/kernels/cpu/begin_avx2.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx2 {
#include <dla/kernels/cpu/group_norm.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx2
#include <dla/kernels/cpu/end_target.inl.hpp>

#include <dla/kernels/cpu/begin_avx512.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx512 {
#include <dla/kernels/cpu/group_norm.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx512
#include <dla/kernels/cpu/end_target.inl.hpp>
#endif

namespace dla::detail::inline DLA_ABI_TAG {

constexpr bool groups_are_runs(const GroupNormDims& d) { return d.channels_first && d.positions > 1; }

/// f(i) for i in [0, n), of which one is `weight` values of work.
template <class F>
void for_items(const Cpu<float>& p, index_t n, index_t weight, const F& f) {
    const Chunks chunks = cut(n, weight, 1, 256);
    parallel_for(p.threads, chunks.count, [&](index_t task, int) {
        for (index_t i = chunks.begin(task); i < chunks.begin(task) + chunks.length(task); ++i) f(i);
    });
}

/// dw += sum of products * invstd, db += sum of sums, over the samples and the `pieces` of each, in order; products, sums [batch * pieces, padded].
inline void join_group_gradients(const Cpu<float>& p, const GroupNormDims& d, index_t pieces, index_t padded, const double* sums, const double* products,
                                 const float* invstd, float* dw, float* db) {
    for_items(p, d.channels, 2 * d.batch * pieces, [&](index_t c) {
        double weight = 0, bias = 0;
        for (index_t n = 0; n < d.batch; ++n) {
            double product = 0;
            for (index_t item = n * pieces; item < (n + 1) * pieces; ++item) product += products[item * padded + c], bias += sums[item * padded + c];
            weight += product * static_cast<double>(invstd[n * d.groups + c / d.group_channels()]);
        }
        dw[c] = static_cast<float>(static_cast<double>(dw[c]) + weight);
        db[c] = static_cast<float>(static_cast<double>(db[c]) + bias);
    });
}

/// The images of a group normalisation, each cut into pieces of positions by its own size, so that what becomes of one does not depend on the others (nor is
/// any of them read for another).
struct GroupImages {
    const GroupNormDims d;
    const NormRowsTarget& f;
    Chunks cuts;
    index_t pieces, padded;
    double *first, *second;                         // [items, padded]: sums of each piece
    float* work;                                    // [items, 3, padded]
    float *centre, *gain, *offset, *slope, *scale;  // [batch, padded]

    GroupImages(const GroupNormDims& dims, std::byte* scratch)
        : d(dims),
          f(**select_isa(base::norm_rows_targets, avx2::norm_rows_targets, avx512::norm_rows_targets)),
          cuts(cut_of(dims)),
          pieces(cuts.count),
          padded(padded_channels(dims.channels)) {
        first = take<double>(scratch, items() * padded), second = take<double>(scratch, items() * padded);
        work = take<float>(scratch, items() * 3 * padded);
        for (float** array : {&centre, &gain, &offset, &slope, &scale}) *array = take<float>(scratch, d.batch * padded);
    }
    static Chunks cut_of(const GroupNormDims& d) { return cut(d.positions, d.channels, norm_block, 8); }
    static index_t bytes(const GroupNormDims& d) {
        const index_t padded = padded_channels(d.channels), items = d.batch * cut_of(d).count;
        return 2 * bytes_of<double>(items * padded) + bytes_of<float>(items * 3 * padded) + 5 * bytes_of<float>(d.batch * padded);
    }
    index_t items() const { return d.batch * pieces; }

    /// g(item, sample, positions, place of the first value) for all pieces of all images.
    template <class G>
    void for_pieces(const Cpu<float>& p, const G& g) const {
        for_items(p, items(), d.positions * d.channels / pieces, [&](index_t item) {
            const index_t n = item / pieces, i = item % pieces;
            g(item, n, cuts.length(i), (n * d.positions + cuts.begin(i)) * d.channels);
        });
    }
    /// g(sample, group, first channel, end of channels) for all groups.
    template <class G>
    void for_groups(const Cpu<float>& p, const G& g) const {
        for_items(p, d.batch, 8 * pieces * d.channels, [&](index_t n) {
            for (index_t group = 0; group < d.groups; ++group) g(n, group, group * d.group_channels(), (group + 1) * d.group_channels());
            for (float* array : {centre, gain, offset, slope, scale}) std::fill(array + n * padded + d.channels, array + (n + 1) * padded, 0.0f);
        });
    }
    /// The sum of f(item, positions, channel) over the group's channels in all pieces of sample n.
    template <class G>
    double total(index_t n, index_t begin, index_t end, const G& of) const {
        double sum = 0;
        for (index_t i = 0; i < pieces; ++i)
            for (index_t c = begin; c < end; ++c) sum += of((n * pieces + i) * padded + c, static_cast<double>(cuts.length(i)), c);
        return sum;
    }

    void forward(const Cpu<float>& p, double eps, const float* x, const float* w, const float* b, float* y, float* mean, float* invstd) const {
        const auto moments = select_isa(base::moments, avx2::moments, avx512::moments);
        for_pieces(p, [&](index_t item, index_t, index_t count, index_t at) {
            moments(count, d.channels, x + at, count * d.channels, work + item * 3 * padded, first + item * padded, second + item * padded);
        });
        for_groups(p, [&](index_t n, index_t group, index_t begin, index_t end) {
            const double count = static_cast<double>(d.group_values());
            const double mu = total(n, begin, end, [&](index_t at, double positions, index_t) { return positions * first[at]; }) / count;
            const double squares = total(n, begin, end, [&](index_t at, double positions, index_t) {
                return second[at] + positions * (first[at] - mu) * (first[at] - mu);  // a channel's own, and its distance from the group's mean
            });
            const auto factor = static_cast<float>(1.0 / std::sqrt(squares / count + eps));
            for (index_t c = begin, at = n * padded + c; c < end; ++c, ++at) {
                centre[at] = static_cast<float>(mu);
                gain[at] = w ? factor * w[c] : factor;
                offset[at] = b ? b[c] : 0.0f;
            }
            if (mean) mean[n * d.groups + group] = static_cast<float>(mu);
            if (invstd) invstd[n * d.groups + group] = factor;
        });
        for_pieces(p, [&](index_t, index_t n, index_t count, index_t at) {
            f.normalise(count, d.channels, d.channels, x + at, centre + n * padded, gain + n * padded, offset + n * padded, y + at);
        });
    }

    void backward(const Cpu<float>& p, const float* x, const float* w, const float* mean, const float* invstd, const float* dy, float* dx, float* dw,
                  float* db) const {
        for_groups(p, [&](index_t n, index_t group, index_t begin, index_t end) {
            std::fill(centre + n * padded + begin, centre + n * padded + end, mean[n * d.groups + group]);
        });
        for_pieces(p, [&](index_t item, index_t n, index_t count, index_t at) {
            float *sum = work + item * 3 * padded, *product = sum + padded;
            double *sums = first + item * padded, *products = second + item * padded;
            const float* middle = centre + n * padded;
            std::fill_n(sum, 2 * padded, 0.0f);
            std::fill_n(sums, padded, 0.0), std::fill_n(products, padded, 0.0);
            for (index_t done = 0; done < count; done += norm_block) {
                const index_t from = at + done * d.channels;
                f.add_sums(std::min(norm_block, count - done), 0, d.channels, x + from, dy + from, middle, middle, middle, sum, product);
                f.flush(padded, sum, product, sums, products);
            }
        });
        if (dw) join_group_gradients(p, d, pieces, padded, first, second, invstd, dw, db);
        if (!dx) return;
        for_groups(p, [&](index_t n, index_t group, index_t begin, index_t end) {
            const double count = static_cast<double>(d.group_values()), factor = static_cast<double>(invstd[n * d.groups + group]);
            const auto weight = [&](index_t c) { return w ? static_cast<double>(w[c]) : 1.0; };
            const double sum = total(n, begin, end, [&](index_t at, double, index_t c) { return weight(c) * first[at]; });
            const double product = total(n, begin, end, [&](index_t at, double, index_t c) { return weight(c) * second[at]; });
            for (index_t c = begin, at = n * padded + c; c < end; ++c, ++at) {
                gain[at] = w ? w[c] : 1.0f;
                offset[at] = static_cast<float>(sum / count);
                slope[at] = static_cast<float>(product / count * factor * factor);
                scale[at] = invstd[n * d.groups + group];
            }
        });
        const auto spread = select_isa(base::group_input_gradient, avx2::group_input_gradient, avx512::group_input_gradient);
        for_pieces(p, [&](index_t, index_t n, index_t count, index_t at) {
            const index_t own = n * padded;
            spread(count, d.channels, x + at, dy + at, centre + own, gain + own, offset + own, slope + own, scale + own, dx + at);
        });
    }
};

/// Groups whose values lie side by side, the positions of a channel after one another.
struct GroupRuns {
    const GroupNormDims d;
    double *sums, *products;  // [batch, channels]

    GroupRuns(const GroupNormDims& dims, std::byte* scratch)
        : d(dims), sums(take<double>(scratch, d.batch * d.channels)), products(take<double>(scratch, d.batch * d.channels)) {}
    static index_t bytes(const GroupNormDims& d) { return 2 * bytes_of<double>(d.batch * d.channels); }

    /// f(group counted over all samples, f_channel) with f_channel(g): g(channel, channel counted over all samples, place of its first value).
    template <class F>
    void for_groups(const Cpu<float>& p, const F& f) const {
        for_items(p, d.batch * d.groups, d.group_values(), [&](index_t group) {
            f(group, [&](const auto& g) {
                for (index_t run = group * d.group_channels(); run < (group + 1) * d.group_channels(); ++run) g(run % d.channels, run, run * d.positions);
            });
        });
    }

    void forward(const Cpu<float>& p, double eps, const float* x, const float* w, const float* b, float* y, float* mean, float* invstd) const {
        const auto normalise = select_isa(base::run_normalise, avx2::run_normalise, avx512::run_normalise);
        for_groups(p, [&](index_t group, const auto& each_channel) {
            const float* values = x + group * d.group_values();
            const RunMoments moments(d.group_values(), values[0], [&](const auto& of) { return of(d.group_values(), values); });
            const auto centre = static_cast<float>(moments.mean);
            const auto scale = static_cast<float>(1.0 / std::sqrt(moments.squares / static_cast<double>(d.group_values()) + eps));
            each_channel([&](index_t c, index_t, index_t at) { normalise(d.positions, x + at, centre, w ? scale * w[c] : scale, b ? b[c] : 0.0f, y + at); });
            if (mean) mean[group] = centre;
            if (invstd) invstd[group] = scale;
        });
    }

    void backward(const Cpu<float>& p, const float* x, const float* w, const float* mean, const float* invstd, const float* dy, float* dx, float* dw,
                  float* db) const {
        const auto total = select_isa(base::run_total, avx2::run_total, avx512::run_total);
        const auto product = select_isa(base::run_product, avx2::run_product, avx512::run_product);
        const auto spread = select_isa(base::group_run_gradient, avx2::group_run_gradient, avx512::group_run_gradient);
        for_groups(p, [&](index_t group, const auto& each_channel) {
            double sum = 0, sum_of_products = 0;
            each_channel([&](index_t c, index_t run, index_t at) {
                sums[run] = total(d.positions, dy + at);
                products[run] = product(d.positions, x + at, dy + at, mean[group]);
                const double weight = w ? static_cast<double>(w[c]) : 1.0;
                sum += weight * sums[run];
                sum_of_products += weight * products[run];
            });
            if (!dx) return;
            const double count = static_cast<double>(d.group_values()), scale = static_cast<double>(invstd[group]);
            const auto offset = static_cast<float>(sum / count), slope = static_cast<float>(sum_of_products / count * scale * scale);
            each_channel([&](index_t c, index_t, index_t at) {
                spread(d.positions, x + at, dy + at, mean[group], w ? w[c] : 1.0f, offset, slope, invstd[group], dx + at);
            });
        });
        if (dw) join_group_gradients(p, d, 1, d.channels, sums, products, invstd, dw, db);
    }
};

}  // namespace dla::detail::inline DLA_ABI_TAG

namespace dla {

DLA_ONCE index_t group_norm_scratch(const Cpu<float>&, const GroupNormDims& d) {
    return detail::groups_are_runs(d) ? detail::GroupRuns::bytes(d) : detail::GroupImages::bytes(d);
}

DLA_ONCE void group_norm_forward(const Cpu<float>& p, std::byte* scratch, const GroupNormDims& d, double eps, const float* x, const float* w, const float* b,
                                 float* y, float* mean, float* invstd) {
    if (detail::groups_are_runs(d)) return detail::GroupRuns(d, scratch).forward(p, eps, x, w, b, y, mean, invstd);
    detail::GroupImages(d, scratch).forward(p, eps, x, w, b, y, mean, invstd);
}

DLA_ONCE void group_norm_backward(const Cpu<float>& p, std::byte* scratch, const GroupNormDims& d, const float* x, const float* w, const float* mean,
                                  const float* invstd, const float* dy, float* dx, float* dw, float* db) {
    if (detail::groups_are_runs(d)) return detail::GroupRuns(d, scratch).backward(p, x, w, mean, invstd, dy, dx, dw, db);
    detail::GroupImages(d, scratch).backward(p, x, w, mean, invstd, dy, dx, dw, db);
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
