// SPDX-License-Identifier: MIT
// Tests a checkpoint: accuracy, confusion matrix, precision and recall of each class. The network is rebuilt from the file alone.
#include "common/command_line.hpp"
#include "report/run_report.hpp"

#include <cstdio>
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
    std::string file, logits_file, report_file;
    experiment::Setting setting;
    setting.quiet = true;
    experiment::CommandLine line("evaluate", "Tests a checkpoint on its data set.");
    line.app.add_option("--checkpoint", file, "a .safetensors file that train wrote")->required();
    line.add_data_dir(setting);
    line.app.add_option("--logits", logits_file, "also write images, labels and logits there, as safetensors (scripts/load_in_pytorch.py compares)");
    line.app.add_option("--report", report_file, "also write a page with curves, classes and the worst mistakes there (HTML)")->option_text("FILE");
    line.add_threads(setting);
    line.add_device(setting);
    return line.run(argc, argv, [&] { return evaluate(file, logits_file, report_file, setting); });
}
