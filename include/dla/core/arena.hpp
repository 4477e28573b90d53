// SPDX-License-Identifier: MIT
// One block of a policy's memory, 64-byte aligned and zeroed, from which everything else is handed out.
#pragma once

#include <dla/core/shape.hpp>

#include <cstddef>
#include <utility>

namespace dla {

inline constexpr index_t alignment = 64;

/// `bytes` rounded up to the alignment of every buffer.
constexpr index_t align_up(index_t bytes) { return saturating_add(bytes, alignment - 1) / alignment * alignment; }

/// Number of elements of T that keeps the next buffer aligned.
template <class T>
constexpr index_t padded_count(index_t count) {
    return align_up(saturating_mul(count, static_cast<index_t>(sizeof(T)))) / static_cast<index_t>(sizeof(T));
}

/// Owns `bytes` of the memory of a policy; zeroed. Movable, not copyable.
template <class P>
class Arena {
public:
    using Bytes = typename P::template pointer<std::byte>;

    Arena() = default;
    Arena(const P& policy, index_t bytes) : policy_(policy), bytes_(align_up(bytes)) {
        if (bytes_ > 0) base_ = policy_.allocate(bytes_);
    }
    Arena(Arena&& other) noexcept : policy_(other.policy_), base_(std::exchange(other.base_, Bytes{})), bytes_(std::exchange(other.bytes_, 0)) {}
    Arena& operator=(Arena&& other) noexcept {
        std::swap(policy_, other.policy_);
        std::swap(base_, other.base_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    ~Arena() {
        if (bytes_ > 0) policy_.release(base_, bytes_);
    }

    Bytes data() const { return base_; }
    index_t bytes() const { return bytes_; }

    /// Pointer to T at a byte offset; null when the arena is empty.
    template <class T>
    auto at(index_t offset) const {
        return P::template pointer_cast<T>(bytes_ > 0 ? base_ + offset : base_);
    }

private:
    P policy_{};
    Bytes base_{};
    index_t bytes_ = 0;
};

}  // namespace dla
