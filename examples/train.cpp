// SPDX-License-Identifier: MIT
// Trains a network described by a TOML file, and tests the best weights once at the end.
#include "common/command_line.hpp"
#include "report/run_report.hpp"

#include <dla/io/folder_lock.hpp>
#include <dla/io/plot.hpp>

#include <cstdio>

namespace {

struct Arguments {
    std::string config, resume, run_id;
    bool wants_resume = false, overwrite = false, go_on = false, stats = false, doctor = false;
    experiment::Setting setting;
};

dla::EarlierRun earlier(const Arguments& a) {
    if (a.wants_resume) return dla::EarlierRun::resume;
    if (a.overwrite) return dla::EarlierRun::overwrite;
    return a.go_on ? dla::EarlierRun::resume_if_any : dla::EarlierRun::refuse;
}

/// The page of a run; its path, or nothing where it cannot be written: the run is over all the same.
std::string write_report(const std::string& path, const dla::ExperimentConfig& config, const dla::AnyModel& model, const dla::DatasetPair& data,
                         const dla::TrainingResult& result, const experiment::Setting& setting) try {
    report::write_run_report(path, {.config = config,
                                    .model = model,
                                    .test = data.test,
                                    .history = result.state.history,
                                    .best_epoch = result.state.stopping.best_epoch,
                                    .layers = result.stats.layers.empty() ? "" : dla::to_text(result.stats),
                                    .start_line = experiment::start_line(setting)});
    return path;
} catch (const dla::Error& e) {
    std::fprintf(stderr, "note: no report: %s\n", e.without_code().c_str());
    return "";
}

/// Looks at the training instead of doing it. 1 when something is bad.
int diagnose(const Arguments& a) {
    experiment::check_threads(a.setting);
    experiment::uses_cuda(a.setting);
    const dla::ExperimentConfig config = dla::load_config(a.config, overrides(a.setting));
    if (!a.setting.quiet) std::printf("%s\n", experiment::start_line(a.setting).c_str());
    const auto model = experiment::make_model(config, a.setting);
    const dla::DatasetPair data = experiment::load_data(config, a.setting);
    const dla::FitOptions options = dla::fit_options(config, data);
    dla::prepare_model(config, *model, data.train, *options.split);
    const dla::Diagnosis d = dla::diagnose(*model, data.train, options);
    std::printf("%s", d.text().c_str());
    if (!d.rates.empty()) {
        if (!a.setting.output_dir.empty()) dla::make_folder(a.setting.output_dir, "the folder for the plot");
        const dla::PlotResult plot = dla::draw_plot(d.plot(), experiment::in_output_dir(a.setting, "learning_rates"));
        if (plot.drawn && !a.setting.quiet) std::printf("range test: %s\n", plot.files[0].c_str());
        if (!plot.drawn) std::fprintf(stderr, "note: %s\n", plot.message.c_str());
    }
    return d.healthy() ? 0 : 1;
}

int train(const Arguments& a) {
    experiment::check_threads(a.setting);
    experiment::uses_cuda(a.setting);  // or it says why not, before anything is read
    const dla::ExperimentConfig config = dla::load_config(a.config, overrides(a.setting));
    const std::string name = run_name(config);
    if (!a.setting.quiet) std::printf("%s\n", experiment::start_line(a.setting).c_str());

    dla::RunPlaceOptions where{.name = name,
                               .checkpoint_dir = experiment::in_output_dir(a.setting, config.training.checkpoint_dir),
                               .log_folder = experiment::in_output_dir(a.setting, "runs/" + name),
                               .earlier = earlier(a),
                               .run_id = a.wants_resume ? "" : a.run_id,  // the checkpoint and the log say whose they are
                               .checkpoint = a.resume,
                               .to_resume = "--resume",
                               .to_overwrite = "--overwrite",
                               .other_checkpoints = "use another --output-dir or training.checkpoint_dir",
                               .other_logs = "use another --output-dir"};
    dla::RunPlace place(where);  // before anything is read or written

    auto model = experiment::make_model(config, a.setting);
    const dla::DatasetPair data = experiment::load_data(config, a.setting);
    dla::FitOptions options = dla::fit_options(config, data);
    dla::prepare_model(config, *model, data.train, *options.split);
    options.stats = a.stats;
    options.quiet = a.setting.quiet;
    if (!a.setting.quiet)
        std::printf("%s: %s parameters, %zu training, %zu validation and %lld test images of %s\n", name.c_str(),
                    dla::grouped(model->index().parameter_count()).c_str(), options.split->train.size(), options.split->validation.size(),
                    static_cast<long long>(data.test.size()), config.dataset.name.c_str());

    const dla::TrainingResult result = dla::fit(*model, data.train, options, place);
    if (!result.test) return 128 + result.interrupted_by;
    const std::string page = write_report(where.log_folder + "/report.html", config, *model, data, result, a.setting);
    if (!a.setting.quiet) {
        if (result.stopped_early) std::printf("stopped early: no better validation accuracy in %d epochs\n", options.early_stopping_patience);
        std::printf("best weights: epoch %d; checkpoint: %s\n", result.state.stopping.best_epoch, result.checkpoint.c_str());
        std::printf("events, metrics: %s (tensorboard --logdir %s)\n", where.log_folder.c_str(), experiment::in_output_dir(a.setting, "runs").c_str());
        if (!result.curve.empty()) std::printf("training curve: %s\n", result.curve.c_str());
        if (!page.empty()) std::printf("report: %s\n", page.c_str());
    }
    if (!result.stats.layers.empty()) std::printf("\neach layer after the last epoch, on one training batch:\n%s\n", dla::to_text(result.stats).c_str());
    std::printf("best validation accuracy: %.2f %%\n", result.state.stopping.best);
    std::printf("test accuracy: %.2f %%\n", result.test->accuracy);
    if (config.training.test_mirrored) std::printf("test accuracy with mirrored images: %.2f %%\n", result.test->metrics.back().value);
    return result.interrupted_by == 0 ? 0 : 128 + result.interrupted_by;  // a signal came when all but the test was done
}

}  // namespace

