// SPDX-License-Identifier: MIT
#include "comparison.hpp"

#include "../common/summary.hpp"
#include "html.hpp"
#include "test_images.hpp"

#include <dla/core/table.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <sstream>

namespace report {

using experiment::formatted;

namespace {

using Rows = std::vector<std::vector<std::string>>;

std::string html_table(const Rows& rows, std::size_t left_columns = 1) {
    std::string out = "<div class=\"wide\"><table>\n";
    for (std::size_t r = 0; r < rows.size(); ++r) {
        out += "<tr>";
        for (std::size_t c = 0; c < rows[r].size(); ++c) {
            const std::string tag = r == 0 || c == 0 ? "th" : "td";
            out += "<" + tag + (c < left_columns ? " class=\"left\"" : "") + ">" + escaped(rows[r][c]) + "</" + tag + ">";
        }
        out += "</tr>\n";
    }
    return out + "</table></div>\n";
}

dla::ConfusionMatrix confusion(const ComparedRun& run, const dla::Dataset& test) {
    dla::ConfusionMatrix m;
    m.add(run.probabilities, test.labels);
    return m;
}

Rows overview(const std::vector<ComparedRun>& runs, const dla::Dataset& test) {
    Rows rows{{"Run", "Test accuracy", "Of epoch", "Best validation", "Best epoch", "Epochs", "Parameters"}};
    for (const ComparedRun& run : runs) {
        const double share = confusion(run, test).accuracy() / 100;
        std::vector<std::string> row{
            run.label, formatted("%.2f", 100 * share) + formatted(" ± %.2f %%", 100 * std::sqrt(share * (1 - share) / static_cast<double>(test.size())))};
        std::string best = "unknown", epoch;
        for (const dla::EpochMetrics& m : run.history)
            if (m.epoch == run.best_epoch) best = formatted("%.2f %%", m.val_accuracy), epoch = std::to_string(m.epoch);
        row.insert(row.end(), {run.tested_epoch > 0 ? std::to_string(run.tested_epoch) : epoch, best, epoch, std::to_string(run.history.size()),
                               dla::grouped(run.parameters)});
        rows.push_back(row);
    }
    return rows;
}

std::string curves(const std::vector<ComparedRun>& runs) {
    dla::PlotPanel loss, error, rate;
    for (const ComparedRun& run : runs) {
        dla::PlotSeries series[3];
        for (dla::PlotSeries& s : series) s.label = run.label.size() > 28 ? "..." + run.label.substr(run.label.size() - 25) : run.label;
        for (const dla::EpochMetrics& m : run.history) {
            const double values[] = {m.val_loss, 100 - m.val_accuracy, m.learning_rate};
            for (std::size_t i = 0; i < 3; ++i) series[i].x.push_back(m.epoch), series[i].y.push_back(values[i]);
        }
        series[2].steps = true;
        loss.series.push_back(series[0]), error.series.push_back(series[1]), rate.series.push_back(series[2]);
    }
    loss.y_label = "validation loss", error.y_label = "validation error", rate.y_label = "learning rate";
    error.log_y = true;
    std::string out = "<h2>Curves</h2>\n";
    for (const auto& [panel, title] : {std::pair{&loss, "Validation loss"}, {&error, "Validation error in percent, logarithmic"}, {&rate, "Learning rate"}}) {
        panel->x_label = "epoch";
        panel->whole_x = true;
        out += "<h3>" + std::string(title) + "</h3>\n" + chart(*panel, 1000, panel == &rate ? 180 : 320);
    }
    return out;
}

/// `table.key` and value of each setting.
std::map<std::string, std::string> settings_of(const dla::ExperimentConfig& config) {
    std::map<std::string, std::string> all;
    std::istringstream lines(dla::to_toml(config));
    std::string table;
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("[")) table = line.substr(1, line.find(']') - 1) + ".";
        if (const auto at = line.find(" = "); at != line.npos && !line.starts_with("[")) all[table + line.substr(0, at)] = line.substr(at + 3);
    }
    return all;
}

