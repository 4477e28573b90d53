// SPDX-License-Identifier: MIT
// Experiments from TOML files: the keys, their checks, reading and writing.
#pragma once

#include <dla/config/check.hpp>
#include <dla/config/experiment.hpp>
#include <dla/config/schema.hpp>
#include <dla/config/toml.hpp>
#include <dla/config/write.hpp>
