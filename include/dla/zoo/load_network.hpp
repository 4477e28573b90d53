// SPDX-License-Identifier: MIT
// A network from its checkpoint alone.
#pragma once

#include <dla/config/experiment.hpp>
#include <dla/model/any_model.hpp>

#include <memory>
#include <string>

namespace dla::inline DLA_ABI_TAG {

/// A trained network and what it was trained by.
struct SavedNetwork {
    ExperimentConfig config;
    std::unique_ptr<AnyModel> model;
};

/// Rebuilds the network of a checkpoint that `train`, or a run of `fit_options`, wrote: its configuration stands in the file. `threads` as make_model.
/// Throws Error(checkpoint) when the file is damaged, before much memory is claimed, or says no configuration.
DLA_ONCE SavedNetwork load_network(const std::string& checkpoint, int threads = 0);

}  // namespace dla::inline DLA_ABI_TAG

#if DLA_BODIES
#include <dla/zoo/load_network.impl.hpp>
#endif
