// SPDX-License-Identifier: MIT
// What the doctor is told and what it finds.
#pragma once

#include <dla/core/shape.hpp>
#include <dla/io/plot_page.hpp>

#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dla {

/// How long `diagnose` may look, and at what.
struct DoctorOptions {
    int trial_steps = 200;         ///< of training as it is meant
    int overfit_steps = 300;       ///< on one batch, at most
    index_t overfit_samples = 64;  ///< of that batch, at most
    int range_steps = 120;         ///< of the learning-rate range test
    double lowest_rate = 1e-6, highest_rate = 10;
    double seconds = 30;    ///< for each of these, at most
    double clip_norm = 0;   ///< as in training
    int micro_batches = 1;  ///< likewise
    double memory = 0;      ///< bytes that training may take; 0: three quarters of what the system says is free
};

/// What one check found.
struct Finding {
    enum class Kind { good, notice, bad };
    std::string check;  ///< "first NaN", "dead ReLUs", "labels": the same for good and for bad
    Kind kind = Kind::good;
    std::string sentence;
    std::string remedy = {};  ///< empty where all is well
};

/// What `diagnose` found.
struct Diagnosis {
    std::vector<Finding> findings;                                    ///< one for each check that applies, in the order of the checks
    std::vector<double> rates, losses;                                ///< of the range test: learning rates, and the smoothed loss at each
    double learning_rate = std::numeric_limits<double>::quiet_NaN();  ///< where the loss falls fastest; NaN where it never falls
    index_t batch_size = 0;                                           ///< the largest power of two whose training fits into memory; 0: none does
    double loader_share = 0;                                          ///< of the time, waiting for batches

    void add(std::string check, Finding::Kind kind, std::string sentence, std::string remedy = "") {
        findings.push_back({std::move(check), kind, std::move(sentence), std::move(remedy)});
    }
    /// No finding is bad.
    bool healthy() const;
    /// The finding of that check, or null.
    const Finding* find(std::string_view check) const;
    /// A line for each finding, and below it the remedy.
    std::string text() const;
    /// The range test: loss over learning rate, the suggestion marked.
    PlotPage plot() const;
};

}  // namespace dla

#if DLA_BODIES
#include <dla/train/diagnosis.impl.hpp>
#endif
