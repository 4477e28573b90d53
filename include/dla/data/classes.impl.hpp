// SPDX-License-Identifier: MIT
// How classes are counted and split.
#pragma once

#include <algorithm>
#include <numeric>

namespace dla {

DLA_ONCE std::vector<index_t> class_counts(const DataSource& data, std::span<const std::uint32_t> samples) {
    if (data.classes() < 1) fail(ErrorCode::data, "class_counts", "these targets are no class numbers");
    std::vector<index_t> count(static_cast<std::size_t>(data.classes()));
    std::vector<std::int32_t> labels(static_cast<std::size_t>(std::max<index_t>(1, data.target_shape().size())), -1);
    for (const std::uint32_t s : samples) {
        if (index_t{s} < data.size())
            data.labels(index_t{s}, labels);
        else
            labels.assign(labels.size(), -1);
        for (const std::int32_t label : labels) {
            if (label == uncounted && labels.size() > 1) continue;
            if (label < 0 || label >= data.classes())
                fail(ErrorCode::data, "class_counts",
                     "the label of sample " + std::to_string(s) + " is out of range; expected 0 to " + std::to_string(data.classes() - 1));
            ++count[static_cast<std::size_t>(label)];
        }
    }
    return count;
}

namespace detail {

inline void require_one_class(const char* who, const DataSource& data) {
    if (data.classes() > 0 && data.target_shape().size() > 1)
        fail(ErrorCode::data, who, text("takes samples of one class each; these have class numbers ", to_text(data.target_shape())).view());
}

}  // namespace detail

DLA_ONCE std::vector<double> balanced_weights(const DataSource& data, std::span<const std::uint32_t> samples) {
    detail::require_one_class("balanced_weights", data);
    const std::vector<index_t> count = class_counts(data, samples);
    std::vector<double> weights;
    for (const std::uint32_t s : samples) weights.push_back(1 / static_cast<double>(count[static_cast<std::size_t>(data.label(index_t{s}))]));
    return weights;
}

DLA_ONCE std::vector<double> class_weights(const DataSource& data, std::span<const std::uint32_t> samples) {
    const std::vector<index_t> count = class_counts(data, samples);
    const index_t all = std::accumulate(count.begin(), count.end(), index_t{0});
    std::vector<double> weights;
    for (const index_t n : count) {
        if (n == 0) fail(ErrorCode::data, "class_weights", "class " + std::to_string(weights.size()) + " has no sample");
        weights.push_back(static_cast<double>(all) / (static_cast<double>(count.size()) * static_cast<double>(n)));
    }
    return weights;
}

DLA_ONCE Split stratified_split(const DataSource& data, index_t val_size, Seed seed) {
    detail::require_one_class("stratified_split", data);
    random_split(data.size(), val_size, seed);  // says what is wrong with the sizes
    std::vector<std::uint32_t> samples = all_samples(data);
    const std::vector<index_t> count = class_counts(data, samples);
    const auto size = static_cast<std::uint64_t>(data.size());
    const auto share = [&](std::size_t c) { return static_cast<std::uint64_t>(val_size) * static_cast<std::uint64_t>(count[c]); };  // times the size
    std::vector<index_t> take;
    for (std::size_t c = 0; c < count.size(); ++c) take.push_back(static_cast<index_t>(share(c) / size));
    // What rounding down left over goes to those that lost most by it, one each.
    std::vector<std::size_t> order(count.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return share(a) % size > share(b) % size; });
    index_t left = val_size - std::accumulate(take.begin(), take.end(), index_t{0});
    for (const index_t keep : {1, 0})
        for (const std::size_t c : order) {
            const bool rounded = share(c) % size > 0 && take[c] == static_cast<index_t>(share(c) / size);
            if (left > 0 && rounded && take[c] + keep < count[c]) ++take[c], --left;
        }
    shuffle(samples, RandomStream({static_cast<std::uint64_t>(seed), 0, 0}, RandomUse::split));
    Split split;
    for (const std::uint32_t sample : samples) {
        index_t& wanted = take[static_cast<std::size_t>(data.label(index_t{sample}))];
        (wanted > 0 ? split.validation : split.train).push_back(sample);
        if (wanted > 0) --wanted;
    }
    std::sort(split.validation.begin(), split.validation.end());
    std::sort(split.train.begin(), split.train.end());
    return split;
}

DLA_ONCE std::vector<index_t> class_counts(const Dataset& data, std::span<const std::uint32_t> samples) {
    return class_counts(*detail::checked_images(data, {}, {}), samples);
}
DLA_ONCE std::vector<double> balanced_weights(const Dataset& data, std::span<const std::uint32_t> samples) {
    return balanced_weights(*detail::checked_images(data, {}, {}), samples);
}
DLA_ONCE std::vector<double> class_weights(const Dataset& data, std::span<const std::uint32_t> samples) {
    return class_weights(*detail::checked_images(data, {}, {}), samples);
}
DLA_ONCE Split stratified_split(const Dataset& data, index_t val_size, Seed seed) {
    return stratified_split(*detail::checked_images(data, {}, {}), val_size, seed);
}

}  // namespace dla
