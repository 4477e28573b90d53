// SPDX-License-Identifier: MIT
// The table of a model, its memory as planned and as claimed, and pictures of it.
#include <doctest/doctest.h>

#include <dla/zoo/families.hpp>
#include <dla/inspect/graph.hpp>

#include <support/error_of.hpp>
#include <support/count_new.hpp>
#include <support/networks.hpp>

#include <set>
#include <sstream>

using namespace dla;

namespace {

const std::vector<index_t> mlp_sizes{128, 64, 32, 32, 10};

/// Sizes of a residual or plain MLP of the depth study.
std::vector<index_t> deep(std::size_t depth) {
    std::vector<index_t> sizes{128, 64};
    sizes.resize(depth, 32);
    sizes.push_back(10);
    return sizes;
}
template <class Net>
Model<Net> build(const Net& net, const Shape& in) {
    return Model<Net>(net, in, Seed{1});
}
std::size_t count(const std::string& text, const std::string& part) {
    std::size_t n = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++n;
    return n;
}
std::string first_lines(const std::string& text) { return text.substr(0, text.find("\n\n") + 1); }

/// Without rules and with single blanks: how wide a column is follows from what stands in it.
std::string squeezed(const std::string& text) {
    std::istringstream in(text);
    std::string out, line, word;
    while (std::getline(in, line)) {
        if (line.starts_with("--")) continue;
        std::istringstream words(line);
        while (words >> word) out += word + ' ';
        out += '\n';
    }
    return out;
}

index_t rows(const std::vector<LayerNode>& nodes) {
    index_t n = 0;
    for (const LayerNode& node : nodes) n += 1 + rows(node.children);
    return n;
}
struct Totals {
    index_t parameters = 0, trainable = 0, macs = 0;
    bool operator==(const Totals&) const = default;
};
/// The sums over leaves, each as often as the copies around it say.
Totals leaf_totals(const std::vector<LayerNode>& nodes) {
    Totals t;
    for (const LayerNode& node : nodes) {
        const Totals one = node.children.empty() ? Totals{node.parameters, node.trainable, node.macs} : leaf_totals(node.children);
        t.parameters += node.copies * one.parameters;
        t.trainable += node.copies * one.trainable;
        t.macs += node.copies * one.macs;
    }
    return t;
}
Totals totals(const std::vector<LayerNode>& nodes) {
    Totals t;
    for (const LayerNode& node : nodes) {
        t.parameters += node.copies * node.parameters;
        t.trainable += node.copies * node.trainable;
        t.macs += node.copies * node.macs;
    }
    return t;
}
/// Paths of nodes with copies, each with its number.
std::set<std::string> folds(const std::vector<LayerNode>& nodes) {
    std::set<std::string> found;
    for (const LayerNode& node : nodes) {
        if (node.copies > 1) found.insert(node.path + (node.row ? " " : " group ") + "x" + std::to_string(node.copies));
        found.merge(folds(node.children));
    }
    return found;
}

/// Everything that is planned is claimed, and nothing else is: by what the arenas say and by what was asked of operator new.
template <class Net>
void check_memory(const Net& net, const Shape& in, index_t batch, int parts = 1) {
    CAPTURE(net.name().view());
    CAPTURE(parts);
    const CrossEntropy loss;
    const std::vector<float> images(static_cast<std::size_t>(batch * in.size()), 0.5f);
    const std::vector<std::int32_t> labels(static_cast<std::size_t>(batch));
    for (Optimizer optimizer : {Optimizer(Adam()), Optimizer(Sgd({.momentum = 0.9})), Optimizer(Sgd())}) {
        long long before = support::aligned_bytes();
        Model<Net> model(net, in, Seed{1});
        const ParamMemory table = model.parameters().memory();
        CHECK(support::aligned_bytes() - before == table.weights + table.gradients + table.buffers + table.control + 7 * alignment);

        before = support::aligned_bytes();
        const TrainingMemory planned = planned_memory(model, batch, optimizer.slot_count(), loss, parts);
        CHECK(support::aligned_bytes() == before);  // planning claims nothing
        CHECK(planned.batch == (batch + parts - 1) / parts);
        CHECK(planned.activations > 0);
        CHECK(planned.activations < planned.unshared);
        CHECK(claimed_memory(model).activations == 0);
        if (parts == 1)
            CHECK(planned.leaves == 0);
        else
            CHECK(planned.leaves > std::countr_zero(static_cast<unsigned>(parts)) * table.gradients);

        model.reserve(batch, loss, false, parts);
        CHECK(support::aligned_bytes() - before == planned.activations + planned.scratch + planned.leaves);
        before = support::aligned_bytes();
        auto any = any_model(std::move(model));
        any->train_step(optimizer, loss, images, labels, {.micro_batches = parts});
        CHECK(support::aligned_bytes() - before == planned.parameters.optimizer + OptimizerBytes::control_of_run);
        CHECK(planned.parameters.optimizer == optimizer.slot_count() * planned.parameters.weights);
        CHECK(claimed_memory(*any) == planned);
        CHECK(planned_memory(*any, batch, optimizer.slot_count(), loss, parts) == planned);
        CHECK(claimed_memory(*any).total() - planned.activations - planned.scratch - planned.leaves - planned.parameters.optimizer ==
              table.weights + table.gradients + table.buffers + table.control + OptimizerBytes::control_of_run);
    }
}

/// A container as a user writes it: y = scale * (A(x) + B(x)), with a scale for each feature of its own. It runs as slowly as it likes: only its rows are
/// looked at.
template <class A, class B>
struct ScaledSum {
    A a;
    B b;
    template <class P>
    struct State {
        typename A::template State<P> a;
        typename B::template State<P> b;
        Param<P> scale;
    };
    template <class P>
    using Tape = Nothing;
    constexpr Text name() const { return "ScaledSum"; }
    constexpr ShapeResult out_shape(Shape in) const { return a.out_shape(in); }
    constexpr index_t macs(const Shape& in) const { return out_shape(in).shape.size(); }
    template <class P, class Builder>
    State<P> build(Builder& builder, const Shape& in) const {
        State<P> state;
        int id = -1;
        Shape out;
        {
            const auto scope = builder.scope("a");
            state.a = detail::build_child<P>(a, builder, in, id, out);
        }
        {
            const auto scope = builder.scope("b");
            state.b = detail::build_child<P>(b, builder, in, id, out);
        }
        state.scale = builder.parameter("scale", ParamKind::weight, {out.d[0]}, {.fixed = 1});
        return state;
    }
    template <class P>
    void infer(Context<P>&, const State<P>&, ConstView<P>, View<P>) const {}
    template <class P>
    void forward(Context<P>&, State<P>&, ConstView<P>, View<P>, Nothing&) const {}
    template <class P>
    void backward(Context<P>&, State<P>&, ConstView<P>, ConstView<P>, ConstView<P>, View<P>, Nothing&) const {}
};
template <class A, class B>
struct Beside : ScaledSum<A, B> {
    static constexpr dla::Merge merge = dla::Merge::add;
};
}  // namespace

