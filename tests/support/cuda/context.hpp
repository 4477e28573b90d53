// SPDX-License-Identifier: MIT
// Stacks between which a processor is switched in a few instructions.
#pragma once

#include <cstddef>

// DLA_EMULATED_UCONTEXT: the portable way where the processor is known as well, for a test of it.
#if !defined(DLA_EMULATED_UCONTEXT) && !defined(__x86_64__) && !defined(__aarch64__)
#define DLA_EMULATED_UCONTEXT
#endif

#if defined(DLA_EMULATED_UCONTEXT)
#include <ucontext.h>
#endif

namespace emulated {

/// Where a stack was left. swapcontext asks the kernel about signals each time, which costs a hundred times as much as the switch itself.
struct Context {
#if defined(DLA_EMULATED_UCONTEXT)
    ucontext_t state{};
#else
    void* stack_pointer = nullptr;
#endif
};

/// Switching to `context` then calls `start`, which must not return, on [stack, stack + bytes).
void prepare(Context& context, std::byte* stack, std::size_t bytes, void (*start)());
/// Leaves the stack on which this is called in `from`, and goes on where `to` was left.
void change(Context& from, Context& to);

}  // namespace emulated
