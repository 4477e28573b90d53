// SPDX-License-Identifier: MIT
// A network in the DOT language, for Graphviz.
#pragma once

#include <dla/inspect/graph_label.hpp>

namespace dla {

namespace detail {

class DotWriter {
public:
    DotWriter(const ParamIndex& index, const GraphOptions& options) : index_(index), options_(options) {}

    std::string write() {
        const std::vector<LayerNode> tree = layer_tree(index_, options_.collapse);
        out_ = "digraph network {\n    graph [rankdir=TB, nodesep=0.3, ranksep=0.25, fontname=\"Helvetica\", fontsize=11";
        if (!options_.title.empty()) out_ += ", labelloc=t, label=" + quoted(options_.title);
        out_ +=
            "];\n    node [shape=box, style=\"rounded,filled\", fontname=\"Helvetica\", fontsize=11, height=0.3, margin=\"0.15,0.05\"];\n"
            "    edge [color=\"#333333\", arrowsize=0.6, fontname=\"Helvetica\", fontsize=10];\n";
        line("input [label=" + quoted("input\n" + size_text(index_.network.in)) + ", fillcolor=\"#ffffff\"];");
        Tail tail{"input", ""};
        chain(tree, tail, false);
        line("output [label=" + quoted("output\n" + size_text(index_.network.out)) + ", fillcolor=\"#ffffff\"];");
        edge(tail, "output");
        for (const std::string& e : edges_) line(e);  // outside the clusters: an edge draws its nodes into the cluster it stands in
        return out_ + "}\n";
    }

private:
    /// Where the next edge begins, and how it is drawn.
    struct Tail {
        std::string node, style;
    };

    static std::string quoted(const std::string& text) {
        std::string out = "\"";
        std::string_view rest = text;
        for (std::size_t end = 0; end != std::string_view::npos;) {  // a newline in the text is one in the label
            end = rest.find('\n');
            for (const char c : clean_utf8(rest.substr(0, end))) out += c == '"' || c == '\\' ? std::string{'\\', c} : std::string{c};
            if (end != std::string_view::npos) {
                out += "\\n";
                rest.remove_prefix(end + 1);
            }
        }
        return out + "\"";
    }
    static std::string shortcut_style(const char* extra) {
        return std::string("class=\"shortcut\", color=\"") + shortcut_color + "\", penwidth=2, weight=0" + extra;
    }

    void line(const std::string& text) { out_ += std::string(4 + 4 * depth_, ' ') + text + "\n"; }
    void edge(const Tail& from, const std::string& to) {
        edges_.push_back(from.node + " -> " + to + (from.style.empty() ? " [weight=10];" : " [" + from.style + "];"));
    }
    std::string declare(const std::string& attributes) {
        const std::string id = "n" + std::to_string(next_++);
        line(id + " [" + attributes + "];");
        return id;
    }

    void chain(const std::vector<LayerNode>& nodes, Tail& tail, bool is_branch) {
        for (const LayerNode& node : nodes) draw(node, tail, is_branch);
    }
    void draw(const LayerNode& node, Tail& tail, bool is_branch) {
        if (node.children.empty()) return layer(node, tail);
        const bool framed = is_framed(node, is_branch);
        if (framed) {
            line("subgraph cluster_" + std::to_string(clusters_++) + " {");
            ++depth_;
            std::string label = node.path + (node.path.empty() ? "" : "  ") + type_text(node);
            if (node.copies > 1) label += "  " + copies_text(node.copies);
            line("graph [label=" + quoted(label) + ", labeljust=l, style=\"rounded,filled\", color=\"#777777\", fillcolor=\"" +
                 (depth_ % 2 == 1 ? "#f7f7f7" : "#ffffff") + "\"" + (node.copies > 1 ? ", penwidth=2.5];" : ", penwidth=1];"));
        }
        if (node.branches())
            branches(node, tail);
        else
            chain(node.children, tail, false);
        if (framed) {
            --depth_;
            line("}");
        }
    }
    void layer(const LayerNode& node, Tail& tail) {
        const LayerColors colors = layer_colors(layer_kind(index_, *node.row));
        const std::string more = detail_text(index_, *node.row);
        std::string label = node.row->type + (more.empty() ? "" : " " + more);
        if (node.copies > 1) label += "  " + copies_text(node.copies);
        const std::string id = declare("label=" + quoted(label + "\n" + size_text(node.out())) + ", tooltip=" + quoted(tip_text(index_, node)) + ", color=\"" +
                                       colors.border + "\", fillcolor=\"" + colors.background + "\"" + (node.copies > 1 ? ", peripheries=2" : ""));
        edge(tail, id);
        tail = {id, ""};
    }
    /// A fork, the branches, and the node that joins them. The first branch is the block, the others are shortcuts; one branch alone has the identity beside
    /// it.
    void branches(const LayerNode& node, Tail& tail) {
        const std::string fork = declare("shape=point, width=0.06, color=\"#333333\", label=\"\"");
        edge({tail.node, tail.style.empty() ? "weight=10, arrowhead=none" : tail.style}, fork);
        std::vector<Tail> ends;
        const std::string identity = shortcut_style(", style=dashed, label=\" identity \", fontcolor=\"#a84a00\"");
        for (std::size_t i = 0; i < node.children.size(); ++i) {
            if (i > 0 && passes_on(node.children[i])) {
                ends.push_back({fork, identity});
                continue;
            }
            Tail end{fork, i == 0 ? "" : "color=\"" + std::string(shortcut_color) + "\", penwidth=2, weight=0"};
            draw(node.children[i], end, true);
            ends.push_back(i == 0 ? end : Tail{end.node, shortcut_style("")});
        }
        if (ends.size() == 1) ends.push_back({fork, identity});
        const bool concat = node.row->merge == Merge::concat;
        const std::string sum =
            declare((concat ? "style=\"rounded,filled\", height=0.25, margin=0.05" : "shape=circle, width=0.25, fixedsize=true, margin=0, fontsize=14") +
                    std::string(", label=\"") + join_text(node) + "\", color=\"#333333\", fillcolor=\"#ffffff\"");
        for (const Tail& end : ends) edge(end, sum);
        tail = {sum, ""};
        const std::string activation = setting(*node.row, "activation");
        if (activation.empty()) return;
        const LayerColors colors = layer_colors(LayerKind::activation);
        const std::string id = declare("label=" + quoted(activation + "\n" + size_text(node.out())) + ", color=\"" + colors.border + "\", fillcolor=\"" +
                                       colors.background + "\"");
        edge(tail, id);
        tail = {id, ""};
    }

    const ParamIndex& index_;
    const GraphOptions& options_;
    std::string out_;
    std::vector<std::string> edges_;
    int next_ = 0, clusters_ = 0;
    std::size_t depth_ = 0;
};

}  // namespace detail

/// The network in the DOT language: `dot -Tsvg` draws it. Containers are clusters, branches fork and join at "+", "concat" or a multiplication sign;
/// all but the first are edges of class "shortcut" (dashed when it is the identity).
[[nodiscard]] inline std::string to_dot(const ParamIndex& index, const GraphOptions& options = {}) { return detail::DotWriter(index, options).write(); }

}  // namespace dla
