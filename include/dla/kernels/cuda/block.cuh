// SPDX-License-Identifier: MIT
// What the kernels of a CUDA device have in common: who does what, and sums over a block in a fixed order.
#pragma once

#include <dla/kernels/cuda/declarations.hpp>
#include <dla/kernels/formulas.hpp>
#include <dla/kernels/windows.hpp>

namespace dla::device {

/// Threads of a block, but for kernels over rows, whose blocks may be smaller.
constexpr int block_size = 256;
constexpr unsigned all_lanes = 0xffffffffu;

/// A grid's threads take values first, first + stride, ...
__device__ inline index_t first() { return static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ inline index_t stride() { return static_cast<index_t>(gridDim.x) * blockDim.x; }

/// a / b and a % b of values from 0 to 2^48 (no batch has more: max_values). 32 bits, where they are enough, take a fraction of the time. What does not fit
/// into them is divided bit by bit: nvcc would call a function for 64 bits, and around it save registers in memory.
struct Division {
    index_t quotient, rest;
};
__device__ inline Division divide(index_t a, index_t b) {
    if ((a | b) >> 32 == 0) {
        const unsigned x = static_cast<unsigned>(a), y = static_cast<unsigned>(b), q = x / y;
        return {static_cast<index_t>(q), static_cast<index_t>(x - q * y)};
    }
    Division slow{0, a};
    index_t by = b;
    while (by <= a >> 1) by <<= 1;
    for (; by >= b; by >>= 1) {
        slow.quotient <<= 1;
        if (slow.rest >= by) slow.rest -= by, slow.quotient |= 1;
    }
    return slow;
}

/// Where value i of images [batch, height, width, channels] lies.
struct Pixel {
    index_t n, h, w, c;
    __device__ Pixel(index_t i, index_t height, index_t width, index_t channels) {
        const Division place = divide(i, channels), row = divide(place.quotient, width), image = divide(row.quotient, height);
        n = image.quotient, h = image.rest, w = row.rest, c = place.rest;
    }
};

/// The channel of value i of [outer, channels, inner].
__device__ inline index_t channel_of(index_t i, index_t channels, index_t inner) { return divide(inner == 1 ? i : divide(i, inner).quotient, channels).rest; }

__device__ inline double plus(double a, double b) { return a + b; }
__device__ inline std::int64_t plus(std::int64_t a, std::int64_t b) { return a + b; }
/// The lower of two places, where -1 is none.
__device__ inline std::int64_t earlier(std::int64_t a, std::int64_t b) { return a < 0 ? b : b < 0 ? a : a < b ? a : b; }

/// join(...) of the values of all threads of a block, known to all of them, in the order of a tree. The block has a power of two threads, and `room` a value
/// for each, which nobody reads any more.
template <class T, class Join>
__device__ T block_join(T value, T* room, const Join& join) {
    room[threadIdx.x] = value;
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) room[threadIdx.x] = join(room[threadIdx.x], room[threadIdx.x + half]);
    }
    __syncthreads();
    const T joined = room[0];
    __syncthreads();  // before somebody writes into the room again
    return joined;
}
template <class T>
__device__ T block_sum(T value, T* room) {
    return block_join(value, room, [](T a, T b) { return plus(a, b); });
}
/// The losses of all threads of a block, known to all of them.
__device__ inline cuda::LossPart block_loss(const cuda::LossPart& mine, double* sums, std::int64_t* counts) {
    cuda::LossPart all;
    all.loss = block_sum(mine.loss, sums);
    all.weight = block_sum(mine.weight, sums);
    all.correct = block_sum(mine.correct, counts);
    all.counted = block_sum(mine.counted, counts);
    all.bad = block_join(mine.bad, counts, [](std::int64_t a, std::int64_t b) { return earlier(a, b); });
    return all;
}
__device__ inline void write_part(const cuda::LossPart& mine, double* sums, std::int64_t* counts, cuda::LossPart* part) {
    const cuda::LossPart all = block_loss(mine, sums, counts);
    if (threadIdx.x == 0) *part = all;
}
/// The parts of `count` blocks, joined by one.
__device__ inline cuda::LossPart join_parts(index_t count, const cuda::LossPart* parts, double* sums, std::int64_t* counts) {
    cuda::LossPart mine;
    DLA_ROLLED
    for (index_t i = threadIdx.x; i < count; i += blockDim.x) {
        mine.loss += parts[i].loss;
        mine.weight += parts[i].weight;
        mine.correct += parts[i].correct;
        mine.counted += parts[i].counted;
        mine.bad = earlier(mine.bad, parts[i].bad);
    }
    return block_loss(mine, sums, counts);
}

/// The channel of this thread, which may be none.
__device__ inline index_t own_channel(const cuda::ChannelCut& cut) { return static_cast<index_t>(blockIdx.x) * cut.lanes + threadIdx.x % cut.lanes; }

/// Where value k of a channel lies.
__device__ inline index_t place_of(const cuda::ChannelCut& cut, index_t channel, index_t k) {
    if (cut.inner == 1) return k * cut.channels + channel;
    const Division at = divide(k, cut.inner);
    return (at.quotient * cut.channels + channel) * cut.inner + at.rest;
}
/// parts[part][chunk][channel] = what `f(place, sums)` adds to sums[part] for the values of the chunk blockIdx.y; `room`: Parts * block_size values.
template <int Parts, class F>
__device__ void channel_sums(const cuda::ChannelCut& cut, double* room, double* parts, const F& f) {
    const int row = static_cast<int>(threadIdx.x) / cut.lanes, rows = block_size / cut.lanes;
    const index_t channel = own_channel(cut), begin = static_cast<index_t>(blockIdx.y) * cut.items;
    const index_t end = channel < cut.channels ? detail::least(begin + cut.items, cut.values()) : begin;
    double sums[Parts] = {};
    DLA_ROLLED
    for (index_t k = begin + row; k < end; k += rows) f(place_of(cut, channel, k), sums);
    for (int p = 0; p < Parts; ++p) room[p * block_size + static_cast<int>(threadIdx.x)] = sums[p];
    for (int half = rows / 2; half > 0; half /= 2) {
        __syncthreads();
        if (row < half)
            for (int p = 0; p < Parts; ++p)
                room[p * block_size + static_cast<int>(threadIdx.x)] += room[p * block_size + static_cast<int>(threadIdx.x) + half * cut.lanes];
    }
    if (row == 0 && channel < cut.channels)
        for (int p = 0; p < Parts; ++p)
            parts[(p * cut.chunks + static_cast<index_t>(blockIdx.y)) * cut.channels + channel] = room[p * block_size + static_cast<int>(threadIdx.x)];
}
/// The sum of part `part` over all chunks.
__device__ inline double sum_of_chunks(index_t channels, int chunks, const double* parts, int part, index_t channel) {
    double sum = 0;
    for (int chunk = 0; chunk < chunks; ++chunk) sum += parts[(static_cast<index_t>(part) * chunks + chunk) * channels + channel];
    return sum;
}

}  // namespace dla::device
