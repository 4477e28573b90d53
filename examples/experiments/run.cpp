// SPDX-License-Identifier: MIT
#include "run.hpp"

#include "../common/experiment.hpp"
#include "child.hpp"

#include <dla/core/finite.hpp>
#include <dla/core/table.hpp>
#include <dla/io/folder_lock.hpp>

#include <cstdio>
#include <deque>
#include <filesystem>
#include <fstream>
#include <thread>

namespace experiments {

using dla::ErrorCode, dla::fail;

namespace {

const Experiment& named(const List& list, const std::string& name, const char* option) {
    std::string others;
    for (const Experiment& e : list.experiments) {
        if (e.name == name) return e;
        others += (others.empty() ? "" : ", ") + e.name;
    }
    fail(ErrorCode::usage, option, list.file + " has no experiment '" + dla::detail::printable(name) + "'; expected one of " + others);
}

/// One run that is to be trained.
struct Job {
    const Experiment* experiment = nullptr;
    std::int64_t seed = 0;

    std::string title() const { return experiment->name + " seed " + std::to_string(seed); }
    bool operator==(const Job&) const = default;
};

/// A run that is being trained.
struct Worker {
    Job job;
    std::string folder, metrics;
    Child child;
    int epoch = 0;          ///< the last one that its log has
    std::uintmax_t read{};  ///< bytes of the log
};

/// Trains jobs; see run_list.
class Runner {
public:
    Runner(const List& list, const RunOptions& options, Results& results) : list_(list), o_(options), results_(results), line_(options.quiet) {}

