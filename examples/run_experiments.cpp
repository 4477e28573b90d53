// SPDX-License-Identifier: MIT
// Trains a list of experiments, each with several seeds, and writes what they gave as JSON, tables and figures.
#include "common/command_line.hpp"
#include "experiments/report.hpp"
#include "experiments/run.hpp"

#include <dla/io/folder_lock.hpp>

#include <cstdio>
#include <filesystem>

namespace {

struct Arguments {
    std::string list, results;
    bool report_only = false;
    int side_by_side = 1;
    std::vector<std::string> only, rerun;
    experiment::Setting setting;
};

/// `train` beside this program.
std::string train_program() {
    std::error_code error;
    const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
    const std::string program = (self.parent_path() / "train").string();
    if (error || !std::filesystem::exists(program))
        dla::fail(dla::ErrorCode::io, error ? "run_experiments" : program, "the program train is not beside this one; build both (ninja -C build)");
    return program;
}

void report(const experiments::List& list, const experiments::Results& results, const Arguments& a) {
    const auto plots = experiments::write_report(list, results, a.results);
    for (const experiments::Section& s : experiments::sections(list, results))
        std::printf("%s%s\n%s", a.setting.quiet ? "" : "\n", experiment::dataset_title(s.dataset).c_str(), experiments::section_table(s).c_str());
    for (const dla::PlotResult& plot : plots)
        if (!plot.drawn) {  // for one reason, mostly: it is said once
            std::fprintf(stderr, "note: %s\n", plot.message.c_str());
            break;
        }
    if (a.setting.quiet) return;
    std::printf("\nresults: %s.json\npage: %s.md\n", a.results.c_str(), a.results.c_str());
    for (const dla::PlotResult& plot : plots)
        if (plot.drawn) std::printf("figure: %s\n", plot.files[0].c_str());
}

int run(Arguments a) {
    while (a.results.ends_with('/')) a.results.pop_back();
    if (a.results.ends_with(".json")) a.results.resize(a.results.size() - 5);
    if (a.results.empty()) a.results = experiment::in_output_dir(a.setting, "results");
    const experiments::List list = experiments::load_list(a.list);
    const std::string file = a.results + ".json";
    if (a.report_only) {
        if (!std::filesystem::exists(file)) dla::fail(dla::ErrorCode::io, file, "no results to report; run the experiments first, or name them with --results");
        report(list, experiments::read_results(file), a);
        return 0;
    }
    if (!a.setting.quiet) std::printf("%s\n", experiment::start_line(a.setting).c_str());
    const dla::FolderLock lock(a.setting.output_dir, "use another --output-dir");
    dla::make_folder(dla::detail::parent_folder(file), "the folder for the results");
    const dla::FileLock results_lock(file + ".lock", "use another --results");
    experiments::Results results;
    if (std::filesystem::exists(file)) results = experiments::read_results(file);
    const experiments::RunOptions options{.program = train_program(),
                                          .output_dir = a.setting.output_dir,
                                          .results = file,
                                          .data_dir = a.setting.data_dir,
                                          .device = a.setting.device == "cpu" ? "" : a.setting.device,
                                          .threads = dla::thread_count(a.setting.threads),
                                          .side_by_side = a.side_by_side,
                                          .only = a.only,
                                          .rerun = a.rerun,
                                          .quiet = a.setting.quiet};
    const experiments::Outcomes outcomes = experiments::run_list(list, options, results);
    report(list, results, a);
    if (outcomes.finished < outcomes.wanted) std::printf("%zu of %zu runs are finished; the same command continues\n", outcomes.finished, outcomes.wanted);
    if (!outcomes.failures.empty()) std::fprintf(stderr, "%zu failed, the first: %s\n", outcomes.failures.size(), outcomes.failures.front().c_str());
    return outcomes.status;
}

}  // namespace

int main(int argc, char** argv) {
    Arguments a;
    a.setting.output_dir = "experiments";
    experiment::CommandLine line("run_experiments",
                                 "Trains a list of experiments, each with several seeds, and reports what they gave; see docs/experiments.md.");
    CLI::App& app = line.app;
    app.add_option("LIST", a.list, "TOML file of the experiments, e.g. configs/lists/experiments.toml")->required();
    line.add_output_dir(a.setting, "where runs go, each in runs/NAME/seed-N (default: experiments)");
    app.add_option("--results", a.results, "where results go: STEM.json, STEM.md, figures in STEM/ (default: results in the output folder)")
        ->option_text("STEM");
    app.add_option("--only", a.only, "train these experiments alone")->option_text("NAME ...");
    CLI::Option* rerun = app.add_option("--rerun", a.rerun, "remove what there is of these experiments and train them anew")->option_text("NAME ...");
    app.add_flag("--report", a.report_only, "write page and figures again from the results, without training")->excludes(rerun);
    line.add_data_dir(a.setting);
    app.add_option("--side-by-side", a.side_by_side, "runs at once, which share the threads (default: 1)")->check(CLI::Range(1, 1024));
    line.add_threads(a.setting);
    line.add_device(a.setting);
    line.add_quiet(a.setting, "only the tables");
    return line.run(argc, argv, [&] { return run(a); });
}
