// SPDX-License-Identifier: MIT
// How the log of a run is written, and put right when a run goes on.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/io/folder_lock.hpp>
#include <dla/io/json.hpp>
#include <dla/io/plot.hpp>
#include <dla/io/tensorboard.hpp>
#include <dla/train/checkpoint.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>

namespace dla {

namespace detail {

/// What stays of a log when a run goes on.
struct KeptLines {
    std::optional<std::uint64_t> bytes;                     // nothing: there is no file
    std::vector<std::pair<std::int64_t, double>> losses{};  // of single steps
};
struct LogLine {
    std::int64_t step;
    bool epoch;
    std::string text;
};

/// f(what the line says, its text) for each whole line; what it says is null where it is damaged.
template <class F>
void for_each_line(const std::string& path, const F& f) {
    const auto bytes = read_file(path, std::uint64_t{1} << 30);
    const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    for (std::size_t at = 0, end = 0; (end = all.find('\n', at)) != all.npos; at = end + 1) {
        const std::string text(all.substr(at, end - at));
        Json j;
        try {
            j = parse_json(text, path, ErrorCode::io, 8, 100'000);
        } catch (const Error&) {
            // The caller says what is done about it.
        }
        f(j, text);
    }
}

/// The lines that belong to the run up to its checkpoint; the test is not among them, since every run ends with one. Puts a log right that is damaged.
inline KeptLines kept_lines(const std::string& path, const RunState& from) {
    std::error_code error;
    const bool there = std::filesystem::exists(path, error);
    if (there && !std::filesystem::is_regular_file(path, error)) fail(ErrorCode::io, path, "not a regular file; the metrics of a run are appended to one");
    if (from.step == 0) return there ? KeptLines{0} : KeptLines{};
    KeptLines kept{0};
    std::vector<LogLine> lines;
    std::vector<bool> seen(static_cast<std::size_t>(from.epoch) + 1);  // epochs
    std::string damage = there ? "" : "is missing";
    bool named = from.run.empty();
    std::int64_t number = 0;
    const auto take = [&](const Json& j, const std::string& text) {
        ++number;
        const auto damaged = [&] {
            if (damage.empty()) damage = "line " + std::to_string(number) + " is damaged";
        };
        static constexpr std::array<std::string_view, 5> types{"run", "step", "epoch", "stats", "test"};
        if (!j.is_object() || !j.value("step", Json()).is_number_integer() || !j.value("type", Json()).is_string()) return damaged();
        const auto type = j["type"].get<std::string>();
        if (std::find(types.begin(), types.end(), type) == types.end()) return damaged();
        const auto step = j["step"].get<std::int64_t>();
        if (type == "test" || step > from.step) return;
        if (type == "run" && !from.run.empty()) {
            if (j.value("run", Json()) != from.run)
                fail(ErrorCode::checkpoint, path, "is the log of another run than the checkpoint; give the run that is resumed its own folder");
            named = true;
        }
        if (type == "epoch") {  // one for each, with the numbers that the checkpoint has
            const Json e = j.value("epoch", Json());
            const auto epoch = e.is_number_unsigned() ? e.get<std::uint64_t>() : 0;
            if (epoch < 1 || epoch > from.history.size() || seen[epoch]) return damaged();
            const Json expected = parse_json(to_string(to_json(from.history[epoch - 1])), path);  // as it is written
            for (const auto& [key, value] : expected.items())
                if (j.value(key, Json()) != value) return damaged();
            seen[epoch] = true;
        }
        if (type == "step" && j.value("loss", Json()).is_number()) kept.losses.emplace_back(step, j["loss"].get<double>());
        lines.push_back({step, type != "step", text + "\n"});
    };
    if (there) for_each_line(path, take);
    if (!named) {
        lines.insert(lines.begin(), {0, true, to_string(Json{{"type", "run"}, {"step", 0}, {"run", from.run}}) + "\n"});
        if (damage.empty()) damage = "does not say whose it is";
    }
    std::string rebuilt;
    for (const EpochMetrics& m : from.history) {
        if (seen[static_cast<std::size_t>(m.epoch)]) continue;
        rebuilt += (rebuilt.empty() ? "" : ", ") + std::to_string(m.epoch);
        Json line = to_json(m);
        line["type"] = "epoch";
        line["step"] = m.epoch * ((from.step - from.batch) / from.epoch);
        const LogLine own{line["step"].get<std::int64_t>(), true, to_string(line) + "\n"};
        const auto behind = std::find_if(lines.begin(), lines.end(), [&](const LogLine& l) { return l.step > own.step; });
        lines.insert(behind, own);
    }
    std::string all;
    for (const LogLine& line : lines) all += line.text;
    kept.bytes = all.size();
    if (damage.empty() && rebuilt.empty()) return kept;
    if (damage.empty()) damage = "lacks lines";
    std::fprintf(stderr, "note: %s: %s%s\n", path.c_str(), damage.c_str(),
                 rebuilt.empty() ? "; it is put right" : ("; epochs " + rebuilt + " are taken from the checkpoint").c_str());
    write_file(path, all);
    return kept;
}

}  // namespace detail

/// What a run's folder holds, open for writing.
struct RunLog::Files {
    detail::KeptLines kept;
    JsonLines lines;
    EventWriter events;

