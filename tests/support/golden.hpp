// SPDX-License-Identifier: MIT
// Reads the golden vectors of tests/golden (format: its README.md).
#pragma once

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace golden {

/// Row-major, axes as PyTorch has them (images channels-first).
struct Tensor {
    std::vector<std::int64_t> dims;
    std::vector<double> values;
    std::int64_t size() const { return static_cast<std::int64_t>(values.size()); }
};

/// One computation: parameters by name and tensors by name. A name that is not there throws std::runtime_error, unless a fallback is given.
struct Case {
    std::string name;
    std::map<std::string, std::string> params;
    std::map<std::string, Tensor> tensors;

    bool has(const std::string& key) const { return params.count(key) != 0 || tensors.count(key) != 0; }
    const std::string& text(const std::string& key) const {
        const auto found = params.find(key);
        if (found == params.end()) throw std::runtime_error(name + ": no parameter " + key);
        return found->second;
    }
    double number(const std::string& key) const {
        const std::string& value = text(key);
        char* end = nullptr;
        const double number = std::strtod(value.c_str(), &end);
        if (end != value.c_str() + value.size()) throw std::runtime_error(name + ": " + key + " is no number: " + value);
        return number;
    }
    double number(const std::string& key, double fallback) const { return params.count(key) != 0 ? number(key) : fallback; }
    std::int64_t integer(const std::string& key) const { return static_cast<std::int64_t>(number(key)); }
    const Tensor& tensor(const std::string& key) const {
        const auto found = tensors.find(key);
        if (found == tensors.end()) throw std::runtime_error(name + ": no tensor " + key);
        return found->second;
    }
};

/// All cases of tests/golden/NAME.txt. Throws std::runtime_error naming file and line when the file is absent or damaged.
inline std::vector<Case> load(const std::string& file) {
    const std::string path = std::string(DLA_GOLDEN_DIR) + "/" + file + ".txt";
    std::ifstream in(path);
    std::string line;
    int number = 0;
    const auto next = [&] {
        ++number;
        return static_cast<bool>(std::getline(in, line));
    };
    const auto check = [&](bool ok, const char* what) {
        if (!ok) throw std::runtime_error(path + ":" + std::to_string(number) + ": " + what);
    };
    check(next() && line == "dla-golden 1", "not a golden file, or absent");
    std::vector<Case> cases;
    while (true) {
        check(next(), "ends before 'end'");
        if (line == "end") return cases;
        std::istringstream words(line);
        std::string kind, key;
        check(static_cast<bool>(words >> kind >> key), "expected case, param, tensor or end");
        if (kind == "case") {
            cases.push_back({key, {}, {}});
            continue;
        }
        check(!cases.empty(), "expected a case first");
        if (kind == "param") {
            check(static_cast<bool>(words >> cases.back().params[key]), "expected a value");
            continue;
        }
        check(kind == "tensor", "expected case, param, tensor or end");
        Tensor& t = cases.back().tensors[key];
        std::size_t rank = 0, size = 1;
        check(static_cast<bool>(words >> rank), "expected a rank");
        t.dims.resize(rank);
        for (std::int64_t& d : t.dims) {
            check(words >> d && d >= 0, "expected an axis");
            size *= static_cast<std::size_t>(d);
        }
        check(next(), "expected values");
        const char* at = line.c_str();
        for (std::size_t i = 0; i < size; ++i) {
            char* end = nullptr;
            t.values.push_back(std::strtod(at, &end));
            check(end != at, "too few values");
            at = end;
        }
        check(*at == '\0', "too many values");
    }
}

}  // namespace golden