std::string differences(const std::vector<ComparedRun>& runs) {
    std::vector<std::map<std::string, std::string>> settings;
    std::map<std::string, std::string> keys;
    for (const ComparedRun& run : runs) settings.push_back(settings_of(run.config)), keys.insert(settings.back().begin(), settings.back().end());
    Rows rows{{"Setting"}};
    for (const ComparedRun& run : runs) rows[0].push_back(run.label);
    for (const auto& [key, first] : keys) {
        std::vector<std::string> row{key};
        bool differ = false;
        for (const auto& s : settings) {
            const auto found = s.find(key);
            row.push_back(found == s.end() ? "not set" : found->second);
            differ = differ || row.back() != row[1];
        }
        if (differ) rows.push_back(row);
    }
    return "<h2>In what they differ</h2>\n" + (rows.size() > 1 ? html_table(rows) : std::string("<p>In nothing: their configurations are the same.</p>\n"));
}

std::string classes(const std::vector<ComparedRun>& runs, const dla::Dataset& test) {
    Rows rows{{"Class"}};
    std::vector<dla::ConfusionMatrix> all;
    for (const ComparedRun& run : runs) rows[0].push_back(run.label), all.push_back(confusion(run, test));
    for (dla::index_t c = 0; c < all[0].classes(); ++c) {
        std::vector<std::string> row{class_name(test, c)};
        for (const dla::ConfusionMatrix& m : all) row.push_back(formatted("%.2f %%", 100 * m.recall(c)));
        rows.push_back(row);
    }
    return "<h2>Accuracy of each class</h2>\n" + html_table(rows);
}

std::string pairs(const std::vector<ComparedRun>& runs, const dla::Dataset& test) {
    Rows rows{{"Runs", "", "only the first is right", "only the second is right", "chance"}};
    for (std::size_t i = 0; i < runs.size(); ++i)
        for (std::size_t j = i + 1; j < runs.size(); ++j) {
            const Pair p = compare_answers(runs[i], runs[j], test);
            rows.push_back({runs[i].label, runs[j].label, dla::grouped(p.only_first), dla::grouped(p.only_second),
                            p.chance() < 0.0001 ? "below 0.0001" : formatted("%.4f", p.chance())});
        }
    return "<h2>Pair by pair</h2>\n" + html_table(rows, 2) +
           "<p>The chance is that of two equally good networks to differ as much as these or more on so many images (McNemar's test, exact). It knows "
           "nothing of other seeds: a second training of the same network differs, too.</p>\n";
}

/// Images that some take for what they are and others do not, those first whose wrong answers are surest.
std::string disagreements(const std::vector<ComparedRun>& runs, const dla::Dataset& test) {
    struct Image {
        dla::index_t sample;
        double sure;
    };
    std::vector<Image> found;
    for (dla::index_t i = 0; i < test.size(); ++i) {
        double sure = 0;
        std::size_t right = 0;
        for (const ComparedRun& run : runs) {
            const Answer a = answer(run.probabilities, i, test.size());
            if (a.said == test.labels[static_cast<std::size_t>(i)])
                ++right;
            else
                sure = std::max(sure, a.sure);
        }
        if (right > 0 && right < runs.size()) found.push_back({i, sure});
    }
    std::stable_sort(found.begin(), found.end(), [](const Image& a, const Image& b) { return a.sure > b.sure; });
    std::string out = "<h2>Where they disagree</h2>\n";
    if (found.empty()) return out + "<p>Nowhere: each image is named rightly by all of them or by none.</p>\n";
    constexpr std::size_t most = 24;
    out += "<p>" + dla::grouped(static_cast<dla::index_t>(found.size())) + (found.size() == 1 ? " test image is" : " test images are") +
           " named rightly by some and not by others" + (found.size() > most ? "; these " + std::to_string(most) + " with the surest wrong answers" : "") +
           ".</p>\n<div class=\"mistakes\">\n";
    for (std::size_t i = 0; i < std::min(most, found.size()); ++i) {
        const dla::index_t sample = found[i].sample, label = test.labels[static_cast<std::size_t>(sample)];
        out += "<figure>" + picture_of(test, sample) + "<figcaption><b>" + escaped(class_name(test, label)) + "</b>";
        for (const ComparedRun& run : runs) {
            const Answer a = answer(run.probabilities, sample, test.size());
            out += "<br>" + escaped(run.label) + ": " + (a.said == label ? "right" : escaped(class_name(test, a.said))) + " (" +
                   formatted("%.0f %%", 100 * a.sure) + ")";
        }
        out += "</figcaption></figure>\n";
    }
    return out + "</div>\n";
}

}  // namespace

