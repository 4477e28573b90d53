// SPDX-License-Identifier: MIT
// For each layer of a network, or each group that is computed together: time, arithmetic, bytes, what binds it, and how near it comes to the rates of
// multiply-adds and of memory that this process measures on the same threads.
// Then a whole step with Adam, and an inference. The rate of multiply-adds is that of registers alone, without a load or a store.
// usage: roofline MODEL [--threads 2] [--batch N] [--width F] [--passes 15] [--strict 1] [--markdown 1]
// FLOPs are those of the definition, two for each multiply-add; Winograd's transforms need fewer, so a convolution can pass 100 %. Bytes are the least that
// must move: every input, gradient and weight once. A bound is the time either would take alone at full rate; the larger binds.
#include "networks.hpp"

#include <dla/inspect/profile.hpp>
#include <dla/kernels/cpu/tile.hpp>
#include <dla/nn.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

namespace {

using Clock = std::chrono::steady_clock;
using dla::index_t;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// The best of several tries: what the machine can do, where others use it too.
template <class F>
double best_rate(double work, const F& f) {
    double best = 0;
    for (int i = 0; i < 7; ++i) {
        const auto start = Clock::now();
        f();
        best = std::max(best, work / seconds_since(start));
    }
    return best;
}

constexpr int chains = 12;  // sums that grow side by side: more than an instruction's latency has in flight
using Vec16 [[gnu::vector_size(16)]] = float;
float chains_base(index_t turns) {
    Vec16 sums[chains] = {}, x = Vec16{} + 0.5f;
    for (index_t t = 0; t < turns; ++t) {
#pragma GCC unroll 12
        for (int i = 0; i < chains; ++i) sums[i] = sums[i] * x + x;
    }
    for (int i = 1; i < chains; ++i) sums[0] += sums[i];
    return sums[0][0];
}
#if defined(__x86_64__)
// In assembly, so that no compiler puts a load or a store between.
#define DLA_BENCH_CHAINS(Vec, constraint)                                                                                                                    \
    Vec x = Vec{} + 0.5f, a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x;                                                \
    for (index_t t = 0; t < turns; ++t)                                                                                                                      \
        asm volatile(                                                                                                                                        \
            "vfmadd213ps %12, %12, %0\n\tvfmadd213ps %12, %12, %1\n\tvfmadd213ps %12, %12, %2\n\tvfmadd213ps %12, %12, %3\n\t"                               \
            "vfmadd213ps %12, %12, %4\n\tvfmadd213ps %12, %12, %5\n\tvfmadd213ps %12, %12, %6\n\tvfmadd213ps %12, %12, %7\n\t"                               \
            "vfmadd213ps %12, %12, %8\n\tvfmadd213ps %12, %12, %9\n\tvfmadd213ps %12, %12, %10\n\tvfmadd213ps %12, %12, %11"                                  \
            : "+" constraint(a), "+" constraint(b), "+" constraint(c), "+" constraint(d), "+" constraint(e), "+" constraint(f), "+" constraint(g),           \
              "+" constraint(h), "+" constraint(i), "+" constraint(j), "+" constraint(k), "+" constraint(l)                                                  \
            : constraint(x));                                                                                                                                \
    return (a + b + c + d + e + f + g + h + i + j + k + l)[0];
using Vec32 [[gnu::vector_size(32)]] = float;
using Vec64 [[gnu::vector_size(64)]] = float;
[[gnu::target("avx2,fma")]] float chains_avx2(index_t turns) { DLA_BENCH_CHAINS(Vec32, "x") }
[[gnu::target("avx512f")]] float chains_avx512(index_t turns) { DLA_BENCH_CHAINS(Vec64, "v") }
#undef DLA_BENCH_CHAINS
#endif

/// FLOP/s of multiply-adds in registers, on all threads together.
double arithmetic_rate(int threads) {
    constexpr index_t turns = 2'000'000;
    float (*run)(index_t) = chains_base;
    index_t lanes = 4;
#if defined(__x86_64__)
    if (dla::active_isa() == dla::Isa::avx2) run = chains_avx2, lanes = 8;
    if (dla::active_isa() == dla::Isa::avx512) run = chains_avx512, lanes = 16;
#endif
    return best_rate(2.0 * static_cast<double>(chains * lanes * turns) * threads, [&] {
        dla::detail::parallel_for(threads, threads, [&](index_t, int) {
            [[maybe_unused]] const volatile float kept = run(turns);
        });
    });
}

/// FLOP/s of the register tile on operands in L1, on all threads together.
double tile_rate(int threads) {
    constexpr index_t steps = 128, tiles = 20000;
    const dla::detail::TileTarget& tile = dla::detail::active_tile();
    const double work = 2.0 * static_cast<double>(tile.rows * tile.panel_width * steps * tiles * threads);
    return best_rate(work, [&] {
        dla::detail::parallel_for(threads, threads, [&](index_t, int) {
            alignas(64) float a[dla::detail::max_tile_rows * steps], b[dla::detail::max_panel_width * steps];
            alignas(64) float c[dla::detail::max_tile_rows * dla::detail::max_panel_width] = {};
            std::fill_n(a, std::size(a), 0.5f), std::fill_n(b, std::size(b), 0.25f);
            for (index_t i = 0; i < tiles; ++i)
                tile.run_panel({.rows = tile.rows,
                                .steps = steps,
                                .a = a,
                                .row_step = steps,
                                .step = 1,
                                .b = b,
                                .ldb = tile.panel_width,
                                .c = c,
                                .ldc = tile.panel_width,
                                .cols = tile.panel_width,
                                .add = false});
        });
    });
}

/// Bytes a second of reading two large arrays and writing a third, on all threads together.
double memory_rate(int threads) {
    constexpr index_t count = 8 << 20;
    std::vector<float> a(count, 1.0f), b(count, 2.0f), c(count, 0.0f);
    dla::Cpu<float> p;
    p.threads = threads;
    return best_rate(3.0 * sizeof(float) * count, [&] { dla::add(p, count, a.data(), b.data(), c.data()); });
}

struct Settings {
    std::string model;
    int threads = 2, passes = 15;
    index_t batch = 0;
    double width = 1;
    bool strict = false, markdown = false;
};

struct Work {
    double flops = 0, bytes = 0;
};
/// Of a layer or group: multiply-adds of its rows; values in front of and behind it, and its parameters. Backward computes twice as much as forward, or as
/// much for the `first` layer, which makes no gradient of its input.
Work work_of(const dla::ParamIndex& index, const dla::LayerTime& t, index_t batch, bool backward, bool first) {
    const auto& rows = index.layers;
    double macs = 0, parameters = 0;
    for (const int layer : t.layers) {
        const dla::LayerRow& row = rows[static_cast<std::size_t>(layer)];
        macs += static_cast<double>(row.macs);
        for (std::size_t p = row.first_param; p < row.end_param; ++p) parameters += static_cast<double>(index.parameters[p].count);
    }
    const double n = static_cast<double>(batch), in = n * static_cast<double>(rows[static_cast<std::size_t>(t.layers.front())].in.size());
    const double out = n * static_cast<double>(rows[static_cast<std::size_t>(t.layers.back())].out.size());
    if (!backward) return {2 * n * macs, 4 * (in + out + parameters)};
    return {2 * n * macs * (first ? 1 : 2), 4 * (in + out + (first ? 0 : in) + 3 * parameters)};  // x, dy, dx; weights, their gradients read and written
}

/// Equal neighbours in one line.
struct Line {
    std::string name;
    int copies = 0;
    double seconds = 0;
    Work work;
};

template <class Model>
void report(Model& model, const Settings& s) {
    std::vector<float> inputs(static_cast<std::size_t>(s.batch * model.input_shape().size()));
    std::vector<std::int32_t> labels(static_cast<std::size_t>(s.batch));
    dla::RandomStream random({1, 0, 0}, dla::RandomUse::synthesis);
    for (float& v : inputs) v = static_cast<float>(random.normal());
    for (std::int32_t& l : labels) l = static_cast<std::int32_t>(random.below(10));
    const double flops = arithmetic_rate(s.threads), bytes = memory_rate(s.threads);
    const dla::Profile profile = dla::profile(model, dla::CrossEntropy{}, inputs, labels, s.passes);
    const double flops_after = arithmetic_rate(s.threads), rate = std::max(flops, flops_after);
    const dla::ParamIndex& index = model.parameters();

    std::vector<Line> lines;
    double counted = 0, rest = 0, total_flops = 0, bound = 0;
    const auto add = [&](const std::string& name, double seconds, const Work& work) {
        counted += seconds, total_flops += work.flops, bound += std::max(work.flops / rate, work.bytes / bytes);
        if (!lines.empty() && lines.back().name == name) {
            Line& last = lines.back();
            ++last.copies, last.seconds += seconds, last.work.flops += work.flops, last.work.bytes += work.bytes;
        } else {
            lines.push_back({name, 1, seconds, work});
        }
    };
    const auto name_of = [&](const dla::LayerTime& t) {
        const auto row = [&](std::size_t i) -> const dla::LayerRow& { return index.layers[static_cast<std::size_t>(t.layers[i])]; };
        std::string text = row(0).type + (row(0).settings.empty() ? "" : " " + row(0).settings);
        for (std::size_t i = 1; i < t.layers.size(); ++i) text += ", " + row(i).type;
        return text + " " + std::string(dla::to_text(row(0).in).view()) + " -> " + std::string(dla::to_text(row(t.layers.size() - 1).out).view());
    };
    int first = -1;  // nobody wants the gradient of the network's input
    for (const dla::LayerTime& t : profile.layers)
        if (!t.layers.empty() && t.backward > 0 && (first < 0 || t.layers.front() < first)) first = t.layers.front();
    for (const bool backward : {false, true})
        for (const dla::LayerTime& t : profile.layers) {
            const double seconds = backward ? t.backward : t.forward;
            if (t.layers.empty() || seconds < 2e-3 * profile.pass) {  // views, and what nobody would miss
                rest += seconds;
                continue;
            }
            add(std::string(backward ? "backward  " : "forward   ") + name_of(t), seconds, work_of(index, t, s.batch, backward, t.layers.front() == first));
        }
    lines.push_back({"sums of containers, layers below 0.2 %", 1, rest, {}});
    lines.push_back({"loss, and what no layer is told of", 1, std::max(0.0, profile.pass - counted - rest), {}});

    std::printf("%s, %d threads, %s%s, batch %lld: %.1f GFLOP/s of multiply-adds (before %.1f, after %.1f; register tile %.1f), %.1f GB/s of memory, measured "
                "here\n\n",
                s.model.c_str(), s.threads, dla::to_string(dla::active_isa()), s.strict ? ", strict" : "", static_cast<long long>(s.batch), 1e-9 * rate,
                1e-9 * flops, 1e-9 * flops_after, 1e-9 * tile_rate(s.threads), 1e-9 * bytes);
    std::size_t width = 5;
    for (const Line& l : lines) width = std::max(width, l.name.size() + 4);
    const char *bar = s.markdown ? "| " : "", *gap = s.markdown ? " | " : "  ", *end = s.markdown ? " |\n" : "\n";
    const auto print = [&](const std::string& name, const std::array<std::string, 7>& cells) {
        std::printf("%s%-*s", bar, static_cast<int>(width), name.c_str());
        for (const std::string& c : cells) std::printf("%s%10s", gap, c.c_str());
        std::printf("%s", end);
    };
    const auto number = [](const char* format, double v) {
        char text[32];
        std::snprintf(text, sizeof text, format, v);
        return std::string(text);
    };
    print("layer", {"ms", "GFLOP", "GFLOP/s", "MB", "bound", "of FMA", "of memory"});
    if (s.markdown) std::printf("|---|---|---|---|---|---|---|---|\n");
    for (const Line& l : lines) {
        const double by_flops = l.work.flops / rate, by_bytes = l.work.bytes / bytes;
        const std::string name = l.name + (l.copies > 1 ? " x" + std::to_string(l.copies) : "");
        if (l.work.bytes == 0) {
            print(name, {number("%.3f", 1e3 * l.seconds), "", "", "", "", "", ""});
            continue;
        }
        const bool computes = l.work.flops > 0;
        print(name, {number("%.3f", 1e3 * l.seconds), computes ? number("%.3f", 1e-9 * l.work.flops) : "",
                     computes ? number("%.1f", 1e-9 * l.work.flops / l.seconds) : "", number("%.1f", 1e-6 * l.work.bytes),
                     by_flops >= by_bytes ? "arithmetic" : "memory", computes ? number("%.0f %%", 100 * by_flops / l.seconds) : "",
                     number("%.0f %%", 100 * by_bytes / l.seconds)});
    }
    std::printf("\nforward and backward: %.3f ms, %.2f GFLOP at %.1f GFLOP/s, %.0f %% of the FMA rate; the bounds add up to %.3f ms\n", 1e3 * profile.pass,
                1e-9 * total_flops, 1e-9 * total_flops / profile.pass, 100 * total_flops / profile.pass / rate, 1e3 * bound);

    dla::Optimizer adam(dla::Adam({.learning_rate = 1e-3}));
    std::vector<float> outputs(static_cast<std::size_t>(s.batch * model.output_shape().size()));
    const auto whole = [&](const char* what, double work, const auto& run) {
        std::vector<double> times;
        for (int i = 0; i < s.passes + 2; ++i) {
            const auto start = Clock::now();
            run();
            if (i >= 2) times.push_back(seconds_since(start));
        }
        std::nth_element(times.begin(), times.begin() + s.passes / 2, times.end());
        const double median = times[static_cast<std::size_t>(s.passes / 2)], now = arithmetic_rate(s.threads);
        std::printf("%s: %.3f ms, %.1f GFLOP/s, %.0f %% of the FMA rate (%.1f GFLOP/s behind it)\n", what, 1e3 * median, 1e-9 * work / median,
                    100 * work / median / now, 1e-9 * now);
    };
    whole("step with Adam", total_flops, [&] { dla::train_step(model, adam, dla::CrossEntropy{}, inputs, labels); });
    double forward = 0;
    for (const dla::LayerRow& row : index.layers) forward += 2.0 * static_cast<double>(s.batch * row.macs);
    auto workspace = model.inference_workspace(s.batch);
    whole("inference", forward, [&] { model.predict(inputs, outputs, workspace); });
}

}  // namespace

