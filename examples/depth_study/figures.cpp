// SPDX-License-Identifier: MIT
#include "../common/mean_curve.hpp"
#include "report.hpp"
#include "summary.hpp"

#include <dla/core/finite.hpp>
#include <dla/io/plot_page.hpp>

#include <algorithm>
#include <limits>
#include <set>

namespace depth_study {

namespace {

using Values = std::vector<double>;

/// True when the largest value of the curves is more than ten times the smallest positive one.
bool spans_decades(const std::vector<dla::PlotSeries>& curves) {
    double low = std::numeric_limits<double>::infinity(), high = 0;
    for (const auto& s : curves)
        for (const double y : s.y)
            if (dla::is_finite(y) && y > 0) low = std::min(low, y), high = std::max(high, y);
    return high > 10 * low;
}

/// A logarithm has no place for zero; the reader must not take a gap for a value that was not measured.
std::string zero_note(const std::vector<dla::PlotSeries>& curves, const char* sentence) {
    for (const auto& s : curves)
        for (const double y : s.y)
            if (y == 0) return sentence;
    return "";
}

/// What all figures have in common.
struct Study {
    const Results& results;
    std::vector<Group> all = groups(results);
    std::vector<int> depths = sorted(results.depths);

    static std::vector<int> sorted(std::vector<int> v) {
        std::sort(v.begin(), v.end());
        return v;
    }
    int color(int depth) const { return static_cast<int>(std::find(depths.begin(), depths.end(), depth) - depths.begin()); }

