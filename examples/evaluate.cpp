// SPDX-License-Identifier: MIT
// Tests a checkpoint: accuracy, accuracy of each class, confusion matrix. The network is rebuilt from the file alone.
#include "common/experiment.hpp"

#include <dla/version.hpp>

#include <CLI/CLI.hpp>

#include <cstdio>

namespace {

/// What another program needs to check ours: images [N, C, H, W] as the network sees them, labels and logits.
struct Outputs {
    std::vector<float> images, logits;
    std::vector<std::int32_t> labels;

    void add(const dla::Batch& batch, const dla::Shape& shape, std::span<const float> batch_logits) {
        images.resize(images.size() + batch.inputs.size());
        dla::nhwc_to_nchw(batch.inputs, std::span(images).last(batch.inputs.size()), batch.count, shape);
        logits.insert(logits.end(), batch_logits.begin(), batch_logits.end());
        labels.insert(labels.end(), batch.labels.begin(), batch.labels.end());
    }
    void write(const std::string& path, const dla::Shape& shape, std::int64_t classes) const {
        const auto n = static_cast<std::int64_t>(labels.size());
        const dla::StoredTensor tensors[] = {dla::stored_tensor<float>("images", {n, shape.d[0], shape.d[1], shape.d[2]}, images),
                                             dla::stored_tensor<std::int32_t>("labels", {n}, labels),
                                             dla::stored_tensor<float>("logits", {n, classes}, logits)};
        dla::write_safetensors(path, tensors);
    }
};

int evaluate(const std::string& file, const std::string& logits_file, const experiment::Setting& setting) {
    experiment::check_threads(setting);
    const auto [config, model] = experiment::load_network(file, setting.threads);
    const dla::DatasetPair data = experiment::load_data(config, setting, true);

    constexpr dla::index_t batch_size = 256;
    const auto classes = static_cast<std::size_t>(config.model.num_classes);
    std::vector<std::int64_t> confusion(classes * classes);
    dla::Loader loader(data.test, dla::all_samples(data.test), dla::evaluation_options(batch_size));
    std::vector<float> logits(static_cast<std::size_t>(batch_size) * classes);
    Outputs outputs;
    loader.start_epoch(0);
    while (const dla::Batch* batch = loader.next()) {
        const std::span<float> out(logits.data(), static_cast<std::size_t>(batch->count) * classes);
        model->predict(batch->inputs, out);
        if (!logits_file.empty()) outputs.add(*batch, model->input_shape(), out);
        for (std::size_t i = 0; i < static_cast<std::size_t>(batch->count); ++i) {
            const auto row = out.subspan(i * classes, classes);
            const auto predicted = static_cast<std::size_t>(std::max_element(row.begin(), row.end()) - row.begin());
            ++confusion[static_cast<std::size_t>(batch->labels[i]) * classes + predicted];
        }
    }
    if (!logits_file.empty()) outputs.write(logits_file, model->input_shape(), config.model.num_classes);

    std::printf("%s: %s, %lld test images of %s\n\n", file.c_str(), run_name(config).c_str(), static_cast<long long>(data.test.size()),
                config.dataset.name.c_str());
    std::printf("%-12s %8s   predicted\n%-12s %8s", "", "", "class", "accuracy");
    for (std::size_t c = 0; c < classes; ++c) std::printf(" %6zu", c);
    std::int64_t correct = 0;
    for (std::size_t c = 0; c < classes; ++c) {
        std::int64_t total = 0;
        for (std::size_t p = 0; p < classes; ++p) total += confusion[c * classes + p];
        correct += confusion[c * classes + c];
        const std::string label = c < data.test.class_names.size() ? data.test.class_names[c] : std::to_string(c);
        const std::string row = std::to_string(c) + (label == std::to_string(c) ? "" : " " + label);
        std::printf("\n%-12.12s %7.2f%%", row.c_str(), total > 0 ? 100.0 * static_cast<double>(confusion[c * classes + c]) / static_cast<double>(total) : 0.0);
        for (std::size_t p = 0; p < classes; ++p) std::printf(" %6lld", static_cast<long long>(confusion[c * classes + p]));
    }
    std::printf("\n\ntest accuracy: %.2f %%\n", 100.0 * static_cast<double>(correct) / static_cast<double>(data.test.size()));
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    std::string file, logits_file;
    experiment::Setting setting;
    setting.quiet = true;
    CLI::App app("Tests a checkpoint on its data set.");
    app.add_option("--checkpoint", file, "a .safetensors file that train wrote")->required();
    app.add_option("--data-dir", setting.data_dir, "folder of the data sets (default: $DLA_DATA_DIR, else data/)");
    app.add_option("--logits", logits_file, "also write images, labels and logits there, as safetensors (scripts/load_in_pytorch.py compares)");
    app.add_option("--threads", setting.threads, "threads (default: OMP_NUM_THREADS, or as many as there are processors)")->check(CLI::Range(1, 1024));
    app.set_version_flag("--version", "evaluate (dla) " DLA_VERSION_STRING);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        if (e.get_exit_code() == 0) return app.exit(e);
        std::fprintf(stderr, "error[usage] evaluate: %s; see --help\n", e.what());
        return 2;
    }
    return experiment::run_program([&] { return evaluate(file, logits_file, setting); });
}
