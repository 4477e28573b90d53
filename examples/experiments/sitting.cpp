// SPDX-License-Identifier: MIT
#include "../common/experiment.hpp"
#include "run.hpp"

#include <dla/version.hpp>

#include <ctime>
#include <fstream>

namespace experiments {

namespace {

std::string processor() {
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);)
        if (line.starts_with("model name"))
            if (const auto at = line.find(": "); at != line.npos) return dla::detail::printable(line.substr(at + 2));
    return "unknown";
}

std::string now_text() {
    const std::time_t now = std::time(nullptr);
    std::tm utc{};
    gmtime_r(&now, &utc);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return text;
}

}  // namespace

Sitting sitting_now(const std::string& device, int threads, int side_by_side) {
    experiment::Setting setting;
    setting.threads = 1;
    if (!device.empty()) setting.device = device;
    return {.version = DLA_VERSION_STRING,
            .commit = experiment::commit(),
            .computes_on = experiment::computes_on(setting),
            .processor = processor(),
            .threads = threads,
            .side_by_side = side_by_side,
            .began = now_text()};
}

}  // namespace experiments
