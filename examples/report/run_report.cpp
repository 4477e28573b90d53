// SPDX-License-Identifier: MIT
#include "run_report.hpp"

#include "../common/summary.hpp"
#include "html.hpp"
#include "test_images.hpp"

#include <dla/core/table.hpp>
#include <dla/inspect.hpp>
#include <dla/version.hpp>

#include <algorithm>
#include <cmath>

namespace report {

using experiment::formatted;

namespace {

std::string curves(const RunReport& run) {
    dla::PlotPanel loss, accuracy, rate;
    dla::PlotSeries series[5];
    for (const dla::EpochMetrics& m : run.history) {
        const double values[] = {m.train_loss, m.val_loss, 100 - m.train_accuracy, 100 - m.val_accuracy, m.learning_rate};
        for (std::size_t i = 0; i < 5; ++i) {
            series[i].x.push_back(m.epoch);
            series[i].y.push_back(values[i]);
        }
        if (m.epoch != run.best_epoch) continue;
        loss.marks.push_back({static_cast<double>(m.epoch), m.val_loss, "best epoch"});
        accuracy.marks.push_back({static_cast<double>(m.epoch), 100 - m.val_accuracy, "best epoch"});
    }
    for (const std::size_t i : {0u, 2u}) series[i].label = "training", series[i].color = 0;
    for (const std::size_t i : {1u, 3u}) series[i].label = "validation", series[i].color = 1;
    series[4].steps = true;
    loss.series = {series[0], series[1]};
    accuracy.series = {series[2], series[3]};
    rate.series = {series[4]};
    loss.y_label = "loss", accuracy.y_label = "error", rate.y_label = "learning rate";
    std::string out = "<h2>Curves</h2>\n<table><tr><th class=\"left\">Loss</th><th class=\"left\">Error in percent, logarithmic</th></tr>\n<tr>";
    for (dla::PlotPanel* p : {&loss, &accuracy, &rate}) {
        p->x_label = "epoch";
        p->whole_x = true;
    }
    accuracy.log_y = true;
    out += "<td class=\"left\">" + chart(loss, 500, 300) + "</td><td class=\"left\">" + chart(accuracy, 500, 300) +
           "</td></tr>\n<tr><th class=\"left\">Learning rate</th></tr><tr><td class=\"left\">" + chart(rate, 500, 180) + "</td></tr></table>\n";
    return out + "<p>The circle marks the epoch with the best validation accuracy" +
           (run.tested_epoch == 0 ? ", whose weights were tested. "
                                  : "; the weights that were tested are those of epoch " + std::to_string(run.tested_epoch) + ". ") +
           "Training values are means over the epoch, taken "
           "while the weights change and on images as training changes them.</p>\n";
}

std::string confusions(const dla::ConfusionMatrix& m, const dla::Dataset& data) {
    std::string out =
        "<h2>Classes</h2>\n<table>\n<tr><th class=\"left\">class</th><th>accuracy</th><th class=\"left\"></th><th>precision</th><th>f1</th></tr>\n";
    for (dla::index_t c = 0; c < m.classes(); ++c)
        out += "<tr><td class=\"left\">" + escaped(class_name(data, c)) + "</td><td>" + formatted("%.2f %%", 100 * m.recall(c)) +
               "</td><td class=\"left\"><span class=\"bar\" style=\"width:" + formatted("%.0f", 220 * m.recall(c)) + "px\"></span></td><td>" +
               formatted("%.4f", m.precision(c)) + "</td><td>" + formatted("%.4f", m.f1(c)) + "</td></tr>\n";
    out += "</table>\n<h2>What is taken for what</h2>\n<p>Rows: the class of the test images; columns: what the network says.</p>\n<table>\n<tr><th></th>";
    for (dla::index_t c = 0; c < m.classes(); ++c) out += "<th>" + escaped(class_name(data, c)) + "</th>";
    out += "</tr>\n";
    double worst = 1;
    for (dla::index_t r = 0; r < m.classes(); ++r)
        for (dla::index_t c = 0; c < m.classes(); ++c)
            if (r != c) worst = std::max(worst, m.count(r, c));
    for (dla::index_t r = 0; r < m.classes(); ++r) {
        out += "<tr><th class=\"left\">" + escaped(class_name(data, r)) + "</th>";
        for (dla::index_t c = 0; c < m.classes(); ++c) {
            const double n = m.count(r, c);
            const std::string shade = r == c ? "#d9ead9" : "rgba(213,94,0," + formatted("%.2f", 0.8 * std::sqrt(n / worst)) + ")";
            out += "<td style=\"background:" + shade + "\">" + (n == 0 ? "" : formatted("%.0f", n)) + "</td>";
        }
        out += "</tr>\n";
    }
    return out + "</table>\n";
}

/// The wrong answers of which the network was surest.
std::string mistakes(std::span<const float> probabilities, const dla::Dataset& data) {
    struct Mistake {
        dla::index_t sample;
        Answer answer;
    };
    std::vector<Mistake> wrong;
    for (dla::index_t i = 0; i < data.size(); ++i)
        if (const Answer a = answer(probabilities, i, data.size()); a.said != data.labels[static_cast<std::size_t>(i)]) wrong.push_back({i, a});
    std::stable_sort(wrong.begin(), wrong.end(), [](const Mistake& a, const Mistake& b) { return a.answer.sure > b.answer.sure; });
    std::string out = "<h2>Worst mistakes</h2>\n";
    if (wrong.empty()) return out + "<p>None: every test image was named rightly.</p>\n";
    constexpr std::size_t most = 32;
    out += "<p>" + std::to_string(wrong.size()) + (wrong.size() == 1 ? " test image was" : " test images were") + " taken for another class" +
           (wrong.size() > most ? "; these " + std::to_string(most) + " with the greatest confidence" : "") + ".</p>\n<div class=\"mistakes\">\n";
    for (std::size_t i = 0; i < std::min(most, wrong.size()); ++i) {
        const auto& [sample, said] = wrong[i];
        out += "<figure>" + picture_of(data, sample) + "<figcaption>" + escaped(class_name(data, data.labels[static_cast<std::size_t>(sample)])) +
               ", taken for <b>" + escaped(class_name(data, said.said)) + "</b> (" + formatted("%.1f %%", 100 * said.sure) + ")</figcaption></figure>\n";
    }
    return out + "</div>\n";
}

}  // namespace

void write_run_report(const std::string& path, const RunReport& run) {
    const std::string name = run_name(run.config);
    const std::vector<float> probabilities = dla::predict_probabilities(run.model, run.test);
    dla::ConfusionMatrix confusion;
    confusion.add(probabilities, run.test.labels);
    std::string body = "<h1>" + escaped(name) + "</h1>\n<div class=\"numbers\">";
    const auto fact = [&](const std::string& value, const std::string& what) { body += "<div><b>" + escaped(value) + "</b>" + escaped(what) + "</div>"; };
    fact(formatted("%.2f %%", confusion.accuracy()), "test accuracy, " + dla::grouped(run.test.size()) + " images");
    for (const dla::EpochMetrics& m : run.history)
        if (m.epoch == run.best_epoch) fact(formatted("%.2f %%", m.val_accuracy), "best validation accuracy, epoch " + std::to_string(m.epoch));
    if (!run.history.empty()) fact(std::to_string(run.history.size()), "epochs");
    fact(dla::grouped(run.model.index().parameter_count()), "parameters");
    body += "</div>\n";
    if (!run.history.empty()) body += curves(run);
    body += confusions(confusion, run.test) + mistakes(probabilities, run.test);
    body += "<h2>Layers</h2>\n<pre>" + escaped(dla::summary(run.model)) + "</pre>\n";
    if (!run.layers.empty()) body += "<p>After the last epoch, on one training batch:</p>\n<pre>" + escaped(run.layers) + "</pre>\n";
    body += "<h2>Configuration</h2>\n<pre>" + escaped(dla::to_toml(run.config)) + "</pre>\n<h2>Versions</h2>\n<p>" + escaped(run.start_line) + "; commit " +
            escaped(experiment::commit()) + "</p>\n";
    dla::write_file(path, page(name, body));
}

}  // namespace report
