// SPDX-License-Identifier: MIT
// Shows the network of a configuration or a checkpoint: a table of its layers, the memory that training takes, pictures, statistics of a batch.
#include "common/command_line.hpp"

#include <dla/inspect/grad_stats.hpp>
#include <dla/inspect/graph.hpp>

#include <algorithm>
#include <cstdio>
#include <tuple>

namespace {

struct Arguments {
    std::string config, checkpoint, dot, svg, gradients;
    dla::index_t batch = 0;
    bool full = false, stats = false;
    experiment::Setting setting;
};

dla::SavedNetwork make_network(const Arguments& a) {
    dla::SavedNetwork made{};
    if (a.checkpoint.empty()) {
        made.config = dla::load_config(a.config, overrides(a.setting));
        made.model = experiment::make_model(made.config, a.setting);
    } else {
        made = experiment::load_network(a.checkpoint, a.setting);
    }
    dla::freeze_fixed(made.config.model, *made.model);
    return made;
}

std::vector<float> noise(dla::index_t count) {
    dla::RandomStream random({0, 0, 0}, dla::RandomUse::synthesis);
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& v : values) v = static_cast<float>(2 * random.uniform() - 1);
    return values;
}

/// What another program needs to check our gradients: the weights by their names, `gradient.NAME`, and the batch, images as [N, C, H, W].
void write_gradients(const std::string& path, const dla::AnyModel& model, const dla::ExperimentConfig& config, const dla::Batch& batch) {
    const dla::Shape& shape = model.input_shape();
    const std::vector<float> images = experiment::images_of(batch, shape);
    const dla::Weights weights = dla::take_weights(model);
    std::vector<dla::StoredTensor> tensors = dla::stored_tensors(model.index(), weights);
    tensors.push_back(dla::stored_tensor<float>("batch.images", {batch.count, shape.d[0], shape.d[1], shape.d[2]}, images));
    tensors.push_back(dla::stored_tensor<std::int32_t>("batch.labels", {batch.count}, batch.labels));
    std::vector<std::vector<float>> gradients;
    gradients.reserve(model.index().parameters.size());
    for (const dla::ParamRow& row : model.index().parameters) {
        model.read(dla::ParamPart::gradient, row, gradients.emplace_back(static_cast<std::size_t>(row.count)));
        tensors.push_back(dla::stored_tensor<float>("gradient." + row.path, row.dims.sizes(), gradients.back()));
    }
    dla::write_safetensors(path, tensors, {{"config", dla::to_toml(config)}});
}

/// Statistics of the first `batch` training images, as text.
std::string statistics(dla::AnyModel& model, const dla::ExperimentConfig& config, const dla::CrossEntropy& loss, dla::index_t batch, const Arguments& a) {
    dla::ExperimentConfig needed = config;  // of digits no more than are looked at; the first ones do not depend on their number
    needed.dataset.size = std::min(config.dataset.size, static_cast<std::int64_t>(batch));
    const dla::DatasetPair data = experiment::load_data(needed, a.setting);
    if (a.checkpoint.empty()) dla::prepare_model(config, model, data.train, {.train = dla::all_samples(data.train), .validation = {}});
    dla::Loader loader(data.train, dla::all_samples(data.train), dla::evaluation_options(batch));
    loader.start_epoch(0);
    const dla::Batch* images = loader.next();
    const dla::GradStats stats = dla::grad_stats(model, loss, images->inputs, images->labels);
    if (!a.gradients.empty()) write_gradients(a.gradients, model, config, *images);
    return "gradients on the first " + std::to_string(images->count) + " training images of " + config.dataset.name + ":\n" + dla::to_text(stats);
}

