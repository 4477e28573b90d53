// SPDX-License-Identifier: MIT
#include "report.hpp"

#include <dla/config.hpp>
#include <dla/core/table.hpp>
#include <dla/io/folder_lock.hpp>
#include <dla/train/progress.hpp>

#include <filesystem>

namespace experiments {

using experiment::code_span, experiment::dataset_title, experiment::formatted, experiment::Summary;

namespace {

/// `98.26 ± 0.17 %`; one run has no spread.
std::string percent(const Summary& s) {
    if (s.count == 0) return "";
    return formatted("%.2f", s.mean) + (s.count > 1 ? " ± " + formatted("%.2f", s.std) : "") + " %";
}

std::string seconds_text(double seconds) { return seconds < 100 ? formatted(seconds < 10 ? "%.2f s" : "%.1f s", seconds) : dla::duration_text(seconds); }

double run_seconds(const Run& run) { return run.seconds_per_epoch() * static_cast<double>(run.history.size()); }

std::string table(const std::vector<std::vector<std::string>>& rows, std::string_view align) {
    return dla::table_text(rows, {.style = dla::TableStyle::markdown, .align = align});
}

/// `42 to 51`, `1, 7, 9`
std::string seeds_text(const std::vector<std::int64_t>& seeds) {
    bool run = seeds.size() > 2;
    for (std::size_t i = 1; i < seeds.size(); ++i) run = run && seeds[i] == seeds[i - 1] + 1;
    if (run) return std::to_string(seeds.front()) + " to " + std::to_string(seeds.back());
    std::string text;
    for (const std::int64_t seed : seeds) text += (text.empty() ? "" : ", ") + std::to_string(seed);
    return text;
}

/// For a shell: '...', and a ' in it as '\''.
std::string shell_quoted(const std::string& word) {
    std::string text = "'";
    for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return text + "'";
}

/// One experiment in full: how to train it, and each of its runs.
std::string details(const Row& row) {
    const Experiment& e = *row.experiment;
    std::string text = "\n### " + dataset_title(e.settings.dataset.name) + ": " + row.title() + "\n\n" + code_span(e.name) + ": " + dla::grouped(e.parameters) +
                       " parameters, seeds " + seeds_text(e.seeds) + ".\n\n```sh\nbuild/examples/train --config " + e.config_path;
    for (const std::string& s : e.set) text += " --set " + shell_quoted(s);
    text += " --seed " + std::to_string(e.seeds.front()) + "\n```\n\n";
    std::vector<std::vector<std::string>> rows = {{"Seed", "Validation", "Test", "Test loss", "Best epoch", "Epochs", "Training"}};
    for (const Run* r : row.tested)
        rows.push_back({std::to_string(r->seed), formatted("%.2f %%", r->best().val_accuracy), formatted("%.2f %%", r->test_accuracy),
                        formatted("%.4f", r->test_loss), std::to_string(r->best_epoch), std::to_string(r->history.size()), seconds_text(run_seconds(*r))});
    if (!row.tested.empty()) text += table(rows, "r");
    for (const Run* r : row.diverged)
        text += "\nSeed " + std::to_string(r->seed) + " diverged after " + std::to_string(r->history.size()) +
                (r->history.size() == 1 ? " epoch: " : " epochs: ") + code_span(r->diverged) + "\n";
    return text;
}

/// What the runs were computed with; a line for each machine, build and way of running.
std::string machines(const std::vector<Section>& all) {
    struct Machine {
        Sitting sitting;
        std::vector<std::pair<std::string, int>> runs;  // of an experiment
    };
    std::vector<Machine> found;
    for (const Section& s : all)
        for (const Row& row : s.rows)
            for (const auto* runs : {&row.tested, &row.diverged})
                for (const Run* run : *runs)
                    for (std::size_t i = 0; i < run->sittings.size(); ++i) {
                        const Sitting& sitting = run->sittings[i];
                        if (std::any_of(run->sittings.begin(), run->sittings.begin() + static_cast<std::ptrdiff_t>(i),
                                        [&](const Sitting& before) { return before.like(sitting); }))
                            continue;  // a run counts once
                        auto at = std::find_if(found.begin(), found.end(), [&](const Machine& m) { return m.sitting.like(sitting); });
                        if (at == found.end()) at = found.insert(found.end(), {sitting, {}});
                        if (at->runs.empty() || at->runs.back().first != row.experiment->name) at->runs.push_back({row.experiment->name, 0});
                        ++at->runs.back().second;
                    }
    std::string text;
    for (const Machine& m : found) {
        const Sitting& s = m.sitting;
        text += "- " + code_span(s.processor) + ", kernels " + code_span(s.computes_on) + ", " + std::to_string(s.threads) +
                (s.threads == 1 ? " thread" : " threads") +
                (s.side_by_side > 1 ? " for each of up to " + std::to_string(s.side_by_side) + " runs side by side" : "") + "; dla " + s.version + ", commit " +
                code_span(s.commit) + ":";
        for (std::size_t i = 0; i < m.runs.size(); ++i)
            text += (i == 0 ? " " : ", ") + code_span(m.runs[i].first) + (m.runs[i].second > 1 ? " (" + std::to_string(m.runs[i].second) + " runs)" : "");
        text += "\n";
    }
    return text;
}

}  // namespace

std::vector<Section> sections(const List& list, const Results& results) {
    std::vector<Section> all;
    for (const Experiment& e : list.experiments) {
        const std::string& dataset = e.settings.dataset.name;
        auto at = std::find_if(all.begin(), all.end(), [&](const Section& s) { return s.dataset == dataset; });
        if (at == all.end()) at = all.insert(all.end(), {dataset, {}});
        Row row{&e, {}, {}};
        if (const Outcome* outcome = results.find(e.name); outcome && outcome->config == common_config(e.settings))
            for (const std::int64_t seed : e.seeds)
                if (const Run* run = outcome->find(seed)) (run->diverged.empty() ? row.tested : row.diverged).push_back(run);
        at->rows.push_back(std::move(row));
    }
    return all;
}

std::string section_table(const Section& section) {
    std::vector<std::vector<std::string>> rows = {{"Network", "Recipe", "Published", "Validation", "Test", "Mirrored", "Runs", "Best epoch", "Epoch", "Run"}};
    for (const Row& row : section.rows) {
        const Experiment& e = *row.experiment;
        std::vector<std::string> cells{e.title, e.recipe, std::isnan(e.published_val_accuracy) ? "" : formatted("%.1f %%", e.published_val_accuracy)};
        cells.push_back(row.tested.empty() ? (row.diverged.empty() ? "not run" : "diverged")
                                           : percent(row.summary([](const Run& r) { return r.best().val_accuracy; })));
        cells.push_back(percent(row.summary([](const Run& r) { return r.test_accuracy; })));
        cells.push_back(percent(row.summary([](const Run& r) { return r.test_accuracy_mirrored; })));
        cells.push_back(std::to_string(row.tested.size()) + (row.tested.size() < e.seeds.size() ? " of " + std::to_string(e.seeds.size()) : ""));
        if (!row.tested.empty()) {
            cells.push_back(formatted("%.1f", row.summary([](const Run& r) { return static_cast<double>(r.best_epoch); }).mean));
            cells.push_back(seconds_text(row.summary([](const Run& r) { return r.seconds_per_epoch(); }).mean));
            cells.push_back(seconds_text(row.summary(run_seconds).mean));
        }
        rows.push_back(std::move(cells));
    }
    return table(rows, "llr");
}

std::string results_page(const List& list, const Results& results, const std::string& figure_folder) {
    const std::vector<Section> all = sections(list, results);
    bool any_mirrored = false;
    for (const Section& s : all)
        for (const Row& row : s.rows) any_mirrored = any_mirrored || row.summary([](const Run& r) { return r.test_accuracy_mirrored; }).count > 0;
    std::string text =
        "# " + (list.title.empty() ? "Experiments" : list.title) + "\n\nWritten by this command, which trains what is missing, and goes on " +
        "where it was interrupted (docs/experiments.md):\n\n```sh\nbuild/examples/run_experiments " + list.file + "\n```\n\n" +
        "Validation and Test are accuracies, as mean ± sample standard deviation over runs with different seeds: a seed chooses initial weights, "
        "order, and which training images are set aside for validation. The weights of the epoch with the best validation accuracy are tested, "
        "once. ";
    if (!list.published_by.empty()) text += "Published: validation accuracy, " + list.published_by + ". ";
    if (any_mirrored) text += "Mirrored: the test once more, with the outputs for each image and its mirror image averaged. ";
    text += "Epoch and Run: time of training, without validation, at the number of threads given [below](#machines); results do not depend on it.\n";
    bool any_tested = false;
    for (const Section& s : all) {
        text += "\n## " + dataset_title(s.dataset) + "\n\n" + section_table(s);
        const bool any = std::any_of(s.rows.begin(), s.rows.end(), [](const Row& row) { return !row.tested.empty(); });
        if (!any) continue;
        any_tested = true;
        const auto figure = [&](const std::string& name, const std::string& what) {
            text += "\n![" + what + " on " + dataset_title(s.dataset) + "](" + figure_folder + "/" + name + "_" + s.dataset + ".png)\n";
        };
        figure("accuracy", "Accuracy of each run");
        figure("curves", "Validation error over epochs");
    }
    if (any_tested) text += "\n## Time\n\n![Seconds of training for each network](" + figure_folder + "/time.png)\n";
    text += "\n## Runs\n";
    for (const Section& s : all)
        for (const Row& row : s.rows)
            if (!row.tested.empty() || !row.diverged.empty()) text += details(row);
    return text + "\n## Machines\n\n" + machines(all);
}

std::vector<dla::PlotResult> write_report(const List& list, const Results& results, const std::string& stem) {
    const std::string folder = std::filesystem::path(stem).filename().string();
    dla::write_file(stem + ".md", results_page(list, results, folder));
    std::vector<dla::PlotResult> all;
    const std::vector<Figure> pages = figures(list, results);
    if (!pages.empty()) dla::make_folder(stem, "the folder for figures");
    for (const Figure& f : pages) all.push_back(dla::draw_plot(f.page, stem + "/" + f.name));
    return all;
}

}  // namespace experiments
