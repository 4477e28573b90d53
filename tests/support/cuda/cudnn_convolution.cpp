// SPDX-License-Identifier: MIT
// Convolutions of cuDNN on the emulated device: what they must fit, and what each of the three engines makes of them.
#include <cmath>

#include "cudnn.hpp"

namespace emulated::dnn {
namespace {

Random& noise() {
    static Random& the_noise = *new Random;
    return the_noise;
}

std::string text(const std::array<std::int64_t, 4>& v) {
    return "[" + std::to_string(v[0]) + ", " + std::to_string(v[1]) + ", " + std::to_string(v[2]) + ", " + std::to_string(v[3]) + "]";
}

cudnnStatus_t read_tensor(const Content& from, Tensor& to) {
    if (from.type != CUDNN_BACKEND_TENSOR_DESCRIPTOR) return refuse(CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE, "a descriptor that is no tensor's");
    const auto dims = from.all<std::int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS), strides = from.all<std::int64_t>(CUDNN_ATTR_TENSOR_STRIDES);
    if (dims.size() != 4) return refuse(CUDNN_STATUS_NOT_SUPPORTED_SHAPE, "only tensors of 4 dimensions are emulated");
    if (from.has(CUDNN_ATTR_TENSOR_IS_VIRTUAL) && from.one<bool>(CUDNN_ATTR_TENSOR_IS_VIRTUAL))
        return refuse(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN, "virtual tensors are not emulated");
    if (from.one<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE) != CUDNN_DATA_FLOAT)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE, "only tensors of floats are emulated");
    std::copy(dims.begin(), dims.end(), to.dims.begin());
    std::copy(strides.begin(), strides.end(), to.strides.begin());
    const auto [n, c, h, w] = to.dims;
    const std::array<std::int64_t, 4> channels_last{c * h * w, 1, c * w, c}, channels_first{c * h * w, h * w, w, 1};
    if (to.strides != channels_last && to.strides != channels_first)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED_LAYOUT,
                      "a tensor " + text(to.dims) + " with strides " + text(to.strides) + ", which are those of neither layout");
    to.id = from.one<std::int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID);
    to.alignment = from.one<std::int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
    return CUDNN_STATUS_SUCCESS;
}

struct Names {
    cudnnBackendAttributeName_t x, w, y, convolution, alpha, beta;
};

