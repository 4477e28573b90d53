// SPDX-License-Identifier: MIT
// A policy with host memory whose kernels are those of Cuda<float>: what their pointers point to goes to the device before a kernel and comes back after it.
// The tests of kernels, which are written for host memory, run on it as they are.
#pragma once

#include <dla/kernels/cuda.hpp>
#include <dla/kernels/reference.hpp>
#include <support/registered.hpp>

#include <cstring>
#include <deque>
#include <stdexcept>
#include <type_traits>
#include <vector>

namespace bridge {

using dla::DevicePtr;
using dla::index_t;

struct Bridge : dla::HostMemory {
    using activation = float;
    using weight = float;
    using master = float;
    using statistic = float;
    using scalar = float;
    static constexpr const char* name = "bridge";

    dla::Cuda<float> device;
};

/// What one call moves.
class Crossing {
public:
    explicit Crossing(const dla::Cuda<float>& device) : device_(device) {}
    Crossing(const Crossing&) = delete;
    ~Crossing() {
        for (const Block& block : blocks_) device_.release(block.there, block.bytes);
    }

    /// Memory on the device with a copy of the block in which `p` lies; what is no block is a single value.
    template <class T>
    DevicePtr<T> there(T* p) {
        if (p == nullptr) return {};
        const auto* first = reinterpret_cast<const std::byte*>(p);
        const std::byte* begin = first;
        std::size_t bytes = sizeof(T);
        const auto& all = support::registered_blocks();
        auto after = all.upper_bound(first);
        if (after != all.begin() && first < std::prev(after)->first + std::prev(after)->second) {
            begin = std::prev(after)->first;
            bytes = std::prev(after)->second;
        } else if constexpr (std::is_same_v<std::remove_const_t<T>, float> || sizeof(T) == 1 || std::is_same_v<std::remove_const_t<T>, std::int32_t>) {
            throw std::logic_error("an array that is not registered");
        }
        for (Block& block : blocks_)
            if (block.here == begin) {
                block.written = block.written || !std::is_const_v<T>;
                return at<T>(block, first);
            }
        Block& block = blocks_.emplace_back(Block{begin, device_.allocate(static_cast<index_t>(bytes)), static_cast<index_t>(bytes), !std::is_const_v<T>});
        device_.copy_in(block.there, begin, block.bytes);
        return at<T>(block, first);
    }
    void back() {
        for (const Block& block : blocks_)
            if (block.written) device_.copy_out(const_cast<std::byte*>(block.here), block.there, block.bytes);
        device_.synchronize();
    }

private:
    struct Block {
        const std::byte* here;
        DevicePtr<std::byte> there;
        index_t bytes;
        bool written;
    };
    template <class T>
    static DevicePtr<T> at(const Block& block, const std::byte* p) {
        return dla::Cuda<float>::pointer_cast<T>(block.there + (p - block.here));
    }
    dla::Cuda<float> device_;
    std::deque<Block> blocks_;
};

/// Becomes whatever pointer a kernel takes.
struct Null {
    template <class T>
    operator DevicePtr<T>() const {
        return {};
    }
};

template <class T>
DevicePtr<T> cross(Crossing& crossing, T* p) {
    return crossing.there(p);
}
inline Null cross(Crossing&, std::nullptr_t) { return {}; }
/// Becomes the number that a kernel takes, as a literal does.
struct Number {
    int value;
    template <class T>
    operator T() const {
        return static_cast<T>(value);
    }
};
inline Number cross(Crossing&, int value) { return {value}; }
template <class T>
const T& cross(Crossing&, const T& value)
    requires(!std::is_pointer_v<T>)
{
    return value;
}

/// Launches one of Cuda<float>'s own kernels on what lies on the host.
template <class Signature, class... Args>
void launch(const Bridge& p, const dla::cuda::Kernel<Signature>& kernel, const dla::cuda::Blocks& blocks, const Args&... args) {
    Crossing crossing(p.device);
    dla::cuda::launch(p.device, kernel, blocks, cross(crossing, args)...);
    crossing.back();
}

#define BRIDGE_KERNEL(kernel)                                                \
    template <class... Args>                                                 \
    auto kernel(const Bridge& p, const Args&... args) {                      \
        Crossing crossing(p.device);                                         \
        using dla::kernel;                                                   \
        using Result = decltype(kernel(p.device, cross(crossing, args)...)); \
        if constexpr (std::is_void_v<Result>) {                              \
            kernel(p.device, cross(crossing, args)...);                      \
            crossing.back();                                                 \
        } else {                                                             \
            return kernel(p.device, cross(crossing, args)...);               \
        }                                                                    \
    }
BRIDGE_KERNEL(gemm_scratch)
BRIDGE_KERNEL(gemm)
BRIDGE_KERNEL(conv2d_forward_scratch)
BRIDGE_KERNEL(conv2d_forward)
BRIDGE_KERNEL(conv2d_backward_data_scratch)
BRIDGE_KERNEL(conv2d_backward_data)
BRIDGE_KERNEL(conv2d_backward_weights_scratch)
BRIDGE_KERNEL(conv2d_backward_weights)
BRIDGE_KERNEL(max_pool2d_forward)
BRIDGE_KERNEL(max_pool2d_backward)
BRIDGE_KERNEL(avg_pool2d_forward)
BRIDGE_KERNEL(avg_pool2d_backward)
BRIDGE_KERNEL(upsample2d_forward)
BRIDGE_KERNEL(upsample2d_backward)
BRIDGE_KERNEL(adaptive_avg_pool2d_forward)
BRIDGE_KERNEL(adaptive_avg_pool2d_backward)
BRIDGE_KERNEL(zero_pad2d)
BRIDGE_KERNEL(batch_norm_scratch)
BRIDGE_KERNEL(batch_norm_forward)
BRIDGE_KERNEL(batch_norm_infer)
BRIDGE_KERNEL(batch_norm_backward)
BRIDGE_KERNEL(batch_norm_infer_backward)
BRIDGE_KERNEL(layer_norm_scratch)
BRIDGE_KERNEL(layer_norm_forward)
BRIDGE_KERNEL(layer_norm_backward)
BRIDGE_KERNEL(group_norm_scratch)
BRIDGE_KERNEL(group_norm_forward)
BRIDGE_KERNEL(group_norm_backward)
BRIDGE_KERNEL(activation_forward)
BRIDGE_KERNEL(activation_backward)
BRIDGE_KERNEL(prelu_scratch)
BRIDGE_KERNEL(prelu_forward)
BRIDGE_KERNEL(prelu_backward)
BRIDGE_KERNEL(add)
BRIDGE_KERNEL(add_relu)
BRIDGE_KERNEL(relu_mask_backward)
BRIDGE_KERNEL(copy)
BRIDGE_KERNEL(fill)
BRIDGE_KERNEL(transpose)
BRIDGE_KERNEL(cast)
BRIDGE_KERNEL(copy_columns)
BRIDGE_KERNEL(scale_channels)
BRIDGE_KERNEL(scale_channels_backward)
BRIDGE_KERNEL(dropout)
BRIDGE_KERNEL(softmax_forward)
BRIDGE_KERNEL(softmax_backward)
BRIDGE_KERNEL(log_softmax_forward)
BRIDGE_KERNEL(log_softmax_backward)
BRIDGE_KERNEL(cross_entropy_scratch)
BRIDGE_KERNEL(cross_entropy)
BRIDGE_KERNEL(cross_entropy_soft)
BRIDGE_KERNEL(column_sum_scratch)
BRIDGE_KERNEL(column_sum)
BRIDGE_KERNEL(sum_of_squares_scratch)
BRIDGE_KERNEL(sum_of_squares)
BRIDGE_KERNEL(element_loss)
BRIDGE_KERNEL(sgd_step)
BRIDGE_KERNEL(adam_step)
BRIDGE_KERNEL(muon_direction)
BRIDGE_KERNEL(divide_by_norm)
BRIDGE_KERNEL(muon_update)
BRIDGE_KERNEL(clip_scale)
BRIDGE_KERNEL(begin_sgd_step)
BRIDGE_KERNEL(begin_adam_step)
BRIDGE_KERNEL(begin_muon_step)
BRIDGE_KERNEL(label_weights)
BRIDGE_KERNEL(join_losses)
BRIDGE_KERNEL(accumulate)
BRIDGE_KERNEL(scale)
BRIDGE_KERNEL(decide_step)
BRIDGE_KERNEL(restore_unless_applied)
#undef BRIDGE_KERNEL

}  // namespace bridge