int main(int argc, char** argv) {
    Arguments a;
    experiment::CommandLine line("train", "Trains a network described by a TOML file; see docs/config_reference.md for its keys.");
    CLI::App& app = line.app;
    app.add_option("--config", a.config, "the experiment, e.g. configs/m_mlp.toml")->required();
    line.add_set(a.setting, "change a setting: table.key=value, e.g. training.num_epochs=3");
    line.add_data_dir(a.setting);
    line.add_output_dir(a.setting, "where checkpoints, runs/ and plots go (default: here)");
    CLI::Option* resume = app.add_option("--resume", a.resume, "continue from this checkpoint, or, without a file, from the newest one")->expected(0, 1);
    CLI::Option* overwrite = app.add_flag("--overwrite", a.overwrite, "remove what an earlier run of this name left, and start over")->excludes(resume);
    CLI::Option* go_on =
        app.add_flag("--continue", a.go_on, "as --resume, but begin where no earlier run left a checkpoint: for scripts that are started again")
            ->excludes(resume)
            ->excludes(overwrite);
    app.add_option("--run-id", a.run_id, "the run's identity, which its files carry (default: random)")->check([](const std::string& id) {
        return dla::is_run_id(id) ? std::string() : std::string("takes up to 64 letters, digits, _ and -");
    });
    line.add_seed(a.setting);
    line.add_threads(a.setting);
    line.add_device(a.setting);
    app.add_flag("--stats", a.stats, "measure gradient norms, update sizes and dead ReLUs after each epoch: a table at the end, curves in TensorBoard");
    CLI::Option* doctor =
        app.add_flag("--doctor", a.doctor, "do not train, but try it out and say what is wrong with it, and what helps; exit status 1 if something is");
    for (CLI::Option* of_a_run : {resume, overwrite, go_on}) doctor->excludes(of_a_run);
    line.add_quiet(a.setting, "only the final lines");
    return line.run(argc, argv, [&] {
        a.wants_resume = resume->count() > 0;
        return a.doctor ? diagnose(a) : train(a);
    });
}
