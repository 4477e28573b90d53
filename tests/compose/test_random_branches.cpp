// SPDX-License-Identifier: MIT
// Branching networks on images whose sizes are drawn when the test runs: the CPU's kernels against the reference, gradients against differences, memory against
// its plan.
#include <doctest/doctest.h>

#include <compose/check_reference.hpp>
#include <dla/inspect/grad_check.hpp>
#include <support/count_new.hpp>

#include <array>

using namespace dla;

namespace {

using Conv = Conv2d<>;
using Norm = BatchNorm2d<>;
using Up = ConvTranspose2d<>;

/// Draws layers; most keep height and width. Where several are drawn, braces say in which order.
class Draw : public support::Draw {
public:
    using support::Draw::Draw;

    index_t channels() { return odd(7) + (chance(30) ? 1 : 0); }
    /// Keeps height and width; a dilation reaches beyond the border of small images.
    Conv same(index_t out, index_t kernel = 0) {
        const Size2 window = kernel != 0 ? Size2{kernel} : chance(60) ? Size2{3} : Size2{from(1, 3), from(1, 3)};
        return {.out = out, .kernel = window, .padding = Same, .dilation = chance(30) ? Size2{from(1, 2), from(1, 3)} : Size2{1}, .bias = chance(70)};
    }
    Conv pointwise(index_t out) { return {.out = out, .kernel = 1, .bias = chance(50)}; }
    /// [H, W] to [ceil(H / stride.h), ceil(W / stride.w)].
    Conv strided(index_t out, Size2 stride) { return {.out = out, .kernel = 3, .stride = stride, .padding = 1, .bias = chance(70)}; }
    Conv strided(index_t out) { return strided(out, stride()); }
    Size2 stride() { return {from(1, 2), from(1, 3)}; }
    MaxPool2d<> max_pool() { return {.kernel = 3, .stride = 1, .padding = 1}; }
    AvgPool2d<> avg_pool() { return {.kernel = {3, 1}, .stride = 1, .padding = {1, 0}, .count_include_pad = chance(50)}; }
    Upsample2d<> resize(Size2 to) {
        const bool linear = chance(60);
        return {.size = to, .mode = linear ? Interpolation::bilinear : Interpolation::nearest, .align_corners = linear && chance(50)};
    }
    /// A transposed convolution that undoes the sizes of a strided one.
    Up undo(index_t out, Size2 to, Size2 stride) {
        return {.out = out, .kernel = 3, .stride = stride, .padding = 1, .output_padding = {(to.h - 1) % stride.h, (to.w - 1) % stride.w}, .bias = chance(70)};
    }
    /// Some channels vary by next to nothing, which would make of roundings what differences cannot see through.
    Norm norm() { return {.eps = 1e-3, .momentum = chance(50) ? 0.1 : 0.3, .affine = chance(85)}; }
    GroupNorm<> group(index_t channels, index_t most = 3) {
        index_t groups = from(1, most);
        while (channels % groups != 0) --groups;
        return {.groups = groups, .eps = 1e-3};
    }
};

Size2 shrunk(Size2 n, Size2 stride) { return {(n.h + stride.h - 1) / stride.h, (n.w + stride.w - 1) / stride.w}; }

// Each makes a network for images of `c` channels and size `s`; channels, windows, strides and options are drawn.

auto inception(Draw& d, index_t, Size2) {
    return Sequential{Parallel<Concat, Conv, Sequential<Conv, ReLU, Conv>, Sequential<MaxPool2d<>, Conv>, Identity>{
                          d.pointwise(d.channels()), {d.pointwise(2), {}, d.same(d.channels())}, {d.max_pool(), d.pointwise(d.channels())}, {}},
                      d.norm(), ReLU{}, d.strided(3)};
}
auto excitation(Draw& d, index_t, Size2) {
    const index_t c = d.channels();
    using Gate = Sequential<GlobalAvgPool2d, Linear<>, ReLU, Linear<>, Sigmoid>;
    return Sequential{d.same(c), d.norm(), Parallel<Multiply, Identity, Gate>{{}, {{}, {.out = 3}, {}, {.out = c}, {}}}, d.strided(d.channels())};
}
auto unet(Draw& d, index_t, Size2 s) {
    const index_t c = d.channels();
    using Below = Sequential<MaxPool2d<>, Conv, Norm, SiLU, Upsample2d<>>;
    return Sequential{
        d.same(c), SiLU{},
        Parallel<Concat, Identity, Below>{{}, {{.kernel = {2, 3}, .stride = {2, 3}, .padding = {0, 1}}, d.same(d.channels()), d.norm(), {}, d.resize(s)}},
        ZeroPad2d<>{.left = d.from(-1, 2), .right = d.from(0, 3), .top = d.from(-1, 2), .bottom = d.from(-1, 1)}, d.pointwise(2)};
}
auto deep_unet(Draw& d, index_t, Size2 s) {
    const Size2 a = d.stride(), b = d.stride(), half = shrunk(s, a);
    using Inner = Parallel<Concat, Identity, Sequential<Conv, ReLU, Up>>;
    using Outer = Parallel<Concat, Sequential<Conv, Norm, ReLU, Inner, Conv, Tanh, Up>, Identity>;
    const Inner inner{{}, {d.strided(d.channels(), b), {}, d.undo(d.channels(), half, b)}};
    return Sequential{Outer{{d.strided(d.channels(), a), d.norm(), {}, inner, d.same(d.channels()), {}, d.undo(d.channels(), s, a)}, {}}, d.same(2)};
}
auto dense(Draw& d, index_t, Size2) {
    using Block = Parallel<Concat, Identity, Sequential<Norm, ReLU, Conv>>;
    return Sequential{Block{{}, {d.norm(), {}, d.same(d.channels())}}, Block{{}, {d.norm(), {}, d.same(d.channels())}}, d.avg_pool(), d.pointwise(3)};
}
auto residual(Draw& d, index_t, Size2) {
    const index_t a = d.channels(), b = d.channels();
    const Size2 stride = d.stride();
    using Down = Residual<Sequential<Conv, Norm, ReLU, Conv, Norm>, Sequential<Conv, Norm>, ReLU>;
    return Sequential{
        Down{{d.strided(a, stride), d.norm(), {}, d.same(b), d.norm()}, {{.out = b, .kernel = 1, .stride = stride, .padding = 0, .bias = false}, d.norm()}},
        Residual<Sequential<Conv, GroupNorm<>, GELU>>{{d.same(b), d.group(b), {}}}};
}
auto sum(Draw& d, index_t, Size2) {
    const index_t b = d.channels();
    using Cropped = Sequential<ZeroPad2d<>, Conv, LeakyReLU>;
    const Size2 hole{d.from(1, 2), d.from(1, 2)};
    const Cropped cropped{{.left = 2 * hole.w, .right = 0, .top = hole.h, .bottom = hole.h}, {.out = b, .kernel = 3, .padding = 0, .dilation = hole}, {}};
    return Sequential{Parallel<Add, Conv, Sequential<Conv, GroupNorm<>>, Cropped>{d.same(b), {d.pointwise(b), d.group(b)}, cropped}, Tanh{}, d.strided(2)};
}
auto gated(Draw& d, index_t, Size2) {
    const index_t b = 2 * d.from(1, 4);
    using Gate = Parallel<Multiply, Sequential<Conv, Tanh>, Sequential<Conv, Sigmoid>>;
    return Sequential{Gate{{d.same(b), {}}, {d.same(b), {}}}, Dropout{.p = 0}, d.group(b), AdaptiveAvgPool2d<>{.size = {d.from(2, 5), d.from(1, 4)}},
                      Hardswish{}};
}
auto nested(Draw& d, index_t c, Size2) {
    using Sum = Parallel<Add, Identity, Conv>;
    using Self = Residual<Conv, Identity, ReLU>;
    using Spread = Parallel<Concat, Identity, Sequential<Norm, Tanh>>;
    return Sequential{Parallel<Concat, Sum, Self, AvgPool2d<>, Spread>{Sum{{}, d.same(c)}, Self{d.same(c)}, d.avg_pool(), Spread{{}, {d.norm(), {}}}},
                      d.same(d.channels()), ELU{}};
}
auto excited_residual(Draw& d, index_t c, Size2) {
    using Gate = Parallel<Multiply, Identity, Sequential<AdaptiveAvgPool2d<1>, Conv, Sigmoid>>;
    return Sequential{Residual<Sequential<Conv, Norm, Gate>, Identity, ReLU>{{d.same(c), d.norm(), Gate{{}, {{}, d.pointwise(c), {}}}}}, d.max_pool(),
                      Flatten{}, Linear<>{.out = d.odd(7)}};
}
auto pre_activation(Draw& d, index_t c, Size2) {
    using Block = Residual<Sequential<Norm, ReLU, Conv, Norm, ReLU, Conv>>;
    const auto block = [&] { return Block{{d.norm(), {}, d.same(d.channels()), d.norm(), {}, d.same(c)}}; };
    return Sequential{block(), block(), GlobalAvgPool2d{}, Linear<>{.out = d.odd(5)}};
}
auto pyramid(Draw& d, index_t, Size2 s) {
    using Pooled = Sequential<AdaptiveAvgPool2d<>, Conv, Upsample2d<>>;
    const Conv wide{.out = d.channels(), .kernel = 3, .padding = Same, .dilation = 2},
        wider{.out = d.channels(), .kernel = 3, .padding = Same, .dilation = {3, 2}};
    return Sequential{
        Parallel<Concat, Conv, Conv, Conv, Pooled>{d.pointwise(d.channels()), wide, wider, {{.size = {d.from(1, 3), 2}}, d.pointwise(3), d.resize(s)}},
        d.norm(), ReLU{}, d.pointwise(3), d.resize({s.h + 2, 2 * s.w - 1})};
}
auto two_ways_down(Draw& d, index_t, Size2 s) {
    const index_t b = d.channels();
    const Size2 stride = d.stride();
    using Pooled = Sequential<MaxPool2d<>, Conv, Norm>;
    return Sequential{Parallel<Add, Pooled, Conv>{{{.kernel = 3, .stride = stride, .padding = 1}, d.pointwise(b), d.norm()}, d.strided(b, stride)},
                      PReLU<Dyn>{}, d.undo(d.channels(), s, stride)};
}
auto features(Draw& d, index_t, Size2) {
    const index_t n = d.odd(9);
    using Wide = Parallel<Concat, Linear<>, Sequential<Linear<>, BatchNorm1d<>, ReLU>>;
    return Sequential{d.strided(d.channels(), {2, 3}),
                      d.norm(),
                      SiLU{},
                      Flatten{},
                      Wide{{.out = n}, {{.out = 6}, {.eps = 1e-3}, {}}},
                      Parallel<Add, Identity, Linear<>>{{}, {.out = n + 6}},
                      LayerNorm<>{},
                      LogSoftmax<1>{}};
}
/// Branches first and last, and around nothing.
auto all_branches(Draw& d, index_t, Size2) {
    using Inner = Parallel<Concat, Conv, Identity, MaxPool2d<>>;
    return Parallel<Concat, Identity, Inner, Conv>{{}, Inner{d.same(d.channels()), {}, d.max_pool()}, d.same(1)};
}
auto repeated(Draw& d, index_t c, Size2) {
    using Block = Residual<Sequential<Conv, Norm, ReLU>>;
    Repeat<Block> blocks;
    for (index_t n = d.from(0, 3); n > 0; --n) blocks.blocks.push_back(Block{{d.same(c), d.norm(), {}}});
    return Sequential{blocks, Parallel<Concat, Repeat<Block>, Identity>{blocks, {}}, d.pointwise(2)};
}
auto two_ways_up(Draw& d, index_t, Size2 s) {
    const index_t b = d.channels();
    const Size2 stride = d.stride(), to{(s.h - 1) * stride.h + 1, (s.w - 1) * stride.w + 1};
    return Sequential{
        Residual<Sequential<Upsample2d<>, Conv, Norm>, Up, Tanh>{{d.resize(to), d.same(b), d.norm()}, {.out = b, .kernel = 3, .stride = stride, .padding = 1}},
        d.pointwise(2)};
}
auto separable(Draw& d, index_t c, Size2) {
    using Depthwise = Sequential<Conv, GroupNorm<>, Hardswish, Conv, Norm>;
    Conv each = d.same(2 * c, 3);
    each.groups = c;
    return Sequential{Residual<Depthwise>{{each, {.groups = PerChannel, .eps = 1e-2}, {}, d.pointwise(c), d.norm()}}, Upsample2d<2>{},
                      AvgPool2d<3, 2, 1>{.count_include_pad = false}, PReLU<>{}};
}

/// Everything that is planned is claimed and nothing else is, by what the arenas say and by what was asked of operator new.
template <class Net>
void check_memory(const Net& net, const Shape& in, index_t batch, Optimizer optimizer) {
    const MeanSquaredError<float> loss;
    Model<Net> model(net, in, Seed{1});
    const ParamMemory table = model.parameters().memory();
    long long before = support::aligned_bytes();
    const TrainingMemory planned = planned_memory(model, batch, optimizer.slot_count(), loss);
    CHECK(support::aligned_bytes() == before);
    CHECK(planned.batch == batch);
    CHECK(planned.activations > 0);
    CHECK(planned.activations <= planned.unshared);
    model.reserve(batch, loss);
    CHECK(support::aligned_bytes() - before == planned.activations + planned.scratch);
    before = support::aligned_bytes();
    const std::vector<float> x(static_cast<std::size_t>(batch * in.size()), 0.5f), targets(static_cast<std::size_t>(batch * model.output_shape().size()));
    train_step(model, optimizer, loss, std::span<const float>(x), std::span<const float>(targets));
    CHECK(support::aligned_bytes() - before == planned.parameters.optimizer + OptimizerBytes::control_of_run);
    CHECK(claimed_memory(model) == planned);
    CHECK(planned.parameters.weights == table.weights);
}

struct Tally {
    double worst = 0;
    index_t gradients = 0, nonzero = 0;
};

template <class Net>
void check(const Net& net, const Shape& in, index_t batch, std::uint32_t seed, Tally& tally) {
    CAPTURE(net.name().view());
    tally.worst = std::max(tally.worst, support::check_reference(net, in, batch, seed));
    const GradientReport report = check_gradients(net, in, batch, {.eps = 1e-6, .entries = 12, .seed = Seed{seed}});
    CHECK_MESSAGE(report.ok(), report.text());
    CHECK(report.nonzero > 0);
    tally.gradients += report.checked;
    tally.nonzero += report.nonzero;
    check_memory(net, in, batch, seed % 2 == 0 ? Optimizer(Adam()) : Optimizer(Sgd()));
}

/// The networks, by their turn.
template <auto... Makers>
void check_one(Draw& d, std::uint32_t seed, Tally& tally) {
    const Shape in{d.from(1, 5), d.odd(5) + 4, d.from(4, 8)};
    const index_t batch = d.from(2, 5);
    constexpr auto count = static_cast<std::uint32_t>(sizeof...(Makers));
    std::uint32_t turn = 0;
    const auto offer = [&](auto make) {
        if (turn++ == seed % count) check(make(d, in.d[0], Size2{in.d[1], in.d[2]}), in, batch, seed, tally);
    };
    (offer(Makers), ...);
}

}  // namespace

TEST_CASE("200 random branching networks on images: Cpu<float> against Reference, gradients against differences, memory against its plan") {
    Tally tally;
    for (std::uint32_t seed = 1; seed <= 200; ++seed) {
        CAPTURE(seed);
        Draw draw(seed);
        check_one<inception, excitation, unet, deep_unet, dense, residual, sum, gated, nested, excited_residual, pre_activation, pyramid, two_ways_down,
                  features, all_branches, repeated, two_ways_up, separable>(draw, seed, tally);
    }
    MESSAGE("largest difference: ", tally.worst, " of 32 units; gradients: ", tally.gradients, ", not zero: ", tally.nonzero);
    CHECK(tally.nonzero > tally.gradients / 2);
}
