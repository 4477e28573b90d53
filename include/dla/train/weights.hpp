// SPDX-License-Identifier: MIT
// Weights of a model to and from a safetensors file, under PyTorch's names and in PyTorch's layouts.
#pragma once

#include <dla/io/safetensors.hpp>
#include <dla/model/basic_model.hpp>
#include <dla/model/param_access.hpp>

#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace dla {

namespace detail {

/// `as`: the type of the file's numbers; none: the model's own.
DLA_ONCE void save_arrays(const std::string& path, const ParamAccess& model, std::optional<StoredType> as, const StoredMetadata& metadata);

}  // namespace detail

/// Writes all parameters, buffers and counters atomically: `save_weights("net.safetensors", model)`. `As` = bf16 or f16 rounds the values (to nearest, ties
/// to even) into half the bytes: `save_weights<bf16>(...)`; float and double write these whatever the model's. Throws Error(io).
template <class As = void>
void save_weights(const std::string& path, const ParamAccess& model, const StoredMetadata& metadata = {}) {
    static_assert(std::is_void_v<As> || std::is_same_v<As, float> || std::is_same_v<As, double> || std::is_same_v<As, f16> || std::is_same_v<As, bf16>,
                  "dla: weights are saved as float, double, dla::f16 or dla::bf16");
    if constexpr (std::is_void_v<As>)
        detail::save_arrays(path, model, std::nullopt, metadata);
    else
        detail::save_arrays(path, model, stored_type<As>(), metadata);
}

/// Of what `load_weights` takes.
struct LoadWeightsOptions {
    Widening widening = Widening::refuse;  ///< allow: files of F16 or BF16 numbers are taken too, and of F32 for a model in double; none of them changes
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
    [[nodiscard]] std::string text() const;
};
inline std::ostream& operator<<(std::ostream& out, const LoadWeightsReport& report) { return out << report.text(); }

/// Reads them back, from this library or from PyTorch (`safetensors.torch.save_file(model.state_dict(), path)`): all of them, or what the options say.
/// Throws Error(checkpoint), the model unchanged, when a tensor is missing or has another shape or type, unless that is allowed, when two tensors of the file
/// have one name in the model, and when nothing of the model is asked for.
DLA_ONCE LoadWeightsReport load_weights(const std::string& path, ParamAccess& model, const LoadWeightsOptions& options = {});

// The same of a model whose type is known, and of its parameters.
template <class As = void, class P>
void save_weights(const std::string& path, const ParamTable<P>& table, const StoredMetadata& metadata = {}) {
    const auto access = detail::read_access(table);
    save_weights<As>(path, static_cast<const ParamAccess&>(access), metadata);
}
template <class As = void, class P>
void save_weights(const std::string& path, const BasicModel<P>& model, const StoredMetadata& metadata = {}) {
    save_weights<As>(path, model.parameters(), metadata);
}
template <class P>
LoadWeightsReport load_weights(const std::string& path, ParamTable<P>& table, const LoadWeightsOptions& options = {}) {
    ParamAccessOf<P> access(table);
    return load_weights(path, static_cast<ParamAccess&>(access), options);
}
template <class P>
LoadWeightsReport load_weights(const std::string& path, BasicModel<P>& model, const LoadWeightsOptions& options = {}) {
    return load_weights(path, model.parameters(), options);
}

}  // namespace dla

#if DLA_BODIES
#include <dla/train/weights.impl.hpp>
#endif