TEST_CASE("the memory that training takes is the memory that was planned: the four families") {
    const CnnOptions small{.filters = {4, 8, 8}, .num_classes = 10};
    check_memory(make_cnn(small), {3, 16, 16}, 6);
    check_memory(make_residual_cnn(small), {3, 16, 16}, 6);
    check_memory(make_mlp(mlp_sizes), {1, 28, 28}, 32);
    check_memory(make_residual_mlp(mlp_sizes), {1, 28, 28}, 32);
    check_memory(make_residual_cnn(small), {3, 16, 16}, 11, 4);
    check_memory(make_residual_mlp(mlp_sizes), {1, 28, 28}, 32, 8);
}

TEST_CASE("the memory that training takes is the memory that was planned: branches") {
    using Inception = Parallel<Concat, Conv2d<8, 4, 1>, Sequential<Conv2d<8, 4, 1>, BatchNorm2d<>, ReLU, Conv2d<4, 8, 3>>,
                               Sequential<MaxPool2d<3, 1, 1>, Conv2d<8, 4, 1>>, Identity>;
    check_memory(Sequential<Conv2d<3, 8, 3>, Inception, ReLU, MaxPool2d<2>, Conv2d<24, 8, 1>, Inception, GlobalAvgPool2d, Linear<24, 10>>{}, {3, 9, 7}, 6);
    using Gate = Sequential<GlobalAvgPool2d, Linear<8, 2>, ReLU, Linear<2, 8>, Sigmoid>;
    using Excited = Residual<Sequential<Conv2d<8, 8, 3>, BatchNorm2d<>, Parallel<Multiply, Identity, Gate>>, Identity, ReLU>;
    check_memory(Sequential<Conv2d<3, 8, 3>, Excited, Excited, Flatten, Linear<Dyn, 10>>{}, {3, 6, 5}, 5);
    check_memory(Sequential<Conv2d<3, 8, 3>, Excited, Excited, Flatten, Linear<Dyn, 10>>{}, {3, 6, 5}, 8, 4);
    using Below = Sequential<MaxPool2d<2>, Conv2d<4, 8, 3>, ReLU, Upsample2d<2>>;
    check_memory(Sequential<Conv2d<3, 4, 3>, ReLU, Parallel<Concat, Identity, Below>, Conv2d<12, 2, 1>, Flatten, Linear<Dyn, 10>>{}, {3, 8, 6}, 4);
    check_memory(Sequential<Flatten, Parallel<Add, Linear<Dyn, 12>, Sequential<Linear<Dyn, 5>, Tanh, Linear<5, 12>>, Linear<Dyn, 12>>, Linear<12, 10>>{}, {1, 4, 4}, 7);
}

