// SPDX-License-Identifier: MIT
// Data of any kind, for those who train, evaluate and predict.
#pragma once

#include <dla/data/classes.hpp>

#include <concepts>
#include <map>
#include <memory>
#include <string>
#include <type_traits>

namespace dla {

/// Data of either kind: a Dataset of images as bytes, or any DataSource. It refers to what it was made of, which must outlive it; a temporary moves into it.
class AnyData {
public:
    AnyData(const Dataset& images) : images_(&images) {}
    /// With a transform instead of augmentation and normalisation, in training, evaluation and prediction alike.
    AnyData(const Dataset& images, SampleTransform transform) : images_(&images), transform_(std::move(transform)) {}
    AnyData(const DataSource& source) : source_(&source) {}
    AnyData(Dataset&& images, SampleTransform transform = {}) : transform_(std::move(transform)) {
        auto own = std::make_shared<const Dataset>(std::move(images));
        images_ = own.get();
        own_ = std::move(own);
    }
    template <std::derived_from<DataSource> Source>
        requires(!std::is_const_v<Source> && !std::is_abstract_v<Source> && std::move_constructible<Source>)
    AnyData(Source&& source) {
        auto own = std::make_shared<const Source>(std::move(source));
        source_ = own.get();
        own_ = std::move(own);
    }
    AnyData(const Dataset&&, SampleTransform = {}) = delete;
    AnyData(const DataSource&&) = delete;

    index_t size() const { return images_ ? images_->size() : source_->size(); }
    Shape input_shape() const { return images_ ? images_->shape : source_->input_shape(); }
    /// 0: targets are values.
    index_t classes() const { return images_ ? index_t{images_->num_classes} : source_->classes(); }
    index_t target_size() const { return target_shape().size(); }
    Shape target_shape() const { return images_ ? Shape{1} : source_->target_shape(); }
    /// Numbers of all samples, in order.
    std::vector<std::uint32_t> samples() const { return images_ ? all_samples(*images_) : all_samples(*source_); }
    std::vector<double> balanced_weights(std::span<const std::uint32_t> samples) const;
    /// The target of a sample; requires values.
    void target(index_t sample, std::span<float> values) const { source_->target(sample, values); }
    /// It reads this data, which must outlive it.
    std::unique_ptr<Loader> loader(std::vector<std::uint32_t> samples, const LoaderOptions& options) const&;
    std::unique_ptr<Loader> loader(std::vector<std::uint32_t> samples, const LoaderOptions& options) const&& = delete;
    /// A number that changes with the data: of a Dataset with any byte; of a source with its sizes, its targets, and the inputs of some hundred samples.
    std::uint64_t fingerprint() const;
    /// to_metadata of a Dataset that is normalised as it says, without the folders in its name; else nothing.
    std::map<std::string, std::string> metadata() const;
    /// The same images mirrored left to right. It refers to the same Dataset. Throws Error(data) unless it is a Dataset that is normalised as it says.
    AnyData mirrored() const;
    bool transforms() const { return static_cast<bool>(transform_); }

private:
    const Dataset* images_ = nullptr;
    const DataSource* source_ = nullptr;
    SampleTransform transform_;
    std::shared_ptr<const void> own_;  // what was a temporary
};

}  // namespace dla

#if DLA_BODIES
#include <dla/data/any_data.impl.hpp>
#endif
