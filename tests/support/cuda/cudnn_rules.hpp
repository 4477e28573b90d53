// SPDX-License-Identifier: MIT
// The attributes that can be set in each descriptor of cuDNN's graph interface, as far as it is emulated.
#pragma once

#include <cudnn.h>

#include <cstddef>
#include <cstdint>

namespace emulated::dnn {

struct Rule {
    cudnnBackendDescriptorType_t descriptor;
    cudnnBackendAttributeName_t name;
    cudnnBackendAttributeType_t type;  ///< float stands for double too
    std::int64_t most;                 ///< elements
    bool required = true;
};

/// Bytes of an element of an attribute.
constexpr std::size_t bytes_of(cudnnBackendAttributeType_t type) {
    switch (type) {
        case CUDNN_TYPE_BOOLEAN:
            return sizeof(bool);
        case CUDNN_TYPE_HANDLE:
        case CUDNN_TYPE_INT64:
        case CUDNN_TYPE_DOUBLE:
        case CUDNN_TYPE_VOID_PTR:
        case CUDNN_TYPE_BACKEND_DESCRIPTOR:
            return 8;
        default:
            return 4;  // floats and enumerations
    }
}

namespace rule {

inline constexpr auto tensor = CUDNN_BACKEND_TENSOR_DESCRIPTOR;
inline constexpr auto windows = CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR;
inline constexpr auto forward = CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;
inline constexpr auto data = CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR;
inline constexpr auto filter = CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR;
inline constexpr auto graph = CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR;
inline constexpr auto heuristics = CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR;
inline constexpr auto engine = CUDNN_BACKEND_ENGINE_DESCRIPTOR;
inline constexpr auto config = CUDNN_BACKEND_ENGINECFG_DESCRIPTOR;
inline constexpr auto plan = CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR;
inline constexpr auto pack = CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR;

inline constexpr auto descriptor = CUDNN_TYPE_BACKEND_DESCRIPTOR;
inline constexpr auto integer = CUDNN_TYPE_INT64;
inline constexpr auto number = CUDNN_TYPE_FLOAT;
inline constexpr auto data_type = CUDNN_TYPE_DATA_TYPE;

}  // namespace rule

inline constexpr Rule rules[] = {
    {rule::tensor, CUDNN_ATTR_TENSOR_DATA_TYPE, rule::data_type, 1},
    {rule::tensor, CUDNN_ATTR_TENSOR_DIMENSIONS, rule::integer, 8},
    {rule::tensor, CUDNN_ATTR_TENSOR_STRIDES, rule::integer, 8},
    {rule::tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, rule::integer, 1},
    {rule::tensor, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, rule::integer, 1},
    {rule::tensor, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, false},

    {rule::windows, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, rule::data_type, 1},
    {rule::windows, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1},
    {rule::windows, CUDNN_ATTR_CONVOLUTION_DILATIONS, rule::integer, 6},
    {rule::windows, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, rule::integer, 6},
    {rule::windows, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, rule::integer, 6},
    {rule::windows, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, rule::integer, 6},
    {rule::windows, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, rule::integer, 1},

    {rule::forward, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, rule::descriptor, 1},
    {rule::forward, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, rule::descriptor, 1},
    {rule::forward, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, rule::descriptor, 1},
    {rule::forward, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, rule::descriptor, 1},
    {rule::forward, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, rule::number, 1},
    {rule::forward, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, rule::number, 1},

    {rule::data, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, rule::descriptor, 1},
    {rule::data, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, rule::descriptor, 1},
    {rule::data, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, rule::descriptor, 1},
    {rule::data, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, rule::descriptor, 1},
    {rule::data, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, rule::number, 1},
    {rule::data, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, rule::number, 1},

    {rule::filter, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, rule::descriptor, 1},
    {rule::filter, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, rule::descriptor, 1},
    {rule::filter, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, rule::descriptor, 1},
    {rule::filter, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, rule::descriptor, 1},
    {rule::filter, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, rule::number, 1},
    {rule::filter, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, rule::number, 1},

    {rule::graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, rule::descriptor, 100},
    {rule::graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1},

    {rule::heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, rule::descriptor, 1},
    {rule::heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1},

    {rule::engine, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, rule::descriptor, 1},
    {rule::engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, rule::integer, 1},

    {rule::config, CUDNN_ATTR_ENGINECFG_ENGINE, rule::descriptor, 1},

    {rule::plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, rule::descriptor, 1},
    {rule::plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1},

    {rule::pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, rule::integer, 1000},
    {rule::pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 1000},
    {rule::pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, false},
};

}  // namespace emulated::dnn