TEST_CASE("parameters and multiply-adds are PyTorch's: the four families") {
    // Of the same networks from torch.nn: p.numel() of the parameters, and of each Linear and Conv2d the values of its output times those that each is a sum
    // of.
    const auto check = [](const auto& net, const Shape& in, index_t parameters, index_t macs) {
        const auto model = build(net, in);
        const Totals expected{parameters, parameters, macs};
        for (const bool collapse : {true, false}) {
            const std::vector<LayerNode> tree = layer_tree(model.parameters(), collapse);
            CHECK(totals(tree) == expected);
            CHECK(leaf_totals(tree) == expected);
        }
        CHECK(model.parameters().parameter_count() == parameters);
        const std::string text = summary(model, {.batch = 2});
        CHECK(contains(text, "\nparameters: " + grouped(parameters) + " (" + grouped(parameters) + " trainable, 0 frozen)\n"));
        CHECK(contains(text, "MACs): " + grouped(macs) + " for one sample, " + grouped(2 * macs) + " for 2\n"));
    };
    check(make_cnn({}), {3, 32, 32}, 4586506, 118327808);
    check(make_residual_cnn({}), {3, 32, 32}, 17988362, 546146816);
    check(make_mlp(mlp_sizes), {1, 28, 28}, 112714, 111936);
    check(make_residual_mlp(mlp_sizes), {1, 28, 28}, 130168, 128840);
}

TEST_CASE("the table of a small network") {
    using Net = Sequential<Conv2d<3, 8, 3, 2, 1>, BatchNorm2d<8>, ReLU, MaxPool2d<2>, Flatten, Dropout, Linear<Dyn, 10>>;
    using SameDynamic = Sequential<Conv2d<Dyn, Dyn, Dyn, 2, 1>, BatchNorm2d<>, ReLU, MaxPool2d<>, Flatten, Dropout, Linear<>>;
    const Model<Net, Shape{3, 16, 16}> model(Seed{1});
    const SameDynamic same({.out = 8, .kernel = 3}, {}, {}, {.kernel = 2, .stride = 2}, {}, {}, {.out = 10});
    const std::string table =
        "Layer                          Input           Output          Kernel        Parameters  MACs of a sample  Output of 64\n"
        "----------------------------------------------------------------------------------------------------------------------\n"
        "0  Conv2d stride=2, padding=1  [64, 3, 16, 16]  [64, 8, 8, 8]  [8, 3, 3, 3]         224            13,824     128.0 KiB\n"
        "1  BatchNorm2d                 [64, 8, 8, 8]    [64, 8, 8, 8]  [8]                   16                       128.0 KiB\n"
        "2  ReLU                        [64, 8, 8, 8]    [64, 8, 8, 8]                                                 128.0 KiB\n"
        "3  MaxPool2d kernel=2          [64, 8, 8, 8]    [64, 8, 4, 4]                                                  32.0 KiB\n"
        "4  Flatten                     [64, 8, 4, 4]    [64, 128]                                                      32.0 KiB\n"
        "5  Dropout p=0.5               [64, 128]        [64, 128]                                                      32.0 KiB\n"
        "6  Linear                      [64, 128]        [64, 10]       [10, 128]          1,290             1,280       2.5 KiB\n";
    const std::string text = summary(model, {.batch = 64});
    CHECK(squeezed(first_lines(text)) == squeezed(table));
    CHECK(text == summary(build(same, {3, 16, 16}), {.batch = 64}));  // sizes in the type or not
    Model<Net, Shape{3, 16, 16}> again(Seed{1});
    CHECK(text == summary(*any_model(std::move(again)), {.batch = 64}));  // the type forgotten; this loss needs no more scratch memory than a layer
    // All columns begin and end where those of the line above do.
    std::istringstream lines(first_lines(text));
    std::string head, rule, line;
    std::getline(lines, head);
    std::getline(lines, rule);
    CHECK(head.size() == rule.size());
    while (std::getline(lines, line)) {
        CHECK(line.size() == head.size());
        CHECK(line[head.find("Input") - 1] == ' ');
        CHECK(line[head.find("Input")] == '[');
        CHECK(line[head.find("Output")] == '[');
    }

    const std::string memory = text.substr(text.find("Bytes of training"));
    // 224 + 16 + 1290 values, in arenas with each parameter from a multiple of 64 bytes: weight 864 -> 896, bias and both of the norm 32 -> 64, 5120, 40 -> 64.
    CHECK(
        squeezed(memory).starts_with("Bytes of training, batch of 64 planned \nweights 6,272 6.1 KiB \ngradients 6,272 6.1 KiB \n"
                                     "optimizer (2 values for each weight) 12,544 12.2 KiB \nrunning statistics 384 \n"));
    CHECK(contains(squeezed(summary(model, {.batch = 64, .optimizer_slots = 1})), "optimizer (1 values for each weight) 6,272"));
}

