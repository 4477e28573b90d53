// SPDX-License-Identifier: MIT
// The memory plan: a rehearsal records which buffers a step needs and for how long; a greedy pass gives them places; a second rehearsal hands them out.
#pragma once

#include <dla/layers/concept.hpp>

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

namespace dla {

/// Hands out the buffers of one step. Use: rehearse on a new planner, `place()`, allocate `bytes()` of memory, `bind(base)`, rehearse again.
/// Both rehearsals must make the same calls in the same order.
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

    /// Gives every buffer an offset such that buffers alive at the same time do not overlap: largest first, each at the lowest place that is free.
    void place() {
        std::vector<std::size_t> order(blocks_.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::sort(order.begin(), order.end(),
                  [&](std::size_t a, std::size_t b) { return blocks_[a].bytes != blocks_[b].bytes ? blocks_[a].bytes > blocks_[b].bytes : a < b; });
        std::vector<const Block*> placed;  // by offset
        for (std::size_t i : order) {
            Block& block = blocks_[i];
            index_t offset = 0;
            for (const Block* other : placed)
                if (other->first < block.last && block.first < other->last && other->offset < offset + block.bytes)
                    offset = std::max(offset, other->offset + other->bytes);
            block.offset = offset;
            placed.insert(std::upper_bound(placed.begin(), placed.end(), &block, [](const Block* a, const Block* b) { return a->offset < b->offset; }), &block);
            bytes_ = std::max(bytes_, offset + block.bytes);
        }
    }
    void bind(Bytes base) {
        bound_ = true;
        base_ = base;
        next_ = 0;
    }

    index_t bytes() const { return bytes_; }       ///< of all buffers, as placed
    index_t stack_bytes() const { return peak_; }  ///< of the inference stack
    index_t scratch_bytes() const { return scratch_; }
    /// Bytes if nothing were shared: what a plan saves is the difference to `bytes()`.
    index_t unshared_bytes() const {
        index_t sum = 0;
        for (const Block& b : blocks_) sum += b.bytes;
        return sum;
    }

private:
    struct Block {
        index_t bytes = 0;
        index_t first = 0;
        index_t last = std::numeric_limits<index_t>::max();
        index_t offset = 0;
    };
    static std::size_t index(int id) { return static_cast<std::size_t>(id); }

    std::vector<Block> blocks_;
    index_t clock_ = 0, bytes_ = 0, scratch_ = 0, depth_ = 0, peak_ = 0;
    std::size_t next_ = 0;
    bool bound_ = false;
    Bytes base_{};
};

namespace detail {

// The optional members of a layer.
template <class L, class Plan, class P>
void rehearse_forward(const L& layer, Plan& plan, const typename L::template State<P>& state, const Shape& in, index_t batch,
                      typename L::template Tape<P>& tape) {
    if constexpr (requires { layer.rehearse_forward(plan, state, in, batch, tape); }) layer.rehearse_forward(plan, state, in, batch, tape);
}
template <class L, class Plan, class P>
void rehearse_backward(const L& layer, Plan& plan, const typename L::template State<P>& state, const Shape& in, index_t batch,
                       typename L::template Tape<P>& tape, bool want_dx) {
    if constexpr (requires { layer.rehearse_backward(plan, state, in, batch, tape, want_dx); }) layer.rehearse_backward(plan, state, in, batch, tape, want_dx);
}
template <class L, class Plan, class P>
void rehearse_infer(const L& layer, Plan& plan, const typename L::template State<P>& state, const Shape& in, index_t batch) {
    if constexpr (requires { layer.rehearse_infer(plan, state, in, batch); }) layer.rehearse_infer(plan, state, in, batch);
}
template <class L>
constexpr bool is_identity(const L& layer) {
    if constexpr (requires { layer.is_identity(); })
        return layer.is_identity();
    else
        return false;
}
template <class L>
constexpr index_t macs(const L& layer, const Shape& in) {
    if constexpr (requires { layer.macs(in); })
        return layer.macs(in);
    else
        return 0;
}

/// Optional facts about a layer that pictures and statistics use: `static constexpr bool branches` (contains layers side by side, added),
/// `static constexpr bool rectifies` (ends with a ReLU).
template <class L>
constexpr bool branches() {
    if constexpr (requires { L::branches; })
        return L::branches;
    else
        return false;
}
template <class L>
constexpr bool rectifies() {
    if constexpr (requires { L::rectifies; })
        return L::rectifies;
    else
        return false;
}

/// What tables and pictures show of a layer besides its shapes.
struct LayerFacts {
    Text type;      ///< `Conv2d`; of a layer without `settings` its whole name
    Text settings;  ///< what shapes do not say: `stride=2, padding=1`
    index_t macs = 0;
    bool branches = false, rectifies = false;
};
template <class L>
LayerFacts facts_of(const L& layer, const Shape& in) {
    const Text name = layer.name();
    LayerFacts facts{.type = name, .settings = {}, .macs = macs(layer, in), .branches = branches<L>(), .rectifies = rectifies<L>()};
    if constexpr (requires { layer.settings(); }) {
        facts.type = Text(name.view().substr(0, name.view().find('<')));
        facts.settings = layer.settings();
    }
    return facts;
}

/// Builds a child: checks its input, notes it in the builder's table of layers, declares its parameters.
template <class P, class L, class Builder>
auto build_child(const L& layer, Builder& b, const Shape& in, int& id, Shape& out) {
    const ShapeResult result = layer.out_shape(in);
    if (!result.ok()) b.refused(refusal(layer.name(), in, result));
    out = result.shape;
    id = b.enter_layer(layer.name(), in, out, facts_of(layer, in));
    auto state = layer.template build<P>(b, in);
    b.leave_layer(id);
    return state;
}

}  // namespace detail
}  // namespace dla
