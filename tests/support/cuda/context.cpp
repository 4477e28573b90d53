// SPDX-License-Identifier: MIT
// Switching between stacks: what a call preserves is pushed, the stack pointer is exchanged, and it is popped from the other stack.
#include "context.hpp"

#include <cstdint>
#include <cstring>

#if defined(DLA_EMULATED_UCONTEXT)

void emulated::prepare(Context& context, std::byte* stack, std::size_t bytes, void (*start)()) {
    getcontext(&context.state);
    context.state.uc_stack.ss_sp = stack;
    context.state.uc_stack.ss_size = bytes;
    context.state.uc_link = nullptr;
    makecontext(&context.state, start, 0);
}

void emulated::change(Context& from, Context& to) { swapcontext(&from.state, &to.state); }

#else

extern "C" void dla_emulated_change(void** from, void* to);

#if defined(__x86_64__)

asm(R"(
    .text
    .globl dla_emulated_change
    .type dla_emulated_change, @function
dla_emulated_change:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size dla_emulated_change, .-dla_emulated_change
)");

namespace {
constexpr std::size_t saved = 8;  // six registers, the address to return to, and the one that `start` would return to
constexpr std::size_t return_address = 6;
}  // namespace

#else

asm(R"(
    .text
    .globl dla_emulated_change
    .type dla_emulated_change, %function
dla_emulated_change:
    sub sp, sp, #160
    stp x19, x20, [sp]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
    .size dla_emulated_change, .-dla_emulated_change
)");

namespace {
constexpr std::size_t saved = 20;
constexpr std::size_t return_address = 11;  // x30
}  // namespace

#endif

void emulated::prepare(Context& context, std::byte* stack, std::size_t bytes, void (*start)()) {
    std::uintptr_t frame[saved] = {};
    frame[return_address] = reinterpret_cast<std::uintptr_t>(start);
    // The end is a multiple of 16, so that the stack is aligned as after a call.
    std::byte* end = stack + bytes / 16 * 16;
    std::memcpy(end - sizeof frame, frame, sizeof frame);
    context.stack_pointer = end - sizeof frame;
}

void emulated::change(Context& from, Context& to) { dla_emulated_change(&from.stack_pointer, to.stack_pointer); }

#endif
