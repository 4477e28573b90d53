// SPDX-License-Identifier: MIT
// What pictures of a network say and in which colours: shared by the DOT and the SVG writer.
#pragma once

#include <dla/inspect/layer_tree.hpp>
#include <dla/inspect/summary.hpp>

namespace dla {

/// What `to_dot` and `to_svg` draw.
struct GraphOptions {
    bool collapse = true;    ///< equal consecutive layers and blocks once, with their number
    std::string title = {};  ///< above the picture, UTF-8; empty: none
};

namespace detail {

enum class LayerKind { convolution, linear, normalisation, activation, pooling, other };

/// From the sizes of its parameters, so that it holds for users' layers too; where there are none, from its type.
inline LayerKind layer_kind(const ParamIndex& index, const LayerRow& row) {
    const auto has = [&](std::string_view part) { return row.type.find(part) != std::string::npos; };
    if (has("LU") || has("Tanh") || has("Sigmoid") || has("Soft") || has("swish")) return LayerKind::activation;
    if (row.first_param < row.end_param) {
        const ParamRow& first = index.parameters[row.first_param];
        if (first.kind == ParamKind::norm_weight) return LayerKind::normalisation;
        if (first.dims.rank == 4) return LayerKind::convolution;
        if (first.dims.rank == 2) return LayerKind::linear;
    }
    return has("Norm") ? LayerKind::normalisation : has("Pool") ? LayerKind::pooling : row.rectifies ? LayerKind::activation : LayerKind::other;
}

/// Border and background of a layer's box; borders are distinct for colour-blind readers (Okabe and Ito, 2008), backgrounds are tints of them.
struct LayerColors {
    const char *border, *background;
};
inline LayerColors layer_colors(LayerKind kind) {
    switch (kind) {
        case LayerKind::convolution:
            return {"#0072b2", "#d6e8f3"};
        case LayerKind::linear:
            return {"#009e73", "#d6efe7"};
        case LayerKind::normalisation:
            return {"#cc79a7", "#f6e6ef"};
        case LayerKind::activation:
            return {"#e69f00", "#fbeed1"};
        case LayerKind::pooling:
            return {"#56b4e9", "#e5f3fc"};
        case LayerKind::other:
            break;
    }
    return {"#999999", "#f0f0f0"};
}
inline constexpr const char* shortcut_color = "#d55e00";

/// `32 × 28 × 28`, of one sample, channels first.
inline std::string size_text(const Shape& s) {
    std::string out;
    for (int i = 0; i < s.rank; ++i) out += (i ? " \u00d7 " : "") + std::to_string(s.d[i]);
    return out;
}
inline std::string copies_text(index_t copies) { return "\u00d7 " + std::to_string(copies); }

/// What stands behind a layer's type: the window of a convolution, and settings.
inline std::string detail_text(const ParamIndex& index, const LayerRow& row) {
    std::string out;
    if (row.leaf && layer_kind(index, row) == LayerKind::convolution) {
        const Dims& dims = index.parameters[row.first_param].dims;
        out = std::to_string(dims.d[2]) + " \u00d7 " + std::to_string(dims.d[3]);
    }
    if (!row.settings.empty()) out += (out.empty() ? "" : ", ") + row.settings;
    return out;
}
/// The value of a setting, such as `ReLU` of `activation=ReLU`; empty when there is none of this name.
inline std::string setting(const LayerRow& row, std::string_view name) {
    const auto* text = attribute<std::string>(row.attributes, name);
    return text ? *text : "";
}
/// A branch that passes its input on.
inline bool passes_on(const LayerNode& node) { return node.row && node.row->type == "Identity"; }
/// What stands at the place where branches are joined.
inline const char* join_text(const LayerNode& node) {
    return node.row->merge == Merge::concat ? "concat" : node.row->merge == Merge::multiply ? "\u00d7" : "+";
}
inline std::string type_text(const LayerNode& node) { return node.row ? node.row->type : "Repeat"; }

/// All about a layer in a line, for the tip that appears when the mouse rests on it.
inline std::string tip_text(const ParamIndex& index, const LayerNode& node) {
    std::string out = node.path + (node.path.empty() ? "" : "  ") + type_text(node);
    if (node.row && !detail_text(index, *node.row).empty()) out += " " + detail_text(index, *node.row);
    out += ": " + size_text(node.in()) + " \u2192 " + size_text(node.out());
    if (node.parameters > 0) out += ", " + grouped(node.parameters) + " parameters" + (node.trainable == 0 ? " (frozen)" : "");
    if (node.macs > 0) out += ", " + grouped(node.macs) + " MACs";
    return out;
}
/// `567,434 parameters, 559,104 MACs per sample`.
inline std::string caption_text(const ParamIndex& index, const std::vector<LayerNode>& tree) {
    index_t macs = 0;
    for (const LayerNode& node : tree) macs += node.copies * node.macs;
    return grouped(index.parameter_count()) + " parameters, " + grouped(macs) + " MACs per sample";
}

/// Whether a node gets a frame of its own: containers do, but for the chain that is a whole branch of a Residual, which its frame shows already.
inline bool is_framed(const LayerNode& node, bool is_branch) { return !node.children.empty() && (node.branches() || node.copies > 1 || !is_branch); }

/// `text` as well-formed UTF-8 without control characters, however broken it is.
inline std::string clean_utf8(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size();) {
        const auto byte = [&](std::size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0u; };
        const unsigned lead = byte(i);
        const std::size_t length = lead < 0x80 ? 1 : lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
        bool good = length > 0;
        for (std::size_t k = 1; k < length; ++k) good = good && (byte(i + k) & 0xc0) == 0x80;
        // Overlong forms, surrogates, values above U+10FFFF, and the two code points that XML forbids.
        if (length == 3) good = good && !(lead == 0xe0 && byte(i + 1) < 0xa0) && !(lead == 0xed && byte(i + 1) > 0x9f);
        if (length == 3) good = good && !(lead == 0xef && byte(i + 1) == 0xbf && byte(i + 2) > 0xbd);
        if (length == 4) good = good && !(lead == 0xf0 && byte(i + 1) < 0x90) && !(lead == 0xf4 && byte(i + 1) > 0x8f);
        if (!good)
            out += "\ufffd";
        else if (length == 1 && (lead < 0x20 || lead == 0x7f))
            out += ' ';
        else
            out += text.substr(i, length);
        i += good ? length : 1;
    }
    return out;
}

}  // namespace detail
}  // namespace dla
