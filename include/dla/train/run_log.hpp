// SPDX-License-Identifier: MIT
// What a run leaves for people and programs: lines on the terminal, metrics.jsonl, TensorBoard events, the training curve.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/io/plot.hpp>
#include <dla/io/tensorboard.hpp>
#include <dla/train/callback.hpp>
#include <dla/train/checkpoint.hpp>
#include <dla/train/progress.hpp>
#include <dla/train/run_files.hpp>

#include <array>

namespace dla {

/// Where a run reports to. `folder` gets TensorBoard events (runs/NAME), metrics.jsonl and the training curve.
class RunLog : public TrainingCallback {
public:
    /// A new run replaces what an earlier one left there. One that is resumed gives what its checkpoint says: what was written after that is cut from
    /// metrics.jsonl and withdrawn from TensorBoard, because it comes again; where lines are damaged or missing, epochs are taken from the checkpoint's
    /// history, and a note on stderr says so. Throws Error(checkpoint) when the log is that of another run.
    explicit RunLog(std::string folder, bool quiet = false, const RunState& from = {})
        : folder_(prepare(std::move(folder))),
          quiet_(quiet),
          kept_(kept_lines(folder_ + "/metrics.jsonl", from)),
          lines_(folder_ + "/metrics.jsonl", kept_.bytes),
          events_(folder_, from.step > 0 ? from.epoch + 1 : 0, from.run) {
        if (kept_.bytes.value_or(0) == 0 && !from.run.empty()) lines_.append({{"type", "run"}, {"step", 0}, {"run", from.run}});
        // TensorBoard withdraws by number alone, and most tags count epochs: the losses of single steps are told again.
        for (const auto& [step, loss] : kept_.losses)
            if (step > from.epoch) events_.scalar("Loss/step", loss, step);
        events_.flush();
    }

    /// The identity of the run whose log lies in the folder; empty when there is none, or it does not say.
    static std::string run_of(const std::string& folder) {
        std::error_code error;
        const std::string path = folder + "/metrics.jsonl";
        if (!std::filesystem::is_regular_file(path, error)) return "";
        std::string run;
        for_each_line(path, [&](const Json& j, const std::string&) {
            if (run.empty() && j.is_object() && j.value("type", Json()) == "run" && j.value("run", Json()).is_string()) run = j["run"].get<std::string>();
        });
        return run;
    }

    void step(std::int64_t step, int epoch, double loss, double learning_rate) override {
        lines_.append({{"type", "step"}, {"step", step}, {"epoch", epoch}, {"loss", loss}, {"learning_rate", learning_rate}});
        events_.scalar("Loss/step", loss, step);
    }

    void epoch(const EpochReport& report) override {
        const EpochMetrics& m = report.metrics;
        Json line = detail::to_json(m);
        line["type"] = "epoch";
        line["step"] = report.step;
        line["best"] = report.best;
        line["images_per_second"] = std::round(report.samples_per_second);
        line["seconds"] = std::round(report.seconds * 1000) / 1000;
        lines_.append(line);
        events_.scalar("Loss/train", m.train_loss, m.epoch);
        if (!is_nan(m.train_accuracy)) events_.scalar("Accuracy/train", m.train_accuracy, m.epoch);
        if (!is_nan(m.val_loss)) events_.scalar("Loss/val", m.val_loss, m.epoch);
        if (!is_nan(m.val_accuracy)) events_.scalar("Accuracy/val", m.val_accuracy, m.epoch);
        for (const NamedNumber& n : m.metrics)
            if (is_finite(n.value)) events_.scalar("Metric/" + n.name, n.value, m.epoch);
        events_.scalar("Learning_rate", m.learning_rate, m.epoch);
        histograms(report.model, m.epoch);
        if (report.stats) statistics(*report.stats, report.step, m.epoch);
        events_.flush();
        if (quiet_) return;
        std::printf("%s\n", epoch_line(report).c_str());
        std::fflush(stdout);
    }

