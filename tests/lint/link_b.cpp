// SPDX-License-Identifier: MIT
// The other translation unit.
#include <dla/zoo.hpp>
#include <dla/inspect.hpp>
#include <dla/version.hpp>
#include <dla/train.hpp>
#include <dla/nn.hpp>
#include <dla/io.hpp>
#include <dla/data.hpp>
#include <dla/experiment.hpp>
#include <dla/config.hpp>

#include <string>

#include "link.hpp"

std::string train_in_b();
std::string train_in_b() { return train_once(); }
