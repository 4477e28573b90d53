// SPDX-License-Identifier: MIT
// The four families, for Cpu<float>.
#pragma once

#include <dla/kernels/cpu.hpp>

namespace dla::inline DLA_ABI_TAG {

DLA_ONCE std::unique_ptr<AnyModel> make_model(const ModelConfig& config, Seed seed, int threads) {
    Cpu<float> policy;
    policy.threads = threads;
    return make_model(config, seed, policy);
}

}  // namespace dla::inline DLA_ABI_TAG