double Pair::chance() const {
    // Of n images that only one names rightly each falls to either side with probability 1/2.
    const dla::index_t n = only_first + only_second, less = std::min(only_first, only_second);
    double sum = 0;
    for (dla::index_t k = 0; k <= less; ++k)
        sum += std::exp(std::lgamma(static_cast<double>(n) + 1) - std::lgamma(static_cast<double>(k) + 1) - std::lgamma(static_cast<double>(n - k) + 1) -
                        static_cast<double>(n) * std::log(2.0));
    return std::min(1.0, 2 * sum);
}

Pair compare_answers(const ComparedRun& a, const ComparedRun& b, const dla::Dataset& test) {
    Pair p;
    for (dla::index_t i = 0; i < test.size(); ++i) {
        const dla::index_t label = test.labels[static_cast<std::size_t>(i)];
        const bool first = answer(a.probabilities, i, test.size()).said == label, second = answer(b.probabilities, i, test.size()).said == label;
        p.only_first += first && !second;
        p.only_second += second && !first;
    }
    return p;
}

std::vector<std::string> labels_of(const std::vector<std::string>& files) {
    // Parts of the paths, from the end; what all have at the same place says nothing.
    std::vector<std::vector<std::string>> parts;
    std::size_t depth = 0;
    for (const std::string& file : files) {
        std::vector<std::string> p{""};
        for (const char c : file.ends_with(".safetensors") ? file.substr(0, file.size() - 12) : file) c == '/' ? p.push_back("") : p.back().push_back(c);
        std::reverse(p.begin(), p.end());
        depth = std::max(depth, p.size());
        parts.push_back(std::move(p));
    }
    const auto part = [&](std::size_t file, std::size_t at) { return at < parts[file].size() ? parts[file][at] : std::string(); };
    std::vector<std::string> labels(files.size());
    for (std::size_t at = 0; at < depth; ++at) {
        std::set<std::string> values;
        for (std::size_t i = 0; i < files.size(); ++i) values.insert(part(i, at));
        if (values.size() == 1 && files.size() > 1) continue;
        const bool enough = values.size() == files.size();  // this part alone tells them apart
        for (std::size_t i = 0; i < files.size(); ++i) labels[i] = enough ? part(i, at) : part(i, at) + (labels[i].empty() ? "" : "/" + labels[i]);
        if (enough || std::set<std::string>(labels.begin(), labels.end()).size() == files.size()) break;
    }
    for (std::size_t i = 0; i < labels.size(); ++i)
        if (labels[i].empty() || std::count(labels.begin(), labels.end(), labels[i]) > 1)
            labels[i] += (labels[i].empty() ? part(i, 0) : "") + " (" + std::to_string(i + 1) + ")";
    return labels;
}

std::string comparison_text(const std::vector<ComparedRun>& runs, const dla::Dataset& test) {
    return dla::table_text(overview(runs, test), {.style = dla::TableStyle::ruled, .align = "lr"});
}

void write_comparison(const std::string& path, const std::vector<ComparedRun>& runs, const dla::Dataset& test) {
    const std::string title = std::to_string(runs.size()) + " runs on " + runs[0].config.dataset.name;
    std::string body = "<h1>" + escaped(title) + "</h1>\n" + html_table(overview(runs, test)) + "<p>On " + dla::grouped(test.size()) +
                       " test images; ± is the standard error of a share of so many.</p>\n";
    body += curves(runs) + differences(runs) + classes(runs, test) + pairs(runs, test) + disagreements(runs, test);
    dla::write_file(path, page(title, body));
}

}  // namespace report
