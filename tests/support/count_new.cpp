// SPDX-License-Identifier: MIT
// Replaces operator new by one that counts. A translation unit of its own, so that no compiler pairs new and free across the two.
#include <atomic>
#include <cstdlib>
#include <new>
#include <support/count_new.hpp>

namespace {

std::atomic<long> count{0};
std::atomic<long long> aligned{0};

void* allocate(std::size_t bytes, std::size_t align) {
    ++count;
    void* block = std::aligned_alloc(align, (bytes + align) / align * align);
    if (!block) throw std::bad_alloc();
    return block;
}

}  // namespace

long support::allocations() { return count; }
long long support::aligned_bytes() { return aligned; }

void* operator new(std::size_t bytes) { return allocate(bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new(std::size_t bytes, std::align_val_t align) {
    aligned += static_cast<long long>(bytes);
    return allocate(bytes, static_cast<std::size_t>(align));
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }
void operator delete(void* block, std::align_val_t) noexcept { std::free(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { std::free(block); }
