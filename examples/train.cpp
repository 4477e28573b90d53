// SPDX-License-Identifier: MIT
// Trains a network described by a TOML file, and tests the best weights once at the end.
#include "common/experiment.hpp"

#include <dla/io/folder_lock.hpp>
#include <dla/kernels/cpu/isa.hpp>
#include <dla/version.hpp>

#include <CLI/CLI.hpp>

#include <cstdio>

namespace {

struct Arguments {
    std::string config, resume, run_id, device = "cpu";
    std::vector<std::string> overrides;
    std::int64_t seed = -1;
    bool wants_resume = false, overwrite = false, stats = false;
    experiment::Setting setting;
};

dla::ExperimentConfig read_experiment(const Arguments& a) {
    std::vector<std::string> overrides = a.overrides;
    if (a.seed >= 0) overrides.push_back("training.seed=" + std::to_string(a.seed));
    return dla::load_config(a.config, overrides);
}

/// Continues from the checkpoint that was named, or from the furthest one of this configuration that is whole; gives its path.
std::string resume(const Arguments& a, dla::Trainer& trainer, const std::string& folder, const std::string& name, const std::string& run) {
    if (!a.resume.empty()) return trainer.resume(dla::Checkpoint(a.resume)), a.resume;
    std::vector<std::string> skipped;
    const std::string file = trainer.resume_newest(run, skipped);
    for (const std::string& reason : skipped) std::fprintf(stderr, "note: skipped %s\n", reason.c_str());
    if (!file.empty()) return file;
    dla::fail(dla::ErrorCode::checkpoint, folder,
              "no checkpoint " + name + "_epoch_N or " + name + "_interrupted of this configuration to resume from; start anew without --resume");
}

/// A run that is started anew does not begin where another one's files lie.
void refuse_to_mix(const dla::RunFiles& earlier, const std::string& name) {
    const auto& files = earlier.checkpoints.empty() ? earlier.logs : earlier.checkpoints;
    if (files.empty()) return;
    const bool resumable = std::any_of(files.begin(), files.end(), [&](const std::filesystem::path& file) {
        const std::string f = file.filename().string();
        return f.ends_with(".safetensors") && (f.starts_with(name + "_epoch_") || f.starts_with(name + "_interrupted"));
    });
    dla::fail(dla::ErrorCode::usage, files.front().parent_path().string(),
              "an earlier run left " + files.front().filename().string() + " and " + std::to_string(files.size() - 1) + " more; " +
                  (resumable ? "go on with it (--resume), " : "") + "remove it and start over (--overwrite), or write elsewhere (--output-dir)");
}

int train(const Arguments& a) {
    experiment::check_threads(a.setting);
    if (a.device != "cpu") dla::fail(dla::ErrorCode::usage, "--device", "this build has no '" + a.device + "' backend; expected cpu");
    const dla::ExperimentConfig config = read_experiment(a);
    const std::string name = run_name(config);
    const std::string folder = experiment::in_output_dir(a.setting, config.training.checkpoint_dir);
    if (!a.setting.quiet) std::printf("%s\n", experiment::start_line(a.setting).c_str());

    const std::string run_folder = experiment::in_output_dir(a.setting, "runs/" + name);
    const dla::FolderLock lock(run_folder, "use another --output-dir");  // before anything is read or written
    dla::make_folder(folder, "the folder for checkpoints");
    const dla::FileLock checkpoint_lock(folder + "/" + name + ".lock", "use another --output-dir or training.checkpoint_dir");
    const dla::RunFiles earlier(folder, run_folder, name);
    if (!a.wants_resume && !a.overwrite) refuse_to_mix(earlier, name);

    const auto& t = config.training;
    const dla::Seed seed{static_cast<std::uint64_t>(t.seed)};
    auto model = dla::make_model(config.model, seed, a.setting.threads);
    const dla::DatasetPair data = experiment::load_data(config, a.setting);
    dla::ExperimentRun run(config, data, seed);
    dla::Trainer trainer(*model, run.optimizer, run.schedule, run.loss, run.train, run.validation,
                         {.name = name,
                          .checkpoint_dir = folder,
                          .epochs = static_cast<int>(t.num_epochs),
                          .log_every = static_cast<int>(t.log_every),
                          .save_every = static_cast<int>(t.save_every),
                          .early_stopping_patience = static_cast<int>(t.early_stopping_patience),
                          .clip_norm = t.clip_grad_norm,
                          .micro_batches = static_cast<int>(t.micro_batches),
                          .stats = a.stats,
                          .quiet = a.setting.quiet});
    trainer.state().config = dla::to_toml(config, true);
    trainer.state().run = a.run_id.empty() ? dla::new_run_id() : a.run_id;
    trainer.state().isa = dla::to_string(dla::active_isa());
    trainer.state().seed = static_cast<std::uint64_t>(t.seed);
    trainer.state().data_fingerprint = dla::fingerprint(data.train);
    if (!a.wants_resume) earlier.remove();
    if (a.wants_resume) {
        const std::string file = resume(a, trainer, folder, name, dla::RunLog::run_of(run_folder));
        if (!a.setting.quiet)
            std::printf("resuming from %s (epoch %d, step %lld)\n", file.c_str(), trainer.state().epoch, static_cast<long long>(trainer.state().step));
    }
    dla::RunLog log(run_folder, a.setting.quiet, trainer.state());
    if (!a.setting.quiet)
        std::printf("%s: %s parameters, %lld training, %lld validation and %lld test images of %s\n", name.c_str(),
                    dla::detail::grouped(model->index().parameter_count()).c_str(), static_cast<long long>(run.split.train.size()),
                    static_cast<long long>(run.split.validation.size()), static_cast<long long>(data.test.size()), config.dataset.name.c_str());

    const dla::TrainingResult result = trainer.run(log);
    if (result.interrupted_by != 0) {
        std::printf("interrupted; everything is in %s; continue with the same command and --resume\n", result.checkpoint.c_str());
        return 128 + result.interrupted_by;
    }
    const dla::RunningMean test = dla::Trainer::evaluate(*model, run.loss, run.test);
    log.test(test, result.state.epoch, result.state.step);
    const std::string final_file = trainer.save_final(test.accuracy());
    const dla::PlotResult plot = log.plot(result.state, name);
    if (!a.setting.quiet) {
        if (result.stopped_early)
            std::printf("stopped early: no better validation accuracy in %lld epochs\n", static_cast<long long>(t.early_stopping_patience));
        std::printf("best weights: epoch %d; checkpoint: %s\n", result.state.stopping.best_epoch, final_file.c_str());
        std::printf("events, metrics: %s (tensorboard --logdir %s)\n", log.folder().c_str(), experiment::in_output_dir(a.setting, "runs").c_str());
        std::printf("%s\n", plot.drawn ? ("training curve: " + plot.files[0]).c_str() : plot.message.c_str());
    }
    if (a.stats && !trainer.stats().layers.empty())
        std::printf("\neach layer after the last epoch, on one training batch:\n%s\n", dla::to_text(trainer.stats()).c_str());
    std::printf("best validation accuracy: %.2f %%\n", result.state.stopping.best);
    std::printf("test accuracy: %.2f %%\n", test.accuracy());
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    Arguments a;
    CLI::App app("Trains a network described by a TOML file; see docs/config_reference.md for its keys.");
    app.add_option("--config", a.config, "the experiment, e.g. configs/m_mlp.toml")->required();
    app.add_option("--set", a.overrides, "change a setting: table.key=value, e.g. training.num_epochs=3 (repeatable)")->expected(1)->take_all();
    app.add_option("--data-dir", a.setting.data_dir, "folder of the data sets (default: $DLA_DATA_DIR, else dataset.data_dir)");
    app.add_option("--output-dir", a.setting.output_dir, "where checkpoints, runs/ and plots go (default: here)");
    CLI::Option* resume = app.add_option("--resume", a.resume, "continue from this checkpoint, or, without a file, from the newest one")->expected(0, 1);
    app.add_flag("--overwrite", a.overwrite, "remove what an earlier run of this name left, and start over")->excludes(resume);
    app.add_option("--run-id", a.run_id, "the run's identity, which its files carry (default: random)")->check([](const std::string& id) {
        return dla::is_run_id(id) ? std::string() : std::string("takes up to 64 letters, digits, _ and -");
    });
    app.add_option("--seed", a.seed, "overrides training.seed")->check(CLI::NonNegativeNumber);
    app.add_option("--threads", a.setting.threads, "threads (default: OMP_NUM_THREADS, or as many as there are processors); results do not depend on it")->check(CLI::Range(1, 1024));
    app.add_option("--device", a.device, "cpu");
    app.add_flag("--stats", a.stats, "measure gradient norms, update sizes and dead ReLUs after each epoch: a table at the end, curves in TensorBoard");
    app.add_flag("--quiet", a.setting.quiet, "only the final lines");
    app.set_version_flag("--version", "train (dla) " DLA_VERSION_STRING);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        if (e.get_exit_code() == 0) return app.exit(e);
        std::fprintf(stderr, "error[usage] train: %s; see --help\n", e.what());
        return 2;
    }
    a.wants_resume = resume->count() > 0;
    return experiment::run_program([&] { return train(a); });
}
