// SPDX-License-Identifier: MIT
// Runs of configurations: what `fit` is told, and a network from its checkpoint alone.
#pragma once

#include <dla/experiment/fit_options.hpp>
#include <dla/experiment/load_network.hpp>
