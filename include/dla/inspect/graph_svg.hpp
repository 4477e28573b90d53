// SPDX-License-Identifier: MIT
// A network as an SVG picture: layers from top to bottom, containers as frames, shortcuts at their right side.
#pragma once

#include <dla/inspect/svg_text.hpp>

namespace dla {

namespace detail {

class SvgWriter {
public:
    SvgWriter(const ParamIndex& index, const GraphOptions& options) : index_(index), options_(options) {}

    std::string write() {
        const std::vector<LayerNode> tree = layer_tree(index_, options_.collapse);
        fit_boxes(tree, false);
        const Extent body = measure_chain(tree, false, false);
        const std::string in = "input  " + size_text(index_.network.in), out = "output  " + size_text(index_.network.out);
        const std::string caption = caption_text(index_, tree);
        const TextStyle heading{.size = 15, .bold = true, .anchor = "middle"}, small{.size = 11, .anchor = "middle", .color = "#555555"};
        const double ends = 24 + small_size * std::max(text_width(in), text_width(out));
        const double text_room =
            std::max(options_.title.empty() ? 0 : heading.size * text_width(clean_utf8(options_.title), true), small.size * text_width(caption));
        const double left = std::max(body.left, ends / 2), right = std::max(body.right, ends / 2);
        const double width = std::max(left + right, text_room) + 2 * margin;
        const double x = margin + left + (width - 2 * margin - left - right) / 2;

        double y = margin;
        if (!options_.title.empty()) {
            canvas_.text(width / 2, y + heading.size, options_.title, heading);
            y += heading.size + gap;
        }
        pen_ = -1;
        end_box(x, y, ends, in);
        y += end_height + gap;
        draw_chain(tree, x, y, false, false);
        y += body.height + gap;
        arrow(x, y);
        end_box(x, y, ends, out);
        y += end_height + gap;
        canvas_.text(width / 2, y + small.size, caption, small);
        y += small.size + margin;

        const std::string size = "width=\"" + svg_number(width) + "\" height=\"" + svg_number(y) + "\"";
        return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" " + size + " viewBox=\"0 0 " + svg_number(width) + " " +
               svg_number(y) + "\" font-family=\"Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif\" role=\"img\">\n<title>" +
               xml_text(options_.title.empty() ? "network" : options_.title) + "</title>\n<defs>\n" + svg_marker("arrow", flow_color) +
               svg_marker("shortcut-arrow", shortcut_color) + "</defs>\n<rect " + size + " fill=\"#ffffff\"/>\n" + canvas_.content() + "</svg>\n";
    }

private:
    static constexpr double margin = 12, gap = 14, pad = 10, header = 22, corner = 8, stack = 3;
    static constexpr double type_size = 12, small_size = 11, box_height = 26, slim_height = 40, end_height = 24, sum_radius = 8;
    static constexpr double identity_lane = 22;  // between the block and the identity's line, and between that and the frame
    static constexpr const char* flow_color = "#333333";

    /// How far a part reaches to both sides of the line that the values flow down, and how high it is.
    struct Extent {
        double left = 0, right = 0, height = 0;
        void widen(const Extent& e) { left = std::max(left, e.left), right = std::max(right, e.right); }
    };

    // Sizes. Boxes of the main chain are wide, with one line; those of shortcuts are slim, with two.

