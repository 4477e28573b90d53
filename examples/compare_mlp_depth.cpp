// SPDX-License-Identifier: MIT
// Compares plain and residual MLPs of different depth: trains them, measures their gradients, and draws what it found.
#include "common/command_line.hpp"
#include "depth_study/report.hpp"
#include "depth_study/run.hpp"

#include <dla/io/folder_lock.hpp>

#include <cstdio>
#include <filesystem>

namespace {

using depth_study::Results;

struct Arguments {
    std::vector<int> depths{5, 10, 20, 30, 50, 100};
    int epochs = 0, runs = 1;
    std::string load;
    std::vector<std::string> compare;
    depth_study::NetworkOptions networks;
    experiment::Setting setting;
};

/// What the experiments share. The model's sizes and whether it is residual are the study's to choose.
constexpr std::string_view base = R"(
[model]
name = "mlp"
[training]
optimizer = "adam"
learning_rate = 0.001
weight_decay = 0.0001
batch_size = 128
num_epochs = 20
scheduler = "reduce_lr"
early_stopping_patience = 5
[dataset]
name = "mnist"
val_size = 5000
)";

dla::ExperimentConfig base_config(const Arguments& a) {
    std::vector<std::string> overrides = experiment::overrides(a.setting);
    for (const std::string& o : overrides)
        if (o.substr(0, o.find_first_of(".=")).find("model") != std::string::npos)
            dla::fail(dla::ErrorCode::usage, "--set " + o.substr(0, o.find('=')),
                      "the study chooses its models; expected a key of training or dataset; see --depths");
    if (a.epochs > 0) overrides.push_back("training.num_epochs=" + std::to_string(a.epochs));
    return dla::parse_config(base, "compare_mlp_depth", overrides);
}

/// The file to draw: the one that was named, or of those in the output folder the newer one: the final results are written last, but may belong to an
/// earlier study than the one that was interrupted.
std::string file_to_load(const Arguments& a) {
    if (!a.load.empty()) return a.load;
    const std::string final = experiment::in_output_dir(a.setting, "final_results.json");
    const std::string intermediate = experiment::in_output_dir(a.setting, "intermediate_results.json");
    std::error_code no_final, no_intermediate;
    const auto final_time = std::filesystem::last_write_time(final, no_final);
    const auto intermediate_time = std::filesystem::last_write_time(intermediate, no_intermediate);
    if (!no_final && (no_intermediate || final_time >= intermediate_time)) return final;
    if (!no_intermediate) return intermediate;
    dla::fail(dla::ErrorCode::io, a.setting.output_dir,
              "no results to load; expected final_results.json or intermediate_results.json; train first, or name a file");
}

void report(const Results& results, const experiment::Setting& setting) {
    const auto plots = depth_study::write_report(results, setting.output_dir);
    std::printf("%s%s", setting.quiet ? "" : "\n", depth_study::results_table(results).c_str());
    const auto missing = std::count_if(plots.begin(), plots.end(), [](const dla::PlotResult& plot) { return !plot.drawn; });
    for (const dla::PlotResult& plot : plots) {
        if (plot.drawn) continue;
        const bool all = missing == std::ssize(plots);  // for one reason: it is said once
        std::fprintf(stderr, "note: %s%s\n", plot.message.c_str(), all ? "; the other figures likewise" : "");
        if (all) break;
    }
    if (setting.quiet) return;
    std::printf("\ntable: %s\n", experiment::in_output_dir(setting, "results.md").c_str());
    for (const dla::PlotResult& plot : plots)
        if (plot.drawn) std::printf("figure: %s\n", plot.files[0].c_str());
}

int load(Arguments a, bool names_folder) {
    const std::string file = file_to_load(a);
    const Results results = depth_study::read_results(file);
    if (!names_folder && !a.load.empty()) a.setting.output_dir = std::filesystem::path(file).parent_path().string();
    if (a.setting.output_dir.empty()) a.setting.output_dir = ".";
    dla::make_folder(a.setting.output_dir, "the folder for the report");
    if (!a.setting.quiet) std::printf("%s: %zu experiments\n", file.c_str(), results.experiments.size());
    report(results, a.setting);
    return 0;
}

