// SPDX-License-Identifier: MIT
// What checkpoints say, how they are checked, and how a run goes on from one.
#pragma once

#include <dla/data/fingerprint.hpp>
#include <dla/io/json.hpp>

#include <algorithm>
#include <limits>

namespace dla {

namespace detail {

inline constexpr std::string_view checkpoint_format = "dla-checkpoint-1";

inline void add_weights(std::vector<StoredTensor>& tensors, const ParamIndex& index, const std::string& prefix, const Weights& w) {
    std::size_t array = 0, counter = 0;
    for_each_row(
        index, [&](const auto& row) { tensors.push_back({prefix + row.path, stored_type_of(w.type), row.dims.sizes(), std::span(w.arrays[array++])}); },
        [&](const CounterRow& row) { tensors.push_back({prefix + row.path, StoredType::i64, {}, std::as_bytes(std::span(&w.counters[counter++], 1))}); });
}
/// Throws Error(checkpoint) for values that no training leaves: not finite, a negative variance, a negative count.
inline Weights read_weights(const SafetensorsFile& file, const ParamAccess& model, const std::string& prefix) {
    Weights w{.type = model.value_type()};
    const auto refuse = [&](const std::string& path, const char* what) {
        fail(ErrorCode::checkpoint, file.where(), "tensor \"" + prefix + path + "\" " + what);
    };
    for_each_row(
        model.index(),
        [&](const auto& row) {
            std::vector<std::byte>& host = new_array(w.arrays, row.count, w.type);
            copy_values(file, prefix + row.path, row.dims.sizes(), w.type, host);
            if (!all_finite_in(host, w.type)) refuse(row.path, "holds a value that is not finite");
            if (row.path.ends_with("running_var") && any_negative_in(host, w.type)) refuse(row.path, "holds a negative variance");
        },
        [&](const CounterRow& row) {
            std::int64_t& count = w.counters.emplace_back();
            file.copy_to<std::int64_t>(prefix + row.path, {}, std::span(&count, 1));
            if (count < 0) refuse(row.path, "is negative");
        });
    return w;
}

inline Json to_json(const EpochMetrics& m) {
    Json j = {{"epoch", m.epoch},       {"train_loss", m.train_loss},     {"train_accuracy", m.train_accuracy},
              {"val_loss", m.val_loss}, {"val_accuracy", m.val_accuracy}, {"learning_rate", m.learning_rate}};
    if (!m.metrics.empty()) j["metrics"] = Json::object();
    for (const NamedNumber& n : m.metrics) j["metrics"][n.name] = n.value;
    return j;
}
/// A number that JSON stores as null when it is not finite.
inline double number(const Json& j) { return j.is_null() ? std::numeric_limits<double>::quiet_NaN() : j.get<double>(); }
/// A count from a file that may be damaged. Throws Error(checkpoint) for anything but an integer that fits.
template <class Integer = std::int64_t>
Integer count(const Json& j, const char* key, const std::string& where) {
    const Json& value = j.at(key);
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<Integer>::max()))
        fail(ErrorCode::checkpoint, where, std::string("its state has no count '") + key + "'");
    return static_cast<Integer>(value.get<std::uint64_t>());
}

inline Json state_json(const RunState& s, const Optimizer* optimizer, const AnySchedule* schedule) {
    Json j;
    j["kind"] = s.kind;
    if (optimizer && !s.run.empty()) j["run"] = s.run;  // in what a run goes on from; two runs may end with the same weights, byte for byte
    if (optimizer && !s.options.empty()) j["options"] = s.options;
    j["isa"] = s.isa;
    j["data_fingerprint"] = s.data_fingerprint;
    j["seed"] = s.seed;
    j["epoch"] = s.epoch;
    j["batch"] = s.batch;
    j["step"] = s.step;
    j["running"] = {{"loss_sum", s.running.loss_sum}, {"correct", s.running.correct}, {"count", s.running.count}};
    if (s.running.weight != static_cast<double>(s.running.count)) j["running"]["weight"] = s.running.weight;  // only where there are class weights
    const char* of = s.monitor == RunState{}.monitor ? "accuracy" : "value";
    j["best"] = {{of, s.stopping.best}, {"epoch", s.stopping.best_epoch}, {"epochs_without_improvement", s.stopping.epochs_without_improvement}};
    if (s.averages) j["averages"] = true;
    if (s.monitor != RunState{}.monitor) j["best"]["of"] = s.monitor, j["best"]["higher_is_better"] = s.higher_is_better;
    j["history"] = Json::array();
    for (const EpochMetrics& m : s.history) j["history"].push_back(to_json(m));
    if (s.test_accuracy) j["test_accuracy"] = *s.test_accuracy;
    if (optimizer) j["optimizer"] = {{"name", optimizer->name()}, {"steps", optimizer->steps()}};
    if (optimizer)  // parameters that were frozen for a while have taken fewer
        if (const auto steps = optimizer->steps_of_parameters(); std::ranges::count(steps, s.step) < std::ssize(steps))
            j["optimizer"]["steps_of_parameters"] = steps;
    if (schedule) {
        j["schedule"] = Json::object();
        for (const NamedNumber& n : schedule->state()) j["schedule"][n.name] = n.value;
    }
    return j;
}

}  // namespace detail