TEST_CASE("memory stands beside the plan once it is claimed") {
    Model<support::Mlp, support::image> model(Seed{1});
    const support::Data<float> data(8);
    const SummaryOptions options{.batch = 8, .optimizer_slots = 0};
    CHECK_FALSE(contains(summary(model, options), "claimed"));
    Sgd sgd;
    train_step(model, sgd, CrossEntropy{}, data.images, data.labels);
    const std::string text = summary(model, options, CrossEntropy{});
    CHECK(contains(text, "claimed"));
    CHECK_FALSE(contains(text, "not yet"));
    CHECK(contains(summary(model, {.batch = 8}, CrossEntropy{}), "not yet"));              // Adam would remember two values for each weight
    CHECK_FALSE(contains(summary(model, {.batch = 9, .optimizer_slots = 0}), "claimed"));  // no step of 9 was taken
    const std::string line = text.substr(text.find("\ntotal"));
    std::istringstream words(line);
    std::string name, planned, claimed;
    words >> name >> planned >> claimed;
    CHECK(planned == claimed);
    CHECK(planned == grouped(claimed_memory(model).total()));
}

TEST_CASE("a batch in parts takes the memory of a part, and that of the partial sums") {
    Model<support::Mlp, support::image> model(Seed{1});
    const support::Data<float> data(8);
    const SummaryOptions whole{.batch = 8, .optimizer_slots = 0}, parts{.batch = 8, .micro_batches = 4, .optimizer_slots = 0};
    CHECK_FALSE(contains(summary(model, whole), "parts"));
    const std::string text = summary(model, parts);
    CHECK(contains(text, "batch of 8 in 4 parts"));
    // Two levels, each the gradients of 16 * 128 + 16 + 2 * 16 + 3 * 16 + 3 numbers, 2 * 16 statistics, and a loss.
    CHECK(contains(squeezed(text), "partial sums of the parts " + grouped(2 * (align_up(2147 * 4) + 32 * 4 + 64))));
    CHECK(planned_memory(model, 8, 0, CrossEntropy{}, 4).activations < planned_memory(model, 8, 0, CrossEntropy{}).activations);
    Sgd sgd;
    train_step(model, sgd, CrossEntropy{}, data.images, data.labels, {.micro_batches = 4});
    CHECK_FALSE(contains(summary(model, whole), "claimed"));
    CHECK(contains(summary(model, parts), "claimed"));
    for (const int odd : {0, 3, -2})
        CHECK(contains(error_of([&] { (void)model.plan(8, CrossEntropy{}, odd); }), "micro_batches must be a power of two; got "));
}

TEST_CASE("a network that is one layer or one Residual") {
    const Model<Linear<3, 2>, Shape{3}> layer(Seed{1});
    CHECK(contains(squeezed(summary(layer, {.batch = 5})), "\nLinear [5, 3] [5, 2] [2, 3] 8 6 40 B \n"));
    CHECK(contains(to_svg(layer), ">Linear<"));
    const Model<Residual<Linear<4, 4>>, Shape{4}> residual(Seed{1});
    const std::vector<LayerNode> tree = layer_tree(residual.parameters());
    REQUIRE(tree.size() == 1);
    CHECK(tree[0].branches());
    CHECK(totals(tree) == Totals{20, 20, 16});
    CHECK(count(to_dot(residual), "class=\"shortcut\"") == 1);
    const Model<Identity, Shape{4}> nothing(Seed{1});
    CHECK(contains(squeezed(summary(nothing)), "\nIdentity [128, 4] [128, 4] 2.0 KiB \n"));
}

