// SPDX-License-Identifier: MIT
// Weights of a model to and from a safetensors file, under PyTorch's names and in PyTorch's layouts.
#pragma once

#include <dla/io/safetensors.hpp>
#include <dla/model/params.hpp>
#include <dla/train/rows.hpp>

#include <list>
#include <set>

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

/// Reads them back, from this library or from PyTorch (`safetensors.torch.save_file(model.state_dict(), path)`), and returns the names of the file's
/// tensors that the model has no place for. Throws Error(checkpoint), the model unchanged, when a tensor is missing or has another shape or type. With
/// Widening::allow files of F16 or BF16 numbers are taken too; every one of these is a float.
template <class P>
std::vector<std::string> load_weights(const std::string& path, ParamTable<P>& table, Widening widening = Widening::refuse) {
    using T = typename P::master;
    const SafetensorsFile file = SafetensorsFile::read(path);
    std::set<std::string> used;
    std::vector<std::vector<T>> arrays;
    std::vector<std::int64_t> counters;
    detail::for_each_row(
        table,
        [&](const auto& row) {
            file.copy_to<T>(row.path, detail::stored_shape(row.dims), std::span(arrays.emplace_back(static_cast<std::size_t>(row.count))), widening);
            used.insert(row.path);
        },
        [&](const CounterRow& row) {
            file.copy_to<std::int64_t>(row.path, {}, std::span(&counters.emplace_back(), 1));
            used.insert(row.path);
        });
    std::size_t array = 0, counter = 0;
    detail::for_each_row(
        table, [&](const auto& row) { detail::write_row(table, row, std::span<const T>(arrays[array++])); },
        [&](const CounterRow& row) { table.write(row, counters[counter++]); });
    std::vector<std::string> unused;
    for (const StoredTensor& t : file.tensors())
        if (!used.contains(t.name)) unused.push_back(t.name);
    return unused;
}

}  // namespace dla
