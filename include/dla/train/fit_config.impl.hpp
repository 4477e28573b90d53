// SPDX-License-Identifier: MIT
// The options of fit as text: what a resumed run must have in common with the one that it goes on with.
#pragma once

#include <dla/io/json.hpp>

#include <limits>

namespace dla::detail {

/// All numbers of a loss; what a SampleLoss computes cannot be written.
inline Json loss_json(const AnyLoss& any) {
    Json j = {{"kind", any.get().index()}};
    std::visit(
        [&](const auto& loss) {
            j["reduction"] = static_cast<int>(loss.reduction);
            if constexpr (requires { loss.label_smoothing; }) j["label_smoothing"] = loss.label_smoothing;
            if constexpr (requires { loss.ignore_index; }) j["ignore_index"] = loss.ignore_index;
            if constexpr (requires { loss.class_weights; }) j["class_weights"] = loss.class_weights;
            if constexpr (requires { loss.pos_weight; }) j["pos_weight"] = loss.pos_weight;
            if constexpr (requires { loss.delta; }) j["delta"] = loss.delta;
            if constexpr (requires { loss.beta; }) j["beta"] = loss.beta;
            if constexpr (requires { loss.targets; }) j["targets"] = loss.targets;
        },
        any.get());
    return j;
}
/// A number that changes with the rates and momenta that a schedule gives, as far as they can be told beforehand.
inline std::string schedule_fingerprint(AnySchedule schedule, int epochs, index_t steps) {
    Fnv1a hash;
    hash.add(std::string_view(schedule.name()));
    index_t left = 20000;
    for (int epoch = 0; epoch < epochs && left > 0; ++epoch) {
        for (index_t step = 0; step < steps && left > 0 && !schedule.finished(); ++step, --left) {
            const double numbers[] = {schedule.learning_rate(), schedule.momentum().value_or(-1)};
            hash.add_words(numbers, sizeof numbers);
            schedule.after_step();
        }
        schedule.after_epoch(1);
    }
    return to_hex(hash.value());
}
/// What a resumed run must have in common with the one that it goes on with, a line for each.
inline std::string fit_config(const FitOptions& o, const AnyData& data, const AnyLoss& loss, const Optimizer& optimizer, const AnySchedule& schedule,
                              const AnyModel& model, const Loader& train, const Loader* validation) {
    Fnv1a layers;
    for (const LayerRow& row : model.index().layers) layers.add(row.path + row.name + row.settings);
    const Augmentation& a = o.augmentation;
    Json j;
    j["epochs"] = o.epochs;
    j["batch_size"] = o.batch_size;
    j["batches"] = train.batches();
    j["loss"] = loss_json(loss);
    j["optimizer"] = optimizer.settings();
    j["schedule"] = schedule_fingerprint(schedule, o.epochs, train.batches());
    if (o.split) {
        Fnv1a chosen;
        for (const auto* part : {&o.split->train, &o.split->validation}) {
            chosen.add(std::uint64_t{part->size()});
            chosen.add_words(part->data(), part->size() * sizeof(std::uint32_t));
        }
        j["split"] = to_hex(chosen.value());
    }
    j["validation"] = {validation ? validation->samples() : 0, o.validation ? to_hex(o.validation->fingerprint()) : ""};
    j["augmentation"] = {a.padding, a.flip, a.cutout, a.contrast, a.brightness};
    j["transforms"] = {data.transforms(), o.validation && o.validation->transforms()};
    j["balanced"] = o.balanced;
    const auto note = [&](const char* key, const std::vector<double>& weights) {
        Fnv1a hash;
        hash.add_words(weights.data(), weights.size() * sizeof(double));
        if (!weights.empty()) j[key] = to_hex(hash.value());
    };
    note("sampling_weights", o.sampling_weights);
    note("validation_weights", o.validation_weights);
    j["clip_norm"] = o.clip_norm;
    j["micro_batches"] = o.micro_batches;
    j["early_stopping_patience"] = o.early_stopping_patience;
    j["monitor"] = o.monitor;
    j["seed"] = static_cast<std::uint64_t>(o.seed);
    j["parameters"] = model.index().parameter_count();
    j["layers"] = to_hex(layers.value());
    for (const auto& metric : o.metrics) j["metrics"].push_back(metric->name() + (metric->settings().empty() ? "" : " " + metric->settings()));
    for (const ParamRow& row : model.index().parameters)
        if (!row.trainable) j["frozen"].push_back(row.path);
    for (const std::string& path : model.eval_layers()) j["eval"].push_back(path);
    if (model.compute_type() != "f32") j["compute_type"] = model.compute_type();
    std::string text;
    for (const auto& [key, value] : j.items()) text += key + " = " + value.dump() + "\n";
    return text;
}

}  // namespace dla::detail
