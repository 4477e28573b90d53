// SPDX-License-Identifier: MIT
// The one file of the programs that knows a CUDA device.
#include "experiment.hpp"

#include <dla/kernels/cpu/isa.hpp>
#include <dla/kernels/cpu/parallel.hpp>
#include <dla/version.hpp>

#if defined(DLA_HAVE_CUDA)
#include <dla/cuda.hpp>
#endif

#include <cstdlib>

namespace experiment {

namespace {

/// Why --device cuda cannot be, or "".
std::string why_no_cuda() {
#if defined(DLA_HAVE_CUDA)
    if (std::string why = dla::cuda::why_no_device(); !why.empty()) return why;
    try {
        resolve(dla::Cuda<float>());
        return "";
    } catch (const dla::OutOfDeviceMemory&) {
        return "";  // there is one: whoever makes a model hears of it
    } catch (const dla::Error& e) {
        return e.without_code();
    }
#else
    return "this build has no CUDA backend; configure it with -Dcuda=enabled";
#endif
}

std::string cpu_line(const Setting& setting) {
    const char* wish = std::getenv("DLA_SIMD");
    const int threads = dla::start_threads(setting.threads);
    return "cpu, " + std::string(dla::to_string(dla::active_isa())) + (wish && *wish ? " (DLA_SIMD asks for it), " : " (the best this processor has), ") +
           std::to_string(threads) + (threads == 1 ? " thread" : " threads");
}

}  // namespace

bool uses_cuda(const Setting& setting) {
    if (setting.device == "cpu") return false;
    const std::string why = why_no_cuda();
    if (!why.empty() && setting.device == "cuda") dla::fail(dla::ErrorCode::usage, "--device cuda", why + "; --device cpu computes without");
    return why.empty();
}

std::string computes_on(const Setting& setting) {
#if defined(DLA_HAVE_CUDA)
    if (uses_cuda(setting)) return dla::Cuda<float>().description();
#endif
    (void)setting;
    return dla::to_string(dla::active_isa());
}

std::string start_line(const Setting& setting) {
    const std::string head = "dla " DLA_VERSION_STRING ": ";
#if defined(DLA_HAVE_CUDA)
    if (uses_cuda(setting))
        return head + computes_on(setting) + (setting.device == "auto" ? " (--device auto found it)" : " (--device cuda asks for it)") + ", data on " +
               cpu_line(setting);
#endif
    if (setting.device == "auto") return head + cpu_line(setting) + " (--device auto: " + why_no_cuda() + ")";
    return head + cpu_line(setting);
}

std::unique_ptr<dla::AnyModel> make_model(const dla::ModelConfig& config, dla::Seed seed, const Setting& setting) {
#if defined(DLA_HAVE_CUDA)
    if (uses_cuda(setting)) return dla::make_model(config, seed, dla::Cuda<float>());
#endif
    return dla::make_model(config, seed, setting.threads);
}

std::unique_ptr<dla::AnyModel> make_model(const dla::ExperimentConfig& config, const Setting& setting) {
    return make_model(config.model, dla::Seed{static_cast<std::uint64_t>(config.training.seed)}, setting);
}

dla::SavedNetwork load_network(const std::string& file, const Setting& setting) {
    return dla::load_network(file, [&](const dla::ModelConfig& config) { return make_model(config, dla::Seed{0}, setting); });
}

}  // namespace experiment
