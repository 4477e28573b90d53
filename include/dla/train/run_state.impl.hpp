// SPDX-License-Identifier: MIT
// How the weights of a model are read and written.
#pragma once

namespace dla {

DLA_ONCE Weights take_weights(const AnyModel& model) {
    Weights w;
    const auto room = [&w](index_t count) -> std::vector<float>& { return w.arrays.emplace_back(static_cast<std::size_t>(count)); };
    detail::for_each_row(
        model.index(), [&](const auto& row) { detail::read_row(model, row, std::span(room(row.count))); },
        [&](const CounterRow& row) { w.counters.push_back(model.read(row)); });
    return w;
}

DLA_ONCE void put_weights(AnyModel& model, const Weights& w) {
    std::size_t array = 0, counter = 0;
    detail::for_each_row(
        model.index(), [&](const auto& row) { detail::write_row(model, row, std::span<const float>(w.arrays[array++])); },
        [&](const CounterRow& row) { model.write(row, w.counters[counter++]); });
}

DLA_ONCE std::string first_difference(const std::string& then, const std::string& now) {
    std::size_t i = 0, j = 0;
    while (i < then.size() && j < now.size()) {
        const std::string a = then.substr(i, then.find('\n', i) - i), b = now.substr(j, now.find('\n', j) - j);
        if (a != b) return " it has `" + a + "`, now `" + b + "`";
        i += a.size() + 1;
        j += b.size() + 1;
    }
    return i < then.size() || j < now.size() ? " one of the two has more settings" : "";
}

}  // namespace dla
