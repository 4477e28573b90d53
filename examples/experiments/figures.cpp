// SPDX-License-Identifier: MIT
#include "../common/mean_curve.hpp"
#include "report.hpp"

namespace experiments {

using experiment::dataset_title;

namespace {

/// Rows that have something to show.
std::vector<const Row*> with_runs(const Section& s) {
    std::vector<const Row*> rows;
    for (const Row& row : s.rows)
        if (!row.tested.empty()) rows.push_back(&row);
    return rows;
}

int height_of(std::size_t rows) { return 260 + 62 * static_cast<int>(rows); }

/// A line for each experiment: every run, the mean, and what was published.
dla::PlotPage accuracy(const Section& s) {
    dla::PlotPanel p;
    p.x_label = "Accuracy (%)";
    dla::PlotSeries runs{.label = "test, each run", .x = {}, .y = {}, .color = 5, .points = true, .line = false};
    dla::PlotSeries test{.label = "test, mean ± standard deviation", .x = {}, .y = {}, .color = 0, .points = true, .line = false, .bars = true};
    dla::PlotSeries validation{.label = "validation, mean", .x = {}, .y = {}, .color = 2, .points = true, .line = false};
    dla::PlotSeries published{.label = "published (validation)", .x = {}, .y = {}, .color = 1, .points = true, .line = false};
    for (const Row* row : with_runs(s)) {
        p.y_names.push_back(row->title());
        const auto y = static_cast<double>(p.y_names.size());
        for (const Run* r : row->tested) {
            runs.x.push_back(r->test_accuracy);
            runs.y.push_back(y + 0.22);
        }
        const auto mean = row->summary([](const Run& r) { return r.test_accuracy; });
        test.x.push_back(mean.mean);
        test.y.push_back(y);
        test.low.push_back(mean.count > 1 ? mean.mean - mean.std : nan);
        test.high.push_back(mean.count > 1 ? mean.mean + mean.std : nan);
        validation.x.push_back(row->summary([](const Run& r) { return r.best().val_accuracy; }).mean);
        validation.y.push_back(y - 0.22);
        published.x.push_back(row->experiment->published_val_accuracy);
        published.y.push_back(y - 0.22);
    }
    p.series = {std::move(published), std::move(validation), std::move(test), std::move(runs)};
    dla::PlotPage page;
    page.title = "Accuracy on " + dataset_title(s.dataset);
    page.height = height_of(p.y_names.size());
    page.panels = {std::move(p)};
    page.columns = 1;
    return page;
}

/// Validation error over epochs, a curve for each experiment.
dla::PlotPage curves(const Section& s) {
    dla::PlotPanel p;
    p.x_label = "Epoch";
    p.whole_x = true;
    double low = 100, high = 0;
    for (const Row* row : with_runs(s))
        for (const Run* r : row->tested)
            for (const Epoch& e : r->history) low = std::min(low, 100 - e.metrics.val_accuracy), high = std::max(high, 100 - e.metrics.val_accuracy);
    p.log_y = high > 10 * low;
    p.y_label = p.log_y ? "Validation error (%), logarithmic" : "Validation error (%)";
    for (const Row* row : with_runs(s)) {
        std::vector<std::vector<double>> errors;
        for (const Run* r : row->tested) {
            auto& v = errors.emplace_back();
            for (const Epoch& e : r->history) v.push_back(100 - e.metrics.val_accuracy);
        }
        dla::PlotSeries curve = experiment::mean_curve(errors, p.log_y);
        curve.label = row->title();
        p.series.push_back(std::move(curve));
    }
    dla::PlotPage page;
    page.title = "Validation error on " + dataset_title(s.dataset);
    page.height = 900;
    page.panels = {std::move(p)};
    page.columns = 1;
    page.note = "Means over the runs that reached the epoch, as long as these are at least half; bands: one sample standard deviation.";
    return page;
}

dla::PlotPage time(const std::vector<Section>& all) {
    dla::PlotPanel p;
    p.x_label = "Seconds of training, logarithmic";
    p.log_x = true;
    dla::PlotSeries epoch{.label = "an epoch", .x = {}, .y = {}, .color = 0, .points = true, .line = false};
    dla::PlotSeries run{.label = "a run", .x = {}, .y = {}, .color = 1, .points = true, .line = false};
    for (const Section& s : all)
        for (const Row* row : with_runs(s)) {
            p.y_names.push_back(dataset_title(s.dataset) + ": " + row->title());
            const auto y = static_cast<double>(p.y_names.size());
            epoch.x.push_back(row->summary([](const Run& r) { return r.seconds_per_epoch(); }).mean);
            run.x.push_back(row->summary([](const Run& r) { return r.seconds_per_epoch() * static_cast<double>(r.history.size()); }).mean);
            epoch.y.push_back(y);
            run.y.push_back(y);
        }
    p.series = {std::move(epoch), std::move(run)};
    dla::PlotPage page;
    page.title = "Time of training";
    page.height = height_of(p.y_names.size());
    page.panels = {std::move(p)};
    page.columns = 1;
    return page;
}

}  // namespace

std::vector<Figure> figures(const List& list, const Results& results) {
    std::vector<Figure> pages;
    const std::vector<Section> all = sections(list, results);
    for (const Section& s : all) {
        if (with_runs(s).empty()) continue;
        pages.push_back({"accuracy_" + s.dataset, accuracy(s)});
        pages.push_back({"curves_" + s.dataset, curves(s)});
    }
    if (!pages.empty()) pages.push_back({"time", time(all)});
    return pages;
}

}  // namespace experiments
