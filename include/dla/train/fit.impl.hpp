// SPDX-License-Identifier: MIT
// What fit is made of: loaders, a Trainer, a log.
#pragma once

#include <dla/io/json.hpp>
#include <dla/train/fit_log.hpp>
#include <dla/train/fit_plan.hpp>
#include <dla/train/signals.hpp>
#include <dla/train/trainer.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

namespace dla {

namespace detail {

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
    if (a.saturation != 0 || a.rotate != 0 || a.scale != 0) j["augmentation"].insert(j["augmentation"].end(), {a.saturation, a.rotate, a.scale});
    if (o.mixup != 0) j["mixup"] = o.mixup;
    if (o.ema_decay != 0) j["ema_decay"] = o.ema_decay;
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

/// The texts, if a file can hold them: names of folders need not be UTF-8.
inline std::map<std::string, std::string> storable(std::map<std::string, std::string> texts) {
    try {
        static_cast<void>(Json(texts).dump());
        return texts;
    } catch (const Json::exception&) {
        return {};
    }
}
inline RunPlaceOptions place_options(const FitOptions& o) {
    return {.name = o.name,
            .checkpoint_dir = o.checkpoint_dir,
            .log_folder = o.log_dir.empty() ? "" : o.log_dir + "/" + o.name,
            .earlier = o.resume      ? EarlierRun::resume_if_any
                       : o.overwrite ? EarlierRun::overwrite
                                     : EarlierRun::refuse,
            .run_id = o.run_id,
            .to_resume = "resume = true",
            .to_overwrite = "overwrite = true"};
}

/// Without a place takes that of the options, when all else is known to be right.
inline TrainingResult fit(AnyModel& model, const AnyData& data, const FitOptions& o, RunPlace* place) {
    require_fit("fit", o.epochs >= 1, "epochs must be at least 1");
    require_fit("fit", !(o.resume && o.overwrite), "resume goes on with what is there and overwrite removes it; choose one");
    require_fit("fit", !o.resume || !o.checkpoint_dir.empty(), "resume needs a checkpoint_dir");
    require_fit("fit", o.name.find('/') == o.name.npos && !o.name.empty(), "name must be the beginning of a file name");
    require_fit("fit", std::ranges::find(o.callbacks, nullptr) == o.callbacks.end(), "a callback is null");
    require_fit("fit", o.run_id.empty() || is_run_id(o.run_id), "run_id takes up to 64 letters, digits, _ and -");
    auto [loss, train, validation, optimizer, schedule] = plan_fit("fit", model, data, o);
    if (o.test) check_fit("fit, test", model, *o.test, &loss), check_targets("fit, test", o, *o.test, loss);
    std::unique_ptr<Loader> test;
    if (o.test) test = o.test->loader(o.test->samples(), evaluation_options(o.batch_size, o.workers));
    if (test) try_metrics(model, *test, o.metrics, {});
    require_fit("fit", !o.test_mirrored || o.test, "test_mirrored needs something to test on");
    if (o.test_mirrored) static_cast<void>(o.test->mirrored());

    std::optional<RunPlace> own;
    const RunPlaceOptions where = place ? place->options() : place_options(o);
    Trainer trainer(model, optimizer, schedule, loss, *train, validation.get(),
                    {.name = where.name,
                     .checkpoint_dir = where.checkpoint_dir,
                     .epochs = o.epochs,
                     .log_every = o.log_every,
                     .save_every = o.save_every,
                     .early_stopping_patience = o.early_stopping_patience,
                     .monitor = o.monitor,
                     .metrics = test && !validation ? std::vector<std::shared_ptr<Metric>>{} : o.metrics,
                     .validation_weights = o.validation_weights,
                     .clip_norm = o.clip_norm,
                     .micro_batches = o.micro_batches,
                     .ema_decay = o.ema_decay,
                     .stats = o.stats,
                     .quiet = o.quiet});
    RunState& state = trainer.state();
    state.config = fit_config(o, data, loss, optimizer, schedule, model, *train, validation.get());
    if (!o.config.empty()) state.options = std::exchange(state.config, o.config);
    state.isa = model.computes_on();
    state.seed = static_cast<std::uint64_t>(o.seed);
    state.data_fingerprint = data.fingerprint();
    state.data = storable(data.metadata());

    if (!place) place = &own.emplace(where);
    const std::string resumed_from = place->begin(trainer, o.quiet);

    for (TrainingCallback* callback : o.callbacks) callback->take_stop();  // of another run
    FitLog log(o.callbacks, o.quiet);
    if (!where.log_folder.empty()) log.open(where.log_folder, state);
    std::optional<SignalGuard> signals;  // until the test is done and saved, where the trainer would have one
    if (!where.checkpoint_dir.empty()) signals.emplace();
    TrainingResult result = trainer.run(log);
    result.resumed_from = resumed_from;
    if (result.state.kind == "interrupted") {
        if (!result.checkpoint.empty())
            std::fprintf(stderr, "note: training of '%s' was interrupted by signal %d after epoch %d, batch %lld; everything is in %s; go on with it by %s\n",
                         where.name.c_str(), result.interrupted_by, result.state.epoch, static_cast<long long>(result.state.batch), result.checkpoint.c_str(),
                         where.to_resume.c_str());
        return result;
    }
    if (test) {
        result.test = evaluate(model, loss, *test, o.metrics);
        if (o.test_mirrored) result.test->metrics.push_back({"accuracy_mirrored", mirrored_accuracy(model, *o.test, o.batch_size)});
        if (log.files()) log.files()->test(*result.test, result.state.epoch, result.state.step);
        if (!where.checkpoint_dir.empty()) result.checkpoint = trainer.save_final(*result.test);
        if (!is_nan(result.test->accuracy)) result.state.test_accuracy = result.test->accuracy;
    }
    if (log.files()) {
        const PlotResult plot = log.files()->plot(result.state, where.name);
        if (plot.drawn) result.curve = plot.files[0];
        if (!plot.drawn) std::fprintf(stderr, "note: no training curve: %s\n", plot.message.c_str());
    }
    result.interrupted_by = std::max(result.interrupted_by, SignalGuard::caught());
    return result;
}

}  // namespace detail

DLA_ONCE TrainingResult fit(AnyModel& model, const AnyData& data, FitOptions o) { return detail::fit(model, data, o, nullptr); }

DLA_ONCE TrainingResult fit(AnyModel& model, const AnyData& data, FitOptions o, RunPlace& place) {
    if (!o.checkpoint_dir.empty() || !o.log_dir.empty() || !o.run_id.empty() || o.resume || o.overwrite)
        fail(ErrorCode::usage, "fit", "the place of the run says its folders, and what becomes of an earlier run; leave them out of the options");
    return detail::fit(model, data, o, &place);
}

}  // namespace dla
