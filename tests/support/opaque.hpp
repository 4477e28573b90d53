// SPDX-License-Identifier: MIT
// A policy with memory of its own: its pointers cannot be dereferenced, so code above the kernels that tries does not compile; and the addresses have no access
// rights, so code that gets round this is killed. It counts what is copied.
#pragma once

#include <dla/backend/device_pointer.hpp>
#include <dla/kernels/contract.hpp>
#include <dla/kernels/reference.hpp>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

namespace opaque {

/// What code above the kernels may do with a device pointer is what the library's own lets it do.
using dla::DevicePtr;

/// Memory of one device. Its addresses have no access rights: whoever follows one outside of a kernel is killed. Kernels see the same pages elsewhere.
class Device {
public:
    struct Copies {
        int in = 0, out = 0, within = 0, fills = 0, allocations = 0;
        dla::index_t bytes_in = 0, bytes_out = 0;
    };
    Copies copies;

    Device() = default;
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;
    ~Device() {
        if (front_ == nullptr) return;
        munmap(front_, size);
        munmap(back_, size);
    }

    std::byte* allocate(dla::index_t bytes) {
        if (front_ == nullptr) map();
        ++copies.allocations;
        const auto same = std::find_if(free_.begin(), free_.end(), [&](const Block& b) { return b.bytes == bytes; });
        dla::index_t offset = used_;
        if (same != free_.end()) {
            offset = same->offset;
            free_.erase(same);
        } else {
            used_ += bytes;
            if (used_ > static_cast<dla::index_t>(size)) throw std::bad_alloc();
        }
        std::memset(back_ + offset, 0, static_cast<std::size_t>(bytes));
        return front_ + offset;
    }
    void release(std::byte* block, dla::index_t bytes) { free_.push_back({block - front_, bytes}); }
    /// Where kernels find what lies at `p`.
    template <class T>
    T* seen(T* p) const {
        if (p == nullptr) return nullptr;
        const auto at = reinterpret_cast<const std::byte*>(p) - front_;
        if (front_ == nullptr || at < 0 || at > used_) throw std::logic_error("a pointer of another memory");
        return reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(back_) + static_cast<std::uintptr_t>(at));
    }

private:
    static constexpr std::size_t size = std::size_t{1} << 28;
    struct Block {
        dla::index_t offset, bytes;
    };
    void map() {
        const int file = memfd_create("opaque", 0);
        if (file < 0 || ftruncate(file, static_cast<off_t>(size)) != 0) throw std::bad_alloc();
        void* front = mmap(nullptr, size, PROT_NONE, MAP_SHARED, file, 0);
        void* back = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        close(file);
        if (front == MAP_FAILED || back == MAP_FAILED) throw std::bad_alloc();
        front_ = static_cast<std::byte*>(front);
        back_ = static_cast<std::byte*>(back);
    }
    std::byte *front_ = nullptr, *back_ = nullptr;
    dla::index_t used_ = 0;
    std::vector<Block> free_;
};

/// For the kernels below and for the policy, nobody else.
struct Access {
    template <class T>
    static DevicePtr<T> wrap(T* p) {
        return DevicePtr<T>(p);
    }
    template <class T>
    static T* address(DevicePtr<T> p) {
        return p.address();
    }
    template <class T>
    static T* unwrap(const Device& device, DevicePtr<T> p) {
        return device.seen(p.address());
    }
    /// Arguments that are no pointers pass as they are; a host pointer is nothing that a kernel could read.
    template <class T>
    static T unwrap(const Device&, const T& value) {
        return value;
    }
    template <class T>
    static T* unwrap(const Device&, T*) = delete;
};

template <class T>
struct Opaque {
    using activation = typename dla::Precision<T>::activation;
    using weight = typename dla::Precision<T>::weight;
    using master = typename dla::Precision<T>::master;
    using statistic = typename dla::Precision<T>::statistic;
    using scalar = activation;
    template <class U>
    using pointer = DevicePtr<U>;
    static constexpr bool shares_host = false;
    static constexpr const char* name = "opaque";
    using Bytes = DevicePtr<std::byte>;
    struct Event {};

    std::shared_ptr<Device> device = std::make_shared<Device>();

    Bytes allocate(dla::index_t bytes) const { return Access::wrap(device->allocate(bytes)); }
    void release(Bytes block, dla::index_t bytes) const { device->release(Access::address(block), bytes); }
    void copy_in(Bytes target, const void* source, dla::index_t bytes) const {
        ++device->copies.in;
        device->copies.bytes_in += bytes;
        std::memcpy(Access::unwrap(*device, target), source, static_cast<std::size_t>(bytes));
    }
    void copy_out(void* target, DevicePtr<const std::byte> source, dla::index_t bytes) const {
        ++device->copies.out;
        device->copies.bytes_out += bytes;
        std::memcpy(target, Access::unwrap(*device, source), static_cast<std::size_t>(bytes));
    }
    void copy(Bytes target, DevicePtr<const std::byte> source, dla::index_t bytes) const {
        ++device->copies.within;
        std::memmove(Access::unwrap(*device, target), Access::unwrap(*device, source), static_cast<std::size_t>(bytes));
    }
    void fill(Bytes target, unsigned char value, dla::index_t bytes) const {
        ++device->copies.fills;
        std::memset(Access::unwrap(*device, target), value, static_cast<std::size_t>(bytes));
    }
    Event record() const { return {}; }
    void wait(Event) const {}
    void synchronize() const {}
    template <class U, class V>
    static DevicePtr<U> pointer_cast(DevicePtr<V> p) {
        return Access::wrap(reinterpret_cast<U*>(Access::address(p)));
    }
};

