// SPDX-License-Identifier: MIT
// Softmax and cross-entropy on a CUDA device. A row belongs to a team of `lanes` neighbouring threads of a warp, a power of two.
#pragma once

#include <dla/kernels/cuda/block.cuh>

namespace dla {

namespace device {

template <class T>
__device__ T team_sum(T value, int lanes) {
    for (int step = lanes / 2; step > 0; step /= 2) value += __shfl_xor_sync(all_lanes, value, step);
    return value;
}
__device__ inline float team_largest(float value, int lanes) {
    for (int step = lanes / 2; step > 0; step /= 2) {
        const float other = __shfl_xor_sync(all_lanes, value, step);
        value = other > value ? other : value;
    }
    return value;
}

__device__ constexpr int log2_of(int power) {
    int log = 0;
    while (power >> log > 1) ++log;
    return log;
}

/// The row of a thread, which is none where `row` is not below the number of rows; nobody leaves before the team is done.
struct Team {
    int lanes, lane;
    index_t row;
    __device__ explicit Team(int of)
        : lanes(of), lane(static_cast<int>(threadIdx.x) & (of - 1)), row((static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x) >> log2_of(of)) {}
};

/// Where the first value of a row lies.
__device__ inline index_t first_of_row(const NormDims& d, index_t row) {
    const Division at = divide(row, d.inner);
    return at.quotient * d.channels * d.inner + at.rest;
}

/// A row's maximum and sum of exp(x - max), as the reference has them. Values [0, n) lie `step` apart.
struct RowSum {
    float largest;
    double sum, share, log_sum;
    __device__ RowSum(const Team& team, index_t n, const float* x, index_t step) : largest(-HUGE_VALF), sum(0), share(0), log_sum(0) {
        DLA_ROLLED
        for (index_t c = team.lane; c < n; c += team.lanes)
            if (x[c * step] > largest) largest = x[c * step];
        largest = team_largest(largest, team.lanes);
        DLA_ROLLED
        for (index_t c = team.lane; c < n; c += team.lanes) sum += numerator(x[c * step]);
        sum = team_sum(sum, team.lanes);
        log_sum = std::log(sum);
        share = std::exp(-log_sum);  // 1 / sum, but a division of doubles is a call, around which registers are saved in memory
    }
    __device__ double numerator(float x) const { return std::exp(static_cast<double>(x) - static_cast<double>(largest)); }
    __device__ double softmax(float x) const { return numerator(x) * share; }
    __device__ double negative_log(float x) const { return (static_cast<double>(largest) - static_cast<double>(x)) + log_sum; }
};

/// The first of the largest of a row, as the reference finds it: no NaN but the first value is one.
__device__ inline index_t team_argmax(const Team& team, index_t n, const float* x) {
    index_t best = team.lane < n ? team.lane : 0;
    DLA_ROLLED
    for (index_t c = best + team.lanes; c < n; c += team.lanes)
        if (x[c] > x[best] || (x[best] != x[best] && best > 0)) best = c;
    for (int step = team.lanes / 2; step > 0; step /= 2) {
        const index_t other = __shfl_xor_sync(all_lanes, best, step);
        if (n == 0) continue;
        const index_t low = best < other ? best : other, high = best < other ? other : best;
        best = x[high] > x[low] || (x[low] != x[low] && low > 0) ? high : low;
    }
    return best;
}

}  // namespace device

extern "C" {

/// y = softmax(x) or its logarithm over `channels`; y may be x.
__global__ void __launch_bounds__(256) dla_cuda_softmax_forward(NormDims d, int lanes, bool logarithm, const float* x, float* y) {
    const device::Team team(lanes);
    const index_t n = team.row < d.outer * d.inner ? d.channels : 0;
    const index_t start = n > 0 ? device::first_of_row(d, team.row) : 0;
    const device::RowSum row(team, n, x + start, d.inner);
    DLA_ROLLED
    for (index_t c = team.lane; c < n; c += lanes) {
        const float value = x[start + c * d.inner];
        y[start + c * d.inner] = static_cast<float>(logarithm ? -row.negative_log(value) : row.softmax(value));
    }
}

/// dx = y * (dy - sum(dy * y)), or of the logarithm dy - exp(y) * sum(dy); dx may be dy.
__global__ void __launch_bounds__(256) dla_cuda_softmax_backward(NormDims d, int lanes, bool logarithm, const float* y, const float* dy, float* dx) {
    const device::Team team(lanes);
    const index_t n = team.row < d.outer * d.inner ? d.channels : 0;
    const index_t start = n > 0 ? device::first_of_row(d, team.row) : 0;
    double sum = 0;
    DLA_ROLLED
    for (index_t c = team.lane; c < n; c += lanes) {
        const double slope = static_cast<double>(dy[start + c * d.inner]);
        sum += logarithm ? slope : slope * static_cast<double>(y[start + c * d.inner]);
    }
    sum = device::team_sum(sum, lanes);
    DLA_ROLLED
    for (index_t c = team.lane; c < n; c += lanes) {
        const index_t at = start + c * d.inner;
        const double value = static_cast<double>(y[at]), slope = static_cast<double>(dy[at]);
        dx[at] = static_cast<float>(logarithm ? slope - std::exp(value) * sum : value * (slope - sum));
    }
}

/// *whole = summed weight and number of the rows that count, or the first bad label. One block of 1024 threads.
__global__ void __launch_bounds__(1024) dla_cuda_label_weights(CrossEntropyDims d, const std::int32_t* labels, const float* class_weights, LossResult* whole) {
    __shared__ double sums[1024];
    __shared__ std::int64_t counts[1024];
    double weight = 0;
    std::int64_t counted = 0, bad = -1;
    DLA_ROLLED
    for (index_t r = threadIdx.x; r < d.rows; r += blockDim.x) {
        const std::int32_t label = labels[r];
        if (label == d.ignore_index) continue;
        if (label < 0 || label >= d.classes) {
            bad = device::earlier(bad, r);
            continue;
        }
        weight += class_weights != nullptr ? static_cast<double>(class_weights[label]) : 1.0;
        ++counted;
    }
    weight = device::block_sum(weight, sums);
    counted = device::block_sum(counted, counts);
    bad = device::block_join(bad, counts, [](std::int64_t a, std::int64_t b) { return device::earlier(a, b); });
    if (threadIdx.x != 0) return;
    *whole = LossResult();
    if (bad >= 0) {
        whole->bad_row = bad;
        whole->bad_label = labels[bad];
    } else {
        whole->weight = weight;
        whole->counted = counted;
    }
}

/// Loss and gradient of rows, as the reference defines them; `whole`: label weights of these rows, or of the batch of which they are a part. Where it names a
/// bad label, nothing is evaluated. A part of the loss for each block.
__global__ void __launch_bounds__(256) dla_cuda_cross_entropy(CrossEntropyDims d, int lanes, const float* logits, const std::int32_t* labels,
                                                              const float* class_weights, const LossResult* whole, cuda::LossPart* parts, float* dlogits) {
    __shared__ double sums[device::block_size];
    __shared__ std::int64_t counts[device::block_size];
    const device::Team team(lanes);
    cuda::LossPart mine;
    const bool here = whole->bad_row < 0 && team.row < d.rows, counts_too = here && labels[team.row] != d.ignore_index;
    const index_t n = counts_too ? d.classes : 0;
    const float* row = logits + (here ? team.row * d.classes : 0);
    const device::RowSum of_row(team, n, row, 1);
    const index_t best = device::team_argmax(team, n, row);
    __syncwarp();  // dlogits may be logits: nobody writes before all have read
    if (counts_too) {
        const std::int32_t label = labels[team.row];
        const double smooth = d.label_smoothing, divisor = d.mean ? whole->weight : 1.0;
        const auto weight = [&](index_t c) { return class_weights != nullptr ? static_cast<double>(class_weights[c]) : 1.0; };
        const double hard = smooth > 0 ? (1 - smooth) * weight(label) : weight(label);
        double total = hard;  // of the coefficients of the negative logarithms
        if (smooth > 0)
            for (index_t c = 0; c < n; ++c) total += smooth / static_cast<double>(n) * weight(c);
        if (team.lane == 0) {
            mine.weight = weight(label);
            mine.counted = 1;
            mine.correct = best == label ? 1 : 0;
        }
        DLA_ROLLED
        for (index_t c = team.lane; c < n; c += lanes) {
            const float value = row[c];
            double target = smooth > 0 ? smooth / static_cast<double>(n) * weight(c) : 0.0;
            if (smooth > 0) mine.loss += target * of_row.negative_log(value);  // not added as 0 * infinity when there is no smoothing
            if (c == label) {
                mine.loss += hard * of_row.negative_log(value);
                target += hard;
            }
            if (dlogits != nullptr) dlogits[team.row * d.classes + c] = static_cast<float>((of_row.softmax(value) * total - target) / divisor);
        }
    } else if (here && dlogits != nullptr) {
        DLA_ROLLED
        for (index_t c = team.lane; c < d.classes; c += lanes) dlogits[team.row * d.classes + c] = 0;
    }
    device::write_part(mine, sums, counts, parts + blockIdx.x);
}

/// *result of the parts of `count` blocks; NaN where `whole` names a bad label. One block.
__global__ void __launch_bounds__(256)
    dla_cuda_cross_entropy_finish(CrossEntropyDims d, index_t count, const cuda::LossPart* parts, const LossResult* whole, LossResult* result) {
    __shared__ double sums[device::block_size];
    __shared__ std::int64_t counts[device::block_size];
    const cuda::LossPart all = device::join_parts(count, parts, sums, counts);
    if (threadIdx.x != 0) return;
    LossResult out;
    if (whole->bad_row >= 0) {
        out.bad_row = whole->bad_row;
        out.bad_label = whole->bad_label;
        out.loss = NAN;
    } else {
        out.weight = all.weight;
        out.counted = all.counted;
        out.correct = all.correct;
        out.loss = all.loss / (d.mean ? whole->weight : 1.0);
    }
    *result = out;
}

/// The same with probabilities as targets [rows, classes]; a part names the first target that is not finite.
__global__ void __launch_bounds__(256) dla_cuda_cross_entropy_soft(CrossEntropyDims d, int lanes, const float* logits, const float* targets,
                                                                   const float* class_weights, cuda::LossPart* parts, float* dlogits) {
    __shared__ double sums[device::block_size];
    __shared__ std::int64_t counts[device::block_size];
    const device::Team team(lanes);
    cuda::LossPart mine;
    const bool here = team.row < d.rows;
    const index_t n = here ? d.classes : 0;
    const float *row = logits + (here ? team.row * d.classes : 0), *target = targets + (here ? team.row * d.classes : 0);
    const double smooth = d.label_smoothing, divisor = d.mean ? static_cast<double>(d.total_rows > 0 ? d.total_rows : d.rows) : 1.0;
    const auto coefficient = [&](index_t c) {
        const double t = static_cast<double>(target[c]) * (1 - smooth) + smooth / static_cast<double>(d.classes);
        return class_weights != nullptr ? t * static_cast<double>(class_weights[c]) : t;
    };
    const device::RowSum of_row(team, n, row, 1);
    const index_t best = device::team_argmax(team, n, row), meant = device::team_argmax(team, n, target);
    double total = 0;
    DLA_ROLLED
    for (index_t c = team.lane; c < n; c += lanes) {
        total += coefficient(c);
        mine.loss += coefficient(c) * of_row.negative_log(row[c]);
        if (!(target[c] - target[c] == 0)) mine.bad = device::earlier(mine.bad, team.row * d.classes + c);
    }
    total = device::team_sum(total, lanes);
    __syncwarp();  // dlogits may be logits: nobody writes before all have read
    if (here && team.lane == 0 && best == meant) mine.correct = 1;
    DLA_ROLLED
    for (index_t c = team.lane; dlogits != nullptr && c < n; c += lanes)
        dlogits[team.row * d.classes + c] = static_cast<float>((of_row.softmax(row[c]) * total - coefficient(c)) / divisor);
    device::write_part(mine, sums, counts, parts + blockIdx.x);
}

}  // extern "C"

}  // namespace dla