DLA_ONCE std::vector<StoredTensor> stored_tensors(const ParamIndex& index, const Weights& weights) {
    std::vector<StoredTensor> tensors;
    detail::add_weights(tensors, index, "", weights);
    return tensors;
}

DLA_ONCE void save_checkpoint(const std::string& path, const AnyModel& model, const RunState& state, Optimizer* optimizer, const AnySchedule* schedule) {
    const ParamIndex& index = model.index();
    const Weights weights = take_weights(model);
    std::vector<StoredTensor> tensors = stored_tensors(index, weights);
    std::vector<std::vector<std::byte>> slots;
    if (optimizer) {
        slots.reserve(index.parameters.size() * static_cast<std::size_t>(optimizer->slot_count()));
        for (int slot = 0; slot < optimizer->slot_count(); ++slot)
            for (const ParamRow& row : index.parameters) {
                std::vector<std::byte>& host = detail::new_array(slots, row.count, weights.type);
                if (optimizer->steps() > 0) model.read(*optimizer, slot, row, std::span(host));
                tensors.push_back({std::string("optimizer.") + optimizer->slot_names()[static_cast<std::size_t>(slot)] + "." + row.path,
                                   detail::stored_type_of(weights.type), row.dims.sizes(), std::as_bytes(std::span(host))});
            }
        if (!state.best.empty()) detail::add_weights(tensors, index, "best.", state.best);
        if (!state.average.empty()) detail::add_weights(tensors, index, "average.", state.average);
    }
    StoredMetadata metadata(state.data.begin(), state.data.end());
    metadata["format"] = detail::checkpoint_format;
    metadata["config"] = state.config;
    metadata["state"] = to_string(detail::state_json(state, optimizer, schedule));
    write_safetensors(path, tensors, metadata);
}

DLA_ONCE Checkpoint::Checkpoint(SafetensorsFile file) : file_(std::move(file)) {
    const std::string format = metadata("format");
    if (format != detail::checkpoint_format)
        fail(ErrorCode::checkpoint, file_.where(), "has format '" + format.substr(0, 40) + "'; expected '" + std::string(detail::checkpoint_format) + "'");
    state_.config = metadata("config");
    for (const auto& [key, value] : file_.metadata())
        if (key.starts_with("dla.data.")) state_.data[key] = value;
    const Json j = parse_json(metadata("state"), file_.where(), ErrorCode::checkpoint);
    try {
        j.at("kind").get_to(state_.kind);
        if (j.contains("run")) j.at("run").get_to(state_.run);
        if (j.contains("options")) j.at("options").get_to(state_.options);
        j.at("isa").get_to(state_.isa);
        const auto integer = [this]<class T>(const Json& from, const char* key, T& to) { to = detail::count<T>(from, key, file_.where()); };
        integer(j, "data_fingerprint", state_.data_fingerprint);
        integer(j, "seed", state_.seed);
        integer(j, "epoch", state_.epoch);
        integer(j, "batch", state_.batch);
        integer(j, "step", state_.step);
        state_.running.loss_sum = detail::number(j.at("running").at("loss_sum"));
        integer(j.at("running"), "correct", state_.running.correct);
        integer(j.at("running"), "count", state_.running.count);
        state_.running.weight = detail::number(j.at("running").value("weight", Json(state_.running.count)));
        if (j.contains("averages")) j.at("averages").get_to(state_.averages);
        const bool of_accuracy = !j.at("best").contains("of");
        if (!of_accuracy) j.at("best").at("of").get_to(state_.monitor), j.at("best").at("higher_is_better").get_to(state_.higher_is_better);
        state_.stopping.best = detail::number(j.at("best").at(of_accuracy ? "accuracy" : "value"));
        integer(j.at("best"), "epoch", state_.stopping.best_epoch);
        integer(j.at("best"), "epochs_without_improvement", state_.stopping.epochs_without_improvement);
        for (const Json& m : j.at("history")) {
            const auto real = [&m](const char* key) { return detail::number(m.at(key)); };
            state_.history.push_back({0, real("train_loss"), real("train_accuracy"), real("val_loss"), real("val_accuracy"), real("learning_rate")});
            integer(m, "epoch", state_.history.back().epoch);
            if (m.contains("metrics"))
                for (const auto& [name, value] : m.at("metrics").items()) state_.history.back().metrics.push_back({name, detail::number(value)});
        }
        if (j.contains("test_accuracy")) state_.test_accuracy = detail::number(j.at("test_accuracy"));
        if (j.contains("optimizer")) {
            optimizer_ = j.at("optimizer").at("name").get<std::string>();
            integer(j.at("optimizer"), "steps", optimizer_steps_);
            if (j.at("optimizer").contains("steps_of_parameters"))
                for (const Json& steps : j.at("optimizer").at("steps_of_parameters"))
                    integer(Json{{"steps", steps}}, "steps", steps_of_parameters_.emplace_back());
        }
        if (j.contains("schedule"))
            for (const auto& [name, value] : j.at("schedule").items()) schedule_.push_back({name, detail::number(value)});
    } catch (const Json::exception& e) {
        fail(ErrorCode::checkpoint, file_.where(), "its state is incomplete: " + detail::json_reason(e));
    }
    const EarlyStopping& best = state_.stopping;
    bool consistent = std::ssize(state_.history) == state_.epoch && best.best_epoch + std::int64_t{best.epochs_without_improvement} == state_.epoch;
    const auto percent = [](double v) { return !(v < 0 || v > 100); };
    for (std::size_t i = 0; consistent && i < state_.history.size(); ++i) {
        const EpochMetrics& m = state_.history[i];
        consistent = m.epoch == static_cast<int>(i) + 1 && percent(m.train_accuracy) && percent(m.val_accuracy) && !(m.learning_rate < 0);
    }
    EarlyStopping replayed;
    for (const EpochMetrics& m : state_.history) replayed.update(m.epoch, m.find(state_.monitor), state_.higher_is_better);
    consistent = consistent && (state_.history.empty() || replayed == best) && is_finite(state_.running.loss_sum);
    const bool percents = best.best_epoch > 0 && state_.monitor == RunState{}.monitor;
    consistent = consistent && (!percents || percent(best.best)) && percent(state_.test_accuracy.value_or(0)) && state_.running.correct <= state_.running.count;
    if (!consistent || !(state_.running.weight >= 0 && is_finite(state_.running.weight)) ||
        (can_resume() && (steps_of_parameters_.empty() ? optimizer_steps_ != state_.step : optimizer_steps_ > state_.step)))
        fail(ErrorCode::checkpoint, file_.where(), "its state contradicts itself: the file is damaged, or was changed by hand");
}

