// SPDX-License-Identifier: MIT
// Scratch memory is planned once, for the largest batch: what a kernel says it needs must be enough for every smaller one, and not much more.
#include <doctest/doctest.h>

#include <dla/kernels/cpu.hpp>
#include <support/kernel_check.hpp>

using namespace dla;
using namespace support;

namespace {

/// For every batch up to `most`: states(batch) never falls, covers needs(batch), and is at most 1.5 times the largest need so far where memory matters.
template <class States, class Needs>
void check_bound(index_t most, const States& states, const Needs& needs) {
    index_t before = 0, largest = 0, falls = 0, short_of = 0, loose = 0;
    for (index_t batch = 0; batch <= most; ++batch) {
        const index_t stated = states(batch), needed = needs(batch);
        largest = std::max(largest, needed);
        falls += stated < before ? 1 : 0;
        short_of += stated < needed ? 1 : 0;
        loose += stated > 4096 && 2 * stated > 3 * largest ? 1 : 0;
        before = stated;
    }
    CHECK(falls == 0);
    CHECK(short_of == 0);
    CHECK(loose == 0);
}

index_t gemm_need(const GemmDims& d, int threads) {
    if (d.m == 0 || d.n == 0) return 0;
    const detail::GemmPlan plan(d);
    return (plan.packed_floats(d, threads) + plan.partial_floats(d)) * static_cast<index_t>(sizeof(float));
}

constexpr int thread_counts[] = {1, 2, 5};

}  // namespace

TEST_CASE("scratch of a product covers fewer rows and shorter reductions") {
    for (const int threads : thread_counts)
        for (const bool ta : {false, true})
            for (const bool tb : {false, true})
                for (const index_t n : {1, 7, 16, 64, 100, 512, 1024, 40000}) {
                    CAPTURE(threads);
                    CAPTURE(ta);
                    CAPTURE(tb);
                    CAPTURE(n);
                    for (const index_t k : {0, 1, 17, 127, 129, 2047, 2048, 2049, 3072, 4097, 10241, 31745, 40000}) {  // m is the batch: forward, gradient of x
                        CAPTURE(k);
                        check_bound(
                            600, [&](index_t m) { return gemm_scratch(cpu(threads), {m, n, k, ta, tb}); },
                            [&](index_t m) {
                                index_t need = gemm_need({m, n, k, ta, tb}, threads);  // the other reading: m stays, k is a smaller batch
                                for (const index_t shorter : {index_t{2047}, k / 1024 * 1024})
                                    if (shorter < k) need = std::max(need, gemm_need({m, n, shorter, ta, tb}, threads));
                                return need;
                            });
                    }
                    for (const index_t m : {1, 10, 63, 64, 65, 784}) {  // k is the batch: gradient of the weights
                        CAPTURE(m);
                        check_bound(
                            5000, [&](index_t k) { return gemm_scratch(cpu(threads), {m, n, k, ta, tb}); },
                            [&](index_t k) {
                                index_t need = gemm_need({m, n, k, ta, tb}, threads);
                                for (const index_t fewer : {std::min(m, 32768 / n), std::min(m, index_t{63})})
                                    need = std::max(need, gemm_need({fewer, n, k, ta, tb}, threads));
                                return need;
                            });
                    }
                }
}