TEST_CASE("what shapes do not say stays in the table") {
    using Net =
        Sequential<Conv2d<2, 4, 3>, Conv2d<4, 4, 3>, LeakyReLU, MaxPool2d<3, 2, 1>, AvgPool2d<2>, LayerNorm<4, 2, 4>, Flatten, Linear<Dyn, 3>, Softmax<1>>;
    Net net;
    get<0>(net.layers).kernel = {3, 5};
    get<1>(net.layers).stride = {2, 1};
    get<1>(net.layers).padding = {1, 2};
    get<1>(net.layers).groups = 2;
    get<1>(net.layers).dilation = 2;
    get<1>(net.layers).bias = false;
    get<2>(net.layers).slope = 0.25;
    get<4>(net.layers).ceil_mode = true;
    get<5>(net.layers).affine = false;
    get<7>(net.layers).bias = false;
    const std::string text = summary(build(net, {2, 16, 16}));
    CHECK(contains(text, "0  Conv2d  "));
    CHECK(contains(text, "[4, 2, 3, 5]"));
    CHECK(contains(text, "1  Conv2d stride=(2, 1), padding=(1, 2), dilation=2, groups=2, bias=false  "));
    CHECK(contains(text, "2  LeakyReLU slope=0.25  "));
    CHECK(contains(text, "3  MaxPool2d kernel=3, stride=2, padding=1  "));
    CHECK(contains(text, "4  AvgPool2d kernel=2, ceil_mode=true  "));
    CHECK(contains(text, "5  LayerNorm axes=3, affine=false  "));
    CHECK(contains(text, "7  Linear bias=false  "));
    CHECK(contains(text, "8  Softmax dim=1  "));
}

TEST_CASE("frozen parameters are marked and counted") {
    auto model = build(make_mlp(deep(6)), {1, 28, 28});
    CHECK_FALSE(contains(summary(model), "Frozen"));
    model.parameters().freeze("1.0.weight");
    model.parameters().freeze("4");  // one of what would be equal blocks
    const std::string text = summary(model);
    CHECK(contains(text, "Frozen"));
    const index_t frozen = 784 * 128 + (32 * 32 + 32) + 64;
    CHECK(contains(text, grouped(frozen) + " frozen)"));
    CHECK(totals(layer_tree(model.parameters())).trainable == model.parameters().parameter_count() - frozen);
    CHECK(text.find("in part") < text.find("\n2  "));
    CHECK(count(text, " yes ") == 2);
    CHECK(folds(layer_tree(model.parameters())) == std::set<std::string>{"5-6 x2"});  // 3 is wider at its input, 4 frozen
}

TEST_CASE("a container's own parameters and multiply-adds stand in its row") {
    using Sum = ScaledSum<Linear<4, 4>, Sequential<Linear<4, 4>, ReLU>>;
    auto model = build(Sequential<Sum, Linear<4, 2>>{}, {4});
    model.parameters().freeze("0.scale");
    std::string text = squeezed(summary(model, {.batch = 3}));
    CHECK(contains(text, "\n0 ScaledSum [3, 4] [3, 4] 4 yes 4 \n"));
    CHECK(contains(text, "\n0.a Linear [3, 4] [3, 4] [4, 4] 20 16 48 B \n"));
    CHECK(contains(text, "\n0.b Sequential [3, 4] [3, 4] \n"));  // nothing of its own
    CHECK(contains(text, "\nparameters: 54 (50 trainable, 4 frozen) \n"));
    CHECK(contains(text, ": 44 for one sample, 132 for 3 \n"));
    CHECK(contains(squeezed(summary(model, {.batch = 3, .max_depth = 0})), "\n0 ScaledSum [3, 4] [3, 4] 44 in part 36 48 B \n"));

    // The network itself may be such a container.
    auto whole = build(Sum{}, {4});
    whole.parameters().freeze("scale");
    text = squeezed(summary(whole, {.batch = 3}));
    CHECK(contains(text, "\nScaledSum [3, 4] [3, 4] 4 yes 4 \n"));
    CHECK(contains(text, "\na Linear [3, 4] [3, 4] [4, 4] 20 16 48 B \n"));
    CHECK(contains(text, "\nparameters: 44 (40 trainable, 4 frozen) \n"));
    CHECK(contains(text, ": 36 for one sample, 108 for 3 \n"));

    // Of copies, all that a copy holds.
    auto many = build(Repeat<Sum>(3), {4});
    for (const char* scale : {"0.scale", "1.scale", "2.scale"}) many.parameters().freeze(scale);
    CHECK(contains(squeezed(summary(many, {.batch = 3})), "\n0-2 ScaledSum x3 [3, 4] [3, 4] 3 x 44 in part 3 x 36 \n"));
}