/// Several studies in one figure.
int compare(const Arguments& a) {
    std::vector<Results> studies;
    for (const std::string& file : a.compare) {
        studies.push_back(depth_study::read_results(file));
        if (studies.back().settings.dataset != studies[0].settings.dataset)
            dla::fail(dla::ErrorCode::usage, file, "is of " + studies.back().settings.dataset + ", and " + a.compare[0] + " of " + studies[0].settings.dataset);
    }
    dla::make_folder(a.setting.output_dir, "the folder for the figure");
    const dla::PlotResult plot = dla::draw_plot(depth_study::comparison(studies, a.compare), experiment::in_output_dir(a.setting, "comparison"));
    if (!plot.drawn) {
        std::fprintf(stderr, "note: %s\n", plot.message.c_str());
        return exit_code(dla::ErrorCode::io);
    }
    std::printf("figure: %s\n", plot.files[0].c_str());
    return 0;
}

int study(const Arguments& a) {
    const depth_study::StudyOptions options{.depths = a.depths, .runs = a.runs, .base = base_config(a), .networks = a.networks, .setting = a.setting};
    if (!a.setting.quiet) std::printf("%s\n", experiment::start_line(a.setting).c_str());
    const dla::FolderLock lock(a.setting.output_dir, "use another --output-dir");
    Results results;
    if (const int status = depth_study::run_study(options, results)) {
        const std::string file = experiment::in_output_dir(a.setting, "intermediate_results.json");
        std::printf("interrupted; %zu of %zu experiments are in %s; the same command continues, --load %s shows what is there\n", results.experiments.size(),
                    2 * a.depths.size() * static_cast<std::size_t>(a.runs), file.c_str(), file.c_str());
        return status;
    }
    report(results, a.setting);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    Arguments a;
    a.setting.output_dir = "mlp_results";
    experiment::CommandLine line("compare_mlp_depth",
                                 "Compares plain and residual MLPs of different depth. Depth d: hidden layers of 128, 64, then 32 units up to d of them.");
    CLI::App& app = line.app;
    const auto number = [](const char* what, int high) { return CLI::Range(1, high, what); };
    CLI::Option* depths =
        app.add_option("--depths", a.depths, "numbers of hidden layers (default: 5 10 20 30 50 100)")->check(number("1 to 1000", depth_study::max_depth));
    CLI::Option* epochs = app.add_option("--epochs", a.epochs, "at most, for each network (default: 20)")->check(number("1 to 1000000", 1000000));
    CLI::Option* runs =
        app.add_option("--runs", a.runs, "train each network this often, with seeds one apart (default: 1)")->check(number("1 to 100", depth_study::max_runs));
    CLI::Option* loads =
        app.add_option("--load", a.load,
                       "draw table and figures from a file of results without training; without FILE: from the newer of those in the output folder; "
                       "they go to the output folder, or beside FILE if none is named")
            ->expected(0, 1);
    CLI::Option* compares =
        app.add_option("--compare", a.compare, "draw the test accuracies of several studies, files of results, in one figure: comparison.png")
            ->expected(1, 12)
            ->option_text("FILE...")
            ->excludes(loads);
    CLI::Option* normalization = app.add_option("--normalization", a.networks.normalization, "behind each hidden Linear (default: batch)")
                                     ->check(CLI::IsMember({"batch", "layer", "none"}));
    CLI::Option* initialization =
        app.add_option("--initialization", a.networks.initialization, "of the weights: PyTorch's, or He's for ReLU (default: default)")
            ->check(CLI::IsMember({"default", "he"}));
    CLI::Option* sets = line.add_set(a.setting, "change a setting of all networks: training.key=value or dataset.key=value");
    CLI::Option* data_dir = line.add_data_dir(a.setting);
    CLI::Option* output_dir = line.add_output_dir(a.setting, "where results, table and figures go (default: mlp_results)");
    CLI::Option* seed = line.add_seed(a.setting);
    CLI::Option* threads = line.add_threads(a.setting);
    CLI::Option* device = line.add_device(a.setting);
    line.add_quiet(a.setting, "only the table");
    for (CLI::Option* training : {depths, epochs, runs, normalization, initialization, sets, data_dir, seed, threads, device})
        loads->excludes(training), compares->excludes(training);
    app.final_callback([&] {
        std::vector<int> sorted = a.depths;
        std::sort(sorted.begin(), sorted.end());
        if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end())
            throw CLI::ValidationError("--depths", "each depth once; got " + std::to_string(*twice) + " twice");
    });
    return line.run(argc, argv, [&] {
        if (compares->count() > 0) return compare(a);
        return loads->count() > 0 ? load(a, output_dir->count() > 0) : study(a);
    });
}