Names names_of(cudnnBackendDescriptorType_t type) {
    if (type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR)
        return {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
    if (type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR)
        return {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
    return {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
}

double factor(const Content& from, cudnnBackendAttributeName_t name) {
    return from.values.at(name).type == CUDNN_TYPE_DOUBLE ? from.one<double>(name) : static_cast<double>(from.one<float>(name));
}

cudnnStatus_t check_sizes(const Convolution& c) {
    const auto& [x, w, y] = std::tie(c.x.dims, c.w.dims, c.y.dims);
    const std::string all = "x " + text(x) + ", w " + text(w) + ", y " + text(y);
    if (x[1] % w[1] != 0 || w[0] % c.groups() != 0 || y[0] != x[0] || y[1] != w[0])
        return refuse(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "channels or images do not fit: " + all);
    for (std::size_t i = 0; i < 2; ++i) {
        const std::int64_t padded = x[2 + i] + c.before[i] + c.after[i], window = (w[2 + i] - 1) * c.dilation[i] + 1;
        if (padded < window || (padded - window) / c.stride[i] + 1 != y[2 + i])
            return refuse(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "windows do not fit: " + all);
    }
    return CUDNN_STATUS_SUCCESS;
}

/// Calls term(offset in x, in w, in y) for every product that is part of a sum.
template <class Term>
void each_term(const Convolution& c, const Term& term) {
    const auto &x = c.x.dims, &w = c.w.dims, &y = c.y.dims;
    const auto &xs = c.x.strides, &ws = c.w.strides, &ys = c.y.strides;
    const std::int64_t out_group = w[0] / c.groups();
    for (std::int64_t n = 0; n < y[0]; ++n)
        for (std::int64_t p = 0; p < y[2]; ++p)
            for (std::int64_t q = 0; q < y[3]; ++q)
                for (std::int64_t r = 0; r < w[2]; ++r)
                    for (std::int64_t s = 0; s < w[3]; ++s) {
                        const std::int64_t h = p * c.stride[0] - c.before[0] + r * c.dilation[0], v = q * c.stride[1] - c.before[1] + s * c.dilation[1];
                        if (h < 0 || h >= x[2] || v < 0 || v >= x[3]) continue;
                        for (std::int64_t k = 0; k < w[0]; ++k)
                            for (std::int64_t i = 0; i < w[1]; ++i)
                                term(static_cast<std::size_t>(n * xs[0] + (k / out_group * w[1] + i) * xs[1] + h * xs[2] + v * xs[3]),
                                     static_cast<std::size_t>(k * ws[0] + i * ws[1] + r * ws[2] + s * ws[3]),
                                     static_cast<std::size_t>(n * ys[0] + k * ys[1] + p * ys[2] + q * ys[3]));
                    }
}

void convolve(const Convolution& c, Engine engine, const std::array<float*, 3>& data, std::byte* workspace) {
    std::memset(workspace, 0xff, workspace_of(engine));  // before and after: it belongs to nobody else
    const auto input = [&](const Tensor& t, const float* from) {
        std::vector<double> out(&t == &c.out() ? 0 : t.count());
        for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<double>(engine == Engine::tensor_core ? as_tf32(from[i]) : from[i]);
        return out;
    };
    const std::vector<double> x = input(c.x, data[0]), w = input(c.w, data[1]), y = input(c.y, data[2]);
    std::vector<double> sum(c.out().count());
    switch (c.direction) {
        case Direction::forward:
            each_term(c, [&](std::size_t i, std::size_t j, std::size_t k) { sum[k] += x[i] * w[j]; });
            break;
        case Direction::data:
            each_term(c, [&](std::size_t i, std::size_t j, std::size_t k) { sum[i] += y[k] * w[j]; });
            break;
        case Direction::filter:
            each_term(c, [&](std::size_t i, std::size_t j, std::size_t k) { sum[j] += x[i] * y[k]; });
            break;
    }
    noise().follow();
    float* out = data[c.direction == Direction::forward ? 2 : c.direction == Direction::data ? 0 : 1];
    for (std::size_t i = 0; i < sum.size(); ++i) {
        double value = c.alpha * sum[i];
        if (engine == Engine::nondeterministic) value *= 1 + (static_cast<double>(noise().below(5)) - 2) * 0x1p-23;
        if (c.beta != 0) value += c.beta * static_cast<double>(out[i]);
        out[i] = static_cast<float>(value);
    }
    std::memset(workspace, 0xff, workspace_of(engine));
}

bool overlap(const void* a, std::size_t a_bytes, const void* b, std::size_t b_bytes) {
    const auto x = reinterpret_cast<std::uintptr_t>(a), y = reinterpret_cast<std::uintptr_t>(b);
    return x < y + b_bytes && y < x + a_bytes;
}

}  // namespace

cudnnStatus_t read_convolution(const Content& operation, Convolution& out) {
    const Names names = names_of(operation.type);
    out.direction = operation.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR         ? Direction::forward
                    : operation.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR ? Direction::data
                                                                                                     : Direction::filter;
    if (const auto s = read_tensor(operation.descriptor(names.x), out.x); s != CUDNN_STATUS_SUCCESS) return s;
    if (const auto s = read_tensor(operation.descriptor(names.w), out.w); s != CUDNN_STATUS_SUCCESS) return s;
    if (const auto s = read_tensor(operation.descriptor(names.y), out.y); s != CUDNN_STATUS_SUCCESS) return s;
    if (out.x.id == out.w.id || out.x.id == out.y.id || out.w.id == out.y.id)
        return refuse(CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES, "two tensors of an operation have the same unique id");
    const Content& windows = operation.descriptor(names.convolution);
    if (windows.type != CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR) return refuse(CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE, "a descriptor that is no convolution's");
    const auto pair = [&](cudnnBackendAttributeName_t name) {
        const auto all = windows.all<std::int64_t>(name);
        return std::array<std::int64_t, 2>{all[0], all.back()};
    };
    if (windows.one<std::int64_t>(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS) != 2)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED_SHAPE, "only 2 spatial dimensions are emulated");
    if (windows.one<cudnnConvolutionMode_t>(CUDNN_ATTR_CONVOLUTION_CONV_MODE) != CUDNN_CROSS_CORRELATION)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED, "only cross-correlation is emulated");
    if (windows.one<cudnnDataType_t>(CUDNN_ATTR_CONVOLUTION_COMP_TYPE) != CUDNN_DATA_FLOAT)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE, "only computing in float is emulated");
    out.before = pair(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS), out.after = pair(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS);
    out.stride = pair(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES), out.dilation = pair(CUDNN_ATTR_CONVOLUTION_DILATIONS);
    out.alpha = factor(operation, names.alpha), out.beta = factor(operation, names.beta);
    return check_sizes(out);
}