    void fit_boxes(const std::vector<LayerNode>& nodes, bool slim) {
        for (const LayerNode& node : nodes) {
            if (node.children.empty()) {
                const double type = type_size * text_width(node.row->type, true), size = small_size * text_width(size_text(node.out()));
                const std::string more = detail_text(index_, *node.row);
                const double both = type + (more.empty() ? 0 : type_size * text_width(" " + more));
                double& width = slim ? slim_width_ : wide_width_;
                width = std::max(width, slim ? std::min(200.0, 16 + std::max(both, size)) : std::min(420.0, 20 + both + 20 + size));
            } else if (node.branches()) {
                for (std::size_t i = 0; i < node.children.size(); ++i) fit_boxes({node.children[i]}, slim || i > 0);
            } else {
                fit_boxes(node.children, slim);
            }
        }
    }
    Extent measure_chain(const std::vector<LayerNode>& nodes, bool slim, bool is_branch) const {
        Extent all;
        for (const LayerNode& node : nodes) {
            const Extent e = measure(node, slim, is_branch);
            all.widen(e);
            all.height += e.height + (&node == nodes.data() ? 0 : gap);
        }
        return all;
    }
    Extent measure(const LayerNode& node, bool slim, bool is_branch) const {
        const double behind = node.copies > 1 ? 2 * stack : 0;  // the stack that stands for the copies
        if (node.children.empty()) {
            const double half = (slim ? slim_width_ : wide_width_) / 2;
            return {half, half + (behind > 0 ? behind + badge_width(node) + 6 : 0), (slim ? slim_height : box_height) + behind};
        }
        Extent e = node.branches() ? measure_branches(node, slim) : measure_chain(node.children, slim, false);
        if (!is_framed(node, is_branch)) return e;
        // The label stands left of the line, the number of copies right of it.
        e.left = std::max(e.left, std::min(200.0, label_width(node) + 8)) + pad;
        e.right = std::max(e.right, behind > 0 ? badge_width(node) + 8 : 0) + pad + behind;
        e.height += header + pad + behind;
        return e;
    }
    /// Reaches of the shortcuts' lines to the right of the main one.
    std::vector<double> lanes(const LayerNode& node, Extent& all) const {
        std::vector<double> at;
        const auto identity = [&] {
            at.push_back(all.right + identity_lane);
            all.right = at.back() + identity_lane - pad;
        };
        for (std::size_t i = 1; i < node.children.size(); ++i) {
            if (passes_on(node.children[i])) {
                identity();
                continue;
            }
            const Extent e = measure(node.children[i], true, true);
            at.push_back(all.right + pad + e.left);
            all.right = at.back() + e.right;
            all.height = std::max(all.height, e.height);
        }
        if (at.empty()) identity();
        return at;
    }
    Extent measure_branches(const LayerNode& node, bool slim) const {
        Extent all = measure(node.children[0], slim, true);
        lanes(node, all);
        all.height += gap + gap + 2 * sum_radius + (setting(*node.row, "activation").empty() ? 0 : gap + box_height);
        return all;
    }
    static double label_width(const LayerNode& node) { return small_size * (text_width(" " + node.path) + text_width(type_text(node), true)); }
    static double badge_width(const LayerNode& node) { return 14 + small_size * text_width(copies_text(node.copies), true); }

    // Drawing. `pen_` is where the line of flow has come to.

