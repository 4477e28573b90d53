// SPDX-License-Identifier: MIT
// Text of fixed capacity that the compiler can build: the sentences of shape errors are the same at compile time and at run time.
#pragma once

#include <dla/core/config.hpp>

#include <concepts>
#include <cstddef>
#include <string_view>

namespace dla {

/// Text of at most 383 characters; longer text is cut. Usable in constant expressions and as a template argument.
struct Text {
    static constexpr std::size_t capacity = 384;
    char chars[capacity]{};
    std::size_t length = 0;

    constexpr Text() = default;
    constexpr Text(std::string_view s) { append(s); }
    constexpr Text(const char* s) { append(std::string_view(s)); }

    [[gnu::cold]] constexpr Text& append(std::string_view s) {
        for (char c : s)
            if (length + 1 < capacity) chars[length++] = c;
        return *this;
    }
    constexpr Text& append(const Text& t) { return append(t.view()); }
    constexpr Text& append(const char* s) { return append(std::string_view(s)); }
    template <std::integral Integer>
    [[gnu::cold]] constexpr Text& append(Integer number) {
        auto n = static_cast<unsigned long long>(number);
        if constexpr (std::signed_integral<Integer>)
            if (number < 0) {
                append("-");
                n = 0 - n;  // also of the most negative number
            }
        char digits[20]{};
        int count = 0;
        do digits[count++] = static_cast<char>('0' + static_cast<int>(n % 10));
        while ((n /= 10) != 0);
        while (count > 0) append(std::string_view(&digits[--count], 1));
        return *this;
    }

    constexpr std::string_view view() const { return {chars, length}; }
    constexpr const char* c_str() const { return chars; }
    constexpr bool empty() const { return length == 0; }
    constexpr bool operator==(const Text&) const = default;
};

/// The arguments written one after another, e.g. `text("expected ", 512)`.
template <class... Parts>
[[gnu::cold]] constexpr Text text(const Parts&... parts) {
    Text t;
    (t.append(parts), ...);
    return t;
}

}  // namespace dla
