// SPDX-License-Identifier: MIT
// The emulated cuDNN convolves as the real one, and refuses what the real one refuses or gets wrong.
#include <cudnn.h>

#include <array>
#include <cstring>

#include "emulated_check.hpp"

using namespace emulated_check;

namespace {

using Dims = std::array<std::int64_t, 4>;
using Pair = std::array<std::int64_t, 2>;

Dims last(const Dims& d) { return {d[1] * d[2] * d[3], 1, d[1] * d[3], d[1]}; }
Dims first(const Dims& d) { return {d[1] * d[2] * d[3], d[2] * d[3], d[3], 1}; }
std::size_t count(const Dims& d) { return static_cast<std::size_t>(d[0] * d[1] * d[2] * d[3]); }
std::size_t at(const Dims& strides, std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) {
    return static_cast<std::size_t>(a * strides[0] + b * strides[1] + c * strides[2] + d * strides[3]);
}

/// A descriptor whose attributes are set one by one; `status` keeps the first refusal.
struct Descriptor {
    cudnnBackendDescriptor_t handle{};
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;

    explicit Descriptor(cudnnBackendDescriptorType_t type) { REQUIRE(cudnnBackendCreateDescriptor(type, &handle) == CUDNN_STATUS_SUCCESS); }
    ~Descriptor() { cudnnBackendDestroyDescriptor(handle); }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    void keep(cudnnStatus_t s) {
        if (status == CUDNN_STATUS_SUCCESS) status = s;
    }
    template <class T>
    void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const T& value) {
        keep(cudnnBackendSetAttribute(handle, name, type, 1, &value));
    }
    template <class T, std::size_t n>
    void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const std::array<T, n>& values) {
        keep(cudnnBackendSetAttribute(handle, name, type, n, values.data()));
    }
    void set(cudnnBackendAttributeName_t name, const Descriptor& value) { set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, value.handle); }
    cudnnStatus_t done() {
        if (status == CUDNN_STATUS_SUCCESS) keep(cudnnBackendFinalize(handle));
        return status;
    }
};

struct Tensor : Descriptor {
    Tensor(std::int64_t id, const Dims& dims, const Dims& strides, std::int64_t alignment = 16, cudnnDataType_t type = CUDNN_DATA_FLOAT)
        : Descriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR) {
        set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, type);
        set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, dims);
        set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, strides);
        set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, id);
        set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, alignment);
        done();
    }
};

enum class Pass { forward, data, filter };

struct Case {
    Pass pass = Pass::forward;
    Dims x{2, 4, 7, 6}, w{6, 2, 3, 2};
    Pair before{1, 0}, after{2, 1}, stride{2, 1}, dilation{1, 2};
    bool channels_last = true;
    float alpha = 1, beta = 0;

    std::int64_t out(std::size_t i) const { return (x[2 + i] + before[i] + after[i] - (w[2 + i] - 1) * dilation[i] - 1) / stride[i] + 1; }
    Dims y() const { return {x[0], w[0], out(0), out(1)}; }
    Dims strides(const Dims& d) const { return channels_last ? last(d) : first(d); }
    std::size_t result() const { return pass == Pass::forward ? 2 : pass == Pass::data ? 0 : 1; }
};