DLA_ONCE void Checkpoint::load_weights(AnyModel& model) const { put_weights(model, detail::read_weights(file_, model, "")); }

DLA_ONCE RunState Checkpoint::load_run(AnyModel& model, Optimizer& optimizer, AnySchedule& schedule) const {
    if (!can_resume()) fail(ErrorCode::checkpoint, file_.where(), "holds weights only; resume from a checkpoint named ..._epoch_N or ..._interrupted");
    if (optimizer_ != optimizer.name())
        fail(ErrorCode::checkpoint, file_.where(), "was written with optimizer " + optimizer_ + "; this run has " + std::string(optimizer.name()));
    RunState state = state_;
    const ParamIndex& index = model.index();
    if (!steps_of_parameters_.empty() && steps_of_parameters_.size() != index.parameters.size())
        fail(ErrorCode::checkpoint, file_.where(),
             "has steps of " + std::to_string(steps_of_parameters_.size()) + " parameters; expected " + std::to_string(index.parameters.size()));
    const Weights weights = detail::read_weights(file_, model, "");
    if (state.stopping.best_epoch > 0) state.best = detail::read_weights(file_, model, "best.");
    if (state.averages && state.step > 0) state.average = detail::read_weights(file_, model, "average.");
    const ValueType type = model.value_type();
    std::vector<std::vector<std::byte>> slots;
    for (int slot = 0; slot < optimizer.slot_count(); ++slot)
        for (const ParamRow& row : index.parameters)
            detail::copy_values(file_, std::string("optimizer.") + optimizer.slot_names()[static_cast<std::size_t>(slot)] + "." + row.path, row.dims.sizes(),
                                type, detail::new_array(slots, row.count, type));
    std::size_t read = 0;
    for (int slot = 0; slot < optimizer.slot_count(); ++slot)
        for (const ParamRow& row : index.parameters) {
            const std::string_view name = optimizer.slot_names()[static_cast<std::size_t>(slot)];
            const bool squares = name == "exp_avg_sq";
            const std::vector<std::byte>& values = slots[read++];
            if (!detail::all_finite_in(values, type) || (squares && detail::any_negative_in(values, type)))
                fail(ErrorCode::checkpoint, file_.where(),
                     "optimizer." + std::string(name) + "." + row.path + " has a value that " + (squares ? "is negative or not finite" : "is not finite") +
                         "; the file is damaged, or was changed by hand");
        }
    schedule.restore(schedule_);
    optimizer.set_steps(optimizer_steps_);
    if (!steps_of_parameters_.empty()) optimizer.set_steps_of_parameters(steps_of_parameters_);
    put_weights(model, weights);
    std::size_t next = 0;
    for (int slot = 0; slot < optimizer.slot_count(); ++slot)
        for (const ParamRow& row : index.parameters) model.write(optimizer, slot, row, std::span<const std::byte>(slots[next++]));
    return state;
}

DLA_ONCE std::string Checkpoint::metadata(const std::string& key) const {
    const auto at = file_.metadata().find(key);
    if (at == file_.metadata().end()) fail(ErrorCode::checkpoint, file_.where(), "has no metadata '" + key + "'; it is not a checkpoint of this library");
    return at->second;
}

}  // namespace dla
