// SPDX-License-Identifier: MIT
// Which values of a chain of layers share one buffer, decided by the compiler from what each layer reads and may overwrite.
#pragma once

#include <dla/layers/concept.hpp>

#include <array>

namespace dla::detail {

/// Values 0..N of a chain of N layers: value i is the input of layer i and the output of layer i - 1; 0 and N belong to the caller.
/// `buffer[i]` is the lowest value that lies in the same memory as value i. `kept_until[i]` (for the lowest values): after the backward pass of which
/// layer the memory is free; -1: nobody reads it in backward, it is free after the forward pass of layer `last[i]`.
template <std::size_t N>
struct Sharing {
    std::array<int, N + 1> buffer{};
    std::array<int, N + 1> last{};  // highest value in the same memory
    std::array<int, N + 1> kept_until{};
    std::array<int, N + 1> gradient{};        // highest value whose gradient lies in the same memory as value i's
    std::array<int, N + 1> gradient_first{};  // lowest such value
};

/// In place only where nobody loses: a layer may write over its input when it and all earlier readers of that memory do not need what was there, and
/// nobody writes over the caller's x or dy.
template <class... Ls>
consteval auto plan_sharing() {
    constexpr int n = sizeof...(Ls);
    const std::array<Needs, n + 1> needs{needs_of<Ls>()..., Needs{}};
    const std::array<InPlace, n + 1> in_place{in_place_of<Ls>()..., InPlace{}};
    const std::array<bool, n + 1> view{is_view<Ls>()..., false};
    const auto at = [](int i) { return static_cast<std::size_t>(i); };

    Sharing<n> s;
    for (int i = 0; i < n; ++i) {  // layer i: value i -> value i + 1
        const int first = s.buffer[at(i)];
        bool share = view[at(i)];
        if (!share && in_place[at(i)].forward && first != 0 && !needs[at(i)].x) {
            share = true;
            for (int v = first; v <= i; ++v) share = share && !needs[at(v - 1)].y && (v == i || !needs[at(v)].x);
        }
        if (i == n - 1 && first == 0) share = false;  // the caller's y is not the caller's x
        s.buffer[at(i + 1)] = share ? first : i + 1;
    }
    for (int v = 0; v <= n; ++v) {
        int last = v, kept = n;
        for (int w = 0; w <= n; ++w) {
            if (s.buffer[at(w)] != s.buffer[at(v)]) continue;
            last = w > last ? w : last;
            if (w > 0 && needs[at(w - 1)].y && w - 1 < kept) kept = w - 1;
            if (w < n && needs[at(w)].x && w < kept) kept = w;
        }
        s.last[at(v)] = last;
        s.kept_until[at(v)] = kept == n ? -1 : kept;
    }

    s.gradient[at(n)] = n;
    for (int i = n - 1; i >= 0; --i) {  // layer i: gradient of value i + 1 -> gradient of value i
        const int source = s.gradient[at(i + 1)];
        bool share = view[at(i)] || (in_place[at(i)].backward && source != n);
        if (i == 0 && source == n) share = false;
        s.gradient[at(i)] = share ? source : i;
    }
    for (int v = 0; v <= n; ++v) {
        int first = v;
        for (int w = n; w >= 0; --w)
            if (s.gradient[at(w)] == s.gradient[at(v)]) first = w;
        s.gradient_first[at(v)] = first;
    }
    return s;
}

}  // namespace dla::detail
