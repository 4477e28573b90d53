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
#include <type_traits>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace dla {

/// A policy is an object: it has its memory, on a device its stream, and the order of what it was asked to do. Copies of it speak of the same memory.
/// requires: default-constructible, copyable, with kernels that are free functions overloaded on it (see kernels/contract.hpp), and the types `activation`,
///           `weight`, `master`, `statistic` (see backend/precision.hpp); `scalar` is another name of `activation`.
/// ensures:  `pointer<T>` behaves like a pointer except that only kernels may dereference it; `allocate` gives 64-byte-aligned zeroed memory; `copy_in` (host
///           to device), `copy_out` (device to host), `copy` (within the device) and `fill` (every byte alike) work on `bytes` bytes, in the order in which
///           they and kernels were called. `copy_in` has read the host's bytes when it returns; what `copy_out` brings is there after `wait(record())`, which
///           waits for all that was asked for before `record`, or after `synchronize()`, which waits for everything. `shares_host` is true if kernels read
///           and write the host's memory where it is (what they write is there after such a wait). Optional: `resolve(p)` gives the policy with what depends
///           on the moment (a default number of threads) fixed.
template <class P>
concept Policy = std::copyable<P> && std::default_initializable<P> &&
    requires(const P p, typename P::template pointer<std::byte> device, const void* source, void* target, index_t bytes, unsigned char value) {
    requires std::same_as<typename P::scalar, typename P::activation>;
    typename P::weight;
    typename P::master;
    typename P::statistic;
    typename P::template pointer<typename P::scalar>;
    { P::shares_host } -> std::convertible_to<bool>;
    { p.allocate(bytes) } -> std::same_as<typename P::template pointer<std::byte>>;
    p.release(device, bytes);
    p.copy_in(device, source, bytes);
    p.copy_out(target, device, bytes);
    p.copy(device, device, bytes);
    p.fill(device, value, bytes);
    p.wait(p.record());
    p.synchronize();
    { P::template pointer_cast<typename P::scalar>(device) } -> std::same_as<typename P::template pointer<typename P::scalar>>;
};

/// Host memory, shared by the CPU policies; everything is done when a call returns. Blocks of 2 MB or more ask for huge pages: first touch is then about
/// eight times faster.
struct HostMemory {
    template <class T>
    using pointer = T*;
    static constexpr bool shares_host = true;
    struct Event {};

    std::byte* allocate(index_t bytes) const {
        const auto count = static_cast<std::size_t>(bytes);
        auto* block = static_cast<std::byte*>(::operator new(count, align_of(bytes)));
#if defined(__linux__)
        if (bytes >= huge_page) (void)madvise(block, count, MADV_HUGEPAGE);
#endif
        std::memset(block, 0, count);
        return block;
    }
    void release(std::byte* block, index_t bytes) const { ::operator delete(block, align_of(bytes)); }
    void copy_in(void* target, const void* source, index_t bytes) const { std::memmove(target, source, static_cast<std::size_t>(bytes)); }
    void copy_out(void* target, const void* source, index_t bytes) const { std::memmove(target, source, static_cast<std::size_t>(bytes)); }
    void copy(void* target, const void* source, index_t bytes) const { std::memmove(target, source, static_cast<std::size_t>(bytes)); }
    void fill(void* target, unsigned char value, index_t bytes) const { std::memset(target, value, static_cast<std::size_t>(bytes)); }
    Event record() const { return {}; }
    void wait(Event) const {}
    void synchronize() const {}
    template <class T, class U>
    static T* pointer_cast(U* p) {
        return reinterpret_cast<T*>(p);
    }

private:
    static constexpr index_t huge_page = index_t{1} << 21;
    static std::align_val_t align_of(index_t bytes) { return std::align_val_t(static_cast<std::size_t>(bytes >= huge_page ? huge_page : alignment)); }
};

// What a compiler makes of a kernel depends on flags, and kernels are named after their policy: so the policies carry the tag.
inline namespace DLA_ABI_TAG {

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

/// SIMD kernels on several threads where they pay (float, bf16), Reference<T> for the rest.
template <class T>
struct Cpu : Reference<T> {
    static constexpr const char* name = "cpu";
    int threads = 0;  ///< 0: OMP_NUM_THREADS, or as many as there are processors. Results do not depend on it.
    bool strict = false;  ///< each convolution as one sum of products, without transforms: smaller roundings, up to three times as slow
};

/// The policy that computes with the masters of another one, whose products read weights of fewer digits.
template <class T>
Reference<typename Precision<T>::master> policy_of_masters(const Reference<T>&) {
    return {};
}
/// Likewise, on as many threads.
template <class T>
Cpu<typename Precision<T>::master> policy_of_masters(const Cpu<T>& p) {
    Cpu<typename Precision<T>::master> masters;
    masters.threads = p.threads;
    masters.strict = p.strict;
    return masters;
}

}  // namespace DLA_ABI_TAG

/// A batch in the policy's memory, for writing.
template <class P>
using View = BasicView<typename P::template pointer<typename P::scalar>>;
/// A batch in the policy's memory, for reading.
template <class P>
using ConstView = BasicView<typename P::template pointer<const typename P::scalar>>;

/// The gradient of a layer's output, as `backward` gets it. Where it is `spent`, nothing reads it afterwards, and the layer may write over it: to `room()`.
template <class P>
class OutputGradient : public ConstView<P> {
public:
    constexpr OutputGradient() = default;
    constexpr OutputGradient(const ConstView<P>& dy) : ConstView<P>(dy) {}
    constexpr OutputGradient(const View<P>& dy) : ConstView<P>(dy) {}
    static constexpr OutputGradient spent_after(const View<P>& dy) {
        OutputGradient gradient(dy);
        gradient.spent_ = true;
        gradient.room_ = dy.data;
        return gradient;
    }

    constexpr bool spent() const { return spent_; }
    constexpr View<P> room() const { return {room_, this->batch, this->shape}; }  ///< requires: spent()

private:
    bool spent_ = false;
    decltype(View<P>::data) room_{};
};

namespace detail {

/// The policy with what depends on the moment fixed.
template <class P>
P resolved(const P& policy) {
    if constexpr (requires { { resolve(policy) } -> std::same_as<P>; })
        return resolve(policy);
    else
        return policy;
}

}  // namespace detail

/// `count` values from the host to the policy's memory.
template <class P, class T>
void put(const P& policy, typename P::template pointer<std::type_identity_t<T>> to, const T* from, index_t count) {
    if (count > 0) policy.copy_in(P::template pointer_cast<std::byte>(to), from, count * static_cast<index_t>(sizeof(T)));
}
/// `count` values from the policy's memory to the host; waits for them.
template <class P, class T>
void fetch(const P& policy, T* to, typename P::template pointer<const std::type_identity_t<T>> from, index_t count) {
    if (count == 0) return;
    policy.copy_out(to, P::template pointer_cast<const std::byte>(from), count * static_cast<index_t>(sizeof(T)));
    policy.wait(policy.record());
}

}  // namespace dla
