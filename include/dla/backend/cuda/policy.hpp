// SPDX-License-Identifier: MIT
// The policy whose memory and kernels are those of a CUDA device.
#pragma once

#include <dla/backend/cuda/queue.hpp>
#include <dla/backend/device_pointer.hpp>
#include <dla/backend/policy.hpp>

namespace dla {

inline namespace DLA_ABI_TAG {
inline namespace DLA_CUDA_TAG {  // the units of a program that find kernels in another way have policies of their own

/// Float on a CUDA device. Everything is queued on one stream for each device of the process; the same bits from run to run on the same device, with the same
/// libraries. Throws Error(device), where it is first used, if there is no such device. The device becomes that of the threads that use it (cudaSetDevice).
template <class T>
struct Cuda {
    static_assert(std::is_same_v<T, float>, "dla: Cuda computes in float");
    using activation = typename Precision<T>::activation;
    using weight = typename Precision<T>::weight;
    using master = typename Precision<T>::master;
    using statistic = typename Precision<T>::statistic;
    using scalar = activation;
    template <class U>
    using pointer = DevicePtr<U>;
    using Event = std::uint64_t;
    static constexpr bool shares_host = false;
    static constexpr const char* name = "cuda";

    int device = 0;     ///< as CUDA counts them; CUDA_VISIBLE_DEVICES changes which are seen
    bool tf32 = false;  ///< products and convolutions on tensor cores, which round what is multiplied to 10 bits of fraction
    bool strict = false;  ///< convolutions as sums of products, without transforms (Winograd, FFT)

    cuda::Queue& queue() const { return cuda::Queue::of(device); }

    /// `cuda (NVIDIA H200, cuBLASLt 13.1.0, cuDNN 9.19.0, nvcc)`: what the last bits of results depend on.
    std::string description() const;

    DevicePtr<std::byte> allocate(index_t bytes) const { return DevicePtr<std::byte>(static_cast<std::byte*>(queue().allocate(bytes))); }
    void release(DevicePtr<std::byte> block, index_t) const { queue().release(block.address()); }
    void copy_in(DevicePtr<std::byte> to, const void* from, index_t bytes) const { queue().copy_in(to.address(), from, bytes); }
    void copy_out(void* to, DevicePtr<const std::byte> from, index_t bytes) const { queue().copy_out(to, from.address(), bytes); }
    void copy(DevicePtr<std::byte> to, DevicePtr<const std::byte> from, index_t bytes) const { queue().copy(to.address(), from.address(), bytes); }
    void fill(DevicePtr<std::byte> to, unsigned char value, index_t bytes) const { queue().fill(to.address(), value, bytes); }
    Event record() const { return queue().record(); }
    void wait(Event event) const { queue().wait(event); }
    void synchronize() const { queue().synchronize(); }
    template <class U, class V>
    static DevicePtr<U> pointer_cast(DevicePtr<V> p) {
        return DevicePtr<U>(reinterpret_cast<U*>(p.address()));
    }
};

static_assert(Policy<Cuda<float>>);

}  // namespace DLA_CUDA_TAG
}  // namespace DLA_ABI_TAG

}  // namespace dla