TEST_CASE("a user's container is drawn as it says: side by side, or one after another") {
    using Wide = Sequential<Linear<4, 8>, ReLU, Linear<8, 4>>;
    using Other = Sequential<Linear<4, 4>, Sigmoid>;
    const auto beside = build(Sequential<Linear<4, 4>, Beside<Wide, Other>>{}, {4});
    const auto after = build(Sequential<Linear<4, 4>, ScaledSum<Wide, Other>>{}, {4});
    const auto edges = [](const std::string& dot, const std::string& end) {  // how many come from or go to the node with this label
        const std::size_t at = dot.find("label=\"" + end + "\"");
        const std::size_t begin = dot.rfind('\n', at) + 1, id = dot.find('n', begin);
        const std::string node = dot.substr(id, dot.find(' ', id) - id);
        return std::pair{count(dot, "-> " + node + " "), count(dot, " " + node + " ->")};
    };
    using Pair = std::pair<std::size_t, std::size_t>;
    const std::string dot = to_dot(beside), svg = to_svg(beside);
    CHECK(edges(dot, "+") == Pair{2, 1});  // of both branches, to the output
    CHECK(edges(dot, "") == Pair{1, 2});   // the fork
    CHECK(count(dot, "class=\"shortcut\"") == 1);
    CHECK_FALSE(contains(dot, "dashed"));  // no identity beside two branches
    CHECK(count(svg, "<g class=\"sum\"") == 1);
    CHECK(count(svg, "class=\"shortcut\"") == 1);
    CHECK_FALSE(contains(svg, "stroke-dasharray"));
    CHECK(count(svg, "<g class=\"layer\"") == 6);
    CHECK(contains(svg, ">ScaledSum<"));

    const std::string chain = to_dot(after), picture = to_svg(after);
    CHECK_FALSE(contains(chain, "label=\"+\""));
    CHECK(count(chain, " -> ") == 7);  // six layers, input and output in one line
    CHECK(contains(chain, "label=\"1  ScaledSum\""));
    CHECK_FALSE(contains(picture, "class=\"sum\""));
    CHECK(count(picture, "<g class=\"layer\"") == 6);
    CHECK(count(picture, "<g class=\"frame\"") == 3);  // it and its two chains
}

TEST_CASE("equal consecutive parts are one row") {
    const auto model = build(make_residual_mlp(deep(100)), {1, 28, 28});
    const std::vector<LayerNode> tree = layer_tree(model.parameters()), full = layer_tree(model.parameters(), false);
    CHECK(folds(tree) == std::set<std::string>{"4-100 x97"});
    CHECK(folds(full).empty());
    CHECK(totals(tree) == totals(full));
    CHECK(leaf_totals(tree) == leaf_totals(full));
    CHECK(rows(full) - rows(tree) == 96 * 9);
    const std::string text = summary(model);
    CHECK(contains(squeezed(text), "\n4-100 Residual activation=ReLU x97 [128, 32] [128, 32] 97 x 2,240 97 x 2,048 \n"));
    CHECK(contains(summary(model, {.max_depth = 0}), "97 x 16.0 KiB\n"));
    CHECK(contains(summary(model, {.collapse = false}), "\n99  Residual activation=ReLU"));
    CHECK(text.substr(text.find("\nparameters:")) == summary(model, {.collapse = false}).substr(summary(model, {.collapse = false}).find("\nparameters:")));
    const auto plain = build(make_mlp(deep(100)), {1, 28, 28});
    CHECK(folds(layer_tree(plain.parameters())) == std::set<std::string>{"4-100 x97"});
}

TEST_CASE("only parts that are equal in everything are one row") {
    using Block = Sequential<Linear<4, 4>, LeakyReLU, Dropout>;
    const auto folds_of = [](const auto& net, const Shape& in) {
        const auto model = build(net, in);
        const std::vector<LayerNode> tree = layer_tree(model.parameters()), full = layer_tree(model.parameters(), false);
        CHECK(totals(tree) == totals(full));
        CHECK(leaf_totals(tree) == leaf_totals(full));
        return folds(tree);
    };
    using Set = std::set<std::string>;
    Repeat<Block> four(4);
    CHECK(folds_of(four, {4}) == Set{"0-3 x4"});
    get<2>(four.blocks[2].layers).p = 0.1;
    CHECK(folds_of(four, {4}) == Set{"0-1 x2"});
    get<2>(four.blocks[2].layers).p = 0.5;
    get<1>(four.blocks[3].layers).slope = 0.5;
    CHECK(folds_of(four, {4}) == Set{"0-2 x3"});
    // A group of several layers: the first Linear is wider, so groups begin at the Linear, not at the ReLU before it.
    CHECK(folds_of(Sequential<Linear<8, 4>, ReLU, Repeat<Linear<4, 4>, ReLU>, Linear<4, 2>>{{}, {}, Repeat<Linear<4, 4>, ReLU>(3), {}}, {8}) ==
          Set{"2-7 group x3"});
    CHECK(folds_of(Sequential<Residual<Block, Block>, Flatten>{}, {4}).empty());  // side by side, not one after another
    CHECK(folds_of(Sequential<ReLU, ReLU>{}, {4}).empty());                       // nothing to gain
    CHECK(folds_of(Sequential<ReLU, ReLU, ReLU>{}, {4}) == Set{"0-2 x3"});
    CHECK(folds_of(support::resnet(), support::image) == Set{"1-4 group x2"});
    CHECK(folds_of(Sequential<Sequential<Repeat<Linear<4, 4>>>, Linear<4, 2>>{{Repeat<Linear<4, 4>>(5)}, {}}, {4}) == Set{"0.0-4 x5"});
}

