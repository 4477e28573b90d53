// SPDX-License-Identifier: MIT
// The sentence of an error.
#pragma once

namespace dla {

DLA_ONCE Error::Error(ErrorCode code, std::string_view where, std::string_view sentence)
    : std::runtime_error("error[" + std::string(to_string(code)) + "] " + std::string(where) + ": " + std::string(sentence)), code_(code) {}

DLA_ONCE std::string Error::without_code() const {
    const std::string_view text = what();
    return std::string(text.substr(text.find("] ") + 2));
}

DLA_ONCE Error Error::with(std::string_view more) const {
    const std::string text = without_code();
    const std::size_t end = text.find(": ");
    return Error(code_, text.substr(0, end), text.substr(end + 2) + std::string(more));
}

DLA_ONCE void fail(ErrorCode code, std::string_view where, std::string_view sentence) { throw Error(code, where, sentence); }

DLA_ONCE std::string one_line(std::string text) {
    for (char& c : text)
        if (c == '\n') c = ' ';
    return text;
}

}  // namespace dla
