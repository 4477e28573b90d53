// SPDX-License-Identifier: MIT
// Which attributes the descriptors of cuDNN's graph interface have on the emulated device, and what makes them complete.
#include <algorithm>

#include "cudnn.hpp"
#include "cudnn_rules.hpp"

namespace emulated::dnn {
namespace {

/// Positive, or not negative.
bool at_least(const std::vector<std::int64_t>& values, std::int64_t least) {
    return std::ranges::all_of(values, [&](std::int64_t v) { return v >= least; });
}

cudnnStatus_t finalize_tensor(const Content& c) {
    const auto dims = c.all<std::int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS), strides = c.all<std::int64_t>(CUDNN_ATTR_TENSOR_STRIDES);
    if (dims.size() != strides.size() || !at_least(dims, 1) || !at_least(strides, 1))
        return refuse(CUDNN_STATUS_BAD_PARAM, "a tensor whose dimensions and strides do not fit each other, or are not positive");
    const auto alignment = c.one<std::int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
    if (alignment < 1 || (alignment & (alignment - 1)) != 0) return refuse(CUDNN_STATUS_BAD_PARAM, "an alignment of " + std::to_string(alignment));
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t finalize_windows(const Content& c) {
    const auto dims = static_cast<std::size_t>(c.one<std::int64_t>(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS));
    for (const auto name :
         {CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS}) {
        const auto values = c.all<std::int64_t>(name);
        const bool padding = name == CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS || name == CUDNN_ATTR_CONVOLUTION_POST_PADDINGS;
        if (values.size() != dims || !at_least(values, padding ? 0 : 1))
            return refuse(CUDNN_STATUS_BAD_PARAM,
                          "a convolution with " + std::to_string(values.size()) + " values for " + std::to_string(dims) + " dimensions, or with bad ones");
    }
    return CUDNN_STATUS_SUCCESS;
}

bool is_operation(cudnnBackendDescriptorType_t type) {
    return type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR || type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR ||
           type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR;
}

cudnnStatus_t take(Content& c, cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t type) {
    const Content& from = c.descriptor(name);
    if (from.type != type) return refuse(CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE, "an attribute with a descriptor of another type");
    c.convolution = from.convolution, c.engine = from.engine;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t check_handle(const Content& c, cudnnBackendAttributeName_t name) {
    return is_live(c.one<cudnnHandle_t>(name)) ? CUDNN_STATUS_SUCCESS : refuse(CUDNN_STATUS_BAD_PARAM, "a handle that does not live");
}

}  // namespace

cudnnStatus_t finalize(Content& c) {
    for (const Rule& rule : rules)
        if (rule.descriptor == c.type && rule.required && !c.has(rule.name))
            return refuse(CUDNN_STATUS_BAD_PARAM,
                          "a descriptor of type " + std::to_string(c.type) + " is finalized without its attribute " + std::to_string(rule.name));
    if (is_operation(c.type)) {
        Convolution made;
        const cudnnStatus_t status = read_convolution(c, made);
        if (status == CUDNN_STATUS_SUCCESS) c.convolution = std::make_shared<const Convolution>(made);
        return status;
    }
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    switch (c.type) {
        case CUDNN_BACKEND_TENSOR_DESCRIPTOR:
            return finalize_tensor(c);
        case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR:
            return finalize_windows(c);
        case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR: {
            const auto& operations = c.values.at(CUDNN_ATTR_OPERATIONGRAPH_OPS).contents;
            if (operations.size() != 1 || !is_operation(operations[0]->type))
                return refuse(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN, "only graphs of one convolution are emulated");
            c.convolution = operations[0]->convolution;
            return check_handle(c, CUDNN_ATTR_OPERATIONGRAPH_HANDLE);
        }
        case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
            return take(c, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
        case CUDNN_BACKEND_ENGINE_DESCRIPTOR: {
            status = take(c, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
            const auto index = c.one<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
            if (index < 0 || index >= engines) return refuse(CUDNN_STATUS_BAD_PARAM_OUT_OF_BOUND, "there is no engine " + std::to_string(index));
            c.engine = static_cast<Engine>(index);
            return status;
        }
        case CUDNN_BACKEND_ENGINECFG_DESCRIPTOR:
            return take(c, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
        case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
            status = take(c, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
            if (status == CUDNN_STATUS_SUCCESS) status = check_handle(c, CUDNN_ATTR_EXECUTION_PLAN_HANDLE);
            if (status == CUDNN_STATUS_SUCCESS && c.engine == Engine::plain && settings().plain_engine_fails)
                return refuse(CUDNN_STATUS_NOT_SUPPORTED, "the settings forbid the plain engine");
            return status;
        case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR: {
            auto ids = c.all<std::int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
            if (ids.size() != c.all<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS).size())
                return refuse(CUDNN_STATUS_BAD_PARAM, "a variant pack with another number of pointers than of ids");
            std::ranges::sort(ids);
            if (std::ranges::adjacent_find(ids) != ids.end()) return refuse(CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES, "a variant pack with an id twice");
            return CUDNN_STATUS_SUCCESS;
        }
        default:
            return refuse(CUDNN_STATUS_NOT_SUPPORTED, "a descriptor of this type is not emulated");
    }
}

}  // namespace emulated::dnn
