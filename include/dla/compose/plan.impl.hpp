// SPDX-License-Identifier: MIT
// Where the buffers of a plan go.
#pragma once

#include <numeric>

namespace dla::detail {

/// Places the blocks one after the other, those with the largest `key` first, each as low as it goes. Returns the bytes of all.
template <class Key>
index_t place_by(std::vector<PlannedBlock>& blocks, const Key& key) {
    std::vector<std::size_t> order(blocks.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return key(blocks[a]) > key(blocks[b]); });
    std::vector<const PlannedBlock*> placed;  // by offset
    index_t bytes = 0;
    for (const std::size_t i : order) {
        PlannedBlock& block = blocks[i];
        index_t offset = 0;
        for (const PlannedBlock* other : placed)
            if (other->first < block.last && block.first < other->last && other->offset < offset + block.bytes)
                offset = std::max(offset, other->offset + other->bytes);
        block.offset = offset;
        placed.insert(
            std::upper_bound(placed.begin(), placed.end(), &block, [](const PlannedBlock* a, const PlannedBlock* b) { return a->offset < b->offset; }), &block);
        bytes = std::max(bytes, offset + block.bytes);
    }
    return bytes;
}

DLA_ONCE index_t place_blocks(std::vector<PlannedBlock>& blocks) {
    std::vector<PlannedBlock> other = blocks;
    const auto size = [](const PlannedBlock& b) { return b.bytes; };
    const auto size_and_life = [](const PlannedBlock& b) {
        return static_cast<double>(b.bytes) * (static_cast<double>(b.last) - static_cast<double>(b.first));
    };
    const index_t bytes = place_by(blocks, size), other_bytes = place_by(other, size_and_life);
    if (other_bytes >= bytes) return bytes;
    blocks = std::move(other);
    return other_bytes;
}

}  // namespace dla::detail
