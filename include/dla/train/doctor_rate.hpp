// SPDX-License-Identifier: MIT
// The doctor's range test of the learning rate.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/core/math.hpp>
#include <dla/train/doctor_layers.hpp>
#include <dla/train/fit_options.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <string>

namespace dla::detail {

using DoctorClock = std::chrono::steady_clock;
inline double seconds_since(DoctorClock::time_point began) { return std::chrono::duration<double>(DoctorClock::now() - began).count(); }

/// Leslie Smith's range test: the rate grows with each step until the loss does.
inline void find_rate(Diagnosis& d, const AnyModel& healthy, const Optimizer& given, const AnyLoss& loss, Loader& train, const StepOptions& how,
                      const DoctorOptions& o) {
    const auto model = healthy.clone();
    Optimizer optimizer = given;
    double smooth = 0, best = std::numeric_limits<double>::infinity(), first = 0;
    int step = 0;
    double blown = std::numeric_limits<double>::quiet_NaN();
    const auto began = DoctorClock::now();
    for (std::uint32_t epoch = 1; step < o.range_steps && is_nan(blown) && seconds_since(began) < o.seconds; ++epoch) {
        train.start_epoch(epoch);
        for (const Batch* b = train.next(); b && step < o.range_steps; b = train.next(), ++step) {
            const double left = 1 - static_cast<double>(step) / std::max(1, o.range_steps - 1);
            const double rate = o.highest_rate * exp_of_negative(-left * math::log(o.highest_rate / o.lowest_rate));
            optimizer.set_learning_rate(rate);
            model->position() = {static_cast<std::uint64_t>(train.options().seed), epoch, static_cast<std::uint32_t>(step)};
            const StepResult result = model->train_step(optimizer, loss, b->inputs, b->targets(), how);
            if (result.counted == 0) continue;
            const bool finite = result.applied && is_finite(result.loss);
            smooth = d.losses.empty() ? result.loss : 0.8 * smooth + 0.2 * result.loss;
            if (d.losses.empty()) first = std::abs(result.loss);
            if (!finite || smooth - best > 2 * std::max(std::abs(best), 0.1 * first) + 1e-12) {  // of a positive loss: three times the best
                blown = rate;
                break;
            }
            best = std::min(best, smooth);
            d.rates.push_back(rate);
            d.losses.push_back(smooth);
        }
    }
    // The steepest fall over five steps, if the loss falls at all.
    double steepest = 0;
    for (std::size_t i = 5; i < d.losses.size(); ++i)
        if (const double fall = d.losses[i - 5] - d.losses[i]; fall > steepest) steepest = fall, d.learning_rate = d.rates[i - 2];
    const double own = given.learning_rate();
    const std::string at = doctor_number("%.2g", own);
    if (step < o.range_steps && is_nan(blown)) {
        d.learning_rate = std::numeric_limits<double>::quiet_NaN();
        d.add("learning rate", Finding::Kind::notice,
              "time was up after " + std::to_string(step) + " of " + std::to_string(o.range_steps) + " rates" +
                  (d.rates.empty() ? "" : ", at " + doctor_number("%.0e", d.rates.back())),
              "give the doctor more time (DoctorOptions::seconds), or smaller batches");
        return;
    }
    if (d.losses.empty() || steepest < 0.02 * std::abs(d.losses.front())) {
        d.learning_rate = std::numeric_limits<double>::quiet_NaN();
        d.add("learning rate", Finding::Kind::bad,
              "the loss falls at no learning rate from " + doctor_number("%.0e", o.lowest_rate) + " to " + doctor_number("%.0e", o.highest_rate),
              "look at the other findings first: the network, the data or the loss is at fault");
        return;
    }
    const std::string wish = doctor_number("%.1g", d.learning_rate);
    if (!is_nan(blown) && own >= blown)
        d.add("learning rate", Finding::Kind::bad, "at " + at + " the loss grows; it falls fastest at " + wish, "use a learning rate of " + wish + " or so");
    else if (own > 200 * d.learning_rate)
        d.add("learning rate", Finding::Kind::bad, at + " is far above " + wish + ", where the loss falls fastest",
              "use a learning rate of " + wish + " or so");
    else if (own > 30 * d.learning_rate)
        d.add("learning rate", Finding::Kind::notice, at + " is far above " + wish + ", where the loss falls fastest", "try a learning rate of " + wish);
    else if (own < d.learning_rate / 100)
        d.add("learning rate", Finding::Kind::notice, at + " is far below " + wish + ", where the loss falls fastest", "try a learning rate of " + wish);
    else
        d.add("learning rate", Finding::Kind::good, at + " is a rate at which the loss falls; it falls fastest at " + wish);
}

}  // namespace dla::detail
