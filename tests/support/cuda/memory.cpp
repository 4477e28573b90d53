// SPDX-License-Identifier: MIT
// Memory of the emulated device: every allocation between inaccessible pages, at addresses that only kernels can read, and a word to whoever touches others.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <new>

#include "fibres.hpp"
#include "internal.hpp"

namespace emulated {
namespace {

constexpr std::size_t alignment = 256, filled_up_to = std::size_t(1) << 20;

std::size_t page_size() {
    static const std::size_t bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    return bytes;
}

std::size_t round_up(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }

struct Allocation {
    std::size_t bytes = 0;           // as asked for
    std::size_t first = 0, end = 0;  // the pages around it
};

struct Memory {
    std::size_t size = std::size_t(64) << 30;
    std::byte* front = nullptr;
    std::byte* back = nullptr;
    std::map<std::size_t, Allocation> live;  // by where they begin
    std::size_t cursor = 0;                  // addresses are used again as late as possible
    std::size_t used = 0;
    std::map<const std::byte*, std::size_t> pinned;
};

Memory& memory() {
    static Memory& the_memory = *[] {
        Memory* made = new Memory;
        const auto reserve = [&] { return mmap(nullptr, made->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0); };
        void* front = reserve();
        if (front == MAP_FAILED) made->size = std::size_t(4) << 30, front = reserve();
        void* back = reserve();
        if (front == MAP_FAILED || back == MAP_FAILED) throw std::bad_alloc();
        made->front = static_cast<std::byte*>(front), made->back = static_cast<std::byte*>(back);
        return made;
    }();
    return the_memory;
}

/// Where `bytes` of whole pages fit, with a page that stays inaccessible on both sides; nowhere: the size of the memory.
std::size_t find_room(std::size_t bytes) {
    const Memory& m = memory();
    const std::size_t page = page_size();
    for (const std::size_t from : {m.cursor, std::size_t(0)}) {
        std::size_t at = from;
        auto next = m.live.lower_bound(from);
        if (next != m.live.begin()) at = std::max(at, std::prev(next)->second.end);
        for (;; at = next->second.end, ++next) {
            const std::size_t end = next == m.live.end() ? m.size : next->second.first;
            if (at + bytes + 2 * page <= end) return at + page;
            if (next == m.live.end()) break;
        }
    }
    return m.size;
}

/// The live allocation around an offset, its end included; or null.
const std::pair<const std::size_t, Allocation>* around(std::size_t offset) {
    const Memory& m = memory();
    const auto behind = m.live.upper_bound(offset);
    if (behind == m.live.begin()) return nullptr;
    const auto found = std::prev(behind);
    return offset <= found->first + found->second.bytes ? &*found : nullptr;
}

bool lies_in(const void* pointer, const std::byte* begin, std::size_t bytes) {
    const auto address = reinterpret_cast<std::uintptr_t>(pointer), from = reinterpret_cast<std::uintptr_t>(begin);
    return address >= from && address - from < bytes;
}

std::size_t offset_of(const void* pointer) { return static_cast<std::size_t>(static_cast<const std::byte*>(pointer) - memory().front); }

struct sigaction previous_segv, previous_bus;

void on_signal(int signal, siginfo_t* info, void*) {
    const void* touched = info->si_addr;
    const Memory& m = memory();
    std::string sentence;
    if (in_kernel()) {
        const bool in_front = lies_in(touched, m.front, m.size), in_back = lies_in(touched, m.back, m.size);
        const void* address = in_back ? m.front + (static_cast<const std::byte*>(touched) - m.back) : touched;
        sentence = whereabouts() + " touches " + hexadecimal(address) + ", " +
                   (in_front ? "an address that was not an argument of the launch" : "outside of every allocation");
        if (in_back && !m.live.empty()) {  // the allocation it may have meant
            auto near = m.live.upper_bound(static_cast<std::size_t>(static_cast<const std::byte*>(touched) - m.back));
            if (near != m.live.begin()) --near;
            sentence += "; " + std::to_string(near->second.bytes) + " bytes at " + hexadecimal(m.front + near->first) + " are near";
        }
    } else if (lies_in(touched, m.front, m.size)) {
        sentence = "the host touches device memory at " + hexadecimal(touched);
    }
    if (sentence.empty()) {  // none of our business: it happens again, for whoever was here before
        sigaction(signal, signal == SIGSEGV ? &previous_segv : &previous_bus, nullptr);
        return;
    }
    sentence = "emulated device: " + sentence + "\n";
    if (write(STDERR_FILENO, sentence.data(), sentence.size()) < 0) std::_Exit(134);
    std::signal(SIGABRT, SIG_DFL);
    std::abort();
}

}  // namespace

void* allocate(std::size_t bytes) {
    Memory& m = memory();
    const std::size_t room = round_up(bytes, alignment);
    if (room < bytes || room > settings().memory || m.used > settings().memory - room) return nullptr;
    Allocation made{bytes, 0, 0};
    const std::size_t span = round_up(room, page_size());
    made.first = find_room(span);
    if (made.first == m.size || mprotect(m.back + made.first, span, PROT_READ | PROT_WRITE) != 0) return nullptr;
    made.end = made.first + span;
    const std::size_t begin = made.end - room;
    // The end is at the end of a page as nearly as the alignment allows; whether somebody wrote into what is left over is looked at when it is released.
    std::memset(m.back + made.first, 0xff, begin - made.first);
    std::memset(m.back + begin + bytes, 0xff, room - bytes);
    if (bytes <= filled_up_to) std::memset(m.back + begin, 0xff, bytes);
    m.cursor = made.end, m.used += room;
    m.live.emplace(begin, made);
    return m.front + begin;
}

bool release(void* pointer) {
    Memory& m = memory();
    if (!on_device(pointer)) return false;
    const auto found = m.live.find(offset_of(pointer));
    if (found == m.live.end()) return false;
    const auto [begin, made] = *found;
    const auto written = [&](std::size_t from, std::size_t to) {
        return std::any_of(m.back + from, m.back + to, [](std::byte b) { return b != std::byte{0xff}; });
    };
    const bool overrun = written(begin + made.bytes, made.end), underrun = written(made.first, begin);
    m.live.erase(found);
    m.used -= made.end - begin;
    madvise(m.back + made.first, made.end - made.first, MADV_DONTNEED);
    mprotect(m.back + made.first, made.end - made.first, PROT_NONE);
    if (overrun || underrun)
        fault("somebody wrote " + std::string(overrun ? "behind the end" : "before the beginning") + " of the " + std::to_string(made.bytes) + " bytes at " +
              hexadecimal(pointer));
    return true;
}

bool on_device(const void* pointer) { return lies_in(pointer, memory().front, memory().size); }

std::size_t bytes_behind(const void* pointer) {
    if (!on_device(pointer)) return 0;
    const auto* found = around(offset_of(pointer));
    return found == nullptr ? 0 : found->first + found->second.bytes - offset_of(pointer);
}

void* back(const void* pointer) { return memory().back + offset_of(pointer); }

const void* front_of(const void* pointer) {
    const Memory& m = memory();
    return lies_in(pointer, m.back, m.size) ? m.front + (static_cast<const std::byte*>(pointer) - m.back) : nullptr;
}

void* detail::for_kernel(const void* pointer, int argument) {
    if (pointer == nullptr) return nullptr;
    const bool live = on_device(pointer) && around(offset_of(pointer)) != nullptr;
    if (live) return back(pointer);
    throw std::invalid_argument("argument " + std::to_string(argument) + ", " + hexadecimal(pointer) + ", is " +
                                (on_device(pointer) ? "in no live allocation" : "not an address of the device"));
}

bool is_pinned(const void* pointer, std::size_t bytes) {
    const auto* from = static_cast<const std::byte*>(pointer);
    const auto behind = memory().pinned.upper_bound(from);
    if (behind == memory().pinned.begin()) return false;
    const auto found = std::prev(behind);
    return from + bytes <= found->first + found->second;
}

void watch_memory() {
    // Others set handlers too: doctest does for each test case.
    memory();
    for (const int signal : {SIGSEGV, SIGBUS}) {
        struct sigaction now = {};
        sigaction(signal, nullptr, &now);
        if ((now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_signal) continue;
        (signal == SIGSEGV ? previous_segv : previous_bus) = now;
        struct sigaction ours = {};
        ours.sa_sigaction = on_signal;
        ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigaction(signal, &ours, nullptr);
    }
    // The stack of a fibre may be what is exhausted.
    stack_t now = {};
    sigaltstack(nullptr, &now);
    if ((now.ss_flags & SS_DISABLE) == 0) return;
    static thread_local std::byte stack[65536];
    stack_t ours = {};
    ours.ss_sp = stack, ours.ss_size = sizeof stack;
    sigaltstack(&ours, nullptr);
}

std::size_t live_bytes() { return memory().used; }
std::size_t live_allocations() { return memory().live.size(); }

}  // namespace emulated

extern "C" {

cudaError_t cudaMallocHost(void** ptr, size_t size) {
    const emulated::Call call;
    if (ptr == nullptr) return emulated::failed(cudaErrorInvalidValue);
    if (const cudaError_t state = emulated::device_state(); state != cudaSuccess) return emulated::failed(state);
    *ptr = std::malloc(size > 0 ? size : 1);
    if (*ptr == nullptr) return emulated::failed(cudaErrorMemoryAllocation);
    emulated::memory().pinned[static_cast<std::byte*>(*ptr)] = size;
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void* ptr) {
    const emulated::Call call;
    if (ptr == nullptr) return cudaSuccess;
    const auto found = emulated::memory().pinned.find(static_cast<std::byte*>(ptr));
    if (found == emulated::memory().pinned.end()) return emulated::failed(cudaErrorInvalidValue);
    if (emulated::will_touch(ptr, found->second)) emulated::fault("cudaFreeHost of memory that a copy still waits to use, at " + emulated::hexadecimal(ptr));
    emulated::memory().pinned.erase(found);
    std::free(ptr);
    return cudaSuccess;
}

}  // extern "C"
