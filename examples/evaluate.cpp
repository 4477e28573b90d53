// SPDX-License-Identifier: MIT
// Tests a checkpoint: accuracy, confusion matrix, precision and recall of each class. The network is rebuilt from the file alone. Several are compared.
#include "common/command_line.hpp"
#include "report/comparison.hpp"
#include "report/run_report.hpp"

#include <cstdio>
#include <optional>
#include <tuple>

namespace {

/// What another program needs to check ours: images [N, C, H, W] as the network sees them, labels and logits.
void write_outputs(const std::string& path, const dla::Dataset& data, const dla::Shape& shape, std::span<const float> logits) {
    dla::Loader loader(data, dla::all_samples(data), dla::evaluation_options(data.size()));
    loader.start_epoch(0);
    const dla::Batch& all = *loader.next();
    const std::vector<float> images = experiment::images_of(all, shape);
    const dla::StoredTensor tensors[] = {dla::stored_tensor<float>("images", {all.count, shape.d[0], shape.d[1], shape.d[2]}, images),
                                         dla::stored_tensor<std::int32_t>("labels", {all.count}, all.labels),
                                         dla::stored_tensor<float>("logits", {all.count, std::ssize(logits) / all.count}, logits)};
    dla::write_safetensors(path, tensors);
}

/// Several checkpoints on the same images.
int compare(const std::vector<std::string>& files, const std::string& report_file, const experiment::Setting& setting) {
    experiment::check_threads(setting);
    if (setting.device != "cpu") std::printf("%s\n", experiment::start_line(setting).c_str());
    const std::vector<std::string> labels = report::labels_of(files);
    std::vector<report::ComparedRun> runs;
    std::optional<dla::Dataset> test;
    for (std::size_t i = 0; i < files.size(); ++i) {
        const dla::SavedNetwork saved = experiment::load_network(files[i], setting);
        const dla::RunState state = dla::Checkpoint(files[i]).state();
        const dla::DatasetConfig& data = saved.config.dataset;
        if (i == 0)
            test = experiment::load_data(saved.config, setting, true).test;
        else if (const dla::DatasetConfig& first = runs[0].config.dataset; data.name != first.name || (data.name == "digits" && data.size != first.size))
            dla::fail(dla::ErrorCode::usage, files[i],
                      "is of " + data.name + (data.name == "digits" ? " of another size" : "") + ", and " + files[0] + " of " + first.name +
                          "; runs are compared on the same images");
        runs.push_back({.label = labels[i],
                        .config = saved.config,
                        .history = state.history,
                        .best_epoch = state.stopping.best_epoch,
                        .tested_epoch = report::tested_epoch(state),
                        .parameters = saved.model->index().parameter_count(),
                        .probabilities = dla::predict_probabilities(*saved.model, *test)});
    }
    if (!report_file.empty()) report::write_comparison(report_file, runs, *test);
    std::printf("%s test images of %s\n\n%s", dla::grouped(test->size()).c_str(), runs[0].config.dataset.name.c_str(),
                report::comparison_text(runs, *test).c_str());
    return 0;
}

int evaluate(const std::string& file, const std::string& logits_file, const std::string& report_file, const experiment::Setting& setting) {
    experiment::check_threads(setting);
    if (setting.device != "cpu") std::printf("%s\n", experiment::start_line(setting).c_str());
    const dla::SavedNetwork saved = experiment::load_network(file, setting);
    const auto& [config, model] = std::tie(saved.config, saved.model);
    const dla::Dataset test = experiment::load_data(config, setting, true).test;
    const std::vector<float> logits = dla::predict(*model, test);
    dla::ConfusionMatrix confusion;
    confusion.add(logits, test.labels);
    if (!logits_file.empty()) write_outputs(logits_file, test, model->input_shape(), logits);

    if (!report_file.empty()) {
        const dla::RunState state = dla::Checkpoint(file).state();
        report::write_run_report(report_file, {.config = config,
                                               .model = *model,
                                               .test = test,
                                               .history = state.history,
                                               .best_epoch = state.stopping.best_epoch,
                                               .tested_epoch = report::tested_epoch(state),
                                               .layers = "",
                                               .start_line = experiment::start_line(setting)});
    }

    std::printf("%s: %s, %lld test images of %s\n\n", file.c_str(), run_name(config).c_str(), static_cast<long long>(test.size()), config.dataset.name.c_str());
    std::printf("Images of each class, and what they were taken for:\n\n%s\ntest accuracy: %.2f %%\n", confusion.text(test.class_names).c_str(),
                confusion.accuracy());
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<std::string> files;
    std::string logits_file, report_file;
    experiment::Setting setting;
    setting.quiet = true;
    experiment::CommandLine line("evaluate", "Tests a checkpoint on its data set, or compares several.");
    line.app.add_option("--checkpoint", files, "a .safetensors file that train wrote; several are compared with each other")
        ->required()
        ->expected(1, 12)
        ->option_text("FILE...");
    line.add_data_dir(setting);
    CLI::Option* logits =
        line.app.add_option("--logits", logits_file, "also write images, labels and logits there, as safetensors (scripts/load_in_pytorch.py compares)");
    line.app
        .add_option("--report", report_file, "also write a page with curves, classes and the worst mistakes there, of several also in what they differ (HTML)")
        ->option_text("FILE");
    line.add_threads(setting);
    line.add_device(setting);
    return line.run(argc, argv, [&] {
        if (files.size() == 1) return evaluate(files[0], logits_file, report_file, setting);
        if (logits->count() > 0) dla::fail(dla::ErrorCode::usage, "--logits", "takes one checkpoint; got " + std::to_string(files.size()));
        return compare(files, report_file, setting);
    });
}
