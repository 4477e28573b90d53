// SPDX-License-Identifier: MIT
// What the parts of the emulated device share, and tests do not see: errors, memory, queues.
#pragma once

#include <cuda_runtime_api.h>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "emulated.hpp"

namespace emulated {

/// How often reset() was called.
unsigned resets();

/// Reproducible from the seed of the settings; good enough to put threads out of order.
class Random {
public:
    /// Begins anew if the seed has changed, or all settings were put back.
    void follow() {
        if (seeded_ && seed_ == settings().seed && resets_ == resets()) return;
        seeded_ = true, seed_ = settings().seed, resets_ = resets();
        state_ = (std::uint64_t(seed_) + 1) * 0x9e3779b97f4a7c15u;
    }
    /// In [0, n).
    std::size_t below(std::size_t n) {
        state_ ^= state_ << 13, state_ ^= state_ >> 7, state_ ^= state_ << 17;
        return static_cast<std::size_t>((state_ >> 32) * n >> 32);
    }

private:
    bool seeded_ = false;
    unsigned seed_ = 0, resets_ = 0;
    std::uint64_t state_ = 1;
};

/// Held by every call of an interface. Sees to it that a touch of device memory by the host is noticed, whoever has changed the handlers of signals.
class Call {
public:
    Call();

private:
    std::lock_guard<std::recursive_mutex> lock_;
};

/// Prints and remembers "emulated device: <sentence>".
void complain(const std::string& sentence);
/// complain, then throw Fault.
[[noreturn]] void fault(const std::string& sentence);
std::string hexadecimal(const void* address);

/// Remembers an error for cudaGetLastError, and returns it.
cudaError_t failed(cudaError_t error);
cudaError_t failed(cudaError_t error, const std::string& sentence);
/// cudaSuccess, or why nothing can be done on a device.
cudaError_t device_state();

// Memory. A caller's addresses lie in the front, where nobody can read or write; the same bytes are found in the back, by kernels.

/// nullptr where there is no room.
void* allocate(std::size_t bytes);
/// False if `pointer` is not what allocate gave.
bool release(void* pointer);
bool on_device(const void* pointer);
/// Bytes from `pointer` to the end of the live allocation around it, 0 where there is none. The end of an allocation has 0 bytes, and is in none.
std::size_t bytes_behind(const void* pointer);
/// Where the bytes of a pointer into the front are.
void* back(const void* pointer);
/// Is there a kernel at this address that was ever asked for?
bool is_kernel(const void* function);
/// As the caller knows what a kernel finds at `pointer`; nullptr for what is not in the back.
const void* front_of(const void* pointer);
template <class T>
T* back_of(T* pointer) {
    return static_cast<T*>(back(pointer));
}
/// Pinned memory of the host around [pointer, pointer + bytes)?
bool is_pinned(const void* pointer, std::size_t bytes);
/// Sets the handlers of SIGSEGV and SIGBUS unless they are set.
void watch_memory();

// Streams.

struct Stream;

/// The first `position` commands of a stream have been carried out.
struct Moment {
    std::shared_ptr<Stream> stream;
    std::uint64_t position = 0;
};

struct Command {
    std::function<void()> run;
    std::vector<Moment> after;   ///< what has to be done before
    const void* host = nullptr;  ///< memory of the host that it will touch
};

/// nullptr for a handle that is none.
std::shared_ptr<Stream> stream_of(cudaStream_t handle);
/// Puts a command at the end of a stream, and carries it out if the pace is eager.
Moment push(const std::shared_ptr<Stream>& stream, Command command);
/// Carries out commands until the moment has come.
void wait_for(const Moment& moment);
bool has_come(const Moment& moment);
void wait_for_all();
/// Does a command that waits touch this memory of the host?
bool will_touch(const void* host, std::size_t bytes);

/// Rounded to the 10 bits of fraction of TF32, to nearest, ties to even.
inline float as_tf32(float x) {
    if (!std::isfinite(x)) return x;
    const auto bits = std::bit_cast<std::uint32_t>(x);
    return std::bit_cast<float>((bits + 0xfffu + (bits >> 13 & 1u)) & ~0x1fffu);
}

}  // namespace emulated
