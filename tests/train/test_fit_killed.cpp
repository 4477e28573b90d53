// SPDX-License-Identifier: MIT
// fit in a process that is killed, again and again, at steps and at any moment: what is left at the end is, byte for byte, what a run leaves that nobody
// killed.
#include <doctest/doctest.h>

#include <support/temporary_folder.hpp>
#include "fit_data.hpp"

#include <sys/wait.h>
#include <unistd.h>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <thread>

using namespace fit_tests;

namespace {

using Net = Sequential<Linear<2, 64>, BatchNorm1d<>, Tanh, Dropout, Linear<64, 64>, ReLU, Linear<64, 2>>;

struct Killer : TrainingCallback {
    int after;
    explicit Killer(int steps) : after(steps) {}
    void progress(int, std::int64_t, std::int64_t) override {
        if (--after == 0) std::raise(SIGKILL);
    }
};

/// One process's part of the run; SIGKILL after so many steps of its own (0: never).
void part_of_a_run(const std::string& folder, int kill_after) {
    const ArrayData data = surface(600);
    Killer killer(kill_after);
    FitOptions o = quiet(8);
    o.validation_share = 0.2;
    o.metrics = {std::make_shared<R2>()};
    o.optimizer = Adam({.learning_rate = 0.01});
    o.schedule = CosineOptions{.unit = ScheduleUnit::step};
    o.checkpoint_dir = folder;
    o.run_id = "one";
    o.resume = true;
    o.callbacks = {&killer};
    Model<Net, Shape{2}> model(Seed{1});
    fit(model, data, o);
}
/// This test again, as a process that does a part; gives it a pid.
pid_t start_part(const std::string& folder, int kill_after) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::setenv("DLA_TEST_RUN", folder.c_str(), 1);
        ::setenv("DLA_TEST_KILL_AFTER", std::to_string(kill_after).c_str(), 1);
        ::execl("/proc/self/exe", "part", "--test-case=part of a run that may be killed", "--no-skip", "--quiet", static_cast<char*>(nullptr));
        ::_exit(127);
    }
    return child;
}
int end_of(pid_t child) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return status;
}
std::map<std::string, std::string> files_in(const std::string& folder) {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.path().extension() != ".safetensors") continue;
        std::ifstream in(entry.path(), std::ios::binary);
        files[entry.path().filename()] = std::string(std::istreambuf_iterator<char>(in), {});
    }
    return files;
}

}  // namespace

TEST_CASE("part of a run that may be killed" * doctest::skip()) {
    const char* folder = std::getenv("DLA_TEST_RUN");
    if (folder == nullptr) return;  // nobody has started it as a part
    part_of_a_run(folder, std::atoi(std::getenv("DLA_TEST_KILL_AFTER")));
}

TEST_CASE("fit: a run whose process is killed leaves, once it has come to its end, the files of one that was not") {
    const TemporaryFolder folder;
    const auto began = std::chrono::steady_clock::now();
    CHECK(end_of(start_part(folder / "whole", 0)) == 0);
    const auto whole_run = std::chrono::steady_clock::now() - began;
    const auto expected = files_in(folder / "whole");
    CHECK(expected.size() == 9);  // eight epochs and the best

    const std::string killed = folder / "killed";
    for (const int step : {1, 20, 7, 35}) CHECK(WIFSIGNALED(end_of(start_part(killed, step))));
    CHECK(files_in(killed).size() < expected.size());
    CHECK(end_of(start_part(killed, 0)) == 0);
    CHECK(files_in(killed) == expected);

    // At any moment: also while a checkpoint is being written, or before the first step.
    const std::string anywhere = folder / "anywhere";
    for (int i = 0; i < 12; ++i) {
        const pid_t child = start_part(anywhere, 0);
        std::this_thread::sleep_for(whole_run * (i % 6 + 1) / 7);
        ::kill(child, SIGKILL);
        end_of(child);
    }
    CHECK(end_of(start_part(anywhere, 0)) == 0);
    CHECK(files_in(anywhere) == expected);
}
