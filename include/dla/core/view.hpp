// SPDX-License-Identifier: MIT
// A non-owning view of one batch: where the values lie, how many samples, the shape of one sample.
#pragma once

#include <dla/core/shape.hpp>

#include <span>

namespace dla {

/// `batch` samples of `shape`, contiguous; images as (batch, height, width, channels). A view without data stands for "not wanted".
template <class Pointer>
struct BasicView {
    Pointer data{};
    index_t batch = 0;
    Shape shape;

    constexpr BasicView() = default;
    constexpr BasicView(Pointer values, index_t samples, const Shape& sample) : data(values), batch(samples), shape(sample) {}
    template <class Other>
    requires(!std::same_as<Other, Pointer> && std::convertible_to<Other, Pointer>) constexpr BasicView(const BasicView<Other>& other)
        : data(other.data), batch(other.batch), shape(other.shape) {}

    constexpr index_t size() const { return batch == 0 ? 0 : batch * shape.size(); }
    /// All of its values, in memory order. For pointers of the host.
    constexpr auto values() const { return std::span(data, static_cast<std::size_t>(size())); }
    constexpr explicit operator bool() const { return static_cast<bool>(data); }
};

}  // namespace dla
