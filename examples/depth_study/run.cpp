// SPDX-License-Identifier: MIT
#include "run.hpp"

#include <dla/version.hpp>

#include <sys/file.h>

#include <cstdio>
#include <set>

namespace depth_study {

using dla::Error, dla::ErrorCode, dla::fail;

namespace {

/// `kept` and `now`, comma-separated, each name once.
std::string joined(const std::string& kept, const std::string& now) {
    if ((", " + kept + ",").find(", " + now + ",") != std::string::npos) return kept;
    return kept.empty() ? now : kept + ", " + now;
}

/// Where the study stands, for the progress line.
class Progress {
public:
    Progress(bool quiet, std::size_t total, double work) : quiet_(quiet), total_(total), line_(quiet), work_(work) { line_.start("", 0); }

    /// An experiment begins that takes `work` if it is not stopped early.
    void begin(std::string title, int epochs, double work) {
        title_ = std::move(title);
        epochs_ = epochs;
        epoch_work_ = work / epochs;
    }
    /// `share` of epoch `epoch` is done.
    void update(int epoch, double share, double val_accuracy) {
        if (!line_.is_due()) return;
        char numbers[120];
        std::snprintf(numbers, sizeof numbers, "epoch %d/%d  ETA %s  elapsed %s  val acc %s", epoch, epochs_, eta((epoch - 1 + share) * epoch_work_).c_str(),
                      dla::duration_text(line_.seconds()).c_str(), accuracy(val_accuracy).c_str());
        line_.draw(place(finished_ + 1) + title_, (done_ + (epoch - 1 + share) * epoch_work_) / work_, numbers);
    }
    void finish(const Experiment& e, bool was_there) {
        ++finished_;
        line_.clear();
        if (was_there) {
            work_ -= epoch_work_ * epochs_;
        } else {
            done_ += epoch_work_ * static_cast<double>(e.history.size());
            work_ -= epoch_work_ * (epochs_ - static_cast<double>(e.history.size()));
        }
        if (quiet_) return;
        std::string what = e.diverged.empty() ? "" : "diverged: " + e.diverged;
        if (what.empty()) {
            char text[120];
            std::snprintf(text, sizeof text, "val acc %s  test acc %s  %2d epochs  %s", accuracy(e.best().val_accuracy).c_str(),
                          accuracy(e.test_accuracy).c_str(), static_cast<int>(e.history.size()), dla::duration_text(e.seconds).c_str());
            what = text;
        }
        std::printf("%s%s  %s  %s\n", place(finished_).c_str(), title_.c_str(), what.c_str(),
                    was_there            ? "(from an earlier run)"
                    : finished_ < total_ ? ("ETA " + eta(0)).c_str()
                                         : "");
        std::fflush(stdout);
    }
    void clear() { line_.clear(); }

private:
    static std::string accuracy(double percent) {
        char text[24];
        std::snprintf(text, sizeof text, std::isnan(percent) ? "   -" : "%5.2f %%", percent);
        return text;
    }
    std::string place(std::size_t n) const {
        const std::string total = std::to_string(total_), number = std::to_string(n);
        return "[" + std::string(total.size() - number.size(), ' ') + number + "/" + total + "] ";
    }
    /// Time for what is left, when `more` of the experiment under way is done; an upper bound, since experiments may stop early.
    std::string eta(double more) const {
        const double done = done_ + more;
        return done > 0 ? dla::duration_text(line_.seconds() / done * std::max(0.0, work_ - done)) : "-";
    }

