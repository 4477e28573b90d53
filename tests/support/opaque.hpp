// SPDX-License-Identifier: MIT
// A policy with an address space of its own: its pointers cannot be dereferenced on the host, so code above the kernels that tries does not compile.
#pragma once

#include <dla/kernels/contract.hpp>
#include <dla/kernels/reference.hpp>

#include <compare>
#include <type_traits>

namespace opaque {

struct Access;

/// What code above the kernels may do with a device pointer: arithmetic, comparison, test for null, conversion to a pointer to const.
template <class T>
class Pointer {
public:
    Pointer() = default;
    template <class U>
    requires(std::is_same_v<const U, T> && !std::is_same_v<U, T>) Pointer(const Pointer<U>& other) : hidden_(other.hidden_) {}

    explicit operator bool() const { return hidden_ != nullptr; }
    friend Pointer operator+(Pointer p, dla::index_t n) { return Pointer(p.hidden_ + n); }
    friend Pointer operator-(Pointer p, dla::index_t n) { return Pointer(p.hidden_ - n); }
    friend dla::index_t operator-(Pointer a, Pointer b) { return a.hidden_ - b.hidden_; }
    Pointer& operator+=(dla::index_t n) { return *this = *this + n; }
    Pointer& operator-=(dla::index_t n) { return *this = *this - n; }
    template <class U>
    requires std::is_same_v<const U, const T>
    bool operator==(const Pointer<U>& other) const { return hidden_ == other.hidden_; }
    template <class U>
    requires std::is_same_v<const U, const T>
    auto operator<=>(const Pointer<U>& other) const {
        return std::compare_three_way{}(static_cast<const void*>(hidden_), static_cast<const void*>(other.hidden_));
    }

    T& operator*() const = delete;
    T* operator->() const = delete;
    T& operator[](dla::index_t) const = delete;

private:
    template <class>
    friend class Pointer;
    friend struct Access;
    explicit Pointer(T* p) : hidden_(p) {}
    T* hidden_ = nullptr;
};

/// For the kernels below and for the policy, nobody else.
struct Access {
    template <class T>
    static Pointer<T> wrap(T* p) {
        return Pointer<T>(p);
    }
    template <class T>
    static T* unwrap(Pointer<T> p) {
        return p.hidden_;
    }
    /// Arguments that are no pointers pass as they are; a host pointer is nothing that a kernel could read.
    template <class T>
    static T unwrap(const T& value) {
        return value;
    }
    template <class T>
    static T* unwrap(T*) = delete;
};

template <class T>
struct Opaque {
    using activation = typename dla::Precision<T>::activation;
    using weight = typename dla::Precision<T>::weight;
    using master = typename dla::Precision<T>::master;
    using statistic = typename dla::Precision<T>::statistic;
    using scalar = activation;
    template <class U>
    using pointer = Pointer<U>;
    static constexpr bool is_host = false;
    static constexpr const char* name = "opaque";
    using Bytes = Pointer<std::byte>;

    static Bytes allocate(dla::index_t bytes) { return Access::wrap(dla::HostMemory::allocate(bytes)); }
    static void release(Bytes block, dla::index_t bytes) { dla::HostMemory::release(Access::unwrap(block), bytes); }
    static void copy_in(Bytes target, const void* source, dla::index_t bytes) { std::memcpy(Access::unwrap(target), source, static_cast<std::size_t>(bytes)); }
    static void copy_out(void* target, Pointer<const std::byte> source, dla::index_t bytes) {
        std::memcpy(target, Access::unwrap(source), static_cast<std::size_t>(bytes));
    }
    static void copy(Bytes target, Pointer<const std::byte> source, dla::index_t bytes) {
        std::memmove(Access::unwrap(target), Access::unwrap(source), static_cast<std::size_t>(bytes));
    }
    template <class U, class V>
    static Pointer<U> pointer_cast(Pointer<V> p) {
        return Access::wrap(reinterpret_cast<U*>(Access::unwrap(p)));
    }
};

// Kernels: Reference's, once the pointers are unwrapped.
#define OPAQUE_KERNEL(kernel)                                        \
    template <class T, class... Args>                                \
    auto kernel(const Opaque<T>&, const Args&... args) {             \
        return kernel(dla::Reference<T>{}, Access::unwrap(args)...); \
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
OPAQUE_KERNEL(batch_norm_scratch)
OPAQUE_KERNEL(batch_norm_forward)
OPAQUE_KERNEL(batch_norm_infer)
OPAQUE_KERNEL(batch_norm_backward)
OPAQUE_KERNEL(layer_norm_scratch)
OPAQUE_KERNEL(layer_norm_forward)
OPAQUE_KERNEL(layer_norm_backward)
OPAQUE_KERNEL(activation_forward)
OPAQUE_KERNEL(activation_backward)
OPAQUE_KERNEL(add)
OPAQUE_KERNEL(add_relu)
OPAQUE_KERNEL(copy)
OPAQUE_KERNEL(fill)
OPAQUE_KERNEL(transpose)
OPAQUE_KERNEL(cast)
OPAQUE_KERNEL(dropout)
OPAQUE_KERNEL(softmax_forward)
OPAQUE_KERNEL(softmax_backward)
OPAQUE_KERNEL(cross_entropy_scratch)
OPAQUE_KERNEL(cross_entropy)
OPAQUE_KERNEL(cross_entropy_soft)
OPAQUE_KERNEL(column_sum_scratch)
OPAQUE_KERNEL(column_sum)
OPAQUE_KERNEL(sum_of_squares_scratch)
OPAQUE_KERNEL(sum_of_squares)
OPAQUE_KERNEL(mean_squared_error)
OPAQUE_KERNEL(sgd_step)
OPAQUE_KERNEL(adam_step)
OPAQUE_KERNEL(clip_scale)
OPAQUE_KERNEL(begin_sgd_step)
OPAQUE_KERNEL(begin_adam_step)
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
