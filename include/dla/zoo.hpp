// SPDX-License-Identifier: MIT
// The networks of the experiments, and what a run of a configuration is made of.
#pragma once

#include <dla/zoo/experiment.hpp>
#include <dla/zoo/families.hpp>
#include <dla/zoo/load_network.hpp>
#include <dla/zoo/make_model.hpp>
