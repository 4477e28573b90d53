// SPDX-License-Identifier: MIT
// How weights are written to files and read from them.
#pragma once

#include <dla/core/path.hpp>
#include <dla/train/rows.hpp>

#include <algorithm>
#include <list>
#include <map>
#include <set>

namespace dla {

namespace detail {

/// Floats or doubles as numbers of another type, rounded once.
template <class To>
std::vector<std::byte> converted_bytes(std::span<const std::byte> values, ValueType type) {
    const std::vector<To> to = type == ValueType::f32 ? rounded<To>(values_in<float>(values)) : rounded<To>(values_in<double>(values));
    const auto bytes = std::as_bytes(std::span(to));
    return {bytes.begin(), bytes.end()};
}

DLA_ONCE void save_arrays(const std::string& path, const ParamAccess& model, std::optional<StoredType> as, const StoredMetadata& metadata) {
    const ValueType own = model.value_type();
    const StoredType type = as.value_or(stored_type_of(own));
    std::vector<StoredTensor> tensors;
    std::vector<std::vector<std::byte>> arrays;
    arrays.reserve(model.index().parameters.size() + model.index().buffers.size());
    std::list<std::int64_t> counters;
    for_each_row(
        model.index(),
        [&](const auto& row) {
            std::vector<std::byte>& host = new_array(arrays, row.count, own);
            read_row(model, row, std::span(host));
            if (type == StoredType::bf16) host = converted_bytes<bf16>(host, own);
            if (type == StoredType::f16) host = converted_bytes<f16>(host, own);
            if (type == StoredType::f32 && own != ValueType::f32) host = converted_bytes<float>(host, own);
            if (type == StoredType::f64 && own != ValueType::f64) host = converted_bytes<double>(host, own);
            tensors.push_back({row.path, type, row.dims.sizes(), std::as_bytes(std::span(host))});
        },
        [&](const CounterRow& row) {
            tensors.push_back({row.path, StoredType::i64, {}, std::as_bytes(std::span(&counters.emplace_back(model.read(row)), 1))});
        });
    write_safetensors(path, tensors, metadata);
}

}  // namespace detail

DLA_ONCE std::string LoadWeightsReport::text() const {
    return std::to_string(loaded.size()) + " arrays loaded" + detail::names_text(missing, " not in the file") +
           detail::names_text(mismatched, " of another shape or type") + detail::names_text(unused, " of the file not used");
}

DLA_ONCE LoadWeightsReport load_weights(const std::string& path, ParamAccess& model, const LoadWeightsOptions& options) {
    const SafetensorsFile file = SafetensorsFile::read(path);
    LoadWeightsReport report;
    std::map<std::string, std::string> name_of;  // in the file, of a path
    for (const StoredTensor& t : file.tensors()) {
        std::string name = t.name;
        for (const auto& [from, to] : options.rename)
            if (name.starts_with(from)) {
                name = to + name.substr(from.size());
                break;
            }
        if (!name_of.emplace(name, t.name).second)
            fail(ErrorCode::checkpoint, path, "tensors \"" + name_of[name] + "\" and \"" + t.name + "\" are both to be \"" + name + "\"; rename less");
    }
    std::set<std::string> used;
    std::size_t asked = 0;
    // read(name) copies the tensor; whether the row is to be written.
    const auto take = [&](const std::string& row, const auto& read) {
        if (!options.only.empty() && std::ranges::none_of(options.only, [&](const std::string& pattern) { return path_matches(pattern, row); })) return false;
        ++asked;
        const auto at = name_of.find(row);
        if (at == name_of.end() && options.partial) return report.missing.push_back(row), false;
        if (at == name_of.end() && !options.rename.empty()) fail(ErrorCode::checkpoint, path, "tensor \"" + row + "\" is missing, as names are after renaming");
        const std::string name = at == name_of.end() ? row : at->second;
        used.insert(name);
        try {
            read(name);
        } catch (const Error&) {
            if (!options.partial) throw;
            return report.mismatched.push_back(row), false;
        }
        return report.loaded.push_back(row), true;
    };
    std::vector<std::optional<std::vector<std::byte>>> arrays;
    std::vector<std::optional<std::int64_t>> counters;
    detail::for_each_row(
        model.index(),
        [&](const auto& row) {
            std::vector<std::byte> host(static_cast<std::size_t>(row.count) * size_of(model.value_type()));
            const auto read = [&](const std::string& name) {
                const auto copy = [&](Widening widening) {
                    detail::copy_values(file, name, row.dims.sizes(), model.value_type(), host, widening);
                };
                try {
                    copy(options.widening);
                } catch (const Error& e) {
                    if (options.widening == Widening::allow) throw;
                    try {
                        copy(Widening::allow);
                    } catch (const Error&) {
                        throw e;
                    }
                    throw e.with("; {.widening = dla::Widening::allow} takes it");
                }
            };
            const bool taken = take(row.path, read);
            arrays.push_back(taken ? std::optional(std::move(host)) : std::nullopt);
        },
        [&](const CounterRow& row) {
            std::int64_t count = 0;
            const auto read = [&](const std::string& name) { file.copy_to<std::int64_t>(name, {}, std::span(&count, 1)); };
            const bool taken = take(row.path, read);
            counters.push_back(taken ? std::optional(count) : std::nullopt);
        });
    if (asked == 0)
        fail(ErrorCode::checkpoint, path,
             "LoadWeightsOptions::only matches nothing in the model; paths look like " +
                 (model.index().parameters.empty() ? std::string("nothing: it has no parameters") : model.index().parameters[0].path));
    std::size_t array = 0, counter = 0;
    detail::for_each_row(
        model.index(),
        [&](const auto& row) {
            if (const auto& host = arrays[array++]) detail::write_row(model, row, std::span<const std::byte>(*host));
        },
        [&](const CounterRow& row) {
            if (const auto count = counters[counter++]) model.write(row, *count);
        });
    for (const StoredTensor& t : file.tensors())
        if (!used.contains(t.name)) report.unused.push_back(t.name);
    return report;
}

}  // namespace dla
