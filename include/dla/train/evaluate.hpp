// SPDX-License-Identifier: MIT
// Evaluation and prediction in a line each, for any model and any data.
#pragma once

#include <dla/data/any_data.hpp>
#include <dla/model/any_model.hpp>
#include <dla/train/metric.hpp>
#include <dla/train/metrics.hpp>

#include <memory>
#include <optional>

namespace dla {

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
/// The same with the outputs for each image of a Dataset and for its mirror image averaged (test-time augmentation). Throws Error(data) for other data,
/// Error(model) as predict_classes.
DLA_ONCE double mirrored_accuracy(const AnyModel& model, const AnyData& data, index_t batch_size = 256);
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
double mirrored_accuracy(const BasicModel<P>& model, const AnyData& data, index_t batch_size = 256) {
    return mirrored_accuracy(*detail::looked_at(model), data, batch_size);
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
