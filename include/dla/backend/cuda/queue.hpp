// SPDX-License-Identifier: MIT
// One CUDA device of the process: its memory, and the stream on which everything that it is asked to do is queued.
#pragma once

#include <dla/backend/out_of_memory.hpp>

#if !__has_include(<cuda_runtime_api.h>)
#error "dla: <dla/cuda.hpp> needs the CUDA toolkit's headers: compile with -I/usr/local/cuda/include, or where the toolkit is"
#endif
#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace dla::cuda {

/// Throws Error(device) unless a call of CUDA succeeded. What a kernel did wrong earlier shows at a later call as well.
inline void check(cudaError_t status, const char* call) {
    if (status == cudaSuccess) return;
    (void)cudaGetLastError();  // or the next call would report it again
    fail(ErrorCode::device, call, text(cudaGetErrorString(status), " (", cudaGetErrorName(status), ")").view());
}

/// Why there is no device to compute on, or "" if there is one.
inline std::string why_no_device(int device = 0) {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess) (void)cudaGetLastError();
    if (status == cudaErrorInsufficientDriver) return "CUDA finds no driver, or one that is too old for it";
    if (status != cudaSuccess) return std::string("CUDA says: ") + cudaGetErrorString(status) + " (" + cudaGetErrorName(status) + ")";
    if (count == 0) return "CUDA finds a driver, but no device";
    if (device < 0 || device >= count) return "there is no device " + std::to_string(device) + "; CUDA finds " + std::to_string(count);
    return {};
}

/// Everything a device is asked to do, by all policies of the process, in the order in which it was asked. Its functions may be called by several threads.
class Queue {
public:
    /// Of the device with this number, made at first use. Throws Error(device) where there is none.
    static Queue& of(int device) {
        // Never destroyed: the libraries that a destructor would call may be gone by then.
        static std::mutex& mutex = *new std::mutex;
        static std::map<int, std::unique_ptr<Queue>>& queues = *new std::map<int, std::unique_ptr<Queue>>;
        const std::lock_guard lock(mutex);
        std::unique_ptr<Queue>& own = queues[device];
        if (own != nullptr) return *own;
        if (const std::string why = why_no_device(device); !why.empty()) fail(ErrorCode::device, "CUDA", why);
        own.reset(new Queue(device));
        return *own;
    }

    int device() const { return device_; }
    cudaStream_t stream() const { return stream_; }
    /// Its name, such as `NVIDIA H200`.
    std::string name() const {
        cudaDeviceProp properties{};
        check(cudaGetDeviceProperties(&properties, device_), "cudaGetDeviceProperties");
        return properties.name;
    }
    /// Held by whoever queues several commands that nothing may come between, such as those that share `workspace`.
    std::recursive_mutex& mutex() { return mutex_; }
    /// Calls of CUDA concern the calling thread's current device; this makes it ours.
    void use() const { check(cudaSetDevice(device_), "cudaSetDevice"); }

    static constexpr index_t usual_workspace = index_t{64} << 20, largest_workspace = index_t{512} << 20;
    /// Memory for a library to work in; what a command leaves there is lost with the next. More than `usual_workspace` is claimed when it is first asked for.
    void* workspace(index_t bytes = usual_workspace) {
        const std::lock_guard lock(mutex_);
        if (bytes > workspace_bytes_) {
            void* larger = claim(bytes);
            release(workspace_);  // which waits for what works in it
            workspace_ = larger;
            workspace_bytes_ = bytes;
        }
        return workspace_;
    }

    /// Zeroed. Throws OutOfDeviceMemory.
    void* allocate(index_t bytes) {
        const std::lock_guard lock(mutex_);
        void* block = claim(bytes);
        try {
            fill(block, 0, bytes);
        } catch (...) {
            release(block);
            throw;
        }
        return block;
    }
    void release(void* block) noexcept {
        if (cudaSetDevice(device_) != cudaSuccess || cudaFree(block) != cudaSuccess) (void)cudaGetLastError();
    }

