// SPDX-License-Identifier: MIT
// Weights of a model to and from a safetensors file, under PyTorch's names and in PyTorch's layouts.
#pragma once

#include <dla/core/path.hpp>
#include <dla/io/safetensors.hpp>
#include <dla/model/basic_model.hpp>
#include <dla/train/rows.hpp>

#include <algorithm>
#include <list>
#include <map>
#include <optional>
#include <ostream>
#include <set>
#include <utility>

namespace dla {

/// Writes all parameters, buffers and counters atomically: `save_weights("net.safetensors", model.parameters())`. `As` = bf16 or f16 rounds the values (to
/// nearest, ties to even) into half the bytes: `save_weights<bf16>(...)`. Throws Error(io).
template <class As = void, class P>
void save_weights(const std::string& path, const ParamTable<P>& table, const StoredMetadata& metadata = {}) {
    using T = typename P::master;
    std::vector<StoredTensor> tensors;
    using Stored = std::conditional_t<std::is_void_v<As>, T, As>;
    std::list<std::vector<Stored>> arrays;
    std::list<std::int64_t> counters;
    detail::for_each_row(
        table,
        [&](const auto& row) {
            std::vector<T> host(static_cast<std::size_t>(row.count));
            detail::read_row(table, row, std::span(host));
            if constexpr (std::is_same_v<Stored, T>)
                arrays.push_back(std::move(host));
            else
                arrays.push_back(rounded<Stored>(std::span<const T>(host)));
            tensors.push_back({row.path, stored_type<Stored>(), detail::stored_shape(row.dims), std::as_bytes(std::span(arrays.back()))});
        },
        [&](const CounterRow& row) {
            tensors.push_back({row.path, StoredType::i64, {}, std::as_bytes(std::span(&counters.emplace_back(table.read(row)), 1))});
        });
    write_safetensors(path, tensors, metadata);
}

/// Of what `load_weights` takes.
struct LoadWeightsOptions {
    Widening widening = Widening::refuse;  ///< allow: files of F16 or BF16 numbers are taken too; every one of these is a float
    /// Paths of the model that are loaded (see path_matches): `{"0"}` takes the body of a network and leaves its head. Empty: all.
    std::vector<std::string> only = {};
    /// Beginnings of names in the file that stand for others in the model, the first that fits: `{{"backbone.", "0."}}`.
    std::vector<std::pair<std::string, std::string>> rename = {};
    bool partial = false;  ///< what is missing or has another shape or type stays as it is, and is reported, instead of an error
};
/// What became of it.
struct LoadWeightsReport {
    std::vector<std::string> loaded;      ///< paths of the model
    std::vector<std::string> missing;     ///< paths that were asked for and are not in the file; only where `partial` allows it
    std::vector<std::string> mismatched;  ///< paths whose tensor has another shape or type; likewise
    std::vector<std::string> unused;      ///< names of the file that nothing in the model has asked for

    /// `12 arrays loaded, 2 not in the file (1.weight, 1.bias), ...`.
    [[nodiscard]] std::string text() const {
        std::string out = std::to_string(loaded.size()) + " arrays loaded";
        const auto add = [&](const std::vector<std::string>& names, const char* what) {
            if (names.empty()) return;
            out += ", " + std::to_string(names.size()) + what;
            for (std::size_t i = 0; i < std::min<std::size_t>(names.size(), 4); ++i) out += (i ? ", " : " (") + names[i];
            out += names.size() > 4 ? ", ...)" : ")";
        };
        add(missing, " not in the file");
        add(mismatched, " of another shape or type");
        add(unused, " of the file not used");
        return out;
    }
};
inline std::ostream& operator<<(std::ostream& out, const LoadWeightsReport& report) { return out << report.text(); }

/// Reads them back, from this library or from PyTorch (`safetensors.torch.save_file(model.state_dict(), path)`): all of them, or what the options say.
/// Throws Error(checkpoint), the model unchanged, when a tensor is missing or has another shape or type, unless that is allowed, when two tensors of the file
/// have one name in the model, and when nothing of the model is asked for.
template <class P>
LoadWeightsReport load_weights(const std::string& path, ParamTable<P>& table, const LoadWeightsOptions& options = {}) {
    using T = typename P::master;
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
    std::vector<std::optional<std::vector<T>>> arrays;
    std::vector<std::optional<std::int64_t>> counters;
    detail::for_each_row(
        table,
        [&](const auto& row) {
            std::vector<T> host(static_cast<std::size_t>(row.count));
            const auto read = [&](const std::string& name) { file.copy_to<T>(name, detail::stored_shape(row.dims), std::span(host), options.widening); };
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
                 (table.parameters.empty() ? std::string("nothing: it has no parameters") : table.parameters[0].path));
    std::size_t array = 0, counter = 0;
    detail::for_each_row(
        table,
        [&](const auto& row) {
            if (const auto& host = arrays[array++]) detail::write_row(table, row, std::span<const T>(*host));
        },
        [&](const CounterRow& row) {
            if (const auto count = counters[counter++]) table.write(row, *count);
        });
    for (const StoredTensor& t : file.tensors())
        if (!used.contains(t.name)) report.unused.push_back(t.name);
    return report;
}

// The same of a whole model.
template <class As = void, class P>
void save_weights(const std::string& path, const BasicModel<P>& model, const StoredMetadata& metadata = {}) {
    save_weights<As>(path, model.parameters(), metadata);
}
template <class P>
LoadWeightsReport load_weights(const std::string& path, BasicModel<P>& model, const LoadWeightsOptions& options = {}) {
    return load_weights(path, model.parameters(), options);
}

}  // namespace dla
