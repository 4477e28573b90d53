// SPDX-License-Identifier: MIT
// The calls of the CUDA runtime that tell about the emulated device, allocate, copy and launch.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "fibres.hpp"
#include "internal.hpp"

namespace emulated {
namespace {

struct State {
    std::recursive_mutex mutex;
    Settings settings;
    Counters counters;
    std::string sentence;
    unsigned resets = 0;
    std::map<const void*, const Entry*> entries;  // by the kernel
};

State& state() {
    static State& the_state = [&]() -> State& {
        State& fresh = *new State;
        // A program that is linked with the emulated device is told by its environment what it has.
        if (const char* devices = std::getenv("DLA_EMULATED_DEVICES")) fresh.settings.devices = std::atoi(devices);
        if (const char* memory = std::getenv("DLA_EMULATED_MEMORY")) fresh.settings.memory = std::strtoull(memory, nullptr, 10);
        const auto asks = [](const char* name, const char* value) { return std::getenv(name) != nullptr && std::strcmp(std::getenv(name), value) == 0; };
        if (asks("DLA_EMULATED_ORDER", "descending")) fresh.settings.order = Order::descending;
        if (asks("DLA_EMULATED_ORDER", "shuffled")) fresh.settings.order = Order::shuffled;
        if (asks("DLA_EMULATED_PACE", "late")) fresh.settings.pace = Pace::late;
        return fresh;
    }();
    return the_state;
}

thread_local cudaError_t last_error = cudaSuccess;

/// Counts down to the call that is to fail.
bool is_due(int& calls) { return calls > 0 && --calls == 0; }

bool knows(const Entry* entry) {
    for (const auto& known : state().entries)
        if (known.second == entry) return true;
    return false;
}

/// What a copy between two pointers is, seen from them.
cudaMemcpyKind kind_of(const void* to, const void* from) {
    if (on_device(to)) return on_device(from) ? cudaMemcpyDeviceToDevice : cudaMemcpyHostToDevice;
    return on_device(from) ? cudaMemcpyDeviceToHost : cudaMemcpyHostToHost;
}

std::string describe(const void* pointer) {
    if (!on_device(pointer)) return hexadecimal(pointer) + " (the host's)";
    const std::size_t bytes = bytes_behind(pointer);
    return hexadecimal(pointer) + (bytes > 0 ? " (" + std::to_string(bytes) + " bytes of the device's)" : " (in no live allocation)");
}

cudaError_t copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, const std::shared_ptr<Stream>& stream) {
    if (bytes == 0) return cudaSuccess;
    const cudaMemcpyKind is = kind_of(to, from);
    if (to == nullptr || from == nullptr || (kind != is && kind != cudaMemcpyDefault) || (on_device(to) && bytes_behind(to) < bytes) ||
        (on_device(from) && bytes_behind(from) < bytes))
        return failed(cudaErrorInvalidValue, "a copy of " + std::to_string(bytes) + " bytes of kind " + std::to_string(static_cast<int>(kind)) + " from " +
                                                 describe(from) + " to " + describe(to));
    Counters& count = counters();
    Command command;
    if (is == cudaMemcpyDeviceToDevice) {
        const auto* a = static_cast<const std::byte*>(from);
        const auto* b = static_cast<const std::byte*>(to);
        if (a < b + bytes && b < a + bytes)
            return failed(cudaErrorInvalidValue, "a copy within the device whose ranges overlap: " + describe(from) + " to " + describe(to));
        ++count.copies_within, count.bytes_within += bytes;
        command.run = [to = back(to), from = back(from), bytes] { std::memmove(to, from, bytes); };
    } else if (is == cudaMemcpyHostToDevice) {
        ++count.copies_in, count.bytes_in += bytes;
        if (is_pinned(from, bytes)) {
            command.host = from;
            command.run = [to = back(to), from, bytes] { std::memcpy(to, from, bytes); };
        } else {  // staged before the call returns
            const auto* begin = static_cast<const std::byte*>(from);
            command.run = [to = back(to), staged = std::vector<std::byte>(begin, begin + bytes)] { std::memcpy(to, staged.data(), staged.size()); };
        }
    } else if (is == cudaMemcpyDeviceToHost) {
        ++count.copies_out, count.bytes_out += bytes;
        command.host = to;
        command.run = [to, from = back(from), bytes] { std::memcpy(to, from, bytes); };
    } else {
        command.host = from;
        command.run = [to, from, bytes] { std::memmove(to, from, bytes); };
    }
    const Moment moment = push(stream, std::move(command));
    if (!on_device(to) && !is_pinned(to, bytes)) wait_for(moment);
    return cudaSuccess;
}

cudaError_t fill(void* to, int value, std::size_t bytes, const std::shared_ptr<Stream>& stream) {
    if (bytes == 0) return cudaSuccess;
    if (bytes_behind(to) < bytes) return failed(cudaErrorInvalidValue, "a memset of " + std::to_string(bytes) + " bytes at " + describe(to));
    ++counters().memsets;
    push(stream, {[to = back(to), value, bytes] { std::memset(to, value, bytes); }, {}, nullptr});
    return cudaSuccess;
}

}  // namespace

Settings& settings() { return state().settings; }
unsigned resets() { return state().resets; }
Counters& counters() { return state().counters; }
std::string last_sentence() { return state().sentence; }

void reset() {
    const Call call;
    wait_for_all();
    settings() = Settings{};
    counters() = Counters{};
    state().sentence.clear();
    last_error = cudaSuccess;
    ++state().resets;
}

Call::Call() : lock_(state().mutex) { watch_memory(); }

void complain(const std::string& sentence) {
    state().sentence = sentence;
    std::fprintf(stderr, "emulated device: %s\n", sentence.c_str());
}

