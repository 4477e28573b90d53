// SPDX-License-Identifier: MIT
// Launching kernels on a CUDA device, with arguments that are checked against their declarations.
#pragma once

#include <dla/backend/cuda/policy.hpp>
#include <dla/kernels/cuda/declarations.hpp>
#include <dla/kernels/cuda/library.hpp>
#include <dla/kernels/pointers.hpp>

#include <tuple>

namespace dla::cuda {

/// A kernel, and what it takes.
template <class Signature>
struct Kernel {
    KernelIndex index;
};

/// The handles of all kernels: kernels::add is dla_cuda_add.
namespace kernels {
#define DLA_CUDA_KERNEL(name) inline constexpr Kernel<decltype(dla_cuda_##name)> name{KernelIndex::name};
#include <dla/kernels/cuda/list.inl.hpp>
#undef DLA_CUDA_KERNEL
}  // namespace kernels

/// How many blocks of how many threads.
struct Blocks {
    index_t x = 1, y = 1, z = 1;
    unsigned threads = 256;

    /// For n values, each thread one or more: many more than a device runs at once do not help.
    static constexpr Blocks over(index_t n) { return {.x = std::clamp<index_t>((n + 255) / 256, 1, 1 << 12)}; }
};

template <class To, class From>
constexpr To argument(const From& value) {
    return To{value};
}
template <class To, class T>
constexpr To argument(const DevicePtr<T>& pointer) {
    return pointer.address();
}

/// Queues a kernel.
template <class... Params, class... Args>
void launch(const Cuda<float>& p, Kernel<void(Params...)> kernel, const Blocks& blocks, const Args&... args) {
    static_assert(sizeof...(Params) == sizeof...(Args));
    Queue& queue = p.queue();
    queue.use();
    std::tuple<std::remove_cv_t<Params>...> values{argument<std::remove_cv_t<Params>>(args)...};
    std::apply(
        [&](auto&... each) {
            void* pointers[] = {&each...};
            const dim3 grid(static_cast<unsigned>(blocks.x), static_cast<unsigned>(blocks.y), static_cast<unsigned>(blocks.z));
            check(cudaLaunchKernel(Library::of(queue).kernel(kernel.index), grid, dim3(blocks.threads, 1, 1), pointers, 0, queue.stream()),
                  kernel_names[static_cast<std::size_t>(kernel.index)]);
        },
        values);
}

/// How the sums of channels are cut; `rows` and `columns` of a matrix are a tensor's outer and channels.
constexpr ChannelCut cut_channels(index_t outer, index_t channels, index_t inner = 1) {
    ChannelCut cut{.outer = outer, .channels = channels, .inner = inner};
    cut.lanes = inner == 1 ? 32 : 1;
    const index_t in_block = 16 * (256 / cut.lanes), values = std::max<index_t>(cut.values(), 1);  // 16 values for each thread, or more
    cut.chunks = static_cast<int>(std::clamp<index_t>((values + in_block - 1) / in_block, 1, 256));
    cut.items = (values + cut.chunks - 1) / cut.chunks;
    return cut;
}
constexpr Blocks blocks_of(const ChannelCut& cut) { return {.x = (cut.channels + cut.lanes - 1) / cut.lanes, .y = cut.chunks}; }
/// Bytes for `parts` sums of each channel and chunk.
constexpr index_t parts_bytes(const ChannelCut& cut, int parts) { return align_up(parts * cut.chunks * cut.channels * static_cast<index_t>(sizeof(double))); }

/// Blocks that add up n values.
constexpr index_t reduce_blocks(index_t n) { return std::clamp<index_t>((n + 2047) / 2048, 1, 1024); }

/// Threads of a warp that share a row of `channels` values.
constexpr int lanes_of(const NormDims& d) {
    int lanes = 1;
    while (d.inner == 1 && lanes < 32 && 2 * lanes <= d.channels) lanes *= 2;
    return lanes;
}
constexpr Blocks blocks_of_rows(index_t rows, int lanes) { return {.x = std::max<index_t>(1, (rows * lanes + 255) / 256)}; }
/// A block for each of `count` rows of so many values.
constexpr Blocks block_for_each(index_t count, index_t values) {
    unsigned threads = 32;
    while (threads < 256 && static_cast<index_t>(threads) * 4 < values) threads *= 2;
    return {.x = std::clamp<index_t>(count, 1, 1 << 20), .threads = threads};
}

}  // namespace dla::cuda

namespace dla::detail {

// Arguments of the kernels of Cuda<float>.
using DeviceFloats = DevicePtr<float>;
using ConstDeviceFloats = DevicePtr<const float>;
using DeviceScratch = DevicePtr<std::byte>;
inline DevicePtr<double> device_doubles(DeviceScratch scratch) { return Cuda<float>::pointer_cast<double>(scratch); }

}  // namespace dla::detail