cudnnStatus_t execute(cudnnHandle_t handle, const Content& plan, const Content& pack, cudnnBackendDescriptor_t descriptor) {
    const Convolution& c = *plan.convolution;
    const auto ids = pack.all<std::int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    const auto pointers = pack.all<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    std::array<float*, 3> data{};
    const Tensor* tensors[] = {&c.x, &c.w, &c.y};
    const void* found[3] = {};
    for (std::size_t t = 0; t < 3; ++t) {
        const auto named = [&](const std::string& what) {
            return "the tensor with unique id " + std::to_string(tensors[t]->id) + ", " + text(tensors[t]->dims) + ", " + what;
        };
        std::size_t at = 0;
        while (at < ids.size() && ids[at] != tensors[t]->id) ++at;
        if (at == ids.size()) return refuse(CUDNN_STATUS_BAD_PARAM, named("is missing in the variant pack"));
        const std::size_t bytes = tensors[t]->count() * sizeof(float), there = bytes_behind(pointers[at]);
        if (there < bytes)
            return refuse(CUDNN_STATUS_BAD_PARAM, named("is at " + hexadecimal(pointers[at]) + ", where the device has " + std::to_string(there) +
                                                        " bytes of " + std::to_string(bytes)));
        if (reinterpret_cast<std::uintptr_t>(pointers[at]) % static_cast<std::uintptr_t>(tensors[t]->alignment) != 0)
            return refuse(CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER,
                          named("is not aligned to the " + std::to_string(tensors[t]->alignment) + " bytes of its descriptor"));
        found[t] = pointers[at], data[t] = static_cast<float*>(back(pointers[at]));
    }
    const std::size_t out = c.direction == Direction::forward ? 2 : c.direction == Direction::data ? 0 : 1;
    for (std::size_t t = 0; t < 3; ++t)
        if (t != out && overlap(found[t], tensors[t]->count() * sizeof(float), found[out], tensors[out]->count() * sizeof(float)))
            return refuse(CUDNN_STATUS_BAD_PARAM, "the result of a convolution overlaps with what it is made of");
    void* workspace = pack.has(CUDNN_ATTR_VARIANT_PACK_WORKSPACE) ? pack.one<void*>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE) : nullptr;
    if (bytes_behind(workspace) < workspace_of(plan.engine) || reinterpret_cast<std::uintptr_t>(workspace) % 16 != 0)
        return refuse(CUDNN_STATUS_BAD_PARAM, "a workspace of " + std::to_string(workspace_of(plan.engine)) + " bytes is needed");
    const auto queue = emulated::stream_of(stream_of(handle));
    if (queue == nullptr) return refuse(CUDNN_STATUS_BAD_PARAM_STREAM_MISMATCH, "the stream of the handle has been destroyed");
    ++counters().convolutions;
    counters().noted_convolutions += plan.engine == Engine::noted;
    push(queue, {[convolution = plan.convolution, engine = plan.engine, data, workspace = static_cast<std::byte*>(back(workspace))] {
                     convolve(*convolution, engine, data, workspace);
                 },
                 {},
                 descriptor});
    return CUDNN_STATUS_SUCCESS;
}

}  // namespace emulated::dnn