/// The definition, with results added to `data`'s result as alpha and beta say.
Floats exact(const Case& c, const std::array<Floats, 3>& data) {
    const Dims y = c.y(), xs = c.strides(c.x), ws = c.strides(c.w), ys = c.strides(y);
    std::vector<double> sum(data[c.result()].size());
    const std::int64_t groups = c.x[1] / c.w[1];
    for (std::int64_t n = 0; n < y[0]; ++n)
        for (std::int64_t g = 0; g < groups; ++g)
            for (std::int64_t k = g * c.w[0] / groups; k < (g + 1) * c.w[0] / groups; ++k)
                for (std::int64_t i = 0; i < c.w[1]; ++i)
                    for (std::int64_t p = 0; p < y[2]; ++p)
                        for (std::int64_t q = 0; q < y[3]; ++q)
                            for (std::int64_t r = 0; r < c.w[2]; ++r)
                                for (std::int64_t s = 0; s < c.w[3]; ++s) {
                                    const std::int64_t h = p * c.stride[0] + r * c.dilation[0] - c.before[0],
                                                       v = q * c.stride[1] + s * c.dilation[1] - c.before[1];
                                    if (h < 0 || v < 0 || h >= c.x[2] || v >= c.x[3]) continue;
                                    const std::size_t a = at(xs, n, g * c.w[1] + i, h, v), b = at(ws, k, i, r, s), d = at(ys, n, k, p, q);
                                    const auto value = [&](std::size_t t, std::size_t j) { return static_cast<double>(data[t][j]); };
                                    if (c.pass == Pass::forward) sum[d] += value(0, a) * value(1, b);
                                    if (c.pass == Pass::data) sum[a] += value(2, d) * value(1, b);
                                    if (c.pass == Pass::filter) sum[b] += value(0, a) * value(2, d);
                                }
    Floats out(sum.size());
    for (std::size_t i = 0; i < sum.size(); ++i)
        out[i] = static_cast<float>(static_cast<double>(c.alpha) * sum[i] +
                                    (c.beta != 0 ? static_cast<double>(c.beta) * static_cast<double>(data[c.result()][i]) : 0));
    return out;
}

struct Names {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t x, w, y, windows, alpha, beta;
};
constexpr Names names[] = {
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
};

/// The descriptors of an operation, with dimensions and strides of x, w, y as given.
struct Operation : Descriptor {
    Operation(const Case& c, const std::array<Dims, 3>& dims, const std::array<Dims, 3>& strides, std::int64_t id_of_w = 20)
        : Descriptor(names[int(c.pass)].type) {
        const Names& n = names[int(c.pass)];
        Descriptor windows(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
        windows.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
        windows.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, CUDNN_CROSS_CORRELATION);
        windows.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, std::int64_t{2});
        windows.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, c.before);
        windows.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, c.after);
        windows.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, c.stride);
        windows.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, c.dilation);
        const Tensor x(10, dims[0], strides[0]), w(id_of_w, dims[1], strides[1]), y(30, dims[2], strides[2]);
        for (const cudnnStatus_t s : {windows.done(), x.status, w.status, y.status}) keep(s);
        set(n.x, x);
        set(n.w, w);
        set(n.y, y);
        set(n.windows, windows);
        set(n.alpha, CUDNN_TYPE_FLOAT, c.alpha);
        set(n.beta, CUDNN_TYPE_FLOAT, c.beta);
        done();
    }
    explicit Operation(const Case& c) : Operation(c, {c.x, c.w, c.y()}, {c.strides(c.x), c.strides(c.w), c.strides(c.y())}) {}
};

struct Handle {
    cudnnHandle_t handle{};
    Handle() { REQUIRE(cudnnCreate(&handle) == CUDNN_STATUS_SUCCESS); }
    ~Handle() { CHECK(cudnnDestroy(handle) == CUDNN_STATUS_SUCCESS); }
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
};

struct Heuristics : Descriptor {
    Heuristics(const Handle& h, const Descriptor& operation) : Descriptor(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR) {
        Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
        graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation);
        graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, h.handle);
        REQUIRE(graph.done() == CUDNN_STATUS_SUCCESS);
        set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
        set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, CUDNN_HEUR_MODE_A);
        REQUIRE(done() == CUDNN_STATUS_SUCCESS);
    }
};

/// A plan of the engine at a place of the heuristics' list.
struct Plan : Descriptor {
    Descriptor config{CUDNN_BACKEND_ENGINECFG_DESCRIPTOR};
    std::int64_t workspace = 0;

    Plan(const Handle& h, const Descriptor& operation, std::size_t engine) : Descriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
        const Heuristics heuristics(h, operation);
        const Descriptor a(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR), b(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
        std::array<cudnnBackendDescriptor_t, 3> configs{a.handle, b.handle, nullptr};
        configs[2] = configs[engine], configs[engine] = config.handle;
        std::int64_t n = 0;
        REQUIRE(cudnnBackendGetAttribute(heuristics.handle, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<std::int64_t>(engine) + 1,
                                         &n, configs.data()) == CUDNN_STATUS_SUCCESS);
        CHECK(n == 3);
        set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
        set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, h.handle);
        if (done() == CUDNN_STATUS_SUCCESS)
            CHECK(cudnnBackendGetAttribute(handle, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &n, &workspace) == CUDNN_STATUS_SUCCESS);
    }
};

