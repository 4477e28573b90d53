// SPDX-License-Identifier: MIT
// A policy says which number types, which memory and which kernels a model uses. Here: the two host policies and the concept.
#pragma once

#include <dla/backend/precision.hpp>
#include <dla/core/arena.hpp>
#include <dla/core/view.hpp>

#include <concepts>
#include <cstddef>
#include <cstring>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace dla {

/// requires: a default-constructible, copyable object whose kernels are free functions overloaded on it (see kernels/contract.hpp), and the types
///           `activation`, `weight`, `master`, `statistic` (see backend/precision.hpp); `scalar` is another name of `activation`.
/// ensures:  `pointer<T>` behaves like a pointer except that only kernels may dereference it; `allocate` gives 64-byte-aligned zeroed memory;
///           `copy_in` (host to device), `copy_out` (device to host) and `copy` (within the device) move `bytes` bytes; when one returns, the
///           host side may be reused. Optional: `resolve(p)` gives the policy with what depends on the moment (a default number of threads) fixed.
template <class P>
concept Policy = std::copyable<P> && std::default_initializable<P> &&
    requires(P p, typename P::template pointer<std::byte> device, const void* source, void* target, index_t bytes) {
    requires std::same_as<typename P::scalar, typename P::activation>;
    typename P::weight;
    typename P::master;
    typename P::statistic;
    typename P::template pointer<typename P::scalar>;
    { P::is_host } -> std::convertible_to<bool>;
    { P::allocate(bytes) } -> std::same_as<typename P::template pointer<std::byte>>;
    P::release(device, bytes);
    P::copy_in(device, source, bytes);
    P::copy_out(target, device, bytes);
    P::copy(device, device, bytes);
    { P::template pointer_cast<typename P::scalar>(device) } -> std::same_as<typename P::template pointer<typename P::scalar>>;
};

/// Host memory shared by the CPU policies. Blocks of 2 MB or more ask for huge pages: first touch is then about eight times faster.
struct HostMemory {
    template <class T>
    using pointer = T*;
    static constexpr bool is_host = true;

    static std::byte* allocate(index_t bytes) {
        constexpr index_t huge = index_t{1} << 21;
        const auto align = std::align_val_t(static_cast<std::size_t>(bytes >= huge ? huge : alignment));
        auto* block = static_cast<std::byte*>(::operator new(static_cast<std::size_t>(bytes), align));
#if defined(__linux__)
        if (bytes >= huge) (void)madvise(block, static_cast<std::size_t>(bytes), MADV_HUGEPAGE);
#endif
        std::memset(block, 0, static_cast<std::size_t>(bytes));
        return block;
    }
    static void release(std::byte* block, index_t bytes) {
        constexpr index_t huge = index_t{1} << 21;
        ::operator delete(block, std::align_val_t(static_cast<std::size_t>(bytes >= huge ? huge : alignment)));
    }
    static void copy_in(void* target, const void* source, index_t bytes) { std::memmove(target, source, static_cast<std::size_t>(bytes)); }
    static void copy_out(void* target, const void* source, index_t bytes) { std::memmove(target, source, static_cast<std::size_t>(bytes)); }
    static void copy(void* target, const void* source, index_t bytes) { std::memmove(target, source, static_cast<std::size_t>(bytes)); }
    template <class T, class U>
    static T* pointer_cast(U* p) {
        return reinterpret_cast<T*>(p);
    }
};

/// Plain loops for any number type, with the types of Precision<T>: the definition of every kernel, its oracle and its fallback. Runs on the calling thread.
template <class T>
struct Reference : HostMemory {
    using activation = typename Precision<T>::activation;
    using weight = typename Precision<T>::weight;
    using master = typename Precision<T>::master;
    using statistic = typename Precision<T>::statistic;
    using scalar = activation;
    static constexpr const char* name = "reference";
};

inline namespace DLA_ABI_TAG {

/// SIMD and OpenMP kernels where they pay (float), Reference<T> for the rest.
template <class T>
struct Cpu : Reference<T> {
    static constexpr const char* name = "cpu";
    int threads = 0;  ///< 0: as many as OpenMP would use. Results do not depend on it.
};

}  // namespace DLA_ABI_TAG

template <class P>
using View = BasicView<typename P::template pointer<typename P::scalar>>;
template <class P>
using ConstView = BasicView<typename P::template pointer<const typename P::scalar>>;

}  // namespace dla
