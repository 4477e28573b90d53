// SPDX-License-Identifier: MIT
// Errors with codes: one sentence form for the whole library, one exit code for each kind.
#pragma once

#include <dla/core/text.hpp>

#include <stdexcept>
#include <string>

namespace dla {

/// What kind of thing went wrong; `exit_code` gives the status a program ends with.
enum class ErrorCode { usage, config, data, checkpoint, model, shape, numeric, io, device };

/// `config`, `data`, ...: as messages write it.
constexpr std::string_view to_string(ErrorCode code) {
    switch (code) {
        case ErrorCode::usage:
            return "usage";
        case ErrorCode::config:
            return "config";
        case ErrorCode::data:
            return "data";
        case ErrorCode::checkpoint:
            return "checkpoint";
        case ErrorCode::model:
            return "model";
        case ErrorCode::shape:
            return "shape";
        case ErrorCode::numeric:
            return "numeric";
        case ErrorCode::io:
            return "io";
        case ErrorCode::device:
            return "device";
    }
    return "unknown";
}

/// Exit status of a program that ends with this error: 2 usage or config, 3 data, 4 checkpoint, model or shape, 5 numeric, 6 input/output, 7 a device.
constexpr int exit_code(ErrorCode code) {
    switch (code) {
        case ErrorCode::usage:
        case ErrorCode::config:
            return 2;
        case ErrorCode::data:
            return 3;
        case ErrorCode::checkpoint:
        case ErrorCode::model:
        case ErrorCode::shape:
            return 4;
        case ErrorCode::numeric:
            return 5;
        case ErrorCode::io:
            return 6;
        case ErrorCode::device:
            return 7;
    }
    return 1;
}

/// Every exception the library throws. `what()` is `error[CODE] where: what is wrong; expected X, got Y; hint`.
class Error : public std::runtime_error {
public:
    Error(ErrorCode code, std::string_view where, std::string_view sentence);
    ErrorCode code() const noexcept { return code_; }
    /// The sentence without `error[CODE] `, for one that is part of another.
    std::string without_code() const;
    /// The same error with more at the end of its sentence.
    Error with(std::string_view more) const;

private:
    ErrorCode code_;
};

/// Throws `Error`: `error[CODE] WHERE: SENTENCE`.
[[noreturn, gnu::cold]] DLA_ONCE void fail(ErrorCode code, std::string_view where, std::string_view sentence);

/// The text with spaces for line breaks, to be part of a sentence: what is wrong with a configuration has a line for each problem.
DLA_ONCE std::string one_line(std::string text);

}  // namespace dla

#if DLA_BODIES
#include <dla/core/error.impl.hpp>
#endif
