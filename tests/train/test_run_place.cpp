// SPDX-License-Identifier: MIT
// The place of a run is held by one process, and what an earlier run left there stays until the new one really begins.
#include <doctest/doctest.h>

#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>
#include "fit_data.hpp"

#include <filesystem>
#include <map>

#include <sys/wait.h>
#include <unistd.h>

using namespace fit_tests;

namespace {

/// Everything that a trainer takes.
struct Training {
    ArrayData data = surface(64);
    Regressor model{Seed{1}};
    std::unique_ptr<AnyModel> any = any_model(model);
    Optimizer optimizer{Adam()};
    AnySchedule schedule{AnyScheduleOptions{}};
    Loader loader{data, all_samples(data), {.batch_size = 32, .workers = 0}};
    Trainer trainer;

    Training(const RunPlaceOptions& o, const std::string& config)
        : trainer(*any, optimizer, schedule, MeanSquaredError<float>{}, loader, nullptr,
                  {.name = o.name, .checkpoint_dir = o.checkpoint_dir, .epochs = 2, .save_every = 1, .early_stopping_patience = 0, .quiet = true}) {
        trainer.state().config = config;
    }
};

/// Names and contents of all files under a folder.
std::map<std::string, std::string> contents(const std::string& folder) {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
        if (entry.is_regular_file()) files[entry.path().string()] = file_text(entry.path().string());
    return files;
}

/// A run of two epochs; gives the checkpoint that it went on from.
std::string run(const RunPlaceOptions& o, const std::string& config = "a = 1\n") {
    Training t(o, config);
    RunPlace place(o);
    std::string from = place.begin(t.trainer, true);
    RunLog log(o.log_folder, true, t.trainer.state());
    t.trainer.run(log);
    return from;
}

RunPlaceOptions options(const TemporaryFolder& folder) { return {.name = "net", .checkpoint_dir = folder / "checkpoints", .log_folder = folder / "runs/net"}; }

}  // namespace

TEST_CASE("run place: an earlier run is neither mixed with nor lost") {
    const TemporaryFolder folder;
    RunPlaceOptions o = options(folder);
    CHECK(run(o).empty());
    const auto before = contents(folder.path);
    CHECK(before.contains(folder / "checkpoints/net_epoch_2.safetensors"));
    CHECK_FALSE(before.contains(folder / "checkpoints/net.lock"));  // let go

    const std::string refusal = "error[usage] " + o.checkpoint_dir + ": an earlier run left net_epoch_1.safetensors and 1 more; go on with it (";
    CHECK(error_of([&] { RunPlace place(o); }) ==
          refusal + "earlier = EarlierRun::resume), remove it and start over (earlier = EarlierRun::overwrite), or use another name or checkpoint_dir");
    o.to_resume = "--resume", o.to_overwrite = "--overwrite", o.other_checkpoints = "go elsewhere", o.other_logs = "log elsewhere";
    CHECK(error_of([&] { RunPlace place(o); }) == refusal + "--resume), remove it and start over (--overwrite), or go elsewhere");
    CHECK(contents(folder.path) == before);

    // One that is to be overwritten is there until the new run begins: what fails before loses nothing.
    o.earlier = EarlierRun::overwrite;
    {
        const RunPlace place(o);
        CHECK(place.earlier().checkpoints.size() == 2);
        CHECK(place.earlier().logs.size() >= 2);
    }
    CHECK(contents(folder.path) == before);
    put_file(folder / "checkpoints/net_epoch_2.safetensors.bak", "a user's own");
    put_file(folder / "checkpoints/network_epoch_2.safetensors", "another run's");
    {
        Training t(o, "a = 1\n");
        RunPlace place(o);
        CHECK(place.begin(t.trainer, true).empty());
        CHECK(t.trainer.state().run.size() == 16);
        std::vector<std::string> left;
        for (const auto& [path, text] : contents(folder.path)) left.push_back(path);
        CHECK(left == std::vector{folder / "checkpoints/net.lock", folder / "checkpoints/net_epoch_2.safetensors.bak",
                                  folder / "checkpoints/network_epoch_2.safetensors"});
    }
    // Logs alone cannot be resumed.
    o.earlier = EarlierRun::refuse;
    put_file(folder / "runs/net/metrics.jsonl", "{}\n");
    CHECK(error_of([&] { RunPlace place(o); }) ==
          "error[usage] " + o.log_folder + ": an earlier run left metrics.jsonl; remove it and start over (--overwrite), or log elsewhere");
}