TEST_CASE("a picture has the shortcuts, frames and boxes of its network") {
    const auto check = [](const auto& net, const Shape& in, std::size_t residuals, std::size_t identities) {
        const auto model = build(net, in);
        std::size_t leaves = 0, activations = 0;
        for (const LayerRow& row : model.parameters().layers) {
            leaves += row.leaf ? 1 : 0;
            activations += row.merge != dla::Merge::none && !row.settings.empty() ? 1 : 0;
        }
        const std::string dot = to_dot(model, {.collapse = false}), svg = to_svg(model, {.collapse = false});
        CHECK(count(dot, "class=\"shortcut\"") == residuals);
        CHECK(count(dot, "style=dashed") == identities);
        CHECK(count(dot, "label=\"+\"") == residuals);
        CHECK(count(dot, "\\n") == leaves + activations + 2);  // type and size; input and output
        CHECK(count(dot, "{") == count(dot, "}"));
        CHECK(count(svg, "class=\"shortcut\"") == residuals);
        CHECK(count(svg, "stroke-dasharray") == identities);
        CHECK(count(svg, "<g class=\"sum\"") == residuals);
        CHECK(count(svg, "<g class=\"layer\"") == leaves + activations);
        CHECK(count(svg, "<g class=\"frame residual\"") == residuals);
        CHECK(count(svg, "<g") == count(svg, "</g>"));
    };
    check(make_residual_mlp(deep(100)), {1, 28, 28}, 100, 97);
    check(make_mlp(mlp_sizes), {1, 28, 28}, 0, 0);
    check(make_residual_cnn({}), {3, 32, 32}, 3, 0);
    check(make_cnn({}), {3, 32, 32}, 0, 0);
    check(support::resnet(), support::image, 3, 2);
    const auto deep_model = build(make_residual_mlp(deep(100)), {1, 28, 28});
    CHECK(count(to_dot(deep_model), "class=\"shortcut\"") == 4);
    CHECK(contains(to_dot(deep_model), "4-100  Residual  \u00d7 97\""));
    CHECK(count(to_svg(deep_model), "class=\"copies\"") == 1);
    CHECK(contains(to_svg(deep_model), ">\u00d7 97<"));
    Model<support::Mlp> typed(support::Mlp{}, support::image, Seed{1});
    const std::string dot = to_dot(typed), svg = to_svg(typed);
    const auto any = any_model(std::move(typed));
    CHECK(to_dot(*any) == dot);
    CHECK(to_svg(*any) == svg);
}

TEST_CASE("titles are quoted, however odd they are") {
    const Model<Linear<1, 1>, Shape{1}> model(Seed{1});
    const std::string title = "a\"b\\c <d> & 'e'\x01\xff\xc3\x28 \xc3\xa9";
    const std::string dot = to_dot(model, {.title = title}), svg = to_svg(model, {.title = title});
    CHECK(contains(dot, "label=\"a\\\"b\\\\c <d> & 'e' \ufffd\ufffd( \u00e9\"]"));
    CHECK(contains(svg, ">a&quot;b\\c &lt;d&gt; &amp; 'e' \ufffd\ufffd( \u00e9<"));
    for (const char* bad : {"\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80", "\xe0\x80\x80", "\xe2\x82", "\xef\xbf\xbf"}) {
        CAPTURE(bad);
        CHECK(contains(to_svg(model, {.title = bad}), "<tspan font-weight=\"bold\">\ufffd"));
    }
}

