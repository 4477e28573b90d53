// SPDX-License-Identifier: MIT
// A network from its checkpoint alone.
#pragma once

#include <dla/config/toml.hpp>
#include <dla/data/metadata.hpp>
#include <dla/train/checkpoint.hpp>
#include <dla/zoo/make_model.hpp>

#include <filesystem>
#include <functional>
#include <memory>

namespace dla::detail {

/// Bytes that the largest arrays of the network take in a file; fewer than there are in all.
inline std::uint64_t least_bytes(const ModelConfig& m) {
    const auto product = [](std::int64_t a, std::int64_t b) { return 4 * static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b); };
    const auto& sizes = m.name == "mlp" ? m.layer_sizes : m.filters;
    const std::int64_t window = m.name == "mlp" ? 1 : m.kernel_size * m.kernel_size;
    if (m.name == "whitened_cnn") {
        std::uint64_t bytes = product(8 * m.input_shape[0] * 9, sizes[0]);
        for (std::size_t i = 0; i < sizes.size(); ++i) bytes += product(sizes[i] * 9, sizes[i]) + (i > 0 ? product(sizes[i - 1] * 9, sizes[i]) : 0);
        return bytes;
    }
    std::uint64_t bytes = product(m.input_shape[0] * (m.name == "mlp" ? m.input_shape[1] * m.input_shape[2] : window), sizes[0]);
    for (std::size_t i = 0; i + 1 < sizes.size(); ++i) bytes += product(sizes[i] * window, sizes[i + 1]);
    return bytes;
}

}  // namespace dla::detail

namespace dla::inline DLA_ABI_TAG {

/// A trained network and what it was trained by.
struct SavedNetwork {
    ExperimentConfig config;
    std::unique_ptr<AnyModel> model;
    Dataset data;  ///< without images: mean, std and class names, for `normalised` and `read_input`; nothing where the file does not say them
};

/// Rebuilds the network of a checkpoint that `train`, or a run of `fit_options`, wrote: its configuration stands in the file, and `make` makes a network of it
/// on the policy that it is to compute on. Throws Error(checkpoint) when the file is damaged, before much memory is claimed, or says no configuration.
inline SavedNetwork load_network(const std::string& file, const std::function<std::unique_ptr<AnyModel>(const ModelConfig&)>& make) {
    const Checkpoint checkpoint(file);
    SavedNetwork saved;
    const std::string& text = checkpoint.state().config;
    if (text.find("[model]") == text.npos)
        fail(ErrorCode::checkpoint, checkpoint.where(), "says no configuration of a network; load it into the network that it is of (load_weights)");
    try {
        saved.config = parse_config(text, "config");
    } catch (const Error& e) {
        fail(ErrorCode::checkpoint, checkpoint.where(), "its configuration is damaged: " + one_line(e.what()));
    }
    if (const auto least = detail::least_bytes(saved.config.model); least > std::filesystem::file_size(file))  // before that much memory is claimed
        fail(ErrorCode::checkpoint, file,
             "is too short for the network of its configuration, which takes more than " + std::to_string(least) + " bytes; it is damaged");
    saved.model = make(saved.config.model);
    checkpoint.load_weights(*saved.model);
    if (checkpoint.state().data.empty()) return saved;
    try {
        saved.data = from_metadata(checkpoint.state().data, "metadata");
    } catch (const Error& e) {
        fail(ErrorCode::checkpoint, checkpoint.where(), "what it says of its data is damaged: " + e.without_code());
    }
    if (!(saved.data.shape == saved.model->input_shape()))
        fail(ErrorCode::checkpoint, checkpoint.where(),
             dla::text("its data are images ", to_text(saved.data.shape), ", its network takes ", to_text(saved.model->input_shape()), "; it is damaged")
                 .view());
    return saved;
}
/// The same on Cpu<float>; `threads` as make_model.
inline SavedNetwork load_network(const std::string& file, int threads = 0) {
    return load_network(file, [threads](const ModelConfig& config) { return make_model(config, Seed{0}, threads); });
}
/// The same on another policy, such as Cuda<float>.
template <Policy P>
SavedNetwork load_network(const std::string& file, const P& policy) {
    return load_network(file, [&policy](const ModelConfig& config) { return make_model(config, Seed{0}, policy); });
}

}  // namespace dla::inline DLA_ABI_TAG