TEST_CASE("run place: resuming says from what, or why not") {
    const TemporaryFolder folder;
    RunPlaceOptions o = options(folder);
    o.earlier = EarlierRun::resume;
    CHECK(error_of([&] { run(o); }) ==
          "error[checkpoint] " + o.checkpoint_dir + ": no checkpoint net_epoch_N or net_interrupted to resume from; start anew without earlier = EarlierRun::resume");
    o.earlier = EarlierRun::resume_if_any;
    CHECK(run(o).empty());
    const std::string id = RunLog::run_of(o.log_folder);
    CHECK(is_run_id(id));
    for (const EarlierRun earlier : {EarlierRun::resume, EarlierRun::resume_if_any}) {
        o.earlier = earlier;
        CHECK(run(o) == folder / "checkpoints/net_epoch_2.safetensors");
        CHECK(RunLog::run_of(o.log_folder) == id);
        const auto before = contents(folder.path);
        CHECK(error_of([&] { run(o, "a = 2\n"); }) ==
              "error[checkpoint] " + o.checkpoint_dir + ": none of the checkpoints of 'net' serves; the furthest: " + o.checkpoint_dir +
                  "/net_epoch_2.safetensors: written with another configuration: it has `a = 1`, now `a = 2` (1 more, see the notes on stderr); use the same "
                  "options and data, start over (earlier = EarlierRun::overwrite), or use another name or checkpoint_dir");
        CHECK(contents(folder.path) == before);
    }
    o.run_id = "other";
    CHECK(contains(error_of([&] { run(o); }), "none of the checkpoints of 'net' serves"));
    o.run_id.clear();
    o.checkpoint = folder / "checkpoints/net_epoch_1.safetensors";  // not the furthest one
    CHECK(run(o) == o.checkpoint);
    o.checkpoint = folder / "checkpoints/net_epoch_7.safetensors";
    CHECK(contains(error_of([&] { run(o); }), "net_epoch_7.safetensors"));
}

TEST_CASE("run place: one process at a time, and the next is told by whom") {
    const TemporaryFolder folder;
    RunPlaceOptions o = options(folder);
    o.earlier = EarlierRun::overwrite;
    std::filesystem::create_directories(o.checkpoint_dir);
    put_file(folder / "checkpoints/net_epoch_1.safetensors", "an earlier run's");
    int ready[2], over[2];
    REQUIRE(::pipe(ready) == 0);
    REQUIRE(::pipe(over) == 0);
    const pid_t other = ::fork();
    REQUIRE(other >= 0);
    if (other == 0) {
        char byte = 'x';
        ::close(over[1]);
        const RunPlace place(o);
        if (::write(ready[1], &byte, 1) != 1) ::_exit(1);
        static_cast<void>(!::read(over[0], &byte, 1));  // until the test is over, however it ends
        ::_exit(0);                                     // as if killed: nothing is tidied up
    }
    ::close(over[0]);
    ::close(ready[1]);
    char byte = 0;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    const std::string who = ": process " + std::to_string(other) + " (", what = ") is writing there; wait for it, or ";
    const auto said = [](const RunPlaceOptions& asked) { return error_of([&] { RunPlace place(asked); }); };
    std::string why = said(o);
    CHECK(why.starts_with("error[io] " + o.log_folder + who));
    CHECK(why.ends_with(what + "use another name or log_dir"));
    RunPlaceOptions elsewhere = o;
    elsewhere.log_folder = folder / "elsewhere/net";
    why = said(elsewhere);
    CHECK(why.starts_with("error[io] " + o.checkpoint_dir + "/net.lock" + who));
    CHECK(why.ends_with(what + "use another name or checkpoint_dir"));
    elsewhere.name = "net2";  // another run in the same folder
    CHECK(said(elsewhere) == "no error");
    CHECK(file_text(folder / "checkpoints/net_epoch_1.safetensors") == "an earlier run's");
    ::close(over[1]);
    ::close(ready[0]);
    int status = 0;
    REQUIRE(::waitpid(other, &status, 0) == other);
    CHECK(status == 0);
    CHECK(std::filesystem::exists(folder / "checkpoints/net.lock"));
    CHECK(said(o) == "no error");  // its file is no lock without it
    CHECK_FALSE(std::filesystem::exists(folder / "checkpoints/net.lock"));
}

TEST_CASE("run place: a run without folders has no identity and leaves nothing") {
    Training t({.checkpoint_dir = ""}, "");
    RunPlace place({});
    CHECK(place.begin(t.trainer).empty());
    CHECK(t.trainer.state().run.empty());
    CHECK(place.earlier().checkpoints.empty());
}