// Kernels: Reference's, once the pointers are unwrapped.
#define OPAQUE_KERNEL(kernel)                                                   \
    template <class T, class... Args>                                           \
    auto kernel(const Opaque<T>& p, const Args&... args) {                      \
        return kernel(dla::Reference<T>{}, Access::unwrap(*p.device, args)...); \
    }
OPAQUE_KERNEL(gemm_scratch)
OPAQUE_KERNEL(gemm)
OPAQUE_KERNEL(conv2d_forward_scratch)
OPAQUE_KERNEL(conv2d_forward)
OPAQUE_KERNEL(conv2d_backward_data_scratch)
OPAQUE_KERNEL(conv2d_backward_data)
OPAQUE_KERNEL(conv2d_backward_weights_scratch)
OPAQUE_KERNEL(conv2d_backward_weights)
OPAQUE_KERNEL(max_pool2d_forward)
OPAQUE_KERNEL(max_pool2d_backward)
OPAQUE_KERNEL(avg_pool2d_forward)
OPAQUE_KERNEL(avg_pool2d_backward)
OPAQUE_KERNEL(upsample2d_forward)
OPAQUE_KERNEL(upsample2d_backward)
OPAQUE_KERNEL(adaptive_avg_pool2d_forward)
OPAQUE_KERNEL(adaptive_avg_pool2d_backward)
OPAQUE_KERNEL(zero_pad2d)
OPAQUE_KERNEL(batch_norm_scratch)
OPAQUE_KERNEL(batch_norm_forward)
OPAQUE_KERNEL(batch_norm_infer)
OPAQUE_KERNEL(batch_norm_backward)
OPAQUE_KERNEL(batch_norm_infer_backward)
OPAQUE_KERNEL(layer_norm_scratch)
OPAQUE_KERNEL(layer_norm_forward)
OPAQUE_KERNEL(layer_norm_backward)
OPAQUE_KERNEL(group_norm_scratch)
OPAQUE_KERNEL(group_norm_forward)
OPAQUE_KERNEL(group_norm_backward)
OPAQUE_KERNEL(activation_forward)
OPAQUE_KERNEL(activation_backward)
OPAQUE_KERNEL(prelu_scratch)
OPAQUE_KERNEL(prelu_forward)
OPAQUE_KERNEL(prelu_backward)
OPAQUE_KERNEL(add)
OPAQUE_KERNEL(add_relu)
OPAQUE_KERNEL(relu_mask_backward)
OPAQUE_KERNEL(copy)
OPAQUE_KERNEL(fill)
OPAQUE_KERNEL(transpose)
OPAQUE_KERNEL(cast)
OPAQUE_KERNEL(copy_columns)
OPAQUE_KERNEL(scale_channels)
OPAQUE_KERNEL(scale_channels_backward)
OPAQUE_KERNEL(dropout)
OPAQUE_KERNEL(softmax_forward)
OPAQUE_KERNEL(softmax_backward)
OPAQUE_KERNEL(log_softmax_forward)
OPAQUE_KERNEL(log_softmax_backward)
OPAQUE_KERNEL(cross_entropy_scratch)
OPAQUE_KERNEL(cross_entropy)
OPAQUE_KERNEL(cross_entropy_soft)
OPAQUE_KERNEL(column_sum_scratch)
OPAQUE_KERNEL(column_sum)
OPAQUE_KERNEL(sum_of_squares_scratch)
OPAQUE_KERNEL(sum_of_squares)
OPAQUE_KERNEL(element_loss)
OPAQUE_KERNEL(sgd_step)
OPAQUE_KERNEL(adam_step)
OPAQUE_KERNEL(muon_direction)
OPAQUE_KERNEL(divide_by_norm)
OPAQUE_KERNEL(muon_update)
OPAQUE_KERNEL(clip_scale)
OPAQUE_KERNEL(begin_sgd_step)
OPAQUE_KERNEL(begin_adam_step)
OPAQUE_KERNEL(begin_muon_step)
OPAQUE_KERNEL(label_weights)
OPAQUE_KERNEL(join_losses)
OPAQUE_KERNEL(accumulate)
OPAQUE_KERNEL(scale)
OPAQUE_KERNEL(decide_step)
OPAQUE_KERNEL(restore_unless_applied)
#undef OPAQUE_KERNEL

static_assert(dla::Policy<Opaque<float>>);
static_assert(dla::kernel::Backend<Opaque<float>> && dla::kernel::Backend<Opaque<double>> && dla::kernel::Backend<Opaque<dla::bf16>>);

}  // namespace opaque
