// SPDX-License-Identifier: MIT
// What a run leaves for people and programs: lines on the terminal, metrics.jsonl, TensorBoard events, the training curve.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/io/plot.hpp>
#include <dla/io/tensorboard.hpp>
#include <dla/train/callback.hpp>
#include <dla/train/checkpoint.hpp>
#include <dla/train/progress.hpp>

#include <fstream>

namespace dla {

/// Where a run reports to. `folder` gets TensorBoard events (runs/NAME), metrics.jsonl and the training curve.
class RunLog : public TrainingCallback {
public:
    /// A new run replaces what an earlier one left there. One that is resumed gives the step and the epoch its checkpoint stands at: what was
    /// written after that is cut from metrics.jsonl and withdrawn from TensorBoard, because it comes again.
    RunLog(std::string folder, bool quiet, std::int64_t from_step = 0, int from_epoch = 0)
        : folder_(prepare(std::move(folder))),
          quiet_(quiet),
          kept_(kept_lines(folder_ + "/metrics.jsonl", from_step)),
          lines_(folder_ + "/metrics.jsonl", kept_.bytes),
          events_(folder_, from_step > 0 ? from_epoch + 1 : 0) {
        // TensorBoard withdraws by number alone, and most tags count epochs: the losses of single steps are told again.
        for (const auto& [step, loss] : kept_.losses)
            if (step > from_epoch) events_.scalar("Loss/step", loss, step);
        events_.flush();
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
        line["images_per_second"] = std::round(report.images_per_second);
        line["seconds"] = std::round(report.seconds * 1000) / 1000;
        lines_.append(line);
        events_.scalar("Loss/train", m.train_loss, m.epoch);
        events_.scalar("Accuracy/train", m.train_accuracy, m.epoch);
        events_.scalar("Loss/val", m.val_loss, m.epoch);
        events_.scalar("Accuracy/val", m.val_accuracy, m.epoch);
        events_.scalar("Learning_rate", m.learning_rate, m.epoch);
        histograms(report.model, m.epoch);
        if (report.stats) statistics(*report.stats, report.step, m.epoch);
        events_.flush();
        if (quiet_) return;
        std::printf("epoch %3d  train loss %.4f  acc %6.2f %%   val loss %.4f  acc %6.2f %%%s   lr %.2e   %.0f img/s  %s\n", m.epoch, m.train_loss,
                    m.train_accuracy, m.val_loss, m.val_accuracy, report.best ? " *" : "  ", m.learning_rate, report.images_per_second,
                    duration_text(report.seconds).c_str());
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
    struct Kept {
        std::optional<std::uint64_t> bytes;                     // nothing: there is no file
        std::vector<std::pair<std::int64_t, double>> losses{};  // of single steps
    };
    /// The lines that belong to steps up to `step`; the test is not among them, since every run ends with one.
    static Kept kept_lines(const std::string& path, std::int64_t step) {
        if (!std::filesystem::exists(path)) return {};
        Kept kept{0};
        std::ifstream in(path, std::ios::binary);
        std::string line;
        while (std::getline(in, line) && !in.eof()) {
            const Json j = Json::parse(line, nullptr, false);
            if (!j.is_object() || !j.contains("step") || !j["step"].is_number_integer() || j["step"].get<std::int64_t>() > step) break;
            if (!j.contains("type") || j["type"] == "test") break;
            if (j["type"] == "step" && j.contains("loss") && j["loss"].is_number())
                kept.losses.emplace_back(j["step"].get<std::int64_t>(), j["loss"].get<double>());
            *kept.bytes += line.size() + 1;
        }
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