    void arrow(double x, double y, bool head = true) {
        if (pen_ >= 0)
            canvas_.path(svg_point("M", x, pen_) + svg_point("L", x, y),
                         std::string("class=\"flow\" fill=\"none\" stroke=\"") + flow_color + "\"" + (head ? " marker-end=\"url(#arrow)\"" : ""));
        pen_ = y;
    }
    void end_box(double x, double y, double width, const std::string& label) {
        canvas_.open("end");
        canvas_.rect(x - width / 2, y, width, end_height, end_height / 2, "fill=\"#ffffff\" stroke=\"#555555\"");
        canvas_.text(x, y + end_height / 2 + 4, label, {.size = small_size, .anchor = "middle"});
        canvas_.close();
        pen_ = y + end_height;
    }
    void draw_chain(const std::vector<LayerNode>& nodes, double x, double y, bool slim, bool is_branch) {
        for (const LayerNode& node : nodes) {
            draw(node, x, y, slim, is_branch);
            y += measure(node, slim, is_branch).height + gap;
        }
    }
    void draw(const LayerNode& node, double x, double y, bool slim, bool is_branch) {
        if (node.children.empty()) return box(node, x, y, slim);
        const bool framed = is_framed(node, is_branch);
        if (framed) {
            frame(node, x, y, measure(node, slim, is_branch));
            y += header;
        }
        if (node.branches())
            draw_branches(node, x, y, slim);
        else
            draw_chain(node.children, x, y, slim, false);
        if (!framed) return;
        --depth_;
        canvas_.close();
    }
    void badge(const LayerNode& node, double right, double y) {
        const double width = badge_width(node);
        canvas_.open("copies");
        canvas_.rect(right - width, y, width, 16, 8, "fill=\"#333333\"");
        canvas_.text(right - width / 2, y + 12, copies_text(node.copies), {.size = small_size, .bold = true, .anchor = "middle", .color = "#ffffff"});
        canvas_.close();
    }
    /// Two more borders behind a part that stands for several.
    void stack_behind(double x, double y, double width, double height, double radius, const std::string& style) {
        for (const double offset : {2 * stack, stack}) canvas_.rect(x + offset, y + offset, width, height, radius, style);
    }
    void box(const LayerNode& node, double x, double y, bool slim) {
        const LayerColors colors = layer_colors(layer_kind(index_, *node.row));
        const double width = slim ? slim_width_ : wide_width_, height = slim ? slim_height : box_height;
        const std::string style = std::string("fill=\"") + colors.background + "\" stroke=\"" + colors.border + "\" stroke-width=\"1.2\"";
        arrow(x, y);
        canvas_.open("layer", node.path);
        canvas_.tip(tip_text(index_, node));
        if (node.copies > 1) stack_behind(x - width / 2, y, width, height, 5, style);
        canvas_.rect(x - width / 2, y, width, height, 5, style);
        box_label(x, y, width, slim, node.row->type, detail_text(index_, *node.row), size_text(node.out()));
        canvas_.close();
        if (node.copies > 1) badge(node, x + width / 2 + 2 * stack + 6 + badge_width(node), y + height / 2 - 8);
        pen_ = y + height + (node.copies > 1 ? 2 * stack : 0);
    }
    void box_label(double x, double y, double width, bool slim, const std::string& type, const std::string& more, const std::string& size) {
        if (slim) {
            label(x, y + 16, width - 16, type_size, type, more, "middle");
            canvas_.text(x, y + 32, cut_text(size, width - 16, small_size), {.size = small_size, .anchor = "middle"});
        } else {
            label(x - width / 2 + 10, y + box_height / 2 + 4, width - 40 - small_size * text_width(size), type_size, type, more);
            canvas_.text(x + width / 2 - 10, y + box_height / 2 + 4, size, {.size = small_size, .anchor = "end"});
        }
    }
    /// A type and what stands behind it, cut to `room`.
    void label(double x, double y, double room, double size, const std::string& type, const std::string& more, const char* anchor = "start") {
        const std::string first = cut_text(type, room, size, true);
        const double rest = room - size * (text_width(first, true) + text_width(" "));
        const bool hopeless = rest < 2 * size && rest < size * text_width(more);  // an ellipsis alone would be left
        canvas_.text(x, y, first, {.size = size, .bold = true, .anchor = anchor}, hopeless ? "" : cut_text(more, rest, size));
    }
    void frame(const LayerNode& node, double x, double y, const Extent& e) {
        const double behind = node.copies > 1 ? 2 * stack : 0, width = e.left + e.right - behind, height = e.height - behind;
        const std::string style = std::string("fill=\"") + (depth_++ % 2 == 0 ? "#f6f6f6" : "#ffffff") + "\" stroke=\"#8c8c8c\"";
        canvas_.open(node.branches() ? "frame residual" : "frame", node.path);
        canvas_.tip(tip_text(index_, node));
        if (behind > 0) stack_behind(x - e.left, y, width, height, corner, style);
        canvas_.rect(x - e.left, y, width, height, corner, style);
        label(x - e.left + 8, y + 15, e.left - 16, small_size, type_text(node), node.path);
        if (behind > 0) badge(node, x + e.right - behind - 6, y + 4);
    }
    void draw_branches(const LayerNode& node, double x, double y, bool slim) {
        Extent all = measure(node.children[0], slim, true);
        const std::vector<double> at = lanes(node, all);
        const double fork = y, sum = fork + gap + all.height + gap + sum_radius;
        arrow(x, fork, false);
        draw(node.children[0], x, fork + gap, slim, true);
        arrow(x, sum - sum_radius);
        for (std::size_t i = 0; i < at.size(); ++i) {
            const bool passes = i + 1 >= node.children.size() || passes_on(node.children[i + 1]);
            shortcut(passes ? nullptr : &node.children[i + 1], x, x + at[i], fork, sum, join_width(node));
        }
        canvas_.circle(x, fork, 2.5, std::string("fill=\"") + flow_color + "\"");
        join(node, x, sum);
        pen_ = sum + sum_radius;
        const std::string activation = setting(*node.row, "activation");
        if (activation.empty()) return;
        const LayerColors colors = layer_colors(LayerKind::activation);
        const double width = slim ? slim_width_ : wide_width_, top = pen_ + gap;
        arrow(x, top);
        canvas_.open("layer");
        canvas_.rect(x - width / 2, top, width, box_height, 5,
                     std::string("fill=\"") + colors.background + "\" stroke=\"" + colors.border + "\" stroke-width=\"1.2\"");
        box_label(x, top, width, false, activation, "", slim ? "" : size_text(node.out()));
        canvas_.close();
        pen_ = top + box_height;
    }
    static double join_width(const LayerNode& node) { return node.row->merge == Merge::concat ? 26 : sum_radius; }
    void join(const LayerNode& node, double x, double y) {
        const Merge merge = node.row->merge;
        const std::string line = std::string("stroke=\"") + flow_color + "\" stroke-width=\"";
        canvas_.open(merge == Merge::concat ? "concat" : merge == Merge::multiply ? "product" : "sum");
        if (merge == Merge::concat) {
            canvas_.rect(x - join_width(node), y - sum_radius, 2 * join_width(node), 2 * sum_radius, sum_radius, "fill=\"#ffffff\" " + line + "1.2\"");
            canvas_.text(x, y + 4, join_text(node), {.size = small_size, .anchor = "middle"});
        } else {
            const double a = merge == Merge::add ? 4 : 3, b = merge == Merge::add ? 0 : 3;  // half of a stroke across, and how much it leans
            canvas_.circle(x, y, sum_radius, "fill=\"#ffffff\" " + line + "1.2\"");
            canvas_.path(svg_point("M", x - a, y - b) + svg_point("L", x + a, y + b) + svg_point("M", x + b, y - a) + svg_point("L", x - b, y + a),
                         line + "1.4\"");
        }
        canvas_.close();
    }
    /// From the fork to the sum along the line `lane`; null: the identity.
    void shortcut(const LayerNode* node, double x, double lane, double fork, double sum, double half) {
        const std::string style = std::string("class=\"shortcut\" fill=\"none\" stroke=\"") + shortcut_color + "\" stroke-width=\"2\"";
        const std::string begin =
            svg_point("M", x, fork) + svg_point("L", lane - corner, fork) + svg_point("Q", lane, fork) + svg_point(" ", lane, fork + corner);
        const std::string end =
            svg_point("L", lane, sum - corner) + svg_point("Q", lane, sum) + svg_point(" ", lane - corner, sum) + svg_point("L", x + half, sum);
        const std::string head = " marker-end=\"url(#shortcut-arrow)\"";
        if (!node) {
            canvas_.path(begin + end, style + " stroke-dasharray=\"6 4\"" + head);
            const double middle = (fork + sum) / 2;
            canvas_.text(lane + 12, middle, "identity", {.size = small_size, .anchor = "middle", .color = "#a84a00"}, "",
                         " transform=\"rotate(-90 " + svg_number(lane + 12) + " " + svg_number(middle) + ")\"");
            return;
        }
        const double height = measure(*node, true, true).height, top = (fork + sum - height) / 2, before = pen_;
        canvas_.path(begin + svg_point("L", lane, top), std::string("fill=\"none\" stroke=\"") + shortcut_color + "\" stroke-width=\"2\"" + head);
        pen_ = -1;
        draw(*node, lane, top, true, true);
        canvas_.path(svg_point("M", lane, pen_) + end, style + head);
        pen_ = before;
    }

    const ParamIndex& index_;
    const GraphOptions& options_;
    SvgCanvas canvas_;
    double wide_width_ = 160, slim_width_ = 90, pen_ = -1;
    int depth_ = 0;
};

}  // namespace detail

/// The network as an SVG picture that needs no other program: layers from top to bottom with the size of their output, containers as frames, a shortcut at
/// the side of its block (dashed: the identity), parts that repeat once with their number.
[[nodiscard]] inline std::string to_svg(const ParamIndex& index, const GraphOptions& options = {}) { return detail::SvgWriter(index, options).write(); }

}  // namespace dla