    Outcomes run() {
        for (const std::string& name : o_.only) named(list_, name, "--only");
        for (const std::string& name : o_.rerun) named(list_, name, "--rerun");
        take_stock();
        write_results(o_.results, results_);  // a file that cannot be written is better known before the first run
        const dla::SignalGuard signals;
        line_.start("", 0);
        try {
            train_all();
        } catch (...) {  // results that cannot be written: the runs are saved, and there is no one left to watch them
            stop();
            for (Worker& w : workers_) w.child.wait();
            throw;
        }
        line_.clear();
        if (stopped_) out_.status = 128 + dla::SignalGuard::caught();
        return std::move(out_);
    }

private:
    void train_all() {
        while (!workers_.empty() || (!jobs_.empty() && !stopped_)) {
            while (!stopped_ && !jobs_.empty() && workers_.size() < slots()) {
                const Job job = jobs_.front();
                jobs_.pop_front();
                start(job);
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            if (dla::SignalGuard::caught() && !stopped_) stop();
            for (std::size_t i = workers_.size(); i-- > 0;)
                if (workers_[i].child.ended()) {
                    Worker done = std::move(workers_[i]);
                    workers_.erase(workers_.begin() + static_cast<std::ptrdiff_t>(i));
                    finish(done);
                }
            show();
        }
    }

    /// Which runs are there and which are to be trained.
    void take_stock() {
        const auto chosen = [](const std::vector<std::string>& names, const Experiment& e) {
            return std::find(names.begin(), names.end(), e.name) != names.end();
        };
        for (const Experiment& e : list_.experiments)
            if (const Outcome* o = results_.find(e.name); o && !o->runs.empty() && !chosen(o_.rerun, e) && o->config != common_config(e.settings))
                fail(ErrorCode::config, o_.results,
                     "holds runs of " + e.name + " with another configuration:" + dla::first_difference(o->config, common_config(e.settings)) +
                         "; give the changed experiment another name, or train it anew with --rerun " + e.name);
        std::size_t most = 0;
        for (const Experiment& e : list_.experiments) {
            const std::string config = common_config(e.settings);
            Outcome* outcome = results_.find(e.name);
            if (!outcome) outcome = &results_.outcomes.emplace_back();
            if (chosen(o_.rerun, e)) {
                for (const std::int64_t seed : e.seeds) wait_for_orphan(log_folder({&e, seed}));
                outcome->runs.clear();
                std::error_code error;
                std::filesystem::remove_all(o_.output_dir + "/runs/" + e.name, error);
                if (error) fail(ErrorCode::io, o_.output_dir + "/runs/" + e.name, dla::detail::errno_sentence("cannot remove", error.value()));
            }
            outcome->name = e.name;
            outcome->config = config;
            most = std::max(most, e.seeds.size());
        }
        for (std::size_t i = 0; i < most; ++i)
            for (const Experiment& e : list_.experiments) {
                if (i >= e.seeds.size() || (!o_.only.empty() && !chosen(o_.only, e))) continue;
                ++out_.wanted;
                if (results_.find(e.name)->find(e.seeds[i]))
                    ++out_.finished;
                else
                    jobs_.push_back({&e, e.seeds[i]});
            }
        if (!o_.quiet && out_.finished > 0) std::printf("%zu of %zu runs are in %s from before\n", out_.finished, out_.wanted, o_.results.c_str());
    }

    std::size_t slots() const { return static_cast<std::size_t>(std::min(o_.side_by_side, o_.threads)); }

    std::string log_folder(const Job& job) const {
        return run_folder(o_.output_dir, job.experiment->name, job.seed) + "/runs/" + run_name(job.experiment->settings);
    }

    void start(const Job& job) {
        Worker w{.job = job, .folder = run_folder(o_.output_dir, job.experiment->name, job.seed), .metrics = "", .child = {}, .epoch = 0, .read = 0};
        w.metrics = log_folder(job) + "/metrics.jsonl";
        try {
            start(w);
        } catch (const dla::Error& e) {  // of this run: the others go on
            line_.clear();
            failed(w, exit_code(e.code()), e.what());
            return;
        }
        workers_.push_back(std::move(w));
    }

    void start(Worker& w) {
        const Job& job = w.job;
        dla::make_folder(w.folder);
        wait_for_orphan(log_folder(job));
        const int threads = std::max(1, o_.threads / static_cast<int>(slots()));
        const std::string kept = w.folder + "/sittings.json";
        std::vector<Sitting> sittings;
        if (has_checkpoint(w.folder + "/checkpoints")) sittings = read_sittings(kept);  // else what was begun has left nothing
        sittings.push_back(sitting_now(o_.device, threads, static_cast<int>(slots())));
        if (sittings.size() > 1 && sittings[sittings.size() - 2].like(sittings.back())) sittings.pop_back();
        write_sittings(kept, sittings);

        std::vector<std::string> words{o_.program, "--config", job.experiment->config_path};
        const auto add = [&](const std::string& option, const std::string& value) {
            words.push_back(option);
            words.push_back(value);
        };
        for (const std::string& s : job.experiment->set) add("--set", s);
        add("--set", "training.checkpoint_dir=checkpoints/");
        add("--seed", std::to_string(job.seed));
        add("--threads", std::to_string(threads));
        add("--output-dir", w.folder);
        if (!o_.data_dir.empty()) add("--data-dir", o_.data_dir);
        if (!o_.device.empty()) add("--device", o_.device);
        words.push_back("--continue");
        w.child = Child(words, w.folder + "/train.log");
    }

    static bool has_checkpoint(const std::string& folder) {
        std::error_code ignored;
        for (const auto& entry : std::filesystem::directory_iterator(folder, ignored))
            if (entry.path().extension() == ".safetensors") return true;
        return false;
    }

    /// When this program was killed, its children finish their step and save it first.
    static void wait_for_orphan(const std::string& folder) {
        if (!std::filesystem::exists(folder)) return;
        for (int tries = 0; tries < 200 && !dla::SignalGuard::caught(); ++tries) try {
                const dla::FolderLock lock(folder, "");
                return;
            } catch (const dla::Error&) {
                std::this_thread::sleep_for(std::chrono::milliseconds(100));
            }  // train itself says who holds it
    }

    void stop() {
        stopped_ = true;
        for (Worker& w : workers_) w.child.stop();
        line_.clear();
        if (!o_.quiet && !workers_.empty())
            std::printf("interrupted: waiting for %zu run%s to save %s state\n", workers_.size(), workers_.size() == 1 ? "" : "s",
                        workers_.size() == 1 ? "its" : "their");
        std::fflush(stdout);
    }

    void finish(const Worker& w) {
        const int status = w.child.status();
        line_.clear();
        if (stopped_ && (status == 130 || status == 143)) return;
        if (status != 0 && status != exit_code(ErrorCode::numeric)) return failed(w, status, last_line(w.folder + "/train.log"));
        Run run;
        try {
            run = read_metrics(w.metrics);
            run.sittings = read_sittings(w.folder + "/sittings.json");
        } catch (const dla::Error& e) {
            return failed(w, exit_code(e.code()), e.what());
        }
        run.seed = w.job.seed;
        if (status != 0) run.diverged = last_line(w.folder + "/train.log");
        if (status == 0 && (run.best_epoch == 0 || !dla::is_finite(run.test_accuracy)))
            return failed(w, exit_code(ErrorCode::io), w.metrics + " has no epoch or no test");
        results_.find(w.job.experiment->name)->runs.push_back(run);
        write_results(o_.results, results_);
        remove_epochs(w.folder + "/checkpoints");
        ++out_.finished;
        if (o_.quiet) return;
        if (run.diverged.empty())
            std::printf("%s%s  val %.2f %%  test %.2f %%  best epoch %d of %zu  %s\n", place().c_str(), w.job.title().c_str(), run.best().val_accuracy,
                        run.test_accuracy, run.best_epoch, run.history.size(),
                        dla::duration_text(run.seconds_per_epoch() * static_cast<double>(run.history.size())).c_str());
        else
            std::printf("%s%s  diverged: %s\n", place().c_str(), w.job.title().c_str(), run.diverged.c_str());
        std::fflush(stdout);
    }

    void failed(const Worker& w, int status, const std::string& why) {
        if (out_.status == 0) out_.status = status;
        out_.failures.push_back(w.job.title() + ": " + why);
        std::fprintf(stderr, "%s: %s (%s/train.log)\n", w.job.title().c_str(), why.c_str(), w.folder.c_str());
    }

    /// Once a run is in the results, what it could have been resumed from is of no use; its best weights stay.
    static void remove_epochs(const std::string& folder) {
        std::error_code ignored;
        for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
            const std::string name = entry.path().filename().string();
            if (name.ends_with(".safetensors") && name.find("_epoch_") != name.npos) std::filesystem::remove(entry.path(), ignored);
        }
    }

