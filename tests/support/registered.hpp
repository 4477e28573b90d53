// SPDX-License-Identifier: MIT
// Host memory whose blocks are known by their addresses, so that a test's policy finds out how much lies behind a pointer.
#pragma once

#include <cstddef>
#include <map>
#include <new>

namespace support {

/// First byte of each block, and how many there are.
inline std::map<const std::byte*, std::size_t>& registered_blocks() {
    static std::map<const std::byte*, std::size_t> blocks;
    return blocks;
}

/// An allocator that registers what it gives.
template <class T>
struct Registered {
    using value_type = T;
    static constexpr std::align_val_t alignment{64};  // as a policy's memory

    Registered() = default;
    template <class U>
    Registered(const Registered<U>&) {}

    T* allocate(std::size_t n) {
        T* block = static_cast<T*>(::operator new(n * sizeof(T), alignment));
        registered_blocks()[reinterpret_cast<const std::byte*>(block)] = n * sizeof(T);
        return block;
    }
    void deallocate(T* block, std::size_t n) {
        registered_blocks().erase(reinterpret_cast<const std::byte*>(block));
        ::operator delete(block, n * sizeof(T), alignment);
    }
    template <class U>
    bool operator==(const Registered<U>&) const {
        return true;
    }
};

}  // namespace support
