// SPDX-License-Identifier: MIT
// Looks at every load and store of kernels that were compiled with `watched_args` of tests/cuda/meson.build: outside of what the kernel has, or of what another
// thread touches as well with nothing between that puts the two in order. What the order of threads does not happen to show is seen here.
//
// The compiler's instrumentation for races of threads is what tells of each load and store; the functions that it calls are these.
#include <array>
#include <memory>
#include <unordered_map>

#include "machine.hpp"
#include "symbols.hpp"

extern "C" {
extern std::byte dla_shared_begin[] asm("__start_dla_shared") __attribute__((weak, visibility("hidden")));
extern std::byte dla_shared_end[] asm("__stop_dla_shared") __attribute__((weak, visibility("hidden")));
}

namespace emulated {
namespace {

/// Is it certain that `before` was over when `now` began? A __syncwarp of some lanes only counts for nothing here: no kernel has one.
bool in_order(const Access& before, const Access& now) {
    return before.launch != now.launch || (before.block == now.block && (before.thread == now.thread || before.barriers < now.barriers ||
                                                                         (before.thread / lanes == now.thread / lanes && before.meetings < now.meetings)));
}

/// What is remembered of a byte: who wrote it last, and who has read it since, as far as nothing has put that behind: a thread, another one of its warp, and
/// one of another warp. Who comes then and is in order with these is so with all others.
struct History {
    Access written, first, second, other;

    void read(const Access& now) {
        for (Access* reader : {&first, &second, &other})
            if (in_order(*reader, now)) *reader = {};
        if (first.launch == 0) std::swap(first, second);
        if (first.launch == 0 && other.launch != 0 && other.thread / lanes == now.thread / lanes) std::swap(first, other);
        if (first.launch == 0)
            first = now;
        else if (first.thread / lanes == now.thread / lanes && first.block == now.block)
            second = now;
        else
            other = now;
    }
};
using Page = std::array<History, 1024>;

struct Watch {
    std::unordered_map<std::uintptr_t, std::unique_ptr<Page>> pages;
    std::uint32_t launch = 0;
    std::uintptr_t last = 0;  // a page and where it is remembered: neighbours are touched together
    Page* last_page = nullptr;

    History& history(std::uintptr_t address) {
        const std::uintptr_t page = address / std::tuple_size_v<Page>;
        if (last_page == nullptr || page != last) {
            std::unique_ptr<Page>& own = pages[page];
            if (own == nullptr) own = std::make_unique<Page>();
            last = page, last_page = own.get();
        }
        return (*last_page)[address % std::tuple_size_v<Page>];
    }
};

Watch& watch() {
    static Watch& the_watch = *new Watch;
    return the_watch;
}

std::string does(std::size_t bytes, bool store) { return std::string(store ? "writes " : "reads ") + std::to_string(bytes) + " bytes "; }

/// The variable around an address of shared memory; what lies between two is nobody's.
const SharedVariable& variable_at(const std::byte* address, std::size_t bytes, bool store) {
    const SharedVariable* before = nullptr;
    for (const SharedVariable& v : shared_variables())
        if (v.begin <= address && (before == nullptr || v.begin > before->begin)) before = &v;
    if (before == nullptr || address + bytes > before->begin + before->bytes)
        machine().stop(does(bytes, store) + "of shared memory outside of its variables" + (before == nullptr ? "" : ", behind `" + before->name + "`"));
    if (before->function != machine().function() && is_kernel(before->function))
        machine().stop(does(bytes, store) + "of `" + before->name + "`, which is shared memory of another kernel");
    return *before;
}

void look(const void* pointer, std::size_t bytes, bool store) {
    if (!machine().running()) return;
    const auto* address = static_cast<const std::byte*>(pointer);
    const bool shared = address >= dla_shared_begin && address < dla_shared_end;
    if (shared) {
        (void)variable_at(address, bytes, store);
    } else {
        const void* front = front_of(pointer);
        if (front == nullptr) return;  // the thread's own stack, constants
        if (bytes_behind(front) < bytes) machine().stop(does(bytes, store) + "at " + hexadecimal(front) + ", outside of every allocation");
    }
    const Access now = machine().access();
    if (now.launch != watch().launch && watch().pages.size() > 1000) watch().pages.clear(), watch().last_page = nullptr;  // launches come one after another
    watch().launch = now.launch;
    for (std::size_t i = 0; i < bytes; ++i) {
        History& h = watch().history(reinterpret_cast<std::uintptr_t>(address) + i);
        const auto meets = [&](Access& before, const char* did) {
            if (shared && before.block != now.block) before = {};  // each block has its own
            if (in_order(before, now)) return;
            machine().stop(does(bytes, store) + (shared ? "of `" + variable_at(address, bytes, store).name + "`" : "at " + hexadecimal(front_of(pointer))) +
                           " that thread " + machine().name_of(before) + " " + did + ", with nothing between that puts them in order");
        };
        meets(h.written, "has written");
        for (Access* reader : {&h.first, &h.second, &h.other})
            if (store)
                meets(*reader, "has read");
            else if (shared && reader->block != now.block)
                *reader = {};
        if (store)
            h = {.written = now, .first = {}, .second = {}, .other = {}};
        else
            h.read(now);
    }
}

}  // namespace
}  // namespace emulated

// What the compiler calls, under the names that it has for them.
extern "C" {

void __tsan_init() { (void)emulated::shared_variables(); }  // on a large stack; those of threads are small
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
#define DLA_WATCHED(bytes)                                                                            \
    void __tsan_read##bytes(const void* address) { emulated::look(address, bytes, false); }           \
    void __tsan_write##bytes(const void* address) { emulated::look(address, bytes, true); }           \
    void __tsan_unaligned_read##bytes(const void* address) { emulated::look(address, bytes, false); } \
    void __tsan_unaligned_write##bytes(const void* address) { emulated::look(address, bytes, true); }
DLA_WATCHED(1)
DLA_WATCHED(2)
DLA_WATCHED(4)
DLA_WATCHED(8)
DLA_WATCHED(16)
#undef DLA_WATCHED
void __tsan_read_range(const void* address, std::size_t bytes) { emulated::look(address, bytes, false); }
void __tsan_write_range(const void* address, std::size_t bytes) { emulated::look(address, bytes, true); }

/// An index outside of an array whose size the compiler knows.
void __ubsan_handle_out_of_bounds(const void* data, std::uintptr_t index) {
    struct Place {
        const char* file;
        unsigned line, column;
    };
    const auto* place = static_cast<const Place*>(data);
    const std::string said =
        "uses index " + std::to_string(static_cast<std::intptr_t>(index)) + " outside of an array in " + place->file + ":" + std::to_string(place->line);
    if (emulated::machine().running()) emulated::machine().stop(said);
    emulated::fault("the host " + said);
}

}  // extern "C"