int main(int argc, char** argv) try {
    if (argc < 2) {
        std::fprintf(stderr, "usage: roofline MODEL [--threads 2] [--batch N] [--width F] [--passes 15] [--strict 1] [--markdown 1]\nMODEL: %s\n",
                     bench::model_names);
        return 2;
    }
    Settings s{.model = argv[1]};
    for (int i = 2; i + 1 < argc; i += 2) {
        const std::string key = argv[i], value = argv[i + 1];
        if (key == "--threads") s.threads = std::atoi(value.c_str());
        if (key == "--batch") s.batch = std::atoi(value.c_str());
        if (key == "--width") s.width = std::atof(value.c_str());
        if (key == "--passes") s.passes = std::atoi(value.c_str());
        if (key == "--strict") s.strict = value != "0";
        if (key == "--markdown") s.markdown = value != "0";
    }
    if (s.batch == 0) s.batch = bench::usual_batch(s.model);
    bench::with_network(s.model, s.width, [&]<class Net>(const Net& net, const dla::Shape& input) {
        dla::Cpu<float> policy;
        policy.threads = s.threads;
        policy.strict = s.strict;
        dla::Model<Net> model(net, input, dla::Seed{0}, policy);
        report(model, s);
    });
} catch (const std::exception& e) {
    std::fprintf(stderr, "roofline: %s\n", e.what());
    return 1;
}
