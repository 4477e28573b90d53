// SPDX-License-Identifier: MIT
#include "report.hpp"

#include "summary.hpp"

#include <dla/config.hpp>
#include <dla/core/table.hpp>
#include <dla/train/progress.hpp>

namespace depth_study {

using experiment::code_span, experiment::formatted;

namespace {

/// `0.0712 ± 0.0031`
std::string cell(const Summary& s, int decimals, const char* unit = "") {
    if (s.count == 0) return "not finite";
    const auto number = [&](double v) {
        return v >= 1e4 ? formatted("%.3g", v) : formatted(decimals == 0 ? "%.0f" : decimals == 1 ? "%.1f" : decimals == 2 ? "%.2f" : "%.4f", v);
    };
    return number(s.mean) + (s.count > 1 ? " ± " + number(s.std) : "") + unit;
}

std::string runs_text(std::size_t n) { return std::to_string(n) + (n == 1 ? " run" : " runs"); }

/// What the table cannot show of a group; empty: nothing.
std::vector<std::string> remarks(const Results& r) {
    std::vector<std::string> all;
    for (const Group& g : groups(r)) {
        const auto runs = static_cast<std::size_t>(r.runs);
        for (const Experiment* e : g.diverged)
            all.push_back(g.name() + (runs > 1 ? ", run " + std::to_string(e->run + 1) : "") + " diverged after " + std::to_string(e->history.size()) +
                          (e->history.size() == 1 ? " epoch: " : " epochs: ") + code_span(e->diverged));
        if (g.count() < runs)
            all.push_back(g.name() + (runs > 1 ? ": " + std::to_string(runs - g.count()) + " of " + runs_text(runs) : "") + " not trained yet");
    }
    return all;
}

std::string list(const std::vector<int>& numbers) {
    std::string text;
    for (const int n : numbers) text += (text.empty() ? "" : ", ") + std::to_string(n);
    return text;
}

}  // namespace

std::string results_table(const Results& r) {
    std::vector<std::vector<std::string>> rows = {{"Depth", "Residual", "Train Loss", "Val Loss", "Train Acc", "Val Acc", "Test Acc", "Epochs"}};
    for (const Group& g : groups(r)) {
        std::vector<std::string> row{std::to_string(g.depth), g.residual ? "yes" : "no"};
        if (g.tested.empty()) {
            row.resize(7, g.diverged.empty() ? "not trained" : "diverged");
            std::vector<double> epochs;
            for (const Experiment* e : g.diverged) epochs.push_back(static_cast<double>(e->history.size()));
            row.push_back(g.diverged.empty() ? "0" : cell(Summary(epochs), epochs.size() > 1 ? 1 : 0));
        } else {
            row.push_back(cell(g.summary([](const Experiment& e) { return e.best().train_loss; }), 4));
            row.push_back(cell(g.summary([](const Experiment& e) { return e.best().val_loss; }), 4));
            row.push_back(cell(g.summary([](const Experiment& e) { return e.best().train_accuracy; }), 2, " %"));
            row.push_back(cell(g.summary([](const Experiment& e) { return e.best().val_accuracy; }), 2, " %"));
            row.push_back(cell(g.summary([](const Experiment& e) { return e.test_accuracy; }), 2, " %"));
            row.push_back(cell(g.summary([](const Experiment& e) { return static_cast<double>(e.history.size()); }), g.tested.size() > 1 ? 1 : 0));
            if (static_cast<int>(g.tested.size()) < r.runs)
                row.back() += " (" + std::to_string(g.tested.size()) + " of " + runs_text(static_cast<std::size_t>(r.runs)) + ")";
        }
        rows.push_back(std::move(row));
    }
    std::string text = dla::table_text(rows, {.style = dla::TableStyle::markdown, .align = "rlr"});
    const auto notes = remarks(r);
    if (!notes.empty()) text += "\n";
    for (const std::string& note : notes) text += "- " + note + "\n";
    return text;
}

std::string results_markdown(const Results& r) {
    const dla::ExperimentConfig c = dla::parse_config(r.settings.config, "config");
    double seconds = 0;
    for (const Experiment& e : r.experiments) seconds += e.seconds;
    std::string text = "# Depth study: plain and residual MLPs on " + dataset_title(r.settings.dataset) + "\n\n## Settings\n\n";
    const auto item = [&](const std::string& line) { text += "- " + line + "\n"; };
    const auto number = [](double v) { return formatted("%g", v); };
    if (!(r.settings.networks == NetworkOptions{}))
        item("Other than described below, the networks have " + r.settings.networks.text() +
             (r.settings.networks.normalization == "batch" ? "." : " in the places of BatchNorm."));
    item((r.depths.size() == 1 ? "Networks: depth " : "Networks: depths ") + list(r.depths) +
         ", plain and residual. A plain network of depth d has d hidden layers of 128, 64, then 32 units (Linear, BatchNorm, ReLU) and a linear output layer: "
         "d + 1 weight layers. A residual one has a first layer of 128 units (Linear, BatchNorm, ReLU), then d blocks to 64, 32, ..., and in the last one 10 "
         "units, and a Linear from 10 to 10 units: 2d + 2 weight layers on its longest path. A block is Linear, BatchNorm, ReLU, Linear, BatchNorm; its input "
         "is added, through a Linear where the widths differ, and a ReLU follows the sum.");
    item("Training: " + c.training.optimizer + ", learning rate " + number(c.training.learning_rate) + ", weight decay " + number(c.training.weight_decay) +
         ", batches of " + std::to_string(c.training.batch_size) + ", schedule " + c.training.scheduler + ", at most " + std::to_string(r.settings.epochs) +
         " epochs, " +
         (c.training.early_stopping_patience > 0
              ? "stopped after " + std::to_string(c.training.early_stopping_patience) + " epochs without a better validation accuracy."
              : "no early stopping."));
    item("Data: " + dataset_title(r.settings.dataset) + "; " + std::to_string(c.dataset.val_size) +
         " training images, chosen by the seed, are set aside for validation.");
    item(r.runs == 1 ? "One run, seed " + std::to_string(r.settings.seed) + "."
                     : std::to_string(r.runs) + " runs, seeds " + std::to_string(r.settings.seed) + " to " +
                           std::to_string(r.settings.seed + static_cast<std::uint64_t>(r.runs) - 1) + ".");
    item("dla " + code_span(r.version) + ", kernels " + code_span(r.isa) + "; training and tests took " + dla::duration_text(seconds) + ".");
    const std::size_t training = r.settings.config.find("[training]");
    text += "\n```toml\n" + (training == std::string::npos ? r.settings.config : r.settings.config.substr(training)) + "```\n";
    text += "\n## Results\n\n" + results_table(r);
    text +=
        "\nLoss (cross-entropy) and accuracy are those of the best epoch, the one with the highest validation accuracy; its weights were tested, once. "
        "The training values are means over the epoch's batches, taken while the weights change. Epochs counts all that were trained.\n";
    if (r.runs > 1)
        text += "\nMean ± sample standard deviation over " + std::to_string(r.runs) +
                " runs, which differ in everything random: initial weights, validation images, order.\n";
    text += "\n## Figures\n\nPlain networks are dashed, residual ones solid; a depth has the same colour in all figures. Each is there as SVG too.\n";
    const auto figure = [&](const char* file, const char* title, const std::string& what) {
        text += "\n![" + std::string(title) + "](" + file + ".png)\n\n" + title + ": " + what + "\n";
    };
    figure("validation_losses", "Validation loss",
           "cross-entropy on the validation images after each epoch" + std::string(r.runs > 1 ? "." : "; a curve ends where training stopped early."));
    figure("test_accuracies", "Test accuracy",
           "left the whole range; right the error (100 % - accuracy) on a logarithmic axis, which tells good networks apart.");
    figure("gradient_magnitudes", "Gradient magnitude",
           "mean over all parameters (weights, biases, normalisation) of the L2 norm of their gradients, after each epoch, on the same training batch.");
    figure("layer_gradient_comparison", "Gradients by layer",
           "L2 norm of the gradient of each layer's weights, from input to output, on that batch, with the weights that were tested.");
    if (r.runs > 1)
        text +=
            "\nLines are means, over epochs those of the runs that reached the epoch, and end where these are fewer than half. Bands and bars reach one sample "
            "standard deviation to both sides; on a logarithmic axis they do not go below the smallest value. Where one run is left they end.\n";
    return text;
}

std::vector<dla::PlotResult> write_report(const Results& r, const std::string& folder) {
    dla::write_file(folder + "/results.md", results_markdown(r));
    std::vector<dla::PlotResult> all;
    const auto pages = figures(r);
    constexpr const char* names[] = {"validation_losses", "test_accuracies", "gradient_magnitudes", "layer_gradient_comparison"};
    for (std::size_t i = 0; i < pages.size(); ++i) all.push_back(dla::draw_plot(pages[i], folder + "/" + names[i]));
    return all;
}

}  // namespace depth_study
