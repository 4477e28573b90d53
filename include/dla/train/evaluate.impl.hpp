// SPDX-License-Identifier: MIT
// How models are evaluated, and what they predict.
#pragma once

#include <dla/data/fingerprint.hpp>
#include <dla/kernels/reference/eltwise.hpp>
#include <dla/kernels/reference/softmax.hpp>

#include <algorithm>

namespace dla {

DLA_ONCE std::vector<double> AnyData::balanced_weights(std::span<const std::uint32_t> samples) const {
    return images_ ? dla::balanced_weights(*images_, samples) : dla::balanced_weights(*source_, samples);
}
DLA_ONCE std::unique_ptr<Loader> AnyData::loader(std::vector<std::uint32_t> samples, const LoaderOptions& options) const& {
    if (images_ && transform_) {
        LoaderOptions own = options;
        own.transform = transform_;
        return std::make_unique<Loader>(*images_, std::move(samples), own);
    }
    if (images_) return std::make_unique<Loader>(*images_, std::move(samples), options);
    return std::make_unique<Loader>(*source_, std::move(samples), options);
}
DLA_ONCE std::uint64_t AnyData::fingerprint() const {
    if (images_) return dla::fingerprint(*images_);
    Fnv1a hash;
    const index_t n = size(), size = input_shape().size(), target = target_size();
    for (const index_t word : {n, size, target, classes()}) hash.add(static_cast<std::uint64_t>(word));
    std::vector<float> input(static_cast<std::size_t>(size)), values(static_cast<std::size_t>(target));
    const index_t step = std::max<index_t>(1, n / 256);
    for (index_t i = 0; i < n; ++i) {
        if (classes() > 0)
            hash.add(static_cast<std::uint64_t>(source_->label(i)));
        else
            source_->target(i, values), hash.add_words(values.data(), values.size() * sizeof(float));
        if (i % step != 0) continue;
        source_->read({0, 0, static_cast<std::uint32_t>(i)}, input);
        hash.add_words(input.data(), input.size() * sizeof(float));
    }
    return hash.value();
}

namespace detail {

inline AnyLoss loss_for(const std::optional<AnyLoss>& wanted, const AnyData& data) {
    if (wanted) return *wanted;
    return data.classes() > 0 ? AnyLoss(CrossEntropy{}) : AnyLoss(MeanSquaredError<float>{});
}
/// Throws Error(data) when the network cannot take these samples, or their targets.
inline void check_fit(const char* who, const AnyModel& model, const AnyData& data, const AnyLoss* loss) {
    if (!(data.input_shape() == model.input_shape()))
        fail(ErrorCode::data, who,
             text("the network takes samples ", to_text(model.input_shape()), "; those of the data are ", to_text(data.input_shape())).view());
    if (!loss) return;
    const Shape& out = model.output_shape();
    loss->check(out);
    if (loss->takes_labels() != (data.classes() > 0))
        fail(ErrorCode::data, who,
             loss->takes_labels() ? "the loss takes class numbers; the targets of the data are values"
                                  : "the loss takes values; the targets of the data are class numbers");
    if (loss->counts_correct() && data.classes() > out.size())
        fail(ErrorCode::data, who, text("the data have ", data.classes(), " classes; the network gives ", out.size(), " outputs").view());
    const index_t expected = loss->targets_per_sample(out);
    if (data.target_size() != expected)
        fail(ErrorCode::data, who,
             text("the loss compares ", expected, " values for each sample with the network's outputs ", to_text(out), "; the targets of the data have ",
                  data.target_size())
                 .view());
    const Shape targets = data.target_shape();
    if (targets.rank == 3 && out.rank == 3 && targets.order != out.order)
        fail(ErrorCode::data, who,
             text("the targets of the data are ", to_text(targets), " and the network's outputs ", to_text(out), ": in another order in memory").view());
}

}  // namespace detail

DLA_ONCE Evaluation evaluate(const AnyModel& model, const AnyData& data, const EvaluationOptions& o) {
    const AnyLoss loss = detail::loss_for(o.loss, data);
    detail::check_fit("evaluate", model, data, &loss);
    const auto loader = data.loader(data.samples(), evaluation_options(o.batch_size, 0));
    detail::check_names(o.metrics);
    return Trainer::evaluate(model, loss, *loader, o.metrics, o.sample_weights);
}
DLA_ONCE double accuracy(const AnyModel& model, const AnyData& data) { return evaluate(model, data, {.loss = CrossEntropy{}}).accuracy; }

DLA_ONCE std::vector<float> predict(const AnyModel& model, const AnyData& data, index_t batch_size) {
    detail::check_fit("predict", model, data, nullptr);
    const auto loader = data.loader(data.samples(), evaluation_options(batch_size, 0));
    const auto size = static_cast<std::size_t>(model.output_shape().size());
    std::vector<float> outputs(static_cast<std::size_t>(data.size()) * size);
    std::size_t at = 0;
    loader->start_epoch(0);
    while (const Batch* batch = loader->next()) {
        const std::size_t count = static_cast<std::size_t>(batch->count) * size;
        model.predict(batch->inputs, std::span(outputs).subspan(at, count));
        at += count;
    }
    return outputs;
}

namespace detail {

inline std::vector<float> outputs_of(const AnyModel& model, std::span<const float> inputs) {
    const auto in = static_cast<std::size_t>(model.input_shape().size());
    if (inputs.size() % in != 0)
        fail(ErrorCode::model, "predict",
             text("got ", inputs.size(), " input values; expected a multiple of ", in, ", the size of one sample ", to_text(model.input_shape())).view());
    std::vector<float> outputs(inputs.size() / in * static_cast<std::size_t>(model.output_shape().size()));
    if (!outputs.empty()) model.predict(inputs, outputs);
    return outputs;
}
/// Throws Error(model) when the outputs are no scores of classes.
inline const AnyModel& classifier(const AnyModel& model) {
    if (model.output_shape().rank != 1 || model.output_shape().size() < 2)
        fail(ErrorCode::model, "predict",
             text("takes a network that gives a score for each of two classes or more; this one gives ", to_text(model.output_shape()),
                  "; of logits of yes and no, predict_label_probabilities gives the probabilities")
                 .view());
    return model;
}
inline std::vector<std::int32_t> largest(std::span<const float> outputs, index_t each) {
    std::vector<std::int32_t> classes;
    for (auto at = outputs.begin(); at != outputs.end(); at += each) classes.push_back(static_cast<std::int32_t>(std::max_element(at, at + each) - at));
    return classes;
}
/// In place.
inline std::vector<float> sigmoid(std::vector<float> outputs) {
    activation_forward(Reference<float>{}, Activation::sigmoid, {}, std::ssize(outputs), outputs.data(), outputs.data());
    return outputs;
}
inline std::vector<float> softmax(const std::vector<float>& outputs, index_t each) {
    std::vector<float> shares(outputs.size());
    softmax_forward(Reference<float>{}, NormDims{.outer = std::ssize(outputs) / each, .channels = each}, outputs.data(), shares.data());
    return shares;
}

}  // namespace detail

DLA_ONCE std::vector<std::int32_t> predict_classes(const AnyModel& model, const AnyData& data, index_t batch_size) {
    return detail::largest(predict(detail::classifier(model), data, batch_size), model.output_shape().size());
}
DLA_ONCE std::vector<std::int32_t> predict_classes(const AnyModel& model, std::span<const float> inputs) {
    return detail::largest(detail::outputs_of(detail::classifier(model), inputs), model.output_shape().size());
}
DLA_ONCE std::vector<float> predict_probabilities(const AnyModel& model, const AnyData& data, index_t batch_size) {
    return detail::softmax(predict(detail::classifier(model), data, batch_size), model.output_shape().size());
}
DLA_ONCE std::vector<float> predict_probabilities(const AnyModel& model, std::span<const float> inputs) {
    return detail::softmax(detail::outputs_of(detail::classifier(model), inputs), model.output_shape().size());
}
DLA_ONCE std::vector<float> predict_label_probabilities(const AnyModel& model, const AnyData& data, index_t batch_size) {
    return detail::sigmoid(predict(model, data, batch_size));
}
DLA_ONCE std::vector<float> predict_label_probabilities(const AnyModel& model, std::span<const float> inputs) {
    return detail::sigmoid(detail::outputs_of(model, inputs));
}

}  // namespace dla
