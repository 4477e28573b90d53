// SPDX-License-Identifier: MIT
// The sentence of the dla::Error a call throws, so that tests can compare it.
#pragma once

#include <dla/core/error.hpp>

#include <string>

/// `what()` of the dla::Error that `call` throws; "no error" if it returns. Other exceptions pass through and fail the test.
template <class Call>
std::string error_of(Call&& call) {
    try {
        call();
    } catch (const dla::Error& e) {
        return e.what();
    }
    return "no error";
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
