// SPDX-License-Identifier: MIT
// Samples by their numbers, whatever they are made of: what a Loader reads.
#pragma once

#include <dla/core/error.hpp>
#include <dla/core/philox.hpp>
#include <dla/core/shape.hpp>
#include <dla/core/targets.hpp>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace dla {

/// Where a sample stands, for what is done to it at random.
struct SamplePosition {
    std::uint64_t seed = 0;
    std::uint32_t epoch = 0;
    std::uint32_t sample = 0;  ///< number in the data
    bool training = false;     ///< it is trained on: what is random is done to it then, and not when it is evaluated or predicted
};

/// Numbered samples and their targets. Derive from it for data of your own: a size, two shapes, `read`, and `label` or `target`. What is const is called
/// from several threads at a time, and must depend on its arguments only: then the batches are the same at any number of workers.
class DataSource {
public:
    virtual ~DataSource() = default;

    virtual index_t size() const = 0;
    /// Of one sample, channels first.
    virtual Shape input_shape() const = 0;
    /// Above 0: targets are class numbers from 0 to one less. 0: they are values.
    virtual index_t classes() const { return 0; }
    /// Of a sample's target: [1] for one class number or value, [1, H, W] for one for each pixel, [rows] for one for each row.
    virtual Shape target_shape() const { return Shape{1}; }

    /// Writes the input of a sample, in memory order: images [height, width, channels]. What is thrown comes out of `Loader::next`.
    virtual void read(const SamplePosition& at, std::span<float> input) const = 0;
    virtual std::int32_t label(index_t sample) const { return static_cast<void>(sample), 0; }
    /// All class numbers of a sample, in memory order; -100 is one that does not count. To be written where it has several.
    virtual void labels(index_t sample, std::span<std::int32_t> classes) const {
        if (classes.size() != 1)
            fail(ErrorCode::data, "data", text("samples have class numbers ", to_text(target_shape()), "; the source has no labels()").view());
        classes[0] = label(sample);
    }
    virtual void target(index_t sample, std::span<float> values) const { static_cast<void>(sample), static_cast<void>(values); }
    /// Both at a time, as a Loader asks for targets that are values: for data of which something random is done to input and target alike, such as a mask that
    /// is mirrored with its picture.
    virtual void read_both(const SamplePosition& at, std::span<float> input, std::span<float> values) const {
        target(index_t{at.sample}, values);
        read(at, input);
    }
    /// The same of class numbers.
    virtual void read_labelled(const SamplePosition& at, std::span<float> input, std::span<std::int32_t> classes) const {
        labels(index_t{at.sample}, classes);
        read(at, input);
    }
    /// Told before `read` which sample is next, for those who can fetch it ahead.
    virtual void expect(index_t sample) const { static_cast<void>(sample); }
};

/// The label of what does not count, as CrossEntropy has it unless it is told another.
inline constexpr std::int32_t uncounted = -100;

/// Numbers of all samples, in order.
inline std::vector<std::uint32_t> all_samples(const DataSource& data) {
    std::vector<std::uint32_t> indices(static_cast<std::size_t>(data.size()));
    for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<std::uint32_t>(i);
    return indices;
}

/// Changes the values of a sample, e.g. by noise drawn from its position. Called from several threads at a time; must depend on its arguments only.
using ValueTransform = std::function<void(const SamplePosition& at, std::span<float> input)>;

/// Changes input and target alike, e.g. a picture and its mask, see `augment_both`. Called as above, after ArrayData::transform.
using PairTransform = std::function<void(const SamplePosition& at, std::span<float> input, std::span<float> target)>;

/// Samples in memory: vectors that it takes (a copy, unless they are moved), or spans of yours, which must outlive it.
class ArrayData final : public DataSource {
public:
    /// `inputs`: samples of `shape` one after the other, in memory order (see nchw_to_nhwc); `labels`: class numbers from 0. Throws Error(data) when sizes do
    /// not fit, a label is negative, or an input is not finite.
    ArrayData(const Shape& shape, std::span<const float> inputs, std::span<const std::int32_t> labels);
    ArrayData(const Shape& shape, std::vector<float> inputs, std::vector<std::int32_t> labels);
    /// With class numbers of `target_shape` for each sample, such as [1, H, W] of the pixels of an image; -100 is one that does not count.
    ArrayData(const Shape& shape, std::span<const float> inputs, std::span<const std::int32_t> labels, const Shape& target_shape);
    ArrayData(const Shape& shape, std::vector<float> inputs, std::vector<std::int32_t> labels, const Shape& target_shape);
    /// `targets`: values of `target_shape` for each sample. Throws as above, and when a target is not finite.
    ArrayData(const Shape& shape, std::span<const float> inputs, const Shape& target_shape, std::span<const float> targets);
    ArrayData(const Shape& shape, std::vector<float> inputs, const Shape& target_shape, std::vector<float> targets);
    ArrayData(ArrayData&&) = default;
    ArrayData& operator=(ArrayData&&) = default;

    index_t size() const override { return size_; }
    Shape input_shape() const override { return shape_; }
    index_t classes() const override { return classes_; }
    Shape target_shape() const override { return target_shape_; }
    void read(const SamplePosition& at, std::span<float> input) const override;
    std::int32_t label(index_t sample) const override { return labels_[static_cast<std::size_t>(sample)]; }
    void labels(index_t sample, std::span<std::int32_t> classes) const override;
    void target(index_t sample, std::span<float> values) const override;
    void read_both(const SamplePosition& at, std::span<float> input, std::span<float> values) const override;
    void read_labelled(const SamplePosition& at, std::span<float> input, std::span<std::int32_t> classes) const override;

    std::span<const float> inputs() const { return inputs_; }
    std::span<const std::int32_t> labels() const { return labels_; }
    std::span<const float> targets() const { return targets_; }

    ValueTransform transform{};       ///< applied to every sample that is read
    /// To every sample that is read together with its target: values, or several class numbers (then it must leave class numbers; -100 does not count). Not
    /// where a target is one class number.
    PairTransform pair_transform{};

private:
    void check();

    Shape shape_, target_shape_{0};
    std::vector<float> own_inputs_, own_targets_;
    std::vector<std::int32_t> own_labels_;
    std::span<const float> inputs_, targets_;
    std::span<const std::int32_t> labels_;
    index_t size_ = 0, classes_ = 0;
    bool has_values_ = false;
};

}  // namespace dla

#if DLA_BODIES
#include <dla/data/source.impl.hpp>
#endif