    void copy_in(void* to, const void* from, index_t bytes) {
        const std::lock_guard lock(mutex_);
        use();
        // Through memory of ours: the caller's may be pinned, and would then be read when the caller has long gone on.
        for (index_t done = 0; done < bytes;) {
            Slot& slot = slots_[next_];
            next_ = (next_ + 1) % slots_.size();
            if (slot.read == nullptr) check(cudaEventCreateWithFlags(&slot.read, cudaEventDisableTiming), "cudaEventCreateWithFlags");
            if (slot.room == nullptr) check(cudaMallocHost(&slot.room, slot_bytes), "cudaMallocHost");
            check(cudaEventSynchronize(slot.read), "cudaEventSynchronize");
            const index_t part = std::min<index_t>(bytes - done, slot_bytes);
            std::memcpy(slot.room, static_cast<const char*>(from) + done, static_cast<std::size_t>(part));
            check(cudaMemcpyAsync(static_cast<char*>(to) + done, slot.room, static_cast<std::size_t>(part), cudaMemcpyHostToDevice, stream_),
                  "cudaMemcpyAsync");
            check(cudaEventRecord(slot.read, stream_), "cudaEventRecord");
            done += part;
        }
    }
    void copy_out(void* to, const void* from, index_t bytes) {
        if (bytes == 0) return;
        use();
        check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost, stream_), "cudaMemcpyAsync");
    }
    void copy(void* to, const void* from, index_t bytes) {
        if (to == from || bytes == 0) return;
        use();
        check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToDevice, stream_), "cudaMemcpyAsync");
    }
    void fill(void* to, unsigned char value, index_t bytes) {
        if (bytes == 0) return;
        use();
        check(cudaMemsetAsync(to, value, static_cast<std::size_t>(bytes), stream_), "cudaMemsetAsync");
    }

    /// A place among all that was asked for. Waiting for it waits for what came before.
    std::uint64_t record() {
        const std::lock_guard lock(mutex_);
        use();
        check(cudaEventRecord(events_[++recorded_ % events_.size()], stream_), "cudaEventRecord");
        return recorded_;
    }
    /// An old place may have been recorded over: then it is a later one that is waited for.
    void wait(std::uint64_t place) {
        use();
        check(cudaEventSynchronize(events_[place % events_.size()]), "cudaEventSynchronize");
    }
    void synchronize() {
        use();
        check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
    }

private:
    static constexpr index_t slot_bytes = index_t{1} << 20;
    struct Slot {
        void* room = nullptr;
        cudaEvent_t read = nullptr;
    };

    explicit Queue(int device) : device_(device) {
        workspace_ = claim(usual_workspace);
        workspace_bytes_ = usual_workspace;
        check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
        for (cudaEvent_t& event : events_) check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
    }
    void* claim(index_t bytes) {
        use();
        void* block = nullptr;
        const cudaError_t status = cudaMalloc(&block, static_cast<std::size_t>(bytes));
        if (status == cudaErrorMemoryAllocation) {
            (void)cudaGetLastError();
            std::size_t free = 0, total = 0;
            check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
            throw OutOfDeviceMemory(bytes, static_cast<index_t>(free), static_cast<index_t>(total));
        }
        check(status, "cudaMalloc");
        return block;
    }

    int device_;
    cudaStream_t stream_ = nullptr;
    std::recursive_mutex mutex_;
    std::array<Slot, 8> slots_{};
    std::size_t next_ = 0;
    std::array<cudaEvent_t, 64> events_{};
    std::uint64_t recorded_ = 0;
    void* workspace_ = nullptr;
    index_t workspace_bytes_ = 0;
};

/// The largest power of two, up to `most`, that divides an address; `most` for null.
inline std::uint32_t alignment_of(const void* address, std::uint32_t most) {
    const auto bits = reinterpret_cast<std::uintptr_t>(address);
    return bits == 0 ? most : static_cast<std::uint32_t>(std::min<std::uintptr_t>(bits & (~bits + 1), most));
}

/// What there is once for each device: made of its queue when it is first asked for, and never destroyed, as the queue.
template <class T>
T& once_for_device(Queue& queue) {
    static std::mutex& mutex = *new std::mutex;
    static std::map<int, std::unique_ptr<T>>& made = *new std::map<int, std::unique_ptr<T>>;
    const std::lock_guard lock(mutex);
    std::unique_ptr<T>& own = made[queue.device()];
    if (own == nullptr) own = std::make_unique<T>(queue);
    return *own;
}

}  // namespace dla::cuda
