// SPDX-License-Identifier: MIT
// How samples in memory are checked and read.
#pragma once

#include <dla/core/finite.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace dla {

DLA_ONCE ArrayData::ArrayData(const Shape& shape, std::span<const float> inputs, std::span<const std::int32_t> labels)
    : ArrayData(shape, inputs, labels, Shape{1}) {}
DLA_ONCE ArrayData::ArrayData(const Shape& shape, std::vector<float> inputs, std::vector<std::int32_t> labels)
    : ArrayData(shape, std::move(inputs), std::move(labels), Shape{1}) {}
DLA_ONCE ArrayData::ArrayData(const Shape& shape, std::span<const float> inputs, std::span<const std::int32_t> labels, const Shape& target_shape)
    : shape_(shape), target_shape_(target_shape), inputs_(inputs), labels_(labels) {
    check();
}
DLA_ONCE ArrayData::ArrayData(const Shape& shape, std::vector<float> inputs, std::vector<std::int32_t> labels, const Shape& target_shape)
    : shape_(shape),
      target_shape_(target_shape),
      own_inputs_(std::move(inputs)),
      own_labels_(std::move(labels)),
      inputs_(own_inputs_),
      labels_(own_labels_) {
    check();
}
DLA_ONCE ArrayData::ArrayData(const Shape& shape, std::span<const float> inputs, const Shape& target_shape, std::span<const float> targets)
    : shape_(shape), target_shape_(target_shape), inputs_(inputs), targets_(targets), has_values_(true) {
    check();
}
DLA_ONCE ArrayData::ArrayData(const Shape& shape, std::vector<float> inputs, const Shape& target_shape, std::vector<float> targets)
    : shape_(shape),
      target_shape_(target_shape),
      own_inputs_(std::move(inputs)),
      own_targets_(std::move(targets)),
      inputs_(own_inputs_),
      targets_(own_targets_),
      has_values_(true) {
    check();
}

DLA_ONCE void ArrayData::check() {
    const auto require = [](bool good, const Text& what) {
        if (!good) fail(ErrorCode::data, "ArrayData", what.view());
    };
    const auto shape_good = [](const Shape& s) {
        return s.is_known() && s.size() >= 1 && !s.is_too_large() && std::all_of(s.d, s.d + s.rank, [](index_t d) { return d > 0; });
    };
    require(shape_good(shape_), text("the shape of a sample is ", to_text(shape_), "; expected sizes of at least 1"));
    const auto sample = static_cast<std::size_t>(shape_.size());
    require(!inputs_.empty() && inputs_.size() % sample == 0,
            text("got ", inputs_.size(), " input values; expected a multiple of ", sample, ", the size of one sample ", to_text(shape_)));
    size_ = static_cast<index_t>(inputs_.size() / sample);
    require(size_ <= index_t{std::numeric_limits<std::uint32_t>::max()}, "more samples than a 32-bit number can name");
    const auto not_finite = [](std::span<const float> v) { return std::find_if(v.begin(), v.end(), [](float x) { return !is_finite(x); }) - v.begin(); };
    const auto check_values = [&](std::span<const float> v, const Shape& s, const char* what) {
        const auto bad = not_finite(v);
        require(bad == std::ssize(v), text(what, " of sample ", bad / s.size(), " has a value that is not finite (its value ", bad % s.size(), ")"));
    };
    check_values(inputs_, shape_, "the input");
    require(shape_good(target_shape_), text("the shape of a target is ", to_text(target_shape_), "; expected sizes of at least 1"));
    const index_t each = target_shape_.size(), expected = saturating_mul(size_, each);
    if (has_values_) {
        require(std::ssize(targets_) == expected,
                text("got ", targets_.size(), " target values; expected ", expected, ", ", to_text(target_shape_), " for each of ", size_, " samples"));
        return check_values(targets_, target_shape_, "the target");
    }
    if (each == 1) {
        const index_t places = size_ > 0 && std::ssize(labels_) % size_ == 0 ? std::ssize(labels_) / size_ : 1;
        require(std::ssize(labels_) == expected,
                text("got ", labels_.size(), " labels; expected one for each of ", size_, " samples")
                    .append(places > 1 ? text("; ", places, " for each need their shape behind them, e.g. Shape{1, height, width}") : Text()));
    } else {
        require(std::ssize(labels_) == expected,
                text("got ", labels_.size(), " labels; expected ", expected, ", ", to_text(target_shape_), " for each of ", size_, " samples"));
    }
    std::int32_t most = -1;
    for (std::size_t i = 0; i < labels_.size(); ++i) {
        const std::int32_t label = labels_[i];
        const index_t sample_number = static_cast<index_t>(i) / each;
        require(label >= 0 || (each > 1 && label == uncounted),
                text("sample ", sample_number, " has the label ", label, "; class numbers begin with 0", each > 1 ? ", and -100 does not count" : ""));
        require(label < (1 << 24), text("sample ", sample_number, " has the label ", label, "; class numbers are 0, 1, 2, ..., at most ", (1 << 24) - 1));
        most = std::max(most, label);
    }
    require(most >= 0, "no label counts; all are -100");
    classes_ = index_t{most} + 1;
}

DLA_ONCE void ArrayData::read(const SamplePosition& at, std::span<float> input) const {
    const auto n = static_cast<std::size_t>(shape_.size());
    std::copy_n(inputs_.begin() + static_cast<std::ptrdiff_t>(at.sample * n), n, input.begin());
    if (transform) transform(at, input);
}
DLA_ONCE void ArrayData::target(index_t sample, std::span<float> values) const {
    const auto n = static_cast<std::size_t>(target_shape_.size());
    std::copy_n(targets_.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(sample) * n), n, values.begin());
}

DLA_ONCE void ArrayData::read_both(const SamplePosition& at, std::span<float> input, std::span<float> values) const {
    target(index_t{at.sample}, values);
    read(at, input);
    if (pair_transform) pair_transform(at, input, values);
}
DLA_ONCE void ArrayData::labels(index_t sample, std::span<std::int32_t> classes) const {
    const auto n = static_cast<std::size_t>(target_shape_.size());
    std::copy_n(labels_.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(sample) * n), n, classes.begin());
}
DLA_ONCE void ArrayData::read_labelled(const SamplePosition& at, std::span<float> input, std::span<std::int32_t> classes) const {
    labels(index_t{at.sample}, classes);
    read(at, input);
    if (!pair_transform || classes.size() == 1) return;
    std::vector<float> values(classes.begin(), classes.end());  // floats hold every class number
    pair_transform(at, input, values);
    for (std::size_t i = 0; i < values.size(); ++i) {
        const float v = values[i];
        const bool good = v == static_cast<float>(uncounted) || (v >= 0 && v < static_cast<float>(classes_) && v == std::floor(v));
        if (!good)
            fail(ErrorCode::data, "ArrayData",
                 text("pair_transform made of a class number of sample ", at.sample, " what is none (at place ", i, "); expected 0 to ", classes_ - 1,
                      " or -100")
                     .view());
        classes[i] = static_cast<std::int32_t>(v);
    }
}

}  // namespace dla
