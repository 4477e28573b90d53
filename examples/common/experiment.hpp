// SPDX-License-Identifier: MIT
// What the programs share, compiled once: data, checkpoints, the first line, and errors as exit codes.
#pragma once

#include <dla/config.hpp>
#include <dla/data.hpp>
#include <dla/experiment.hpp>
#include <dla/train.hpp>

#include <functional>
#include <memory>

namespace experiment {

/// What the programs' options say beyond the configuration.
struct Setting {
    std::string data_dir;                ///< empty: $DLA_DATA_DIR, else the configuration's
    std::string output_dir;              ///< relative paths of the configuration start here
    std::vector<std::string> overrides;  ///< of the configuration: table.key=value
    std::int64_t seed = -1;              ///< overrides training.seed unless it is negative
    int threads = 0;                     ///< 0: see dla::thread_count
    std::string device = "cpu";          ///< cpu, cuda, or auto: cuda where it can be
    bool quiet = false;
};

/// All overrides of the configuration, the seed as the last.
std::vector<std::string> overrides(const Setting& setting);

/// The data set of a configuration, downloaded when it is not there and this build can. Throws dla::Error(data) when the images are not what the model takes.
/// `test_only`: nobody will look at the training images, so digits are not drawn for them.
dla::DatasetPair load_data(const dla::ExperimentConfig& config, const Setting& setting, bool test_only = false);

/// The values of a batch as other programs have them, [N, C, H, W].
std::vector<float> images_of(const dla::Batch& batch, const dla::Shape& shape);

/// Joins a relative path to the output folder.
std::string in_output_dir(const Setting& setting, const std::string& path);

/// Starts the threads. Throws dla::Error(usage) when the system does not give as many as somebody asked for.
void check_threads(const Setting& setting);

/// Whether --device means a CUDA device. Throws dla::Error(usage), saying what was found, if it asks for one and there is none.
bool uses_cuda(const Setting& setting);

/// As AnyModel::computes_on of the networks that are made.
std::string computes_on(const Setting& setting);

/// `dla 0.1.0: cpu, avx512 (the best this processor has), 2 threads`.
std::string start_line(const Setting& setting);

/// The commit that the programs were built from, `-dirty` behind it when files differed from it; `unknown` outside a git checkout.
std::string commit();

/// The network of a configuration, and that of a checkpoint, on the device that was asked for.
std::unique_ptr<dla::AnyModel> make_model(const dla::ModelConfig& config, dla::Seed seed, const Setting& setting);
std::unique_ptr<dla::AnyModel> make_model(const dla::ExperimentConfig& config, const Setting& setting);
dla::SavedNetwork load_network(const std::string& file, const Setting& setting);

/// Runs `body` and turns errors into a line on stderr and the exit code of their kind.
int run_program(const std::function<int()>& body);

}  // namespace experiment
