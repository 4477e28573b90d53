// SPDX-License-Identifier: MIT
// The networks of a depth study: those of the experiments, and what becomes of them with another normalisation or other initial weights.
#pragma once

#include "../common/experiment.hpp"

#include <memory>
#include <string>

namespace depth_study {

/// In what a study's networks differ from `make_model`'s.
struct NetworkOptions {
    std::string normalization = "batch";     ///< behind each hidden Linear: batch, layer or none
    std::string initialization = "default";  ///< default: PyTorch's; he: uniform with bound sqrt(6 / inputs), no biases (He et al. 2015)

    bool operator==(const NetworkOptions&) const = default;
    /// `layer normalisation, initial weights of He`
    std::string text() const;
};

/// An MLP with such layers. Throws Error(usage) for a device where only the usual ones are.
std::unique_ptr<dla::AnyModel> make_network(const dla::ModelConfig& config, const NetworkOptions& options, dla::Seed seed, const experiment::Setting& setting);

}  // namespace depth_study
