// SPDX-License-Identifier: MIT
// Group normalisation on a CUDA device: a block for each group of each sample.
#pragma once

#include <dla/kernels/cuda/norm.cuh>

namespace dla {

namespace device {

/// Where value k of group g of sample n lies, and its channel.
struct GroupPlace {
    index_t at, channel;
    __device__ GroupPlace(const GroupNormDims& d, index_t n, index_t g, index_t k) {
        const index_t width = d.channels_first ? d.positions : d.group_channels();
        const Division place = divide(k, width);
        channel = g * d.group_channels() + (d.channels_first ? place.quotient : place.rest);
        at = d.channels_first ? (n * d.channels + channel) * d.positions + place.rest : (n * d.positions + place.quotient) * d.channels + channel;
    }
};

}  // namespace device

extern "C" {

/// y = (x - mean) * invstd * w + b; w, b [channels] or null; mean, invstd [batch, groups] or null. y may be x.
__global__ void __launch_bounds__(256)
    dla_cuda_group_norm_forward(GroupNormDims d, double eps, const float* x, const float* w, const float* b, float* y, float* mean, float* invstd) {
    __shared__ double room[device::block_size];
    DLA_ROLLED
    for (index_t of = blockIdx.x; of < d.batch * d.groups; of += gridDim.x) {
        const device::Division sample = device::divide(of, d.groups);
        const index_t n = sample.quotient, g = sample.rest;
        const double shift = static_cast<double>(x[device::GroupPlace(d, n, g, 0).at]);
        double sum = 0, squares = 0;
        DLA_ROLLED
        for (index_t k = threadIdx.x; k < d.group_values(); k += blockDim.x) {
            const double distance = static_cast<double>(x[device::GroupPlace(d, n, g, k).at]) - shift;
            sum += distance;
            squares += distance * distance;
        }
        sum = device::block_sum(sum, room);
        squares = device::block_sum(squares, room);
        const device::Moments m(static_cast<double>(d.group_values()), shift, sum, squares, eps);
        const float scale = static_cast<float>(m.invstd);
        DLA_ROLLED
        for (index_t k = threadIdx.x; k < d.group_values(); k += blockDim.x) {
            const device::GroupPlace place(d, n, g, k);
            const float distance = static_cast<float>(static_cast<double>(x[place.at]) - m.mean);
            y[place.at] = distance * scale * device::gain(w, place.channel) + device::shift(b, place.channel);
        }
        if (threadIdx.x == 0 && mean != nullptr) mean[of] = static_cast<float>(m.mean);
        if (threadIdx.x == 0 && invstd != nullptr) invstd[of] = scale;
    }
}

/// Sums of dy and of dy * (x - mean) * invstd for each channel.
__global__ void __launch_bounds__(256)
    dla_cuda_group_norm_slopes(GroupNormDims d, cuda::ChannelCut cut, const float* x, const float* mean, const float* invstd, const float* dy, double* parts) {
    __shared__ double room[2 * device::block_size];
    const index_t group = device::divide(device::own_channel(cut), d.group_channels()).quotient;
    device::channel_sums<2>(cut, room, parts, [&](index_t i, double* sums) {
        const index_t of = device::divide(i, d.channels * d.positions).quotient * d.groups + group;
        const double slope = static_cast<double>(dy[i]);
        sums[0] += slope;
        sums[1] += slope * ((static_cast<double>(x[i]) - static_cast<double>(mean[of])) * static_cast<double>(invstd[of]));
    });
}

/// dx = (dy * w - mean(dy * w) - u * mean(dy * w * u)) * invstd with u = (x - mean) * invstd. dx may be dy.
__global__ void __launch_bounds__(256)
    dla_cuda_group_norm_backward(GroupNormDims d, const float* x, const float* w, const float* mean, const float* invstd, const float* dy, float* dx) {
    __shared__ double room[device::block_size];
    DLA_ROLLED
    for (index_t of = blockIdx.x; of < d.batch * d.groups; of += gridDim.x) {
        const device::Division sample = device::divide(of, d.groups);
        const index_t n = sample.quotient, g = sample.rest;
        const float mu = mean[of], scale = invstd[of];
        double sum = 0, product = 0;
        DLA_ROLLED
        for (index_t k = threadIdx.x; k < d.group_values(); k += blockDim.x) {
            const device::GroupPlace place(d, n, g, k);
            const double scaled = static_cast<double>(dy[place.at]) * static_cast<double>(device::gain(w, place.channel));
            sum += scaled;
            product += scaled * (static_cast<double>(x[place.at] - mu) * static_cast<double>(scale));
        }
        sum = device::block_sum(sum, room);
        product = device::block_sum(product, room);
        const double count = static_cast<double>(d.group_values());
        const float of_all = static_cast<float>(sum / count), of_unit = static_cast<float>(product / count);
        DLA_ROLLED
        for (index_t k = threadIdx.x; k < d.group_values(); k += blockDim.x) {
            const device::GroupPlace place(d, n, g, k);
            dx[place.at] = (dy[place.at] * device::gain(w, place.channel) - of_all - (x[place.at] - mu) * scale * of_unit) * scale;
        }
    }
}

}  // extern "C"

}  // namespace dla
