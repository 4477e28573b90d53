// SPDX-License-Identifier: MIT
#include "experiment.hpp"

#include "commit.hpp"

#include <dla/data/download.hpp>
#include <dla/io/process.hpp>
#include <dla/kernels/cpu/parallel.hpp>

#include <cstdio>
#include <cstdlib>

namespace experiment {

using dla::Error, dla::ErrorCode;

std::vector<std::string> overrides(const Setting& setting) {
    std::vector<std::string> all = setting.overrides;
    if (setting.seed >= 0) all.push_back("training.seed=" + std::to_string(setting.seed));
    return all;
}

dla::DatasetPair load_data(const dla::ExperimentConfig& config, const Setting& setting, bool test_only) {
    const char* variable = std::getenv("DLA_DATA_DIR");
    const std::string folder = !setting.data_dir.empty() ? setting.data_dir : variable && *variable ? variable : config.dataset.data_dir;
#if defined(DLA_HAVE_CURL)
    const std::string& name = config.dataset.name;
    if (!dla::has_dataset(name, folder)) {
        if (!setting.quiet) std::printf("%s is not in %s; downloading it\n", name.c_str(), folder.c_str());
        try {
            dla::download_dataset(name, folder);
        } catch (const Error& e) {
            std::fprintf(stderr, "%s\n", e.what());  // what follows says where the files belong
        }
    }
#endif
    return dla::load_data(config, folder, test_only);
}

std::vector<float> images_of(const dla::Batch& batch, const dla::Shape& shape) {
    std::vector<float> images(batch.inputs.size());
    dla::nhwc_to_nchw(batch.inputs, images, batch.count, shape);
    return images;
}

std::string in_output_dir(const Setting& setting, const std::string& path) {
    const std::filesystem::path p(path);
    std::string joined = (p.is_absolute() || setting.output_dir.empty() ? p : std::filesystem::path(setting.output_dir) / p).string();
    while (joined.size() > 1 && joined.ends_with('/')) joined.pop_back();
    return joined;
}

std::string commit() { return DLA_COMMIT; }

void check_threads(const Setting& setting) {
    if (dla::start_threads(setting.threads) < setting.threads)
        dla::fail(ErrorCode::usage, "--threads",
                  "the system does not give " + std::to_string(setting.threads) + " threads; use fewer, or raise its limit (ulimit -u)");
}

int run_program(const std::function<int()>& body) {
    dla::hold_standard_streams();
    dla::ignore_file_size_signal();
    try {
        const int status = body();
        if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
        std::fprintf(stderr, "error[io] standard output: not all of it could be written; is the disk full?\n");
        return status != 0 ? status : 6;
    } catch (const Error& e) {
        std::fflush(stdout);
        std::fprintf(stderr, "%s\n", e.what());
        return exit_code(e.code());
    } catch (const std::bad_alloc&) {
        std::fflush(stdout);
        std::fprintf(stderr, "error[io] memory: the system gives no more; try a smaller batch_size or network\n");
        return 6;
    } catch (const std::exception& e) {
        std::fflush(stdout);
        std::fprintf(stderr, "error[io] program: %s\n", e.what());
        return 6;
    }
}

}  // namespace experiment