TEST_CASE("scratch of a convolution covers fewer images") {
    int index = 0;
    for (const index_t side : {1, 5, 8, 28, 32, 100, 224})
        for (const auto& [in, out, groups] : {std::array<index_t, 3>{1, 6, 1}, {3, 32, 1}, {64, 64, 1}, {64, 128, 1}, {32, 32, 32}, {512, 512, 1}})
            for (const auto& [kernel, stride, pad, dilation] :
                 {std::array<index_t, 4>{1, 1, 0, 1}, {3, 1, 1, 1}, {3, 2, 1, 1}, {5, 1, 0, 1}, {7, 2, 3, 1}, {3, 1, 2, 2}, {2, 3, 0, 1}}) {
                const index_t reach = (kernel - 1) * dilation + 1;
                if (side + 2 * pad < reach) continue;
                const index_t rest = (side + 2 * pad - reach) / stride + 1;
                const int wanted = thread_counts[index++ % 3], threads = thread_count(wanted);
                CAPTURE(side);
                CAPTURE(in);
                CAPTURE(out);
                CAPTURE(kernel);
                CAPTURE(stride);
                CAPTURE(threads);
                const auto dims = [&, in = in, out = out, groups = groups, kernel = kernel, stride = stride, pad = pad, dilation = dilation](index_t batch) {
                    Conv2dDims d{.batch = batch, .height = side, .width = side, .in_channels = in, .out_channels = out};
                    d.kernel_h = d.kernel_w = kernel, d.stride_h = d.stride_w = stride, d.pad_top = d.pad_left = pad;
                    d.dilation_h = d.dilation_w = dilation, d.groups = groups, d.out_height = d.out_width = rest;
                    return d;
                };
                const auto correlation = [&](index_t batch, bool transpose) {
                    if (conv2d_uses_winograd(cpu(wanted), dims(batch))) return detail::WinogradPlan(dims(batch), transpose).scratch(threads);
                    const detail::ConvPlan plan(dims(batch), transpose);
                    return (padded_count<float>(plan.packed_floats()) + threads * padded_count<float>(plan.source_floats)) * index_t{4};
                };
                check_bound(
                    300, [&](index_t batch) { return conv2d_forward_scratch(cpu(wanted), dims(batch)); },
                    [&](index_t batch) { return correlation(batch, false); });
                check_bound(
                    300, [&](index_t batch) { return conv2d_backward_data_scratch(cpu(wanted), dims(batch)); },
                    [&](index_t batch) { return correlation(batch, true); });
                check_bound(
                    300, [&](index_t batch) { return conv2d_backward_weights_scratch(cpu(wanted), dims(batch)); },
                    [&](index_t batch) {
                        if (conv2d_uses_winograd(cpu(wanted), dims(batch))) return detail::WinogradWeightsPlan(dims(batch)).scratch(threads);
                        const detail::ConvWeightsPlan plan(dims(batch));
                        return (plan.parts * plan.partial_floats + threads * padded_count<float>(plan.source_floats + plan.panel_floats)) * index_t{4};
                    });
            }
}

TEST_CASE("scratch of a convolution that normalises what it reads covers fewer images") {
    for (const int wanted : thread_counts)
        for (const auto& [height, width, channels, kernel, stride] :
             {std::array<index_t, 5>{28, 28, 16, 3, 1}, {9, 250, 32, 3, 1}, {70, 70, 3, 7, 2}, {14, 14, 64, 1, 1}, {5, 6, 7, 5, 1}}) {
            CAPTURE(channels);
            const auto dims = [&, h = height, w = width, c = channels, k = kernel, s = stride](index_t batch) {
                Conv2dDims d{
                    .batch = batch, .height = h, .width = w, .in_channels = c, .out_channels = 32, .kernel_h = k, .kernel_w = k, .stride_h = s, .stride_w = s};
                d.pad_top = d.pad_left = k / 2;
                d.out_height = (h - 1) / s + 1, d.out_width = (w - 1) / s + 1;
                return d;
            };
            check_bound(
                300, [&](index_t batch) { return normed_input_scratch(cpu(wanted), dims(batch)); },
                [&](index_t batch) {
                    const Conv2dDims d = dims(batch);
                    const index_t window = conv2d_uses_winograd(cpu(wanted), d)
                                               ? 6 * (4 * ((d.out_width + 3) / 4) + 2) * d.in_channels
                                               : std::max(detail::ConvPlan(d, false).window_floats(), detail::ConvWeightsPlan(d).source_floats);
                    return 3 * detail::bytes_of<float>(detail::padded_channels(d.in_channels)) + detail::bytes_of<float>(wanted * padded_count<float>(window));
                });
        }
}

