// SPDX-License-Identifier: MIT
// The network that a configuration describes.
#pragma once

#include <dla/config/experiment.hpp>
#include <dla/model/any_model.hpp>

#include <memory>

namespace dla::inline DLA_ABI_TAG {

/// The network of a configuration with initial weights: one of the four families, on Cpu<float> with so many threads (0: see thread_count).
/// Throws Error(shape) when it does not fit its input.
DLA_ONCE std::unique_ptr<AnyModel> make_model(const ModelConfig& config, Seed seed, int threads = 0);

}  // namespace dla::inline DLA_ABI_TAG

#if DLA_BODIES
#include <dla/zoo/make_model.impl.hpp>
#endif