    Files(const std::string& folder, const RunState& from)
        : kept(detail::kept_lines(folder + "/metrics.jsonl", from)),
          lines(folder + "/metrics.jsonl", kept.bytes),
          events(folder, from.step > 0 ? from.epoch + 1 : 0, from.run) {
        if (kept.bytes.value_or(0) == 0 && !from.run.empty()) lines.append({{"type", "run"}, {"step", 0}, {"run", from.run}});
        // TensorBoard withdraws by number alone, and most tags count epochs: the losses of single steps are told again.
        for (const auto& [step, loss] : kept.losses)
            if (step > from.epoch) events.scalar("Loss/step", loss, step);
        events.flush();
    }

    /// Scalars for each parameter and layer, and a line of metrics.jsonl with what can be drawn from one epoch alone.
    void statistics(const GradStats& stats, std::int64_t step, int epoch) {
        const auto scalar = [&](const std::string& tag, double value) {
            if (is_finite(value)) events.scalar(tag, value, epoch);
        };
        Json layers = Json::array();
        for (const LayerStats& l : stats.layers) {
            Json layer{{"path", l.path}, {"layer", l.type}};
            const auto put = [&](const char* key, const std::string& tag, double value) {
                scalar(tag + "/" + l.path, value);
                if (is_finite(value)) layer[key] = value;
            };
            put("gradient_norm", "Gradient_norm", l.gradient_norm);
            put("weight_norm", "Weight_norm", l.value_norm);
            put("update_ratio", "Update_ratio", l.update_ratio);
            put("dead", "Dead_units", l.dead);
            layers.push_back(std::move(layer));
        }
        scalar("Gradient_norm/mean_over_parameters", stats.mean_gradient_norm());
        lines.append({{"type", "stats"},
                      {"step", step},
                      {"epoch", epoch},
                      {"loss", stats.loss},
                      {"mean_gradient_norm", stats.mean_gradient_norm()},
                      {"layers", std::move(layers)}});
    }

