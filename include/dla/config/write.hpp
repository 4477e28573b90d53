// SPDX-License-Identifier: MIT
// Writes an experiment as canonical TOML, and its hash: what checkpoints carry.
#pragma once

#include <dla/config/check.hpp>
#include <dla/core/hash.hpp>

namespace dla {

namespace detail {

inline std::string toml_text(const ConfigField& field) {
    if (const auto* v = std::get_if<std::int64_t*>(&field)) return std::to_string(**v);
    if (const auto* v = std::get_if<double*>(&field)) return toml_number(**v);
    if (const auto* v = std::get_if<bool*>(&field)) return **v ? "true" : "false";
    if (const auto* v = std::get_if<Integers*>(&field)) return list_text(**v);
    std::string text = "\"";
    for (const char c : *std::get<std::string*>(field)) {
        constexpr std::string_view hex = "0123456789ABCDEF";
        const auto code = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') text += '\\';
        if (code < 0x20 || code == 0x7f)
            text += std::string("\\u00") + hex[code >> 4] + hex[code & 15];
        else
            text += c;
    }
    return text + "\"";
}

}  // namespace detail

/// Canonical TOML: every key that applies (some only where they differ from their default), in the schema's order; `parse_config` gives the same experiment
/// back.
inline std::string to_toml(ExperimentConfig config, bool only_what_changes_results = false) {
    std::string text;
    for (std::string_view table; const ConfigKey& k : config_keys()) {
        if (!applies(k, config.model.name, config.dataset.name) || (only_what_changes_results && !k.changes_result)) continue;
        if (!k.written_always && detail::toml_text(k.field(config)) == default_of(k, config.model.name, config.dataset.name)) continue;
        if (table != k.table) text += (table.empty() ? "[" : "\n[") + std::string(k.table) + "]\n";
        table = k.table;
        text += std::string(k.key) + " = " + detail::toml_text(k.field(config)) + "\n";
    }
    return text;
}

/// FNV-1a (64 bits) of the keys that change what is computed: equal for two runs that must give the same weights. Folders and
/// logging intervals are left out.
inline std::uint64_t config_hash(const ExperimentConfig& config) {
    Fnv1a hash;
    hash.add(to_toml(config, true));
    return hash.value();
}

}  // namespace dla