    bool quiet_;
    std::size_t total_, finished_ = 0;
    dla::Progress line_;
    std::string title_;
    int epochs_ = 1;
    double work_, done_ = 0, epoch_work_ = 0;
};

/// Notes what an experiment gives.
class Recorder : public dla::TrainingCallback {
public:
    Recorder(Experiment& experiment, Progress& progress) : experiment_(experiment), progress_(progress) {}
    void progress(int epoch, std::int64_t done, std::int64_t total) override {
        progress_.update(epoch, static_cast<double>(done) / static_cast<double>(total),
                         experiment_.history.empty() ? nan : experiment_.history.back().val_accuracy);
    }
    void epoch(const dla::EpochReport& report) override {
        experiment_.history.push_back(report.metrics);
        experiment_.gradient_norms.push_back(report.stats->mean_gradient_norm());
        if (!report.best) return;
        experiment_.best_epoch = report.metrics.epoch;
        experiment_.layers.clear();
        for (const dla::ParamStats& p : report.stats->parameters)
            if (p.kind == dla::ParamKind::weight) experiment_.layers.push_back({p.path, p.gradient_norm});
    }

private:
    Experiment& experiment_;
    Progress& progress_;
};

dla::ModelConfig model_of(const StudyOptions& o, int depth, bool residual) {
    dla::ModelConfig model = o.base.model;
    model.layer_sizes = layer_sizes(depth);
    model.layer_sizes.back() = model.num_classes;
    model.residual = residual;
    return model;
}

/// Trains and tests one network. Returns the signal that interrupted it, or 0.
int train(const StudyOptions& o, const dla::DatasetPair& data, Experiment& e, Progress& progress) {
    const auto began = dla::Progress::Clock::now();
    const dla::Seed seed{e.seed};
    dla::ExperimentConfig config = o.base;
    config.model = model_of(o, e.depth, e.residual);
    auto model = make_network(config.model, o.networks, seed, o.setting);
    e.parameters = model->index().parameter_count();
    config.training.seed = static_cast<std::int64_t>(e.seed);
    dla::FitOptions options = dla::fit_options(config, data);
    Recorder recorder(e, progress);
    options.callbacks = {&recorder};
    options.stats = true;
    options.quiet = true;
    try {
        const dla::TrainingResult result = dla::fit(*model, data.train, options);
        if (!result.test) return result.interrupted_by;
        e.test_loss = result.test->loss;
        e.test_accuracy = result.test->accuracy;
    } catch (const Error& error) {
        if (error.code() != ErrorCode::numeric) throw;
        e.diverged = error.what();
        e.layers.clear();
    }
    e.seconds = std::chrono::duration<double>(dla::Progress::Clock::now() - began).count();
    return 0;
}

Settings settings_of(const StudyOptions& o, const dla::DatasetPair& data) {
    dla::ExperimentConfig config = o.base;
    config.model = model_of(o, 1, false);
    return {.config = dla::to_toml(config, true),
            .dataset = config.dataset.name,
            .epochs = static_cast<int>(config.training.num_epochs),
            .seed = static_cast<std::uint64_t>(config.training.seed),
            .data_fingerprint = std::to_string(dla::fingerprint(data.train)),
            .networks = o.networks};
}

/// The experiments of `found` belong to this study, or an error says what differs.
void require_same_study(const Settings& found, const Settings& wanted, const std::string& file) {
    const auto differs = [&](const std::string& what) {
        fail(ErrorCode::config, file, "holds a study with " + what + "; use the same settings, another --output-dir, or remove the file to start anew");
    };
    if (found.data_fingerprint != wanted.data_fingerprint) differs("other training data");
    if (found.networks != wanted.networks) differs("networks of " + found.networks.text());
    if (const std::string difference = dla::first_difference(found.config, wanted.config); !difference.empty()) differs("other settings:" + difference);
}

std::vector<Experiment> chosen(const std::vector<Experiment>& all, const StudyOptions& o) {
    std::vector<Experiment> some;
    for (int run = 0; run < o.runs; ++run)
        for (const int depth : o.depths)
            for (const bool residual : {false, true})
                for (const Experiment& e : all)
                    if (e.is(depth, residual, run)) some.push_back(e);
    return some;
}

}  // namespace

dla::Integers layer_sizes(int depth) {
    dla::Integers sizes{128, 64};
    sizes.resize(static_cast<std::size_t>(depth), 32);
    sizes.push_back(10);
    return sizes;
}

int run_study(const StudyOptions& options, Results& results) {
    experiment::check_threads(options.setting);
    const dla::DatasetPair data = experiment::load_data(options.base, options.setting);
    const std::string folder = options.setting.output_dir, kept = folder + "/intermediate_results.json";
    const std::string isa = experiment::computes_on(options.setting);
    results = {.settings = settings_of(options, data), .depths = options.depths, .runs = options.runs, .version = "", .isa = "", .experiments = {}};
    Results all = results;
    if (std::filesystem::exists(kept)) {
        all = read_results(kept);
        require_same_study(all.settings, results.settings, kept);
        if (!all.isa.empty() && all.isa != isa)
            std::fprintf(stderr, "note: %s was begun with %s kernels, this process uses %s: last digits may differ\n", kept.c_str(), all.isa.c_str(),
                         isa.c_str());
        std::set<int> depths(all.depths.begin(), all.depths.end());
        depths.insert(options.depths.begin(), options.depths.end());
        all.depths.assign(depths.begin(), depths.end());
        all.runs = std::max(all.runs, options.runs);
    } else {
        write_results(kept, all);  // a folder that cannot be written to is better known now than after the first network
    }

    const dla::SignalGuard signals;
    const int epochs = results.settings.epochs;
    // In layers times epochs; batches and the first layer, which all networks have alike, took as long as some 60 layers where it was measured.
    const auto work = [&](int depth, bool residual) { return static_cast<double>(epochs) * (60 + (depth + 1) * (residual ? 2 : 1)); };
    double total = 0;
    for (const int depth : options.depths) total += options.runs * (work(depth, false) + work(depth, true));
    Progress progress(options.setting.quiet, 2 * options.depths.size() * static_cast<std::size_t>(options.runs), total);
    for (int run = 0; run < options.runs; ++run)
        for (const int depth : options.depths)
            for (const bool residual : {false, true}) {
                char title[64];
                std::snprintf(title, sizeof title, "depth %3d %s", depth, residual ? "residual" : "plain   ");
                progress.begin(title + (options.runs > 1 ? " run " + std::to_string(run + 1) : ""), epochs, work(depth, residual));
                const auto there =
                    std::find_if(all.experiments.begin(), all.experiments.end(), [&](const Experiment& e) { return e.is(depth, residual, run); });
                if (there != all.experiments.end()) {
                    progress.finish(*there, true);
                    continue;
                }
                Experiment e{.depth = depth, .residual = residual, .run = run, .seed = results.settings.seed + static_cast<std::uint64_t>(run)};
                int signal = train(options, data, e, progress);
                if (signal == 0) {
                    all.experiments.push_back(std::move(e));
                    all.version = joined(all.version, DLA_VERSION_STRING);
                    all.isa = joined(all.isa, isa);
                    write_results(kept, all);
                    progress.finish(all.experiments.back(), false);
                    signal = dla::SignalGuard::caught();  // during validation, test or writing
                }
                if (signal != 0) {
                    progress.clear();
                    results.experiments = chosen(all.experiments, options);
                    return 128 + signal;
                }
            }
    results.version = all.version;
    results.isa = all.isa;
    results.experiments = chosen(all.experiments, options);
    write_results(folder + "/final_results.json", results);
    if (all.experiments.size() > results.experiments.size() && !options.setting.quiet)
        std::printf("%s also holds %zu experiments of other depths or runs; they are not part of this study\n", kept.c_str(),
                    all.experiments.size() - results.experiments.size());
    return 0;
}

}  // namespace depth_study
