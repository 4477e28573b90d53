// SPDX-License-Identifier: MIT
// What the command lines of the programs have in common: options of the same meaning, --help, --version, and how a mistake is told.
#pragma once

#include "experiment.hpp"

#include <CLI/CLI.hpp>

namespace experiment {

class CommandLine {
public:
    CommandLine(std::string name, const std::string& description);

    CLI::App app;  ///< takes the options that one program alone has; its final_callback may throw a CLI::ValidationError

    // The setting must outlive `run`.
    CLI::Option* add_set(Setting& setting, const std::string& description);
    CLI::Option* add_seed(Setting& setting);
    CLI::Option* add_data_dir(Setting& setting);
    CLI::Option* add_output_dir(Setting& setting, const std::string& description);
    CLI::Option* add_threads(Setting& setting);
    CLI::Option* add_device(Setting& setting);
    CLI::Option* add_quiet(Setting& setting, const std::string& description);

    /// Reads the arguments and then runs `body` as run_program does. A mistake is told in one line on stderr, with exit code 2.
    int run(int argc, char** argv, const std::function<int()>& body);

private:
    std::string name_;
};

}  // namespace experiment
