// SPDX-License-Identifier: MIT
// What a run leaves for people and programs: lines on the terminal, metrics.jsonl, TensorBoard events, the training curve.
#pragma once

#include <dla/io/plot.hpp>
#include <dla/io/tensorboard.hpp>
#include <dla/train/checkpoint.hpp>
#include <dla/train/progress.hpp>

#include <fstream>

namespace dla {

/// Where a run reports to. `folder` gets TensorBoard events (runs/NAME), metrics.jsonl and the training curve.
class RunLog {
public:
    /// Lines of steps after `from_step` belong to a part of the run that will be repeated: they are cut off, and TensorBoard is told.
    RunLog(std::string folder, bool quiet, std::int64_t from_step = 0)
        : folder_(prepare(std::move(folder))), quiet_(quiet), lines_(folder_ + "/metrics.jsonl", bytes_up_to(folder_ + "/metrics.jsonl", from_step)),
          events_(folder_, from_step > 0 ? std::optional<std::int64_t>(from_step + 1) : std::nullopt) {}

    void step(std::int64_t step, int epoch, double loss, double learning_rate) {
        lines_.append({{"type", "step"}, {"step", step}, {"epoch", epoch}, {"loss", loss}, {"learning_rate", learning_rate}});
        events_.scalar("Loss/step", loss, step);
    }

    void epoch(const EpochMetrics& m, bool best, std::int64_t step, double images_per_second, double seconds, const AnyModel& model) {
        Json line = detail::to_json(m);
        line["type"] = "epoch";
        line["step"] = step;
        line["best"] = best;
        line["images_per_second"] = std::round(images_per_second);
        line["seconds"] = std::round(seconds * 1000) / 1000;
        lines_.append(line);
        events_.scalar("Loss/train", m.train_loss, m.epoch);
        events_.scalar("Accuracy/train", m.train_accuracy, m.epoch);
        events_.scalar("Loss/val", m.val_loss, m.epoch);
        events_.scalar("Accuracy/val", m.val_accuracy, m.epoch);
        events_.scalar("Learning_rate", m.learning_rate, m.epoch);
        histograms(model, m.epoch);
        events_.flush();
        if (quiet_) return;
        std::printf("epoch %3d  train loss %.4f  acc %6.2f %%   val loss %.4f  acc %6.2f %%%s   lr %.2e   %.0f img/s  %s\n", m.epoch, m.train_loss, m.train_accuracy, m.val_loss, m.val_accuracy,
                    best ? " *" : "  ", m.learning_rate, images_per_second, duration_text(seconds).c_str());
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
    /// Length of the lines that belong to steps up to `step`.
    static std::optional<std::uint64_t> bytes_up_to(const std::string& path, std::int64_t step) {
        std::ifstream in(path, std::ios::binary);
        std::uint64_t keep = 0, at = 0;
        std::string line;
        while (std::getline(in, line) && !in.eof()) {
            at += line.size() + 1;
            const Json j = Json::parse(line, nullptr, false);
            if (j.is_discarded() || !j.is_object() || !j.contains("step") || !j["step"].is_number_integer() || j["step"].get<std::int64_t>() > step) break;
            keep = at;
        }
        return std::filesystem::exists(path) ? std::optional(keep) : std::nullopt;
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
    JsonLines lines_;
    EventWriter events_;
};

}  // namespace dla
