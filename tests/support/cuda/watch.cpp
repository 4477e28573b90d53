// SPDX-License-Identifier: MIT
// Looks at every load and store of kernels that were compiled with -fsanitize=kernel-address (watched_args in tests/cuda/meson.build): outside of what the
// kernel has, or of what another thread touches as well with nothing between that puts the two in order. What the order of threads does not happen to show is
// seen here.
#include <array>
#include <cstring>
#include <memory>
#include <unordered_map>
#include <vector>

#include "machine.hpp"

extern "C" {
extern std::byte dla_shared_begin[] asm("__start_dla_shared") __attribute__((weak, visibility("hidden")));
extern std::byte dla_shared_end[] asm("__stop_dla_shared") __attribute__((weak, visibility("hidden")));
}

namespace emulated {
namespace {

/// A variable in shared memory, as the compiler announces it.
struct Variable {
    const std::byte* begin;
    std::size_t bytes;
    const char* name;
    const char* kernel;  // that touched it first: the only one that may
};

/// What is remembered of a byte: who wrote it last, and two threads that have read it since, if there are two.
struct History {
    Access written, read, read_too;
};
using Page = std::array<History, 1024>;

struct Watch {
    std::vector<Variable> variables;
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

/// Is it certain that `before` was over when `now` began?
bool in_order(const Access& before, const Access& now) {
    return before.launch != now.launch || (before.block == now.block && (before.thread == now.thread || before.barriers < now.barriers ||
                                                                         (before.thread / lanes == now.thread / lanes && before.meetings < now.meetings)));
}

std::string sizes(std::size_t bytes, bool store) { return std::string(store ? "writes " : "reads ") + std::to_string(bytes) + " bytes "; }

/// The variable around an address of shared memory; what lies between two is nobody's.
Variable& variable_at(const std::byte* address, std::size_t bytes, bool store) {
    Variable* before = nullptr;
    for (Variable& v : watch().variables) {
        if (v.begin <= address && (before == nullptr || v.begin > before->begin)) before = &v;
    }
    if (before == nullptr || address + bytes > before->begin + before->bytes)
        machine().stop(sizes(bytes, store) + "of shared memory outside of its variables" +
                       (before == nullptr ? "" : ", behind `" + std::string(before->name) + "`"));
    if (before->kernel == nullptr) before->kernel = machine().kernel();
    if (std::strcmp(before->kernel, machine().kernel()) != 0)
        machine().stop(sizes(bytes, store) + "of `" + before->name + "`, which is shared memory of the kernel " + before->kernel);
    return *before;
}

void look(const void* pointer, std::size_t bytes, bool store) {
    if (!machine().running()) return;
    const auto* address = static_cast<const std::byte*>(pointer);
    const bool shared = address >= dla_shared_begin && address < dla_shared_end;
    std::string what;
    if (shared) {
        (void)variable_at(address, bytes, store);
    } else {
        const std::byte* front = static_cast<const std::byte*>(front_of(pointer));
        if (front == nullptr) return;  // the thread's own stack, constants
        if (bytes_behind(front) < bytes) machine().stop(sizes(bytes, store) + "at " + hexadecimal(front) + ", outside of every allocation");
    }
    const Access now = machine().access();
    if (now.launch != watch().launch && watch().pages.size() > 1000) watch().pages.clear(), watch().last_page = nullptr;  // launches come one after another
    watch().launch = now.launch;
    for (std::size_t i = 0; i < bytes; ++i) {
        History& h = watch().history(reinterpret_cast<std::uintptr_t>(address) + i);
        const auto meets = [&](Access& before, const char* did) {
            if (shared && before.block != now.block) before = {};  // each block has its own
            if (in_order(before, now)) return;
            machine().stop(sizes(bytes, store) +
                           (shared ? "of `" + std::string(variable_at(address, bytes, store).name) + "`" : "at " + hexadecimal(front_of(pointer))) +
                           " that thread " + machine().name_of(before) + " " + did + ", with nothing between that puts them in order");
        };
        meets(h.written, "has written");
        if (store) {
            meets(h.read, "has read");
            meets(h.read_too, "has read");
            h.written = now, h.read = h.read_too = {};
        } else if (in_order(h.read, now)) {
            h.read = now;
        } else {
            h.read_too = now;
        }
    }
}

}  // namespace
}  // namespace emulated

// What the compiler calls, under the names that it has for them.
extern "C" {

struct AnnouncedVariable {
    const std::byte* begin;
    std::size_t bytes, bytes_with_gap;
    const char* name;
    const char* file;
    std::size_t has_constructor;
    const void* location;
    std::size_t indicator;
};

void __asan_register_globals(const AnnouncedVariable* first, std::size_t count) {
    for (const AnnouncedVariable* v = first; v != first + count; ++v)
        if (v->begin >= dla_shared_begin && v->begin < dla_shared_end) emulated::watch().variables.push_back({v->begin, v->bytes, v->name, nullptr});
}
void __asan_unregister_globals(const AnnouncedVariable*, std::size_t) {}
void __asan_handle_no_return() {}
void __asan_before_dynamic_init(const char*) {}
void __asan_after_dynamic_init() {}

void __asan_load1_noabort(const void* address) { emulated::look(address, 1, false); }
void __asan_load2_noabort(const void* address) { emulated::look(address, 2, false); }
void __asan_load4_noabort(const void* address) { emulated::look(address, 4, false); }
void __asan_load8_noabort(const void* address) { emulated::look(address, 8, false); }
void __asan_load16_noabort(const void* address) { emulated::look(address, 16, false); }
void __asan_loadN_noabort(const void* address, std::size_t bytes) { emulated::look(address, bytes, false); }
void __asan_store1_noabort(const void* address) { emulated::look(address, 1, true); }
void __asan_store2_noabort(const void* address) { emulated::look(address, 2, true); }
void __asan_store4_noabort(const void* address) { emulated::look(address, 4, true); }
void __asan_store8_noabort(const void* address) { emulated::look(address, 8, true); }
void __asan_store16_noabort(const void* address) { emulated::look(address, 16, true); }
void __asan_storeN_noabort(const void* address, std::size_t bytes) { emulated::look(address, bytes, true); }

}  // extern "C"
