// SPDX-License-Identifier: MIT
// How models are evaluated, and what they predict.
#pragma once

#include <dla/kernels/reference.hpp>

#include <algorithm>
#include <cstdio>
#include <limits>

namespace dla {

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
    const std::string for_autoencoders =
        data.classes() > 0 && data.input_shape().rank == 3 && out.size() == data.input_shape().size()
            ? "; the targets of the data are class numbers: for a network that gives back its inputs, give ArrayData with the inputs as targets, too"
            : "";
    try {
        loss->check(out);
    } catch (const Error& e) {
        throw e.with(for_autoencoders);
    }
    if (loss->takes_labels() != (data.classes() > 0))
        fail(ErrorCode::data, who,
             loss->takes_labels()       ? "the loss takes class numbers; the targets of the data are values"
             : for_autoencoders.empty() ? loss->counts_correct() ? "the loss takes probabilities; the targets of the data are class numbers, with which "
                                                                   "`accuracy` and `evaluate` compare the model when it is trained"
                                                                 : "the loss takes values; the targets of the data are class numbers"
                                        : "the loss takes values" + for_autoencoders);
    const index_t expected = loss->targets_per_sample(out);
    if (loss->counts_correct() && loss->takes_labels() && data.target_size() == 1 && expected > 1)
        fail(ErrorCode::data, who,
             std::string(text("the network gives ", to_text(out), ", scores for each of ", expected,
                              " places, and the data have one class number for each sample; did you forget Flatten?")
                             .view()) +
                 for_autoencoders);
    if (loss->takes_labels() && loss->counts_correct() && data.classes() > out.size() / expected)
        fail(ErrorCode::data, who,
             text("the data have ", data.classes(), " classes; the network gives ", out.size() / expected, " outputs")
                 .append(data.classes() == 256 ? "; where 255 is not to count, data say -100 (dla::uncounted) and ignore_index stays" : "")
                 .view());
    if (data.target_size() != expected)
        fail(ErrorCode::data, who,
             text("the loss compares ", expected, " values for each sample with the network's outputs ", to_text(out), "; the targets of the data have ",
                  data.target_size())
                 .view());
    const Shape targets = data.target_shape();
    if (targets.rank == 3 && out.rank == 3 && (targets.d[1] != out.d[1] || targets.d[2] != out.d[2]))
        fail(ErrorCode::data, who,
             text("the targets of the data are ", to_text(targets), " and the network's outputs ", to_text(out), ": of other sides").view());
    if (targets.rank == 3 && out.rank == 3 && targets.order != out.order)
        fail(ErrorCode::data, who,
             text("the targets of the data are ", to_text(targets), " and the network's outputs ", to_text(out), ": in another order in memory").view());
}