void fault(const std::string& sentence) {
    complain(sentence);
    throw Fault(sentence);
}

std::string hexadecimal(const void* address) {
    char text[32];
    std::snprintf(text, sizeof text, "0x%zx", reinterpret_cast<std::uintptr_t>(address));
    return text;
}

cudaError_t failed(cudaError_t error) { return last_error = error; }

cudaError_t failed(cudaError_t error, const std::string& sentence) {
    complain(sentence);
    return failed(error);
}

cudaError_t device_state() { return !settings().driver ? cudaErrorInsufficientDriver : settings().devices < 1 ? cudaErrorNoDevice : cudaSuccess; }

bool is_kernel(const void* function) { return function != nullptr && state().entries.contains(function); }

const Entry* detail::keep(Entry* made) {
    const Call call;
    const Entry*& kept = state().entries[made->kernel()];
    if (kept == nullptr)
        kept = made;
    else
        delete made;
    return kept;
}

namespace {

cudaError_t launch(const Entry& entry, dim3 grid, dim3 block, void** arguments, std::size_t shared, const std::shared_ptr<Stream>& stream) {
    const auto named = [&](const std::string& what) { return "kernel " + std::string(entry.name()) + ": " + what; };
    const std::size_t threads = std::size_t(block.x) * block.y * block.z;
    if (grid.x < 1 || grid.y < 1 || grid.z < 1 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535 || threads < 1 || threads > 1024 || block.z > 64)
        return failed(cudaErrorInvalidConfiguration,
                      named("a grid of (" + std::to_string(grid.x) + "," + std::to_string(grid.y) + "," + std::to_string(grid.z) + ") blocks of (" +
                            std::to_string(block.x) + "," + std::to_string(block.y) + "," + std::to_string(block.z) + ") threads"));
    if (shared != 0) return failed(cudaErrorNotSupported, named("shared memory whose size is chosen at the launch is not emulated"));
    std::function<void()> thread;
    try {
        thread = entry.bind(arguments);
    } catch (const std::invalid_argument& why) {
        return failed(cudaErrorIllegalAddress, named(why.what()));
    }
    ++counters().launches, ++counters().launches_of[entry.name()];
    push(stream, {[&entry, grid, block, thread = std::move(thread)] {
                      run_grid(entry.name(), entry.kernel(), {grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, thread);
                  },
                  {},
                  nullptr});
    return cudaSuccess;
}

}  // namespace
}  // namespace emulated

using emulated::Call, emulated::device_state, emulated::failed, emulated::settings, emulated::stream_of;

extern "C" {

cudaError_t cudaGetLastError() { return std::exchange(emulated::last_error, cudaSuccess); }
cudaError_t cudaPeekAtLastError() { return emulated::last_error; }

cudaError_t cudaMalloc(void** devPtr, size_t size) {
    const Call call;
    if (devPtr == nullptr) return failed(cudaErrorInvalidValue);
    if (device_state() != cudaSuccess) return failed(device_state());
    if (emulated::is_due(settings().fail_malloc)) return failed(settings().malloc_error);
    *devPtr = nullptr;
    if (size == 0) return cudaSuccess;
    *devPtr = emulated::allocate(size);
    if (*devPtr == nullptr) return failed(cudaErrorMemoryAllocation);
    ++emulated::counters().allocations;
    return cudaSuccess;
}

cudaError_t cudaFree(void* devPtr) {
    const Call call;
    if (device_state() != cudaSuccess) return failed(device_state());
    emulated::wait_for_all();
    if (devPtr == nullptr) return cudaSuccess;
    if (!emulated::release(devPtr)) return failed(cudaErrorInvalidValue, "cudaFree of " + emulated::hexadecimal(devPtr) + ", which cudaMalloc did not give");
    ++emulated::counters().frees;
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* dst, const void* src, size_t count, cudaMemcpyKind kind, cudaStream_t stream) {
    const Call call;
    if (device_state() != cudaSuccess) return failed(device_state());
    if (stream_of(stream) == nullptr) return failed(cudaErrorInvalidResourceHandle);
    return emulated::copy(dst, src, count, kind, stream_of(stream));
}

cudaError_t cudaMemcpy(void* dst, const void* src, size_t count, cudaMemcpyKind kind) {
    const Call call;
    const cudaError_t error = cudaMemcpyAsync(dst, src, count, kind, nullptr);
    return error == cudaSuccess ? cudaStreamSynchronize(nullptr) : error;
}

cudaError_t cudaMemsetAsync(void* devPtr, int value, size_t count, cudaStream_t stream) {
    const Call call;
    if (device_state() != cudaSuccess) return failed(device_state());
    if (stream_of(stream) == nullptr) return failed(cudaErrorInvalidResourceHandle);
    return emulated::fill(devPtr, value, count, stream_of(stream));
}

cudaError_t cudaMemset(void* devPtr, int value, size_t count) { return cudaMemsetAsync(devPtr, value, count, nullptr); }

cudaError_t cudaLaunchKernel(const void* func, dim3 grid, dim3 block, void** args, size_t sharedMem, cudaStream_t stream) {
    const Call call;
    if (device_state() != cudaSuccess) return failed(device_state());
    const auto* entry = static_cast<const emulated::Entry*>(func);
    if (!emulated::knows(entry)) return failed(cudaErrorInvalidDeviceFunction, "a launch of " + emulated::hexadecimal(func) + ", which is no kernel");
    if (stream_of(stream) == nullptr) return failed(cudaErrorInvalidResourceHandle);
    if (emulated::is_due(settings().fail_launch)) return failed(settings().launch_error);
    return emulated::launch(*entry, grid, block, args, sharedMem, stream_of(stream));
}

}  // extern "C"
