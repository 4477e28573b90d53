// SPDX-License-Identifier: MIT
// The memory plan: a dry run records which buffers a step needs and for how long; a greedy pass gives them places; a second dry run hands them out.
#pragma once

#include <dla/layers/concept.hpp>

#include <algorithm>
#include <limits>
#include <vector>

namespace dla {

namespace detail {

/// One buffer of a plan: alive from clock tick `first` to `last`.
struct PlannedBlock {
    index_t bytes = 0;
    index_t first = 0;
    index_t last = std::numeric_limits<index_t>::max();
    index_t offset = 0;
};

/// Gives every buffer an offset such that buffers alive at the same time do not overlap: the largest first, or the largest times how long they live, whichever
/// takes less; each at the lowest place that is free. Returns the bytes of all.
DLA_ONCE index_t place_blocks(std::vector<PlannedBlock>& blocks);

}  // namespace detail

/// Hands out the buffers of one step. Use: a dry run on a new planner, `place()`, allocate `bytes()` of memory, `bind(base)`, the same dry run again.
template <class P>
class Planner {
public:
    using Bytes = typename P::template pointer<std::byte>;

    P policy;  ///< scratch sizes may depend on it (number of threads)

    Planner() = default;
    explicit Planner(const P& p) : policy(p) {}

    /// `buffer` holds `count` values from here to its release.
    template <class T>
    void allocate(Planned<P, T>& buffer, index_t count) {
        buffer.id = static_cast<int>(next_++);
        if (bound_) {
            buffer.data = P::template pointer_cast<T>(base_ + blocks_[index(buffer.id)].offset);
            return;
        }
        blocks_.push_back({.bytes = align_up(std::max<index_t>(count, 1) * static_cast<index_t>(sizeof(T))), .first = clock_++});
    }
    template <class T>
    void release(Planned<P, T>& buffer) {
        if (!bound_) blocks_[index(buffer.id)].last = clock_++;
    }
    /// A kernel of the step uses up to `bytes` of scratch memory.
    void scratch(index_t bytes) { scratch_ = std::max(scratch_, align_up(bytes)); }
    /// Inference: the step's stack grows or shrinks by `count` values.
    void push(index_t count) {
        depth_ += Stack<P>::bytes(count);
        peak_ = std::max(peak_, depth_);
    }
    void pop(index_t count) { depth_ -= Stack<P>::bytes(count); }

    /// Inference: `make(context, to)` writes weights as a layer's `infer` reads them, and gives their bytes; without memory for them only that.
    template <class F>
    void prepare(index_t capacity, const F& make) {
        Context<P> c;
        c.policy = policy;
        c.capacity = capacity;
        c.scratch = prepare_scratch_;
        prepared_bytes_ += align_up(make(c, prepared_ ? prepared_ + prepared_bytes_ : Bytes{}));
    }
    void prepare_into(Bytes memory, Bytes scratch) {
        prepared_ = memory, prepare_scratch_ = scratch;
        prepared_bytes_ = 0;
    }

    /// Gives every buffer its place.
    void place() { bytes_ = detail::place_blocks(blocks_); }
    void bind(Bytes base) {
        bound_ = true;
        base_ = base;
        next_ = 0;
    }

    index_t bytes() const { return bytes_; }       ///< of all buffers, as placed
    index_t stack_bytes() const { return peak_; }  ///< of the inference stack
    index_t scratch_bytes() const { return scratch_; }
    index_t prepared_bytes() const { return prepared_bytes_; }
    /// Bytes if nothing were shared: what a plan saves is the difference to `bytes()`.
    index_t unshared_bytes() const {
        index_t sum = 0;
        for (const Block& b : blocks_) sum += b.bytes;
        return sum;
    }

private:
    using Block = detail::PlannedBlock;
    static std::size_t index(int id) { return static_cast<std::size_t>(id); }

    std::vector<Block> blocks_;
    index_t clock_ = 0, bytes_ = 0, scratch_ = 0, depth_ = 0, peak_ = 0;
    std::size_t next_ = 0;
    bool bound_ = false;
    Bytes base_{}, prepared_{}, prepare_scratch_{};
    index_t prepared_bytes_ = 0;
};

}  // namespace dla

#if DLA_BODIES
#include <dla/compose/plan.impl.hpp>
#endif