/// The weights of a batch's samples, from those of all samples of the data.
inline void weights_of_batch(const Batch& batch, std::span<const double> of_data, std::vector<double>& weights) {
    weights.clear();
    if (!of_data.empty())
        for (const std::uint32_t sample : batch.samples) weights.push_back(of_data[sample]);
}
/// Throws Error(data) for weights that do not fit the data that the loader reads, and where all that it reads weigh nothing.
inline void check_sample_weights(const char* who, const Loader& loader, std::span<const double> weights) {
    if (weights.empty()) return;
    check_weights(who, weights, static_cast<std::size_t>(loader.source().size()));
    if (std::ranges::all_of(loader.sample_indices(), [&](std::uint32_t sample) { return weights[sample] == 0; }))
        fail(ErrorCode::data, who, "the weights of all samples are 0; there is nothing to measure");
}
/// Class numbers as metrics take them: what the loss ignores is -100. `memory` holds those that had to be written anew.
inline Targets counted_targets(const AnyLoss& any, const Targets& targets, std::vector<std::int32_t>& memory) {
    const auto* loss = std::get_if<CrossEntropy>(&any.get());
    if (loss == nullptr || loss->ignore_index == uncounted) return targets;
    memory.assign(targets.labels.begin(), targets.labels.end());
    std::ranges::replace(memory, loss->ignore_index, uncounted);
    return memory;
}
/// Throws now, before anything is trained, what a metric would throw when something is measured.
inline void try_metrics(const AnyModel& model, Loader& loader, std::span<const std::shared_ptr<Metric>> metrics, std::span<const double> sample_weights) {
    if (metrics.empty()) return;
    loader.start_epoch(0);
    const Batch& batch = *loader.next();
    const std::vector<float> outputs(static_cast<std::size_t>(batch.count * model.output_shape().size()));
    std::vector<double> weights;
    weights_of_batch(batch, sample_weights, weights);
    for (const auto& metric : metrics) metric->reset(), metric->add(outputs, batch.targets(), batch.count, weights);
}
/// What the samples of a batch give that count by weights.
struct WeightedResult {
    LossResult loss;                  // `counted`: labels that count, of samples that weigh something
    double correct = 0, counted = 0;  // sums of weights
};
/// Each sample by itself, from the outputs that were computed for all of them.
inline WeightedResult weighted(const AnyLoss& any, const LossResult& batch, const Shape& out, std::span<const float> outputs, const Targets& targets,
                               std::span<const double> weights) {
    using P = Reference<float>;
    const bool mean = std::visit([](const auto& loss) { return loss.reduction == Reduction::mean; }, any.get());
    WeightedResult all;
    double sum = 0, weight = 0;
    any.with<float>([&](const auto& loss) {
        const auto* target = [&] {
            if constexpr (std::is_same_v<typename std::decay_t<decltype(loss)>::Target, std::int32_t>)
                return targets.labels.data();
            else
                return targets.values.data();
        }();
        std::vector<typename P::statistic> own;  // of the classes
        if (const auto* given = loss.weights()) own.assign(given->begin(), given->end());
        std::vector<std::byte> scratch(static_cast<std::size_t>(loss.scratch(P{}, 1, out)));
        Context<P> c;
        c.scratch = scratch.data();
        for (std::size_t i = 0; i < weights.size(); ++i) {
            LossResult one;
            const auto row = static_cast<index_t>(i);
            loss.evaluate(c, ConstView<P>(outputs.data() + row * out.size(), 1, out), target + row * loss.targets_per_sample(out),
                          own.empty() ? nullptr : own.data(), &one, View<P>{});
            if (one.counted == 0 || weights[i] == 0) continue;
            all.loss.counted += one.counted;
            all.counted += weights[i] * static_cast<double>(one.counted);
            all.correct += weights[i] * static_cast<double>(one.correct);
            if (one.weight == 0) continue;
            sum += weights[i] * one.loss * (mean ? one.weight : 1);
            weight += weights[i] * one.weight;
        }
    });
    all.loss.loss = mean && weight != 0 ? sum / weight : sum;
    all.loss.weight = mean ? weight : batch.weight;
    return all;
}

}  // namespace detail

DLA_ONCE std::ostream& operator<<(std::ostream& out, const Evaluation& e) {
    char number[64];
    std::snprintf(number, sizeof number, "loss %.4f", e.loss);
    out << number;
    if (!is_nan(e.accuracy)) {
        std::snprintf(number, sizeof number, ", accuracy %.2f %%", e.accuracy);
        out << number;
    }
    for (const NamedNumber& m : e.metrics) {
        std::snprintf(number, sizeof number, " %.4g", m.value);
        out << ", " << m.name << number;
    }
    return out << " (" << e.samples << " samples)";
}

