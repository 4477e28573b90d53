// SPDX-License-Identifier: MIT
// The networks of the experiments.
#pragma once

#include <dla/zoo/families.hpp>
#include <dla/zoo/make_model.hpp>
