// SPDX-License-Identifier: MIT
// Evaluation and prediction in a line each, for any model and any data.
#pragma once

#include <dla/data/classes.hpp>
#include <dla/model/any_model.hpp>
#include <dla/train/metric.hpp>
#include <dla/train/metrics.hpp>

#include <concepts>
#include <memory>
#include <optional>
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
    requires(!std::is_const_v<Source> && !std::is_abstract_v<Source> && std::move_constructible<Source>) AnyData(Source&& source) {
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
    bool transforms() const { return static_cast<bool>(transform_); }

private:
    const Dataset* images_ = nullptr;
    const DataSource* source_ = nullptr;
    SampleTransform transform_;
    std::shared_ptr<const void> own_;  // what was a temporary
};

/// What a model is worth on some data.
struct Evaluation {
    double loss = 0;
    double accuracy = 0;  ///< percent; NaN unless the loss is a CrossEntropy or SoftCrossEntropy
    index_t samples = 0;
    index_t counted = 0;  ///< labels (one of a sample, pixel or row) that are not ignored, of samples that weigh something
    std::vector<NamedNumber> metrics = {};
};
DLA_ONCE std::ostream& operator<<(std::ostream& out, const Evaluation& e);

/// What `evaluate` measures.
struct EvaluationOptions {
    std::optional<AnyLoss> loss = {};  ///< as FitOptions::loss
    std::vector<std::shared_ptr<Metric>> metrics = {};
    /// How much each sample of the data counts in loss, accuracy and metrics: not negative, not all 0; empty: all alike.
    std::vector<double> sample_weights = {};
    index_t batch_size = 256;
};
/// Loss, accuracy and metrics of all samples in inference mode. Throws Error(data) when data and network, or data and weights, do not fit.
DLA_ONCE Evaluation evaluate(const AnyModel& model, const AnyData& data, const EvaluationOptions& options = {});
/// The same of the samples of a loader; metrics are measured anew. `sample_weights`: one for each sample of the data that it reads.
DLA_ONCE Evaluation evaluate(const AnyModel& model, const AnyLoss& loss, Loader& loader, std::span<const std::shared_ptr<Metric>> metrics = {},
                             std::span<const double> sample_weights = {});
/// Share of the samples, in percent, whose largest output is their class.
DLA_ONCE double accuracy(const AnyModel& model, const AnyData& data);
/// The network's outputs for all samples, one after the other.
DLA_ONCE std::vector<float> predict(const AnyModel& model, const AnyData& data, index_t batch_size = 256);
/// The number of the largest output of each sample (the first of equals): of all samples, or of `inputs` in memory order; of networks that give images
/// [classes, H, W] or rows [rows, classes] one for each pixel or row. Throws Error(model) when the network does not give a score for each of two classes or
/// more.
DLA_ONCE std::vector<std::int32_t> predict_classes(const AnyModel& model, const AnyData& data, index_t batch_size = 256);
DLA_ONCE std::vector<std::int32_t> predict_classes(const AnyModel& model, std::span<const float> inputs);
/// exp(y) / sum exp(y) of the outputs y of each sample, pixel or row: one class of several. Throws as predict_classes.
DLA_ONCE std::vector<float> predict_probabilities(const AnyModel& model, const AnyData& data, index_t batch_size = 256);
DLA_ONCE std::vector<float> predict_probabilities(const AnyModel& model, std::span<const float> inputs);
/// 1 / (1 + exp(-y)) of each output y by itself: of logits of yes and no, as networks give them that were trained with BCEWithLogits (several labels of a
/// sample at once, the pixels of a mask, a single class).
DLA_ONCE std::vector<float> predict_label_probabilities(const AnyModel& model, const AnyData& data, index_t batch_size = 256);
DLA_ONCE std::vector<float> predict_label_probabilities(const AnyModel& model, std::span<const float> inputs);

namespace detail {

/// A model that only infers.
template <class P>
std::unique_ptr<const AnyModel> looked_at(const BasicModel<P>& model) {
    return any_model(const_cast<BasicModel<P>&>(model));
}

}  // namespace detail

// The same of a model whose type is known.
template <class P>
Evaluation evaluate(const BasicModel<P>& model, const AnyData& data, const EvaluationOptions& options = {}) {
    return evaluate(*detail::looked_at(model), data, options);
}
template <class P>
Evaluation evaluate(const BasicModel<P>& model, const AnyLoss& loss, Loader& loader, std::span<const std::shared_ptr<Metric>> metrics = {},
                    std::span<const double> sample_weights = {}) {
    return evaluate(*detail::looked_at(model), loss, loader, metrics, sample_weights);
}
template <class P>
double accuracy(const BasicModel<P>& model, const AnyData& data) {
    return accuracy(*detail::looked_at(model), data);
}
template <class P>
std::vector<float> predict(const BasicModel<P>& model, const AnyData& data, index_t batch_size = 256) {
    return predict(*detail::looked_at(model), data, batch_size);
}
template <class P, class Inputs>
std::vector<std::int32_t> predict_classes(const BasicModel<P>& model, const Inputs& inputs) {
    return predict_classes(*detail::looked_at(model), inputs);
}
template <class P, class Inputs>
std::vector<float> predict_probabilities(const BasicModel<P>& model, const Inputs& inputs) {
    return predict_probabilities(*detail::looked_at(model), inputs);
}
template <class P, class Inputs>
std::vector<float> predict_label_probabilities(const BasicModel<P>& model, const Inputs& inputs) {
    return predict_label_probabilities(*detail::looked_at(model), inputs);
}

}  // namespace dla

#if DLA_BODIES
#include <dla/train/evaluate.impl.hpp>
#endif