    /// A curve over epochs for each group, of `values` of each of its experiments, those that diverged included.
    template <class Get>
    std::vector<dla::PlotSeries> epoch_curves(Get&& values, bool logarithmic) const {
        std::vector<dla::PlotSeries> series;
        for (const Group& g : all) {
            std::vector<Values> runs;
            for (const Experiment* e : g.tested) runs.push_back(values(*e));
            for (const Experiment* e : g.diverged) runs.push_back(values(*e));
            series.push_back(colored(experiment::mean_curve(runs, logarithmic), g));
        }
        return series;
    }
    /// Curves over the weight layers of the networks of one depth, on a logarithmic axis; there are no layers of what diverged.
    std::vector<dla::PlotSeries> layer_curves(int depth) const {
        std::vector<dla::PlotSeries> series;
        for (const Group& g : all) {
            if (g.depth != depth) continue;
            std::vector<Values> runs;
            for (const Experiment* e : g.tested) {
                Values& v = runs.emplace_back();
                for (const LayerGradient& l : e->layers) v.push_back(l.norm);
            }
            series.push_back(colored(experiment::mean_curve(runs, true), g));
        }
        return series;
    }
    dla::PlotSeries colored(dla::PlotSeries s, const Group& g) const {
        s.color = color(g.depth);
        s.dashed = !g.residual;
        return s;
    }
    /// One colour for each depth. `points`: the curves are single points.
    dla::PlotLegend legend_of_depths(bool points) const {
        if (depths.size() == 1) {
            const std::string depth = "depth " + std::to_string(depths[0]);
            return {"", {{depth + " plain", true, points}, {depth + " residual", false, points}}, {{"", 0}}};
        }
        dla::PlotLegend legend{"depth", {{"plain", true, points}, {"residual", false, points}}, {}};
        for (const int d : depths) legend.columns.push_back({std::to_string(d), color(d)});
        return legend;
    }
    std::string title(const std::string& what) const {
        const NetworkOptions& n = results.settings.networks;
        return what + " of plain and residual MLPs on " + dataset_title(results.settings.dataset) + (n == NetworkOptions{} ? "" : ", " + n.text());
    }
    /// `text` and what else must be known to read the figure. With several runs: `lines` says over which of them the means are, `spread` what shows the
    /// deviation.
    std::string note(std::string text, const std::string& lines, const char* spread, bool logarithmic) const {
        if (results.runs > 1)
            text += " Mean over " + lines + "; " + spread + ": ± one sample standard deviation" +
                    (logarithmic ? ", on a logarithmic axis not below the smallest value." : ".");
        std::string diverged, missing;
        const auto add = [&](std::string& list, const Group& g, std::size_t count) {
            if (count == 0) return;
            list += (list.empty() ? "" : ", ") + g.name();
            if (results.runs > 1) list += " (" + std::to_string(count) + " of " + runs() + ")";
        };
        for (const Group& g : all) {
            add(diverged, g, g.diverged.size());
            add(missing, g, static_cast<std::size_t>(results.runs) - g.count());
        }
        if (!diverged.empty()) text += " Diverged: " + diverged + ".";
        if (!missing.empty()) text += " Not trained: " + missing + ".";
        return text;
    }
    std::string runs() const { return std::to_string(results.runs) + " runs"; }
};

dla::PlotPage over_epochs(const Study& study, const std::string& title, const std::string& y_label, const std::string& note, bool logarithmic,
                          std::vector<dla::PlotSeries> series) {
    const bool points = std::all_of(series.begin(), series.end(), [](const dla::PlotSeries& s) { return s.x.size() <= 1; });
    dla::PlotPanel p;
    p.x_label = "Epoch";
    p.y_label = y_label;
    p.whole_x = true;
    p.log_y = logarithmic;
    p.series = std::move(series);
    dla::PlotPage page;
    page.title = study.title(title);
    page.panels = {std::move(p)};
    page.columns = 1;
    page.legend = study.legend_of_depths(points);
    page.height = 1000 + 98 * (static_cast<int>(study.depths.size() - 1) / 14);  // for the lines of the legend
    page.note = study.note(note, "those of " + study.runs() + " that reached the epoch, as long as these are at least half", "bands", logarithmic);
    return page;
}

/// A line over depth, and on it a point in the colour of each depth.
dla::PlotPanel over_depths(const Study& study, const std::string& y_label, bool error) {
    dla::PlotPanel p;
    p.x_label = "Depth (hidden layers)";
    p.y_label = y_label;
    p.log_x = true;
    p.log_y = error;
    for (const int d : study.depths) p.x_ticks.push_back(d);
    std::vector<dla::PlotSeries> points;
    for (const bool residual : {false, true}) {
        dla::PlotSeries line;
        line.color = dla::plot_black;
        line.dashed = !residual;
        for (const Group& g : study.all) {
            if (g.residual != residual) continue;
            const Summary s = g.summary([&](const Experiment& e) { return error ? 100 - e.test_accuracy : e.test_accuracy; });
            line.x.push_back(g.depth);
            line.y.push_back(s.mean);
            dla::PlotSeries point;
            point.x = {static_cast<double>(g.depth)};
            point.y = {s.mean};
            if (s.count > 1) {
                point.low = {error ? std::max(s.mean - s.std, s.low) : s.mean - s.std};
                point.high = {s.mean + s.std};
            }
            point.color = study.color(g.depth);
            point.dashed = !residual;
            points.push_back(std::move(point));
        }
        p.series.push_back(std::move(line));
    }
    std::move(points.begin(), points.end(), std::back_inserter(p.series));
    return p;
}

}  // namespace

dla::PlotPage comparison(const std::vector<Results>& studies, const std::vector<std::string>& names) {
    dla::PlotPage page;
    page.title = "Test accuracy over depth on " + dataset_title(studies[0].settings.dataset);
    page.legend = {"", {{"", true, true}}, {}};
    std::string note = "Weights of the epoch with the best validation accuracy.";
    bool several = false;
    for (std::size_t i = 0; i < studies.size(); ++i) {
        const auto same = [&](const Results& r) { return r.settings.networks == studies[i].settings.networks; };
        const std::string name = studies[i].settings.networks.text();
        page.legend.columns.push_back({std::count_if(studies.begin(), studies.end(), same) > 1 ? name + " (" + names[i] + ")" : name, static_cast<int>(i)});
        several = several || studies[i].runs > 1;
        note += (i == 0 ? " Runs of each network: " : ", ") + std::to_string(studies[i].runs);
    }
    page.note = note + "." + (several ? " Bars: ± one sample standard deviation." : "");
    for (const bool residual : {false, true}) {
        dla::PlotPanel p;
        p.title = residual ? "residual" : "plain";
        p.x_label = "Depth (hidden layers)";
        p.y_label = "Test accuracy (%)";
        p.log_x = true;
        std::set<int> depths;
        for (std::size_t i = 0; i < studies.size(); ++i) {
            dla::PlotSeries s;
            for (const Group& g : groups(studies[i])) {
                if (g.residual != residual || g.tested.empty()) continue;
                const Summary of = g.summary([](const Experiment& e) { return e.test_accuracy; });
                depths.insert(g.depth);
                s.x.push_back(g.depth);
                s.y.push_back(of.mean);
                const double spread = of.count > 1 ? of.std : 0;
                s.low.push_back(of.mean - spread);
                s.high.push_back(std::min(100.0, of.mean + spread));
            }
            s.color = static_cast<int>(i);
            s.points = s.bars = true;
            p.series.push_back(std::move(s));
        }
        p.x_ticks.assign(depths.begin(), depths.end());
        page.panels.push_back(std::move(p));
    }
    page.same_y = true;
    page.height = 800;
    page.svg = true;
    return page;
}

std::vector<dla::PlotPage> figures(const Results& results) {
    const Study study{results};
    std::vector<dla::PlotPage> pages;

    const auto val_losses = [](const Experiment& e) {
        Values v;
        for (const dla::EpochMetrics& m : e.history) v.push_back(m.val_loss);
        return v;
    };
    const bool logarithmic = spans_decades(study.epoch_curves(val_losses, true));
    pages.push_back(over_epochs(study, "Validation loss", logarithmic ? "Validation loss (cross-entropy), logarithmic" : "Validation loss (cross-entropy)",
                                results.runs > 1 ? "" : "A curve ends where training stopped.", logarithmic, study.epoch_curves(val_losses, logarithmic)));

    dla::PlotPage test;
    test.title = study.title("Test accuracy");
    test.panels = {over_depths(study, "Test accuracy (%)", false), over_depths(study, "Test error (%), logarithmic", true)};
    test.height = 800;
    test.legend = {"", {{"plain", true, true}, {"residual", false, true}}, {{"", dla::plot_black}}};
    test.note =
        study.note("Weights of the epoch with the best validation accuracy." + zero_note(test.panels[1].series, " An error of 0 % has no place on the right."),
                   study.runs(), "bars", true);
    pages.push_back(std::move(test));

    auto norms = study.epoch_curves([](const Experiment& e) { return e.gradient_norms; }, true);
    const std::string zero = zero_note(norms, " A gradient of 0 is not drawn.");
    pages.push_back(over_epochs(study, "Gradient magnitude", "Mean L2 norm of the gradients, logarithmic",
                                "Mean over all parameters of the L2 norm of the gradient of one fixed training batch, after each epoch." + zero, true,
                                std::move(norms)));

    dla::PlotPage layers;
    layers.title = study.title("Gradients by layer");
    layers.columns = std::max(1, static_cast<int>(std::ceil(std::sqrt(static_cast<double>(study.depths.size())))));
    std::string zero_layers;
    for (const int d : study.depths) {
        dla::PlotPanel p;
        p.title = "depth " + std::to_string(d);
        p.log_y = p.whole_x = true;
        p.series = study.layer_curves(d);
        const bool few = std::all_of(p.series.begin(), p.series.end(), [](const dla::PlotSeries& s) { return s.x.size() <= 16; });
        for (auto& s : p.series) s.points = few;
        if (zero_layers.empty()) zero_layers = zero_note(p.series, " A gradient of 0 is not drawn.");
        layers.panels.push_back(std::move(p));
    }
    layers.same_y = true;
    layers.x_label = "Weight layer, from input to output";
    layers.y_label = "L2 norm of the gradient, logarithmic";
    const int rows = (static_cast<int>(study.depths.size()) + layers.columns - 1) / layers.columns;
    layers.height = 190 + std::max(600, 430 * rows);
    layers.legend = {"", {{"plain", true}, {"residual", false}}, {{"", dla::plot_black}}};
    layers.note = study.note(
        "Gradient of each weight matrix on one training batch, at the weights that were tested. "
        "A residual network has about twice as many weight layers, and those of shortcuts." +
            zero_layers,
        study.runs(), "bands", true);
    pages.push_back(std::move(layers));

    for (auto& page : pages) page.svg = true;
    return pages;
}

}  // namespace depth_study