    void test(const RunningMean& test, int epoch, std::int64_t step) {
        lines_.append({{"type", "test"}, {"step", step}, {"epoch", epoch}, {"test_loss", test.loss()}, {"test_accuracy", test.accuracy()}});
        events_.scalar("Loss/test", test.loss(), epoch);
        events_.scalar("Accuracy/test", test.accuracy(), epoch);
        events_.flush();
        lines_.sync();
    }

    /// Draws loss, accuracy and learning rate over the epochs to training_curve.png, or says why not.
    PlotResult plot(const RunState& state, const std::string& title) const {
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

    const std::string& folder() const { return folder_; }

private:
    static std::string prepare(std::string folder) {
        std::error_code error;
        std::filesystem::create_directories(folder, error);
        if (error) fail(ErrorCode::io, folder, "cannot create the folder: " + error.message());
        return folder;
    }
    static constexpr std::uint64_t most_bytes = std::uint64_t{1} << 30;
    static constexpr std::size_t most_values_of_line = 100'000;

    struct Kept {
        std::optional<std::uint64_t> bytes;                     // nothing: there is no file
        std::vector<std::pair<std::int64_t, double>> losses{};  // of single steps
    };
    struct Line {
        std::int64_t step;
        bool epoch;
        std::string text;
    };
    /// f(what the line says, its text) for each whole line; what it says is null where it is damaged.
    template <class F>
    static void for_each_line(const std::string& path, const F& f) {
        const auto bytes = read_file(path, most_bytes);
        const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        for (std::size_t at = 0, end = 0; (end = all.find('\n', at)) != all.npos; at = end + 1) {
            const std::string text(all.substr(at, end - at));
            Json j;
            try {
                j = parse_json(text, path, ErrorCode::io, 8, most_values_of_line);
            } catch (const Error&) {
                // The caller says what is done about it.
            }
            f(j, text);
        }
    }
    /// The lines that belong to the run up to its checkpoint; the test is not among them, since every run ends with one. Puts a log right that is damaged.
    static Kept kept_lines(const std::string& path, const RunState& from) {
        std::error_code error;
        const bool there = std::filesystem::exists(path, error);
        if (there && !std::filesystem::is_regular_file(path, error)) fail(ErrorCode::io, path, "not a regular file; the metrics of a run are appended to one");
        if (from.step == 0) return there ? Kept{0} : Kept{};
        Kept kept{0};
        std::vector<Line> lines;
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
                const Json expected = parse_json(to_string(detail::to_json(from.history[epoch - 1])), path);  // as it is written
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
            Json line = detail::to_json(m);
            line["type"] = "epoch";
            line["step"] = m.epoch * ((from.step - from.batch) / from.epoch);
            const Line own{line["step"].get<std::int64_t>(), true, to_string(line) + "\n"};
            const auto behind = std::find_if(lines.begin(), lines.end(), [&](const Line& l) { return l.step > own.step; });
            lines.insert(behind, own);
        }
        std::string all;
        for (const Line& line : lines) all += line.text;
        kept.bytes = all.size();
        if (damage.empty() && rebuilt.empty()) return kept;
        if (damage.empty()) damage = "lacks lines";
        std::fprintf(stderr, "note: %s: %s%s\n", path.c_str(), damage.c_str(),
                     rebuilt.empty() ? "; it is put right" : ("; epochs " + rebuilt + " are taken from the checkpoint").c_str());
        write_file(path, all);
        return kept;
    }
    /// Scalars for each parameter and layer, and a line of metrics.jsonl with what can be drawn from one epoch alone.
    void statistics(const GradStats& stats, std::int64_t step, int epoch) {
        const auto scalar = [&](const std::string& tag, double value) {
            if (is_finite(value)) events_.scalar(tag, value, epoch);
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
        lines_.append({{"type", "stats"},
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
            events_.histogram("Weights/" + row.path, dla::histogram(std::span<const float>(host)), epoch);
            model.read(ParamPart::gradient, row, host);
            events_.histogram("Gradients/" + row.path, dla::histogram(std::span<const float>(host)), epoch);
        }
    }

    std::string folder_;
    bool quiet_;
    Kept kept_;
    JsonLines lines_;
    EventWriter events_;
};

}  // namespace dla
