// SPDX-License-Identifier: MIT
// One of two translation units that include every umbrella twice: what is not inline does not link. Compares what both see of the library.
#include <dla/config.hpp>
#include <dla/data.hpp>
#include <dla/experiment.hpp>
#include <dla/inspect.hpp>
#include <dla/io.hpp>
#include <dla/nn.hpp>
#include <dla/train.hpp>
#include <dla/version.hpp>
#include <dla/zoo.hpp>
// again
#include <dla/config.hpp>
#include <dla/data.hpp>
#include <dla/experiment.hpp>
#include <dla/inspect.hpp>
#include <dla/io.hpp>
#include <dla/nn.hpp>
#include <dla/train.hpp>
#include <dla/version.hpp>
#include <dla/zoo.hpp>

#include <cstdio>
#include <string>

#include "link.hpp"

std::string train_in_b();

int main() {
    const std::string here = train_once(), there = train_in_b();
    if (here != there) return std::printf("the two translation units disagree: %s and %s\n", here.c_str(), there.c_str()), 1;
    return 0;
}