struct Pack : Descriptor {
    Pack(const std::array<std::int64_t, 3>& ids, const std::array<float*, 3>& pointers, void* workspace) : Descriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR) {
        set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, ids);
        set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, pointers);
        set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, workspace);
        done();
    }
};

std::array<Floats, 3> numbers(const Case& c) {
    std::array<Floats, 3> data{small_integers(count(c.x), 1), small_integers(count(c.w), 2), small_integers(count(c.y()), 3)};
    if (c.beta == 0)
        for (float& value : data[c.result()]) value = std::nanf("");  // not read
    return data;
}

Floats run(const Case& c, std::size_t engine, const std::array<Floats, 3>& data) {
    const Handle handle;
    const Operation operation(c);
    REQUIRE(operation.status == CUDNN_STATUS_SUCCESS);
    const Plan plan(handle, operation, engine);
    REQUIRE(plan.status == CUDNN_STATUS_SUCCESS);
    const Device<float> x(data[0]), w(data[1]), y(data[2]);
    const Device<std::byte> workspace(static_cast<std::size_t>(plan.workspace));
    const Pack pack({30, 10, 20}, {y.data(), x.data(), w.data()}, workspace.data());
    REQUIRE(pack.status == CUDNN_STATUS_SUCCESS);
    REQUIRE(cudnnBackendExecute(handle.handle, plan.handle, pack.handle) == CUDNN_STATUS_SUCCESS);
    return (c.pass == Pass::forward ? y : c.pass == Pass::data ? x : w).get();
}

constexpr Pass passes[] = {Pass::forward, Pass::data, Pass::filter};
constexpr std::size_t tensor_core = 0, nondeterministic = 1, plain = 2;

}  // namespace

TEST_CASE("cuDNN: convolutions by their definition") {
    const Fresh fresh;
    for (const Pass pass : passes)
        for (const bool channels_last : {true, false})
            for (const float beta : {0.0f, 1.0f, -0.5f}) {
                Case c;
                c.pass = pass, c.channels_last = channels_last, c.beta = beta, c.alpha = beta == 0 ? 2.0f : 1.0f;
                CHECK(run(c, plain, numbers(c)) == exact(c, numbers(c)));
                c.w = {5, 4, 1, 1}, c.before = c.after = {0, 0}, c.dilation = {1, 1};
                CHECK(run(c, plain, numbers(c)) == exact(c, numbers(c)));
                c.w = {8, 1, 3, 3}, c.before = c.after = {1, 1}, c.stride = {1, 2};
                CHECK(run(c, plain, numbers(c)) == exact(c, numbers(c)));
            }
    CHECK(emulated::counters().convolutions == 54);
}

