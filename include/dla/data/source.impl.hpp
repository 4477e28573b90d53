// SPDX-License-Identifier: MIT
// How samples in memory are checked and read.
#pragma once

#include <dla/core/finite.hpp>

#include <algorithm>
#include <limits>

namespace dla {

DLA_ONCE ArrayData::ArrayData(const Shape& shape, std::span<const float> inputs, std::span<const std::int32_t> labels)
    : shape_(shape), inputs_(inputs), labels_(labels) {
    check();
}
DLA_ONCE ArrayData::ArrayData(const Shape& shape, std::vector<float> inputs, std::vector<std::int32_t> labels)
    : shape_(shape), own_inputs_(std::move(inputs)), own_labels_(std::move(labels)), inputs_(own_inputs_), labels_(own_labels_) {
    check();
}
DLA_ONCE ArrayData::ArrayData(const Shape& shape, std::span<const float> inputs, const Shape& target_shape, std::span<const float> targets)
    : shape_(shape), target_shape_(target_shape), inputs_(inputs), targets_(targets) {
    check();
}
DLA_ONCE ArrayData::ArrayData(const Shape& shape, std::vector<float> inputs, const Shape& target_shape, std::vector<float> targets)
    : shape_(shape),
      target_shape_(target_shape),
      own_inputs_(std::move(inputs)),
      own_targets_(std::move(targets)),
      inputs_(own_inputs_),
      targets_(own_targets_) {
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
    if (target_shape_.size() > 0) {
        require(shape_good(target_shape_), text("the shape of a target is ", to_text(target_shape_), "; expected sizes of at least 1"));
        const index_t expected = saturating_mul(size_, target_shape_.size());
        require(std::ssize(targets_) == expected,
                text("got ", targets_.size(), " target values; expected ", expected, ", ", to_text(target_shape_), " for each of ", size_, " samples"));
        check_values(targets_, target_shape_, "the target");
        return;
    }
    require(std::ssize(labels_) == size_, text("got ", labels_.size(), " labels; expected one for each of ", size_, " samples"));
    const auto [least, most] = std::minmax_element(labels_.begin(), labels_.end());
    require(*least >= 0, text("sample ", least - labels_.begin(), " has the label ", *least, "; class numbers begin with 0"));
    require(*most < (1 << 24), text("sample ", most - labels_.begin(), " has the label ", *most, "; class numbers are 0, 1, 2, ..., at most ", (1 << 24) - 1));
    classes_ = index_t{*most} + 1;
    target_shape_ = Shape{1};
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

}  // namespace dla
