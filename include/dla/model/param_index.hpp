// SPDX-License-Identifier: MIT
// The rows that describe a model: its parameters, buffers, counters and layers, with their paths, sizes and places, without any memory.
#pragma once

#include <dla/core/path.hpp>
#include <dla/layers/concept.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace dla {

/// One parameter. `dims` and `path` are PyTorch's; `offset` counts values from the start of the arena, `count` excludes padding.
struct ParamRow {
    std::string path;
    ParamKind kind = ParamKind::weight;
    Dims dims;
    DiskOrder order;
    Init init;
    index_t offset = 0, count = 0;
    int layer = -1;         ///< row of the table of layers
    bool trainable = true;  ///< false: frozen, no optimizer touches it
};

/// One buffer, such as a running mean: saved with the model, not trained.
struct BufferRow {
    std::string path;
    Dims dims;
    DiskOrder order;
    double initial = 0;
    index_t offset = 0, count = 0;
};

/// One 64-bit counter, such as num_batches_tracked.
struct CounterRow {
    std::string path;
    index_t offset = 0;
};

/// One layer or container, in the order in which the network is built (a container before what it contains).
struct LayerRow {
    std::string path, name;
    std::string type;      ///< the name without the numbers that shapes say too: `Conv2d`
    std::string settings;  ///< what shapes do not say: `stride=2, padding=1`
    std::vector<Attribute> attributes = {};  ///< all settings, typed
    Shape in, out;
    index_t macs = 0;  ///< multiply-adds of one sample; of a container its own, without those of what it holds
    int depth = 0;
    int end = 0;  ///< one past the last row that lies inside
    std::size_t first_param = 0, end_param = 0;
    bool leaf = true;        ///< contains no layers
    Merge merge = Merge::none;  ///< how what it contains is joined, if that lies side by side
    bool rectifies = false;  ///< its last act is a ReLU: an output of 0 means that this unit is off
};

/// A layer that trains otherwise than it infers, and can be told to train as it infers.
struct ModeRow {
    std::string path;
};

/// A run of neighbouring values.
struct Segment {
    index_t offset = 0, count = 0;
};

/// The rows of a model, without its memory.
struct ParamIndex {
    std::vector<ParamRow> parameters;
    std::vector<BufferRow> buffers;
    std::vector<CounterRow> counters;
    std::vector<ModeRow> modes;
    std::vector<LayerRow> layers;
    LayerRow network;                           ///< the whole, with an empty path; what it consists of is in `layers`
    index_t value_count = 0, buffer_count = 0;  // with padding
    index_t largest_sample = 0;                 ///< values of the largest input or output of a layer

    /// Row of `layers`, or of the whole network for -1.
    const LayerRow& layer(int row) const { return row < 0 ? network : layers[static_cast<std::size_t>(row)]; }
    /// Number of trainable and frozen values, as PyTorch counts them.
    index_t parameter_count() const {
        index_t n = 0;
        for (const ParamRow& row : parameters) n += row.count;
        return n;
    }
    /// One past the last value of parameter `i`, with padding.
    index_t end_of(std::size_t i) const { return i + 1 < parameters.size() ? parameters[i + 1].offset : value_count; }
    /// `batch`, if that many samples can be counted in every layer. Throws Error(shape) otherwise.
    index_t checked_batch(index_t batch) const;
    /// The row of this path. Throws Error(model) naming the closest path when there is none.
    const ParamRow& parameter(std::string_view path) const;
};

/// Which of a parameter's arrays is meant.
enum class ParamPart { value, gradient };

}  // namespace dla

#if DLA_BODIES
#include <dla/model/param_index.impl.hpp>
#endif
