// SPDX-License-Identifier: MIT
// A moving average of a model's weights.
#pragma once

#include <dla/train/run_state.hpp>

#include <algorithm>

#include <dla/core/begin_exact.inl.hpp>

namespace dla {

namespace detail {

template <class T>
void move_towards(std::span<std::byte> average, std::span<const std::byte> now, double step) {
    const auto to = values_in<T>(average);
    const auto from = values_in<T>(now);
    const T share = static_cast<T>(step);
    for (std::size_t i = 0; i < to.size(); ++i) to[i] += share * (from[i] - to[i]);
}

/// While it lives, the model holds the average, if there is one.
class AverageInside {
public:
    AverageInside(ParamAccess& model, const Weights& average) : model_(model) {
        if (average.empty()) return;
        own_ = take_weights(model);
        put_weights(model, average);
    }
    ~AverageInside() {
        if (!own_.empty()) put_weights(model_, own_);
    }
    AverageInside(const AverageInside&) = delete;
    AverageInside& operator=(const AverageInside&) = delete;

private:
    ParamAccess& model_;
    Weights own_;
};

}  // namespace detail

/// After step `steps` (counted from 1): average = d average + (1 - d) weights, with d = min(decay, (1 + steps) / (10 + steps)), of parameters and buffers;
/// counters are the model's. An empty average becomes the weights. `scratch` keeps memory from one call to the next.
inline void average_weights(Weights& average, const ParamAccess& model, double decay, std::int64_t steps, std::vector<std::byte>& scratch) {
    if (average.empty()) {
        average = take_weights(model);
        return;
    }
    const double n = static_cast<double>(steps), step = 1 - std::min(decay, (1 + n) / (10 + n));
    std::size_t array = 0, counter = 0;
    detail::for_each_row(
        model.index(),
        [&](const auto& row) {
            std::vector<std::byte>& values = average.arrays[array++];
            scratch.resize(values.size());
            detail::read_row(model, row, std::span(scratch));
            if (average.type == ValueType::f32)
                detail::move_towards<float>(values, scratch, step);
            else
                detail::move_towards<double>(values, scratch, step);
        },
        [&](const CounterRow& row) { average.counters[counter++] = model.read(row); });
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
