// SPDX-License-Identifier: MIT
// Every allocation of this program is counted, to show that an epoch makes none.
// In a file of its own, or the compiler would inline one half of a pair of new and delete and warn.
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

extern std::atomic<long> allocations;
std::atomic<long> allocations{0};

// The thread sanitizer brings its own operators; under it nothing is counted.
#if defined(__SANITIZE_THREAD__)
#define DLA_TEST_TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define DLA_TEST_TSAN
#endif
#endif
#if !defined(DLA_TEST_TSAN)

void* operator new(std::size_t bytes) {
    ++allocations;
    if (void* p = std::malloc(bytes)) return p;
    throw std::bad_alloc();
}
void* operator new(std::size_t bytes, std::align_val_t align) {
    ++allocations;
    if (void* p = std::aligned_alloc(static_cast<std::size_t>(align),
                                     (bytes + static_cast<std::size_t>(align) - 1) / static_cast<std::size_t>(align) * static_cast<std::size_t>(align)))
        return p;
    throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

#endif