int visualize(const Arguments& a) {
    experiment::check_threads(a.setting);
    if (a.setting.device != "cpu") std::printf("%s\n", experiment::start_line(a.setting).c_str());
    const dla::SavedNetwork network = make_network(a);
    const auto& [config, model] = std::tie(network.config, network.model);
    // A checkpoint may say any batch; what it says claims memory only up to a usual one, unless the command asks for it.
    constexpr std::int64_t usual = 1024;
    const dla::index_t batch = a.batch > 0 ? a.batch : a.checkpoint.empty() ? config.training.batch_size : std::min(config.training.batch_size, usual);
    const bool trainable = batch >= model->least_batch();
    if (!trainable && (a.stats || !a.gradients.empty()))
        dla::fail(dla::ErrorCode::usage, "--batch 1",
                  "batch normalisation of this network has no statistics of a single sample; expected at least 2 for --stats and --gradients");
    const dla::GraphOptions picture{.collapse = !a.full, .title = run_name(config)};
    if (!a.dot.empty()) dla::write_file(a.dot, dla::to_dot(*model, picture));
    if (!a.svg.empty()) dla::write_file(a.svg, dla::to_svg(*model, picture));

    const dla::CrossEntropy loss{.label_smoothing = config.training.label_smoothing};
    dla::Optimizer optimizer = dla::make_optimizer(config);
    // A batch that is not the configuration's may be too small for its parts.
    const int parts = batch >= 2 * config.training.micro_batches ? static_cast<int>(config.training.micro_batches) : 1;
    const dla::SummaryOptions shown{.batch = batch, .collapse = !a.full, .micro_batches = parts, .optimizer_slots = optimizer.slot_count()};
    const auto table = [&] { return dla::summary(*model, shown, loss); };
    const std::string heading = (a.checkpoint.empty() ? a.config : a.checkpoint) + ": " + run_name(config);
    const std::string planned = table();  // before any memory is claimed
    std::string stats;
    std::vector<float> scores;
    try {
        if (a.stats || !a.gradients.empty()) stats = statistics(*model, config, loss, batch, a);
        const std::vector<float> images = noise(batch * model->input_shape().size());
        scores.resize(static_cast<std::size_t>(batch * model->output_shape().size()));
        model->predict(images, scores);
        model->reserve(batch, loss, parts);
        // The optimizer claims its memory in its first step.
        const std::vector<std::int32_t> labels(static_cast<std::size_t>(batch));
        if (trainable) model->train_step(optimizer, loss, images, labels, {.clip_norm = config.training.clip_grad_norm, .micro_batches = parts});
    } catch (const std::bad_alloc&) {
        std::printf("%s\n\n%s\n", heading.c_str(), planned.c_str());
        dla::fail(dla::ErrorCode::io, "memory", "the system gives no more than a part of what the table says; try a smaller --batch");
    } catch (const dla::Error& e) {
        if (e.code() == dla::ErrorCode::device) std::printf("%s\n\n%s\n", heading.c_str(), planned.c_str());
        throw;
    }

    std::printf("%s\n\n%s\n", heading.c_str(), table().c_str());
    const bool finite = dla::all_finite(scores);
    std::printf("forward pass: noise %s gives %s, %s\n", dla::to_text(model->input_shape(), batch).c_str(),
                dla::to_text(model->output_shape(), batch).c_str(), finite ? "all values finite" : "not all values finite");
    if (!a.dot.empty()) std::printf("DOT: %s (dot -Tsvg %s)\n", a.dot.c_str(), a.dot.c_str());
    if (!a.svg.empty()) std::printf("SVG: %s\n", a.svg.c_str());
    if (!a.gradients.empty()) std::printf("gradients: %s (scripts/load_in_pytorch.py %s)\n", a.gradients.c_str(), a.gradients.c_str());
    if (!stats.empty()) std::printf("\n%s", stats.c_str());
    if (!finite) dla::fail(dla::ErrorCode::numeric, "forward pass", "the output holds values that are not finite");
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    Arguments a;
    a.setting.quiet = true;
    experiment::CommandLine line("visualize_network", "Shows a network: its layers as a table, the memory of training, pictures, statistics.");
    CLI::App& app = line.app;
    app.add_option("--config", a.config, "the network of this experiment, with initial weights");
    app.add_option("--checkpoint", a.checkpoint, "the network of this .safetensors file that train wrote");
    line.add_set(a.setting, "change a setting of --config: table.key=value");
    app.add_option("--batch", a.batch, "samples in a batch (default: training.batch_size)")->check(CLI::Range(1, 65536));
    app.add_option("--dot", a.dot, "also write the network there in the DOT language of Graphviz");
    app.add_option("--svg", a.svg, "also draw the network there; needs no other program");
    app.add_flag("--full", a.full, "show equal layers and blocks one by one");
    app.add_flag("--stats", a.stats, "gradient norms and dead ReLUs of each layer on a batch of training images");
    app.add_option("--gradients", a.gradients, "as --stats, and write weights, batch and gradients there for scripts/load_in_pytorch.py to compare");
    line.add_data_dir(a.setting);
    line.add_threads(a.setting);
    line.add_device(a.setting);
    app.final_callback([&] {
        if (a.config.empty() == a.checkpoint.empty()) throw CLI::ValidationError("expected either --config FILE or --checkpoint FILE");
        if (a.config.empty() && !a.setting.overrides.empty()) throw CLI::ValidationError("--set changes a --config; a checkpoint is shown as it is");
    });
    return line.run(argc, argv, [&] { return visualize(a); });
}