    void histograms(const AnyModel& model, int epoch) {
        std::vector<float> host;
        for (const ParamRow& row : model.index().parameters) {
            host.resize(static_cast<std::size_t>(row.count));
            model.read(ParamPart::value, row, host);
            events.histogram("Weights/" + row.path, dla::histogram(std::span<const float>(host)), epoch);
            model.read(ParamPart::gradient, row, host);
            events.histogram("Gradients/" + row.path, dla::histogram(std::span<const float>(host)), epoch);
        }
    }
};

DLA_ONCE RunLog::RunLog(std::string folder, bool quiet, const RunState& from) : folder_(std::move(folder)), quiet_(quiet) {
    make_folder(folder_);
    files_ = std::make_unique<Files>(folder_, from);
}
DLA_ONCE RunLog::~RunLog() = default;

DLA_ONCE std::string RunLog::run_of(const std::string& folder) {
    std::error_code error;
    const std::string path = folder + "/metrics.jsonl";
    if (!std::filesystem::is_regular_file(path, error)) return "";
    std::string run;
    detail::for_each_line(path, [&](const Json& j, const std::string&) {
        if (run.empty() && j.is_object() && j.value("type", Json()) == "run" && j.value("run", Json()).is_string()) run = j["run"].get<std::string>();
    });
    return run;
}

DLA_ONCE void RunLog::step(std::int64_t step, int epoch, double loss, double learning_rate) {
    files_->lines.append({{"type", "step"}, {"step", step}, {"epoch", epoch}, {"loss", loss}, {"learning_rate", learning_rate}});
    files_->events.scalar("Loss/step", loss, step);
}

DLA_ONCE void RunLog::epoch(const EpochReport& report) {
    const EpochMetrics& m = report.metrics;
    Json line = detail::to_json(m);
    line["type"] = "epoch";
    line["step"] = report.step;
    line["best"] = report.best;
    line["samples_per_second"] = std::round(report.samples_per_second);
    line["seconds"] = std::round(report.seconds * 1000) / 1000;
    files_->lines.append(line);
    files_->events.scalar("Loss/train", m.train_loss, m.epoch);
    if (!is_nan(m.train_accuracy)) files_->events.scalar("Accuracy/train", m.train_accuracy, m.epoch);
    if (!is_nan(m.val_loss)) files_->events.scalar("Loss/val", m.val_loss, m.epoch);
    if (!is_nan(m.val_accuracy)) files_->events.scalar("Accuracy/val", m.val_accuracy, m.epoch);
    for (const NamedNumber& n : m.metrics)
        if (is_finite(n.value)) files_->events.scalar("Metric/" + n.name, n.value, m.epoch);
    files_->events.scalar("Learning_rate", m.learning_rate, m.epoch);
    files_->histograms(report.model, m.epoch);
    if (report.stats) files_->statistics(*report.stats, report.step, m.epoch);
    files_->events.flush();
    if (quiet_) return;
    std::printf("%s\n", epoch_line(report).c_str());
    std::fflush(stdout);
}

DLA_ONCE void RunLog::test(const Evaluation& test, int epoch, std::int64_t step) {
    Json line = {{"type", "test"}, {"step", step}, {"epoch", epoch}, {"test_loss", test.loss}};
    files_->events.scalar("Loss/test", test.loss, epoch);
    if (!is_nan(test.accuracy)) {
        line["test_accuracy"] = test.accuracy;
        files_->events.scalar("Accuracy/test", test.accuracy, epoch);
    }
    for (const NamedNumber& n : test.metrics) {
        line["metrics"][n.name] = n.value;
        if (is_finite(n.value)) files_->events.scalar("Metric_test/" + n.name, n.value, epoch);
    }
    files_->lines.append(line);
    files_->events.flush();
    files_->lines.sync();
}

DLA_ONCE PlotResult RunLog::plot(const RunState& state, const std::string& title) const {
    TrainingCurves c;
    c.title = title;
    c.best_epoch = state.stopping.best_epoch;
    for (const EpochMetrics& m : state.history) {
        c.epoch.push_back(m.epoch);
        c.train_loss.push_back(m.train_loss);
        c.val_loss.push_back(m.val_loss);
        c.train_accuracy.push_back(m.train_accuracy);
        c.val_accuracy.push_back(m.val_accuracy);
        c.learning_rate.push_back(m.learning_rate);
    }
    return draw_plot(training_plot(c), folder_ + "/training_curve");
}

}  // namespace dla
