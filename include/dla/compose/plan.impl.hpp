// SPDX-License-Identifier: MIT
// Where the buffers of a plan go.
#pragma once

#include <numeric>

namespace dla::detail {

DLA_ONCE index_t place_blocks(std::vector<PlannedBlock>& blocks) {
    std::vector<std::size_t> order(blocks.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return blocks[a].bytes != blocks[b].bytes ? blocks[a].bytes > blocks[b].bytes : a < b; });
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

}  // namespace dla::detail