TEST_CASE("scratch of sums over rows covers fewer rows") {
    for (const index_t columns : {1, 3, 10, 16, 50, 64, 100, 126, 127, 128, 129, 250, 1000, 1024, 4096, 40000}) {
        CAPTURE(columns);
        const index_t padded = detail::padded_channels(columns), most = std::max<index_t>(20000, 3000000 / columns);
        const auto chunks = [&](index_t rows) { return detail::norm_chunks({rows, columns, 1}).count; };
        check_bound(
            most, [&](index_t rows) { return column_sum_scratch(cpu(), rows, columns); },
            [&](index_t rows) { return detail::bytes_of<double>(chunks(rows) * padded) + detail::bytes_of<float>(chunks(rows) * padded); });
        check_bound(
            most, [&](index_t rows) { return batch_norm_scratch(cpu(), {rows, columns, 1}); },
            [&](index_t rows) {
                return std::max<index_t>(chunks(rows), 1) * (2 * detail::bytes_of<double>(padded) + 3 * detail::bytes_of<float>(padded)) +
                       detail::bytes_of<double>(padded) + 4 * detail::bytes_of<float>(padded);
            });
        check_bound(
            20000, [&](index_t rows) { return layer_norm_scratch(cpu(), rows, columns); },
            [&](index_t rows) {
                if (detail::layer_norm_in_strips(rows, columns)) return index_t{0};
                const index_t count = std::max<index_t>(1, detail::layer_norm_chunks(rows, columns).count);
                return 2 * detail::bytes_of<double>(count * padded) + detail::bytes_of<float>(count * 2 * padded);
            });
        check_bound(
            20000, [&](index_t rows) { return cross_entropy_scratch(cpu(), {rows, columns}); },
            [&](index_t rows) { return detail::bytes_of<detail::LossPart>(detail::row_chunks(rows, columns).count); });
    }
    check_bound(
        3000000, [](index_t n) { return sum_of_squares_scratch(cpu(), n); }, [](index_t n) { return detail::bytes_of<double>(detail::sum_chunks(n).count); });
}

TEST_CASE("scratch of a Linear with its normalisation covers fewer rows") {
    for (const int threads : thread_counts)
        for (const index_t in : {1, 32, 100, 784})
            for (const index_t out : {1, 32, 64, 300}) {
                CAPTURE(in);
                CAPTURE(out);
                const auto dims = [&](index_t rows) { return LinearNormDims{.linear = {.rows = rows, .in = in, .out = out}, .relu = true}; };
                const index_t padded = detail::padded_channels(out);
                check_bound(
                    5000, [&](index_t rows) { return linear_norm_scratch(cpu(threads), dims(rows)); },
                    [&](index_t rows) {
                        const LinearNormDims d = dims(rows);
                        return detail::NormRows::bytes(d.rows()) + detail::bytes_of<float>(detail::linear_norm_packed(d.linear.forward())) +
                               2 * detail::bytes_of<double>(std::max<index_t>(1, detail::LinearNormPlan(d.linear).chunks.count) * padded) +
                               detail::bytes_of<float>(threads * 3 * padded) + detail::bytes_of<double>(padded);
                    });
                check_bound(
                    5000, [&](index_t rows) { return linear_norm_backward_scratch(cpu(threads), dims(rows)); },
                    [&](index_t rows) {
                        const LinearNormDims d = dims(rows);
                        const detail::LinearNormPlan plan(d.linear);
                        return detail::NormRows::bytes(d.rows()) + detail::NormGradient::bytes(out, plan.chunks.count) +
                               detail::bytes_of<float>(detail::linear_norm_packed(d.linear.backward_data())) +
                               (plan.by_chunks ? detail::bytes_of<float>(plan.chunks.count * plan.part()) : gemm_need(d.linear.backward_weights(), threads));
                    });
            }
}
