// SPDX-License-Identifier: MIT
// What depends on no network, compiled once for a whole program; see DLA_KERNELS_EXTERN in <dla/core/config.hpp>.
#define DLA_KERNELS_IMPLEMENT
#include <dla/data.hpp>
#include <dla/inspect.hpp>
#include <dla/nn.hpp>
#include <dla/zoo.hpp>

#if __has_include(<nlohmann/json.hpp>)
#include <dla/train.hpp>
#endif