TEST_CASE("cuDNN: each engine has its own numbers, and says so") {
    const Fresh fresh;
    for (const Pass pass : passes) {
        Case c;
        c.pass = pass;
        std::array<Floats, 3> data = numbers(c), rounded;
        for (std::size_t t = 0; t < 3; ++t) {
            for (float& value : data[t]) value = t == 0 ? value * (1 + 0x1p-11f) + 0x1p-12f : t == 1 ? value / 3 : value / 7;
            rounded[t] = data[t];
            for (float& value : rounded[t]) {  // to 11 bits
                int exponent = 0;
                const float fraction = std::frexp(value, &exponent);
                value = std::ldexp(std::nearbyint(std::ldexp(fraction, 11)), exponent - 11);
            }
        }
        CHECK(run(c, plain, data) == exact(c, data));
        CHECK(run(c, tensor_core, data) == exact(c, rounded));
        CHECK(exact(c, rounded) != exact(c, data));
        const Floats once = run(c, nondeterministic, data), twice = run(c, nondeterministic, data), want = exact(c, data);
        CHECK(once != twice);
        for (std::size_t i = 0; i < once.size(); ++i) CHECK(std::fabs(once[i] - want[i]) <= 4 * 0x1p-23f * std::fabs(want[i]));
    }
    const Handle handle;
    const Operation operation{Case()};
    for (const std::size_t engine : {tensor_core, nondeterministic, plain}) {
        const Plan plan(handle, operation, engine);
        const Descriptor used(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
        std::int64_t n = 0;
        cudnnBackendDescriptor_t where = used.handle;
        REQUIRE(cudnnBackendGetAttribute(plan.config.handle, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &n, &where) ==
                CUDNN_STATUS_SUCCESS);
        CHECK(n == 1);
        std::array<cudnnBackendNumericalNote_t, CUDNN_NUMERICAL_NOTE_TYPE_COUNT> notes{};
        REQUIRE(cudnnBackendGetAttribute(used.handle, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &n,
                                         notes.data()) == CUDNN_STATUS_SUCCESS);
        CHECK(n == (engine == plain ? 0 : 1));
        CHECK((engine != tensor_core || notes[0] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE));
        CHECK((engine != nondeterministic || notes[0] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC));
        std::array<cudnnBackendBehaviorNote_t, CUDNN_BEHAVIOR_NOTE_TYPE_COUNT> behavior{};
        REQUIRE(cudnnBackendGetAttribute(used.handle, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE, CUDNN_BEHAVIOR_NOTE_TYPE_COUNT, &n,
                                         behavior.data()) == CUDNN_STATUS_SUCCESS);
        CHECK(n == (engine == tensor_core ? 1 : 0));
    }
}

TEST_CASE("cuDNN: operations that do not fit are refused") {
    const Fresh fresh;
    emulated::settings().devices = 0;  // descriptors need no device
    const Case c;
    const std::array<Dims, 3> dims{c.x, c.w, c.y()}, strides{last(c.x), last(c.w), last(c.y())};
    CHECK(Operation(c, dims, strides).status == CUDNN_STATUS_SUCCESS);
    CHECK(Operation(c, dims, strides, 30).status == CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES);
    for (std::size_t t = 0; t < 3; ++t)
        for (std::size_t i = 0; i < 4; ++i) {
            CAPTURE(t);
            CAPTURE(i);
            std::array<Dims, 3> other = dims;
            other[t][i] += t < 2 && i == 2 ? 2 : 1;  // a single row is left over by a stride of 2
            CHECK(Operation(c, other, {last(other[0]), last(other[1]), last(other[2])}).status == CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH);
            std::array<Dims, 3> gap = strides;
            gap[t][i] += 1;
            CHECK(Operation(c, dims, gap).status == CUDNN_STATUS_NOT_SUPPORTED_LAYOUT);
        }
    Case odd;
    odd.w[0] = 7;
    CHECK(Operation(odd).status == CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH);
    CHECK(Tensor(1, {1, 0, 1, 1}, {1, 1, 1, 1}).status == CUDNN_STATUS_BAD_PARAM);
    CHECK(Tensor(1, {1, 1, 1, 1}, {1, 1, 1, 1}, 12).status == CUDNN_STATUS_BAD_PARAM);
    Descriptor tensor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    CHECK(cudnnBackendFinalize(tensor.handle) == CUDNN_STATUS_BAD_PARAM);
    CHECK(contains(emulated::last_sentence(), "is finalized without its attribute 901"));
    tensor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_FLOAT, 1.0f);
    CHECK(tensor.status == CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE);
    Descriptor forward(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    forward.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, tensor);
    CHECK(forward.status == CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED);
    Operation operation(c);
    CHECK(cudnnBackendSetAttribute(operation.handle, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, &c.beta) == CUDNN_STATUS_BAD_PARAM);
    cudnnHandle_t handle{};
    CHECK(cudnnCreate(&handle) == CUDNN_STATUS_NOT_INITIALIZED);
}

TEST_CASE("cuDNN: settings leave no engine, or one that cannot be used") {
    const Fresh fresh;
    const Handle handle;
    const Operation operation{Case()};
    emulated::settings().plain_engine_fails = true;
    CHECK(Plan(handle, operation, plain).status == CUDNN_STATUS_NOT_SUPPORTED);
    CHECK(Plan(handle, operation, nondeterministic).status == CUDNN_STATUS_SUCCESS);
    emulated::settings().no_engines = true;
    const Heuristics heuristics(handle, operation);
    std::int64_t n = -1;
    CHECK(cudnnBackendGetAttribute(heuristics.handle, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &n, nullptr) == CUDNN_STATUS_SUCCESS);
    CHECK(n == 0);
}

