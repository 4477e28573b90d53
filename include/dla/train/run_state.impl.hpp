// SPDX-License-Identifier: MIT
// How the weights of a model are read and written.
#pragma once

#include <algorithm>

namespace dla {

DLA_ONCE Weights take_weights(const ParamAccess& model) {
    Weights w{.type = model.value_type()};
    detail::for_each_row(
        model.index(), [&](const auto& row) { detail::read_row(model, row, std::span(detail::new_array(w.arrays, row.count, w.type))); },
        [&](const CounterRow& row) { w.counters.push_back(model.read(row)); });
    return w;
}

DLA_ONCE void put_weights(ParamAccess& model, const Weights& w) {
    if (w.type != model.value_type()) fail(ErrorCode::usage, "put_weights", "these weights are of another type than the model's: float and double");
    std::size_t array = 0, counter = 0;
    bool fits = true;
    detail::for_each_row(
        model.index(),
        [&](const auto& row) {
            const std::size_t bytes = static_cast<std::size_t>(row.count) * size_of(w.type);
            fits = fits && array < w.arrays.size() && w.arrays[array].size() == bytes;
            ++array;
        },
        [&](const CounterRow&) { ++counter; });
    if (!fits || array != w.arrays.size() || counter != w.counters.size()) fail(ErrorCode::usage, "put_weights", "these weights are of another network");
    array = counter = 0;
    detail::for_each_row(
        model.index(), [&](const auto& row) { detail::write_row(model, row, std::span<const std::byte>(w.arrays[array++])); },
        [&](const CounterRow& row) { model.write(row, w.counters[counter++]); });
}

DLA_ONCE std::string first_difference(const std::string& then, const std::string& now) {
    struct Setting {
        std::string section, key, line;
        bool operator==(const Setting&) const = default;
        /// Of what is too long to write: it says nothing to a reader.
        bool is_hash() const {
            const std::string value = line.size() > key.size() ? line.substr(key.size() + 3) : "";
            return value.size() == 18 && value.front() == '"' && value.find_first_not_of("0123456789abcdef", 1) == 17 && value.back() == '"';
        }
    };
    const auto settings = [](const std::string& text) {
        std::vector<Setting> all;
        std::string section;
        for (std::size_t i = 0, end = 0; i < text.size(); i = end + 1) {
            end = std::min(text.find('\n', i), text.size());
            const std::string line = text.substr(i, end - i);
            if (line.starts_with("[")) section = line;
            all.push_back({section, line.substr(0, line.find(" = ")), line});
        }
        return all;
    };
    const std::vector<Setting> before = settings(then), after = settings(now);
    for (const Setting& had : before) {
        if (std::ranges::find(after, had) != after.end()) continue;
        const auto has = std::ranges::find_if(after, [&](const Setting& s) { return s.section == had.section && s.key == had.key; });
        if (has == after.end()) return had.is_hash() ? " now there is no `" + had.key + "`" : " it has `" + had.line + "`, now there is no such setting";
        return had.is_hash() && has->is_hash() ? " its `" + had.key + "` is another" : " it has `" + had.line + "`, now `" + has->line + "`";
    }
    for (const Setting& has : after)
        if (std::ranges::find(before, has) == before.end())
            return has.is_hash() ? " it has no `" + has.key + "`, which there is now" : " it has no such setting as `" + has.line + "`, which there is now";
    return then == now ? "" : " its settings stand in another order";
}

}  // namespace dla