TEST_CASE("the settings of every layer are kept, typed, and what tables show of them is made of these") {
    using Net = Sequential<Conv2d<3, 8>, BatchNorm2d<8>, Residual<Conv2d<8, 8, 1>, Identity, ReLU>, ZeroPad2d<>, Upsample2d<2>, AvgPool2d<2>, GroupNorm<2>,
                           PReLU<8>, Dropout>;
    const Net net({.kernel = {3, 5}, .stride = 2, .padding = 1}, {}, {}, {.left = 1, .top = 2}, {.mode = Interpolation::bilinear}, {}, {}, {}, {});
    const Model<Net> model(net, Shape{3, 16, 16}, Seed{1});
    const auto& rows = model.parameters().layers;
    const auto of = [&](std::string_view path) -> const LayerRow& {
        return *std::ranges::find_if(rows, [&](const LayerRow& row) { return row.path == path; });
    };
    const auto& conv = of("0").attributes;
    REQUIRE(attribute<Size2>(conv, "kernel") != nullptr);
    CHECK(*attribute<Size2>(conv, "kernel") == Size2(3, 5));
    CHECK(*attribute<Size2>(conv, "stride") == Size2(2, 2));
    CHECK(*attribute<Size2>(conv, "padding") == Size2(1, 1));
    CHECK(*attribute<index_t>(conv, "out") == 8);
    CHECK(*attribute<index_t>(conv, "groups") == 1);
    CHECK(*attribute<bool>(conv, "bias"));
    CHECK(attribute<index_t>(conv, "bias") == nullptr);  // of another type
    CHECK(attribute<bool>(conv, "biases") == nullptr);
    CHECK(of("0").settings == "stride=2, padding=1");  // what is as usual, or in shapes, is kept but not shown
    CHECK(*attribute<double>(of("1").attributes, "eps") == 1e-5);
    CHECK(of("1").settings.empty());
    CHECK(*attribute<std::string>(of("2").attributes, "activation") == "ReLU");
    CHECK(*attribute<index_t>(of("3").attributes, "left") == 1);
    CHECK(*attribute<index_t>(of("3").attributes, "top") == 2);
    CHECK(*attribute<std::string>(of("4").attributes, "mode") == "bilinear");
    CHECK(*attribute<bool>(of("5").attributes, "count_include_pad"));
    CHECK(*attribute<index_t>(of("6").attributes, "groups") == 2);
    CHECK(*attribute<double>(of("8").attributes, "p") == 0.5);
    for (const LayerRow& row : rows) CHECK(row.settings == to_text(row.attributes));
    CHECK(*attribute<index_t>(of("7").attributes, "weights") == 8);
    CHECK(*attribute<double>(of("7").attributes, "init") == 0.25);

    using Rest = Sequential<ConvTranspose2d<8, 4, 2, 2>, ELU, Softplus, AdaptiveAvgPool2d<2>, Flatten, Unflatten<4, 2, 2>, Flatten, LogSoftmax<1>>;
    Rest rest{};
    get<1>(rest.layers).alpha = 0.5, get<2>(rest.layers).beta = 2, get<0>(rest.layers).output_padding = 1;
    const Model<Rest> other(rest, Shape{8, 4, 4}, Seed{1});
    const auto& more = other.parameters().layers;
    const auto in = [&](std::string_view path) -> const std::vector<Attribute>& {
        return std::ranges::find_if(more, [&](const LayerRow& row) { return row.path == path; })->attributes;
    };
    CHECK(*attribute<Size2>(in("0"), "stride") == Size2(2));
    CHECK(*attribute<Size2>(in("0"), "output_padding") == Size2(1));
    CHECK(*attribute<double>(in("1"), "alpha") == 0.5);
    CHECK(*attribute<double>(in("2"), "beta") == 2);
    CHECK(*attribute<Size2>(in("3"), "size") == Size2(2));
    CHECK(*attribute<index_t>(in("5"), "channels") == 4);
    for (const LayerRow& row : more) CHECK(row.settings == to_text(row.attributes));
    // Pictures show what tables show.
    const std::string dot = to_dot(model, {.collapse = false}), svg = to_svg(model, {.collapse = false});
    for (const std::string* picture : {&dot, &svg}) {
        CHECK(contains(*picture, "stride=2"));
        CHECK(contains(*picture, "mode=bilinear"));
    }
}

TEST_CASE("pictures say how branches are joined") {
    using Two = Sequential<Linear<4, 4>, ReLU>;
    const auto pictures = [](const auto& net) {
        const Model model(net, Shape{4}, Seed{1});
        return std::pair(to_dot(model), to_svg(model));
    };
    const auto [sum_dot, sum_svg] = pictures(Sequential<Parallel<Add, Two, Identity>>{});
    const auto [product_dot, product_svg] = pictures(Sequential<Parallel<Multiply, Two, Identity>>{});
    const auto [concat_dot, concat_svg] = pictures(Sequential<Parallel<Concat, Two, Identity>>{});
    CHECK(contains(sum_dot, "label=\"+\""));
    CHECK(contains(product_dot, "label=\"\u00d7\""));
    CHECK(contains(concat_dot, "label=\"concat\""));
    CHECK(contains(sum_svg, "class=\"sum\""));
    CHECK(contains(product_svg, "class=\"product\""));
    CHECK(contains(concat_svg, "class=\"concat\""));
    CHECK(contains(concat_svg, ">concat<"));
    CHECK(!contains(sum_svg, "class=\"product\""));
    CHECK(!contains(product_dot, "label=\"+\""));
    const Model joined(Sequential<Parallel<Concat, Two, Identity>>{}, Shape{4}, Seed{1});
    const auto& rows = joined.parameters().layers;
    const auto at = std::ranges::find_if(rows, [](const LayerRow& row) { return row.merge == Merge::concat; });
    REQUIRE(at != rows.end());
    REQUIRE(attribute<std::string>(at->attributes, "join") != nullptr);
    CHECK(*attribute<std::string>(at->attributes, "join") == Concat::text);
}