    /// The last line that says something: an error, or how a child ended.
    static std::string last_line(const std::string& log) {
        std::ifstream file(log);
        std::string last = "the run ended without a word";
        for (std::string line; std::getline(file, line);)
            if (!line.empty()) last = line;
        return dla::detail::printable(last, 500);
    }

    std::string place() const { return "[" + std::to_string(out_.finished) + "/" + std::to_string(out_.wanted) + "] "; }

    /// What is under way, on a line that redraws itself.
    void show() {
        if (!line_.is_due()) return;
        std::string under_way;
        double done = 0;
        for (Worker& w : workers_) {
            read_epoch(w);
            const auto epochs = w.job.experiment->settings.training.num_epochs;
            done += static_cast<double>(w.epoch) / static_cast<double>(epochs);
            under_way += (under_way.empty() ? "" : ", ") + w.job.title() + " epoch " + std::to_string(w.epoch + 1) + "/" + std::to_string(epochs);
        }
        const double wanted = static_cast<double>(std::max<std::size_t>(1, out_.wanted));
        line_.draw(place() + under_way, (static_cast<double>(out_.finished) + done) / wanted, "elapsed " + dla::duration_text(line_.seconds()));
    }

    /// How far a run is, from what its log has more than last time.
    static void read_epoch(Worker& w) {
        std::ifstream log(w.metrics);
        if (!log) return;
        std::error_code error;
        const std::uintmax_t size = std::filesystem::file_size(w.metrics, error);
        if (error || size < w.read) w.read = 0;  // it was begun anew
        log.seekg(static_cast<std::streamoff>(w.read));
        for (std::string text; std::getline(log, text) && !log.eof();) {
            w.read += text.size() + 1;
            if (const auto at = text.find("\"type\":\"epoch\""); at != text.npos)
                if (const auto number = text.find("\"epoch\":"); number != text.npos) w.epoch = std::atoi(text.c_str() + number + 8);
        }
    }

    const List& list_;
    const RunOptions& o_;
    Results& results_;
    dla::Progress line_;
    std::deque<Job> jobs_;
    std::vector<Worker> workers_;
    bool stopped_ = false;
    Outcomes out_;
};

}  // namespace

std::string run_folder(const std::string& output_dir, const std::string& name, std::int64_t seed) {
    return output_dir + "/runs/" + name + "/seed-" + std::to_string(seed);
}

Outcomes run_list(const List& list, const RunOptions& options, Results& results) { return Runner(list, options, results).run(); }

}  // namespace experiments