DLA_ONCE Evaluation evaluate(const AnyModel& model, const AnyLoss& loss, Loader& loader, std::span<const std::shared_ptr<Metric>> metrics,
                             std::span<const double> sample_weights) {
    const bool weighted = !sample_weights.empty();
    detail::check_sample_weights("evaluate", loader, sample_weights);
    RunningMean mean;
    double correct = 0, counted = 0;  // by weight
    std::vector<float> outputs;
    std::vector<double> weights;
    std::vector<std::int32_t> labels;
    for (const auto& metric : metrics) metric->reset();
    loader.start_epoch(0);
    while (const Batch* batch = loader.next()) {
        if (weighted || !metrics.empty()) outputs.resize(static_cast<std::size_t>(batch->count * model.output_shape().size()));
        const LossResult result = model.evaluate(loss, batch->inputs, batch->targets(), outputs);
        if (weighted) {
            detail::weights_of_batch(*batch, sample_weights, weights);
            const detail::WeightedResult w = detail::weighted(loss, result, model.output_shape(), outputs, batch->targets(), weights);
            mean.add(w.loss);
            correct += w.correct, counted += w.counted;
        } else {
            mean.add(result);
            correct += static_cast<double>(result.correct), counted += static_cast<double>(result.counted);
        }
        if (metrics.empty()) continue;
        const Targets targets = detail::counted_targets(loss, batch->targets(), labels);
        for (const auto& metric : metrics) metric->add(outputs, targets, batch->count, weights);
    }
    Evaluation e{.loss = mean.loss(),
                 .accuracy = !loss.counts_correct() ? std::numeric_limits<double>::quiet_NaN()
                             : counted == 0         ? 0
                                                    : 100 * correct / counted,
                 .samples = std::ssize(loader.sample_indices()),
                 .counted = mean.count};
    for (const auto& metric : metrics) e.metrics.push_back({metric->name(), metric->value()});
    return e;
}

DLA_ONCE Evaluation evaluate(const AnyModel& model, const AnyData& data, const EvaluationOptions& o) {
    const AnyLoss loss = detail::loss_for(o.loss, data);
    detail::check_fit("evaluate", model, data, &loss);
    const auto loader = data.loader(data.samples(), evaluation_options(o.batch_size, 0));
    detail::check_names(o.metrics);
    return evaluate(model, loss, *loader, o.metrics, o.sample_weights);
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
    const Shape& out = model.output_shape();
    if (out.size() == 0 || (out.rank == 3 && !out.is_image()) || CrossEntropy::classes(out) < 2)
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
    return detail::largest(predict(detail::classifier(model), data, batch_size), CrossEntropy::classes(model.output_shape()));
}
DLA_ONCE std::vector<std::int32_t> predict_classes(const AnyModel& model, std::span<const float> inputs) {
    return detail::largest(detail::outputs_of(detail::classifier(model), inputs), CrossEntropy::classes(model.output_shape()));
}
DLA_ONCE double mirrored_accuracy(const AnyModel& model, const AnyData& data, index_t batch_size) {
    const AnyData mirrored = data.mirrored();
    std::vector<float> outputs = predict(detail::classifier(model), data, batch_size);
    const std::vector<float> others = predict(model, mirrored, batch_size);
    for (std::size_t i = 0; i < outputs.size(); ++i) outputs[i] += others[i];
    const std::vector<std::int32_t> classes = detail::largest(outputs, CrossEntropy::classes(model.output_shape()));
    const auto loader = data.loader(data.samples(), evaluation_options(batch_size, 0));
    std::size_t right = 0, sample = 0;
    loader->start_epoch(0);
    while (const Batch* batch = loader->next())
        for (const std::int32_t label : batch->labels) right += label == classes[sample++];
    return 100 * static_cast<double>(right) / static_cast<double>(std::max<std::size_t>(1, sample));
}

DLA_ONCE std::vector<float> predict_probabilities(const AnyModel& model, const AnyData& data, index_t batch_size) {
    return detail::softmax(predict(detail::classifier(model), data, batch_size), CrossEntropy::classes(model.output_shape()));
}
DLA_ONCE std::vector<float> predict_probabilities(const AnyModel& model, std::span<const float> inputs) {
    return detail::softmax(detail::outputs_of(detail::classifier(model), inputs), CrossEntropy::classes(model.output_shape()));
}
DLA_ONCE std::vector<float> predict_label_probabilities(const AnyModel& model, const AnyData& data, index_t batch_size) {
    return detail::sigmoid(predict(model, data, batch_size));
}
DLA_ONCE std::vector<float> predict_label_probabilities(const AnyModel& model, std::span<const float> inputs) {
    return detail::sigmoid(detail::outputs_of(model, inputs));
}

}  // namespace dla
