// SPDX-License-Identifier: MIT
#include "command_line.hpp"

#include <dla/version.hpp>

#include <cstdio>

namespace experiment {

CommandLine::CommandLine(std::string name, const std::string& description) : app(description), name_(std::move(name)) {
    app.set_version_flag("--version", name_ + " (dla) " DLA_VERSION_STRING);
}

CLI::Option* CommandLine::add_set(Setting& setting, const std::string& description) {
    return app.add_option("--set", setting.overrides, description + " (repeatable)")->expected(1)->take_all();
}

CLI::Option* CommandLine::add_seed(Setting& setting) {
    return app.add_option("--seed", setting.seed, "overrides training.seed")
        ->check(CLI::Range(std::int64_t{0}, std::int64_t{9'000'000'000'000'000}, "0 to 9000000000000000"));
}

CLI::Option* CommandLine::add_data_dir(Setting& setting) {
    return app.add_option("--data-dir", setting.data_dir, "folder of the data sets (default: $DLA_DATA_DIR, else dataset.data_dir)");
}

CLI::Option* CommandLine::add_output_dir(Setting& setting, const std::string& description) {
    return app.add_option("--output-dir", setting.output_dir, description);
}

CLI::Option* CommandLine::add_threads(Setting& setting) {
    return app.add_option("--threads", setting.threads, "threads (default: OMP_NUM_THREADS, or as many as there are processors); results do not depend on it")
        ->check(CLI::Range(1, 1024));
}

CLI::Option* CommandLine::add_device(Setting& setting) {
    return app.add_option("--device", setting.device, "cpu, cuda, or auto: cuda where there is a device (default: cpu)")
        ->check(CLI::IsMember({"cpu", "cuda", "auto"}));
}

CLI::Option* CommandLine::add_quiet(Setting& setting, const std::string& description) { return app.add_flag("--quiet", setting.quiet, description); }

int CommandLine::run(int argc, char** argv, const std::function<int()>& body) {
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        if (e.get_exit_code() == 0) return app.exit(e);
        std::fprintf(stderr, "error[usage] %s: %s; see --help\n", name_.c_str(), e.what());
        return 2;
    }
    return run_program(body);
}

}  // namespace experiment
