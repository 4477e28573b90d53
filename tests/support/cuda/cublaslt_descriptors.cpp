// SPDX-License-Identifier: MIT
// Making, changing and destroying the descriptors of cuBLASLt on the emulated device.
#include <cstring>

#include "cublaslt.hpp"

namespace {

using emulated::Call;
using namespace emulated::lt;

template <class T>
cublasStatus_t assign(T& member, const void* from, std::size_t bytes) {
    if (from == nullptr || bytes != sizeof member)
        return invalid("an attribute of " + std::to_string(sizeof member) + " bytes is set with " + std::to_string(bytes));
    std::memcpy(&member, from, sizeof member);
    return CUBLAS_STATUS_SUCCESS;
}

template <class Struct, class Handle>
cublasStatus_t create(Handle* handle, const Struct& with) {
    if (handle == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    *handle = new Struct(with);
    return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

struct cublasLtContext {};

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* lightHandle) {
    const Call call;
    if (lightHandle == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    if (emulated::device_state() != cudaSuccess) return CUBLAS_STATUS_NOT_INITIALIZED;
    *lightHandle = new cublasLtContext;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t lightHandle) { return delete lightHandle, CUBLAS_STATUS_SUCCESS; }
size_t cublasLtGetVersion() { return 130100; }

const char* cublasLtGetStatusName(cublasStatus_t status) {
    switch (status) {
        case CUBLAS_STATUS_SUCCESS:
            return "CUBLAS_STATUS_SUCCESS";
        case CUBLAS_STATUS_NOT_INITIALIZED:
            return "CUBLAS_STATUS_NOT_INITIALIZED";
        case CUBLAS_STATUS_INVALID_VALUE:
            return "CUBLAS_STATUS_INVALID_VALUE";
        case CUBLAS_STATUS_NOT_SUPPORTED:
            return "CUBLAS_STATUS_NOT_SUPPORTED";
        default:
            return "CUBLAS_STATUS_UNKNOWN";
    }
}
const char* cublasLtGetStatusString(cublasStatus_t status) { return cublasLtGetStatusName(status); }

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* matmulDesc, cublasComputeType_t computeType, cudaDataType_t scaleType) {
    Matmul made;
    made.compute = computeType, made.scale = scaleType;
    return create(matmulDesc, made);
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t matmulDesc) { return delete static_cast<Matmul*>(matmulDesc), CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t matmulDesc, cublasLtMatmulDescAttributes_t attr, const void* buf, size_t sizeInBytes) {
    if (matmulDesc == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    Matmul& op = *static_cast<Matmul*>(matmulDesc);
    switch (attr) {
        case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE:
            return assign(op.compute, buf, sizeInBytes);
        case CUBLASLT_MATMUL_DESC_SCALE_TYPE:
            return assign(op.scale, buf, sizeInBytes);
        case CUBLASLT_MATMUL_DESC_POINTER_MODE:
            return assign(op.pointers, buf, sizeInBytes);
        case CUBLASLT_MATMUL_DESC_TRANSA:
            return assign(op.transa, buf, sizeInBytes);
        case CUBLASLT_MATMUL_DESC_TRANSB:
            return assign(op.transb, buf, sizeInBytes);
        case CUBLASLT_MATMUL_DESC_TRANSC:
            return assign(op.transc, buf, sizeInBytes);
        case CUBLASLT_MATMUL_DESC_EPILOGUE:
            return assign(op.epilogue, buf, sizeInBytes);
        case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
            return assign(op.bias, buf, sizeInBytes);
        case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
            return assign(op.bias_type, buf, sizeInBytes);
        default:
            return invalid("attribute " + std::to_string(static_cast<int>(attr)) + " of a product is not emulated");
    }
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* matLayout, cudaDataType type, uint64_t rows, uint64_t cols, int64_t ld) {
    Layout made;
    made.type = type, made.rows = rows, made.cols = cols, made.ld = ld;
    return create(matLayout, made);
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t matLayout) { return delete static_cast<Layout*>(matLayout), CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t matLayout, cublasLtMatrixLayoutAttribute_t attr, const void* buf, size_t sizeInBytes) {
    if (matLayout == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    Layout& layout = *static_cast<Layout*>(matLayout);
    switch (attr) {
        case CUBLASLT_MATRIX_LAYOUT_TYPE:
            return assign(layout.type, buf, sizeInBytes);
        case CUBLASLT_MATRIX_LAYOUT_ORDER:
            return assign(layout.order, buf, sizeInBytes);
        case CUBLASLT_MATRIX_LAYOUT_ROWS:
            return assign(layout.rows, buf, sizeInBytes);
        case CUBLASLT_MATRIX_LAYOUT_COLS:
            return assign(layout.cols, buf, sizeInBytes);
        case CUBLASLT_MATRIX_LAYOUT_LD:
            return assign(layout.ld, buf, sizeInBytes);
        default:
            return invalid("attribute " + std::to_string(static_cast<int>(attr)) + " of a matrix is not emulated");
    }
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* pref) { return create(pref, Preference{}); }
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t pref) { return delete static_cast<Preference*>(pref), CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t pref, cublasLtMatmulPreferenceAttributes_t attr, const void* buf,
                                                    size_t sizeInBytes) {
    if (pref == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    Preference& p = *static_cast<Preference*>(pref);
    switch (attr) {
        case CUBLASLT_MATMUL_PREF_SEARCH_MODE:
            return assign(p.search, buf, sizeInBytes);
        case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
            return assign(p.workspace, buf, sizeInBytes);
        case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
            return assign(p.reductions, buf, sizeInBytes);
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
            return assign(p.alignment[0], buf, sizeInBytes);
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
            return assign(p.alignment[1], buf, sizeInBytes);
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
            return assign(p.alignment[2], buf, sizeInBytes);
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
            return assign(p.alignment[3], buf, sizeInBytes);
        default:
            return invalid("attribute " + std::to_string(static_cast<int>(attr)) + " of a preference is not emulated");
    }
}

}  // extern "C"
