// SPDX-License-Identifier: MIT
// A CUDA device that is emulated on the host, as a test sees it: how it behaves, what it was asked to do, and the table of kernels.
//
// A test links the .cpp files of this folder in place of cudart, cuBLASLt and cuDNN, and compiles the device sources under device_code.hpp. What a real device
// leaves undefined is made as bad as its documentation allows: fresh memory and shared memory are NaN, commands are carried out late, threads run in any order.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace emulated {

/// In which order the threads of a block run between two points at which they wait for each other, and the blocks of a grid.
enum class Order {
    ascending,   ///< always the first that can run
    descending,  ///< always the last that can run
    shuffled,    ///< any, from Settings::seed
};

/// When the commands in a stream are carried out.
enum class Pace {
    eager,  ///< at once
    late,   ///< when somebody waits for them; of several streams, any may go on, from Settings::seed
};

struct Settings {
    Pace pace = Pace::eager;
    Order order = Order::ascending;
    unsigned seed = 1;                                     ///< of whatever is left to chance; a change takes effect at once
    int devices = 1;                                       ///< 0: cudaErrorNoDevice
    bool driver = true;                                    ///< false: cudaErrorInsufficientDriver
    std::size_t memory = std::size_t(1) << 30;             ///< bytes that can be allocated
    int fail_malloc = 0;                                   ///< the n-th cudaMalloc from now on fails, n = 1 being the next; 0: none
    int fail_launch = 0;                                   ///< the same for cudaLaunchKernel
    cudaError_t malloc_error = cudaErrorMemoryAllocation;  ///< with this error
    cudaError_t launch_error = cudaErrorLaunchOutOfResources;
    std::vector<int> engine_notes;    ///< cuDNN's heuristics propose an engine with these numerical notes first, where there are some
    bool no_engines = false;          ///< cuDNN's heuristics find no engine
    bool plain_engine_fails = false;  ///< no plan can be made of the engine without notes: CUDNN_STATUS_NOT_SUPPORTED
    bool no_algorithms = false;       ///< cuBLASLt's heuristics find no algorithm
};
Settings& settings();

/// What was asked for since the last reset. Copies and launches count when they are queued; nothing counts that was refused.
struct Counters {
    long launches = 0;
    std::map<std::string, long> launches_of;                ///< by the name of the kernel
    long copies_in = 0, copies_out = 0, copies_within = 0;  ///< host to device, device to host, device to device
    std::size_t bytes_in = 0, bytes_out = 0, bytes_within = 0;
    long memsets = 0;
    long allocations = 0, frees = 0;
    long matmuls = 0, convolutions = 0;  ///< calls of cublasLtMatmul and cudnnBackendExecute
    long noted_convolutions = 0;         ///< of those with the engine of Settings::engine_notes
    long waits = 0;                      ///< calls that wait: synchronize of a stream, an event or the device
};
Counters& counters();

std::size_t live_bytes();
std::size_t live_allocations();

/// Carries out what is queued, then puts settings, counters, the last error and the last sentence back. Memory stays allocated.
void reset();

/// What the emulation last printed to stderr about a call or a kernel, "" if nothing.
std::string last_sentence();

/// What a kernel did wrong where a real device would hang or give garbage. Thrown by the call that made the kernel run.
class Fault : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// A kernel as cudaLaunchKernel gets it in place of a function.
class Entry {
public:
    Entry(const char* name, const void* kernel) : name_(name), kernel_(kernel) {}
    virtual ~Entry() = default;
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

    const char* name() const { return name_; }
    const void* kernel() const { return kernel_; }
    /// Copies the arguments as a launch does, and gives what each thread calls. Throws std::invalid_argument for a pointer that is not the device's.
    virtual std::function<void()> bind(void** arguments) const = 0;

private:
    const char* name_;
    const void* kernel_;
};

namespace detail {

/// Where a kernel finds what a caller knows as `pointer`: the caller's addresses cannot be read, so that a host that tries is found out.
void* for_kernel(const void* pointer, int argument);
/// Keeps `made` for good, or what was kept before for the same kernel.
const Entry* keep(Entry* made);

template <class... Args>
class EntryOf final : public Entry {
public:
    EntryOf(const char* called, void (*call)(Args...)) : Entry(called, reinterpret_cast<const void*>(call)), call_(call) {}

    std::function<void()> bind(void** arguments) const override { return bind(arguments, std::index_sequence_for<Args...>()); }

private:
    template <std::size_t... Is>
    std::function<void()> bind([[maybe_unused]] void** arguments, std::index_sequence<Is...>) const {
        // In braces, the arguments are looked at from left to right.
        return [call = call_, copies = std::tuple<std::remove_cv_t<Args>...>{copy<std::remove_cv_t<Args>>(arguments[Is], static_cast<int>(Is))...}] {
            std::apply(call, copies);
        };
    }
    template <class T>
    static T copy(const void* argument, int index) {
        static_assert(std::is_trivially_copyable_v<T>, "an argument of a kernel is copied byte for byte");
        if constexpr (std::is_pointer_v<T>) {
            return static_cast<T>(for_kernel(*static_cast<const T*>(argument), index));
        } else {
            return *static_cast<const T*>(argument);
        }
    }

    void (*call_)(Args...);
};

}  // namespace detail

/// The entry of a kernel: always the same for the same kernel. `name` must live as long as the program.
template <class... Args>
const Entry* entry(const char* name, void (*kernel)(Args...)) {
    return detail::keep(new detail::EntryOf<Args...>(name, kernel));
}

}  // namespace emulated