TEST_CASE("cuDNN: memory that does not fit is refused, and the workspace is overwritten") {
    const Fresh fresh;
    const Case c;
    const auto data = numbers(c);
    const Handle handle;
    const Operation operation(c);
    const Plan plan(handle, operation, plain);
    const Device<float> x(data[0]), w(data[1]), y(count(c.y()) + 4), work(Floats(2048, 1));
    const auto execute = [&](const std::array<std::int64_t, 3>& ids, const std::array<float*, 3>& pointers, float* workspace) {
        const Pack pack(ids, pointers, workspace);
        if (pack.status != CUDNN_STATUS_SUCCESS) return pack.status;
        return cudnnBackendExecute(handle.handle, plan.handle, pack.handle);
    };
    const std::array<std::int64_t, 3> ids{10, 20, 30};
    Floats host(count(c.y()));
    CHECK(execute(ids, {x.data(), w.data(), y.data()}, work.data()) == CUDNN_STATUS_SUCCESS);
    const Floats left = work.get();
    CHECK((std::isnan(left[0]) && std::isnan(left[1023]) && left[1024] == 1));
    CHECK(execute(ids, {x.data(), w.data(), y.data() + 4}, work.data()) == CUDNN_STATUS_SUCCESS);
    CHECK(execute(ids, {x.data(), w.data(), y.data() + 1}, work.data()) == CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER);
    CHECK(execute(ids, {x.data(), w.data(), y.data() + 8}, work.data()) == CUDNN_STATUS_BAD_PARAM);
    CHECK(contains(emulated::last_sentence(), "the tensor with unique id 30"));
    CHECK(execute(ids, {x.data(), w.data(), host.data()}, work.data()) == CUDNN_STATUS_BAD_PARAM);
    CHECK(execute({10, 20, 31}, {x.data(), w.data(), y.data()}, work.data()) == CUDNN_STATUS_BAD_PARAM);
    CHECK(contains(emulated::last_sentence(), "is missing in the variant pack"));
    char message[200];
    cudnnGetLastErrorString(message, sizeof message);
    CHECK(contains(message, "is missing in the variant pack"));
    CHECK(execute({10, 20, 20}, {x.data(), w.data(), y.data()}, work.data()) == CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES);
    CHECK(execute(ids, {x.data(), w.data(), y.data()}, nullptr) == CUDNN_STATUS_BAD_PARAM);
    CHECK(execute(ids, {x.data(), w.data(), y.data()}, work.data() + 1028) == CUDNN_STATUS_BAD_PARAM);
    CHECK(execute(ids, {y.data(), w.data(), y.data()}, work.data()) == CUDNN_STATUS_BAD_PARAM);
    const Pack pack(ids, {x.data(), w.data(), y.data()}, work.data());
    const Descriptor unfinished(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    CHECK(cudnnBackendExecute(handle.handle, unfinished.handle, pack.handle) == CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED);
    CHECK(cudnnBackendExecute(handle.handle, pack.handle, pack.handle) == CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE);
    CHECK(cudnnBackendExecute(nullptr, plan.handle, pack.handle) == CUDNN_STATUS_BAD_PARAM);
    CHECK(cudnnBackendDestroyDescriptor(nullptr) == CUDNN_STATUS_BAD_PARAM);
}

TEST_CASE("cuDNN: a late convolution is in the stream of its handle") {
    const Fresh fresh;
    emulated::settings().pace = Pace::late;
    const Case c;
    const auto data = numbers(c);
    const Handle handle;
    cudaStream_t stream{};
    REQUIRE(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
    REQUIRE(cudnnSetStream(handle.handle, stream) == CUDNN_STATUS_SUCCESS);
    const Operation operation(c);
    const Plan plan(handle, operation, plain);
    const Device<float> x(data[0]), w(data[1]), y(data[2]), work(1024);
    const Pack pack({10, 20, 30}, {x.data(), w.data(), y.data()}, work.data());
    REQUIRE(cudnnBackendExecute(handle.handle, plan.handle, pack.handle) == CUDNN_STATUS_SUCCESS);
    CHECK(cudaStreamQuery(stream) == cudaErrorNotReady);
    REQUIRE(cudaStreamSynchronize(stream) == cudaSuccess);
    CHECK(y.get() == exact(c, data));
    CHECK(cudaStreamDestroy(stream) == cudaSuccess);
}
