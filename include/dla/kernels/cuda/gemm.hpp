// SPDX-License-Identifier: MIT
// Matrix products of Cuda<float>, by cuBLASLt.
#pragma once

#include <dla/kernels/cuda/kept.hpp>
#include <dla/kernels/cuda/launch.hpp>
#include <dla/kernels/cuda/shared_library.hpp>

#include <cublasLt.h>

#include <optional>

namespace dla::cuda {

/// What is called of cuBLASLt, opened when the first model is made.
struct CublasLt {
    SharedLibrary library{"libcublasLt.so", CUBLAS_VER_MAJOR};
    decltype(&::cublasLtCreate) cublasLtCreate = library.find("cublasLtCreate");
    decltype(&::cublasLtGetStatusString) cublasLtGetStatusString = library.find("cublasLtGetStatusString");
    decltype(&::cublasLtGetVersion) cublasLtGetVersion = library.find("cublasLtGetVersion");
    decltype(&::cublasLtMatmul) cublasLtMatmul = library.find("cublasLtMatmul");
    decltype(&::cublasLtMatmulAlgoGetHeuristic) cublasLtMatmulAlgoGetHeuristic = library.find("cublasLtMatmulAlgoGetHeuristic");
    decltype(&::cublasLtMatmulDescCreate) cublasLtMatmulDescCreate = library.find("cublasLtMatmulDescCreate");
    decltype(&::cublasLtMatmulDescDestroy) cublasLtMatmulDescDestroy = library.find("cublasLtMatmulDescDestroy");
    decltype(&::cublasLtMatmulDescSetAttribute) cublasLtMatmulDescSetAttribute = library.find("cublasLtMatmulDescSetAttribute");
    decltype(&::cublasLtMatmulPreferenceCreate) cublasLtMatmulPreferenceCreate = library.find("cublasLtMatmulPreferenceCreate");
    decltype(&::cublasLtMatmulPreferenceDestroy) cublasLtMatmulPreferenceDestroy = library.find("cublasLtMatmulPreferenceDestroy");
    decltype(&::cublasLtMatmulPreferenceSetAttribute) cublasLtMatmulPreferenceSetAttribute = library.find("cublasLtMatmulPreferenceSetAttribute");
    decltype(&::cublasLtMatrixLayoutCreate) cublasLtMatrixLayoutCreate = library.find("cublasLtMatrixLayoutCreate");
    decltype(&::cublasLtMatrixLayoutDestroy) cublasLtMatrixLayoutDestroy = library.find("cublasLtMatrixLayoutDestroy");
};
inline const CublasLt& cublaslt() {
    static const CublasLt& functions = *new CublasLt;
    return functions;
}

/// Throws Error(device) unless a call of cuBLASLt succeeded.
inline void check(cublasStatus_t status, const char* call) {
    if (status != CUBLAS_STATUS_SUCCESS) fail(ErrorCode::device, call, cublaslt().cublasLtGetStatusString(status));
}

/// What cuBLASLt makes, and the function that ends it.
template <class T, auto Destroy>
class LtObject {
public:
    LtObject() = default;
    LtObject(const LtObject&) = delete;
    LtObject& operator=(const LtObject&) = delete;
    ~LtObject() {
        if (object_ != nullptr) (void)(cublaslt().*Destroy)(object_);
    }
    T* out() { return &object_; }
    operator T() const { return object_; }

private:
    T object_ = nullptr;
};
using LtProduct = LtObject<cublasLtMatmulDesc_t, &CublasLt::cublasLtMatmulDescDestroy>;
using LtLayout = LtObject<cublasLtMatrixLayout_t, &CublasLt::cublasLtMatrixLayoutDestroy>;
using LtPreference = LtObject<cublasLtMatmulPreference_t, &CublasLt::cublasLtMatmulPreferenceDestroy>;

/// The products of one device: which algorithm computes which, as cuBLASLt advises when it is first asked.
class Products {
public:
    static Products& of(Queue& queue) { return once_for_device<Products>(queue); }
    explicit Products(Queue& queue) : queue_(queue) {
        queue.use();
        check(cublaslt().cublasLtCreate(&handle_), "cublasLtCreate");
    }

    /// C = op(A) op(B) + beta C + bias; see the contract. False, and nothing is done, where cuBLASLt has no algorithm that adds the bias as well; of the
    /// product alone that is an error. requires: m, n and k are not 0
    bool run(const GemmDims& d, bool tf32, const float* a, const float* b, const float* bias, float beta, float* c) {
        if (bias != nullptr && alignment_of(bias, 16) < 16) return false;  // which no preference tells cuBLASLt
        const std::lock_guard lock(queue_.mutex());
        queue_.use();
        // cuBLASLt's matrices have columns next to each other: to it ours are transposed, and C^T = op(B)^T op(A)^T.
        LtProduct product;
        check(cublaslt().cublasLtMatmulDescCreate(product.out(), tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
              "cublasLtMatmulDescCreate");
        set(product, CUBLASLT_MATMUL_DESC_TRANSA, d.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
        set(product, CUBLASLT_MATMUL_DESC_TRANSB, d.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
        if (bias != nullptr) {
            set(product, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
            set(product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
        }
        LtLayout first, second, result;
        create(first, d.transpose_b ? d.k : d.n, d.transpose_b ? d.n : d.k);
        create(second, d.transpose_a ? d.m : d.k, d.transpose_a ? d.k : d.m);
        create(result, d.n, d.m);

        const Key key{d.m,
                      d.n,
                      d.k,
                      (d.transpose_a ? 1 : 0) | (d.transpose_b ? 2 : 0) | (bias != nullptr ? 4 : 0) | (beta != 0 ? 8 : 0) | (tf32 ? 16 : 0),
                      alignment_of(b, 256),
                      alignment_of(a, 256),
                      alignment_of(c, 256)};
        const auto* found = algorithms_.find(key);
        if (found == nullptr) found = &algorithms_.keep(key, advice(key, product, first, second, result), [] {});
        if (!*found) {
            if (bias != nullptr) return false;
            fail(ErrorCode::device, "cuBLASLt", text("has no algorithm for a product of [", d.m, ", ", d.k, "] and [", d.k, ", ", d.n, "] in float").view());
        }
        const float one = 1;
        check(cublaslt().cublasLtMatmul(handle_, product, &one, b, first, a, second, &beta, c, result, c, result, &**found, queue_.workspace(), workspace_bytes,
                                        queue_.stream()),
              "cublasLtMatmul");
        return true;
    }
    std::size_t kept() const { return algorithms_.size(); }

private:
    static constexpr std::size_t workspace_bytes = static_cast<std::size_t>(Queue::usual_workspace);
    /// All that an algorithm may depend on.
    struct Key {
        index_t m, n, k;
        int options;
        std::uint32_t b_alignment, a_alignment, c_alignment;
        auto operator<=>(const Key&) const = default;
    };

    template <class V>
    static void set(const LtProduct& product, cublasLtMatmulDescAttributes_t attribute, const V& value) {
        check(cublaslt().cublasLtMatmulDescSetAttribute(product, attribute, &value, sizeof value), "cublasLtMatmulDescSetAttribute");
    }
    template <class V>
    static void set(const LtPreference& preference, cublasLtMatmulPreferenceAttributes_t attribute, const V& value) {
        check(cublaslt().cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value), "cublasLtMatmulPreferenceSetAttribute");
    }
    static void create(LtLayout& layout, index_t rows, index_t columns) {
        check(cublaslt().cublasLtMatrixLayoutCreate(layout.out(), CUDA_R_32F, static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(columns), rows),
              "cublasLtMatrixLayoutCreate");
    }
    std::optional<cublasLtMatmulAlgo_t> advice(const Key& key, const LtProduct& product, const LtLayout& first, const LtLayout& second,
                                               const LtLayout& result) {
        LtPreference preference;
        check(cublaslt().cublasLtMatmulPreferenceCreate(preference.out()), "cublasLtMatmulPreferenceCreate");
        set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_bytes);
        set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key.b_alignment);
        set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key.a_alignment);
        set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key.c_alignment);
        set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key.c_alignment);
        std::array<cublasLtMatmulHeuristicResult_t, 8> results{};
        int count = 0;
        const cublasStatus_t status = cublaslt().cublasLtMatmulAlgoGetHeuristic(handle_, product, first, second, result, result, preference,
                                                                                static_cast<int>(results.size()), results.data(), &count);
        if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE) return std::nullopt;
        check(status, "cublasLtMatmulAlgoGetHeuristic");
        for (int i = 0; i < count; ++i)
            if (results[static_cast<std::size_t>(i)].state == CUBLAS_STATUS_SUCCESS) return results[static_cast<std::size_t>(i)].algo;
        return std::nullopt;
    }

    Queue& queue_;
    cublasLtHandle_t handle_ = nullptr;
    Kept<Key, std::optional<cublasLtMatmulAlgo_t>> algorithms_;
};

}  // namespace dla::cuda

namespace dla {

inline index_t gemm_scratch(const Cuda<float>&, const GemmDims&) { return 0; }
inline void gemm(const Cuda<float>& p, detail::DeviceScratch, const GemmDims& d, detail::ConstDeviceFloats a, detail::ConstDeviceFloats b,
                 detail::ConstDeviceFloats bias, float beta, detail::DeviceFloats c) {
    if (d.m * d.n == 0) return;
    const auto bias_rows = [&](float factor) { cuda::launch(p, cuda::kernels::bias_rows, cuda::Blocks::over(d.m * d.n), d.m, d.n, factor, bias, c); };
    if (d.k == 0) return bias_rows(beta);
    cuda::Products& products = cuda::Products::of(p.queue());
    if (products.run(d, p.tf32, a.address(), b.address(), bias.address(), beta, c.address())) return;
    products.run(d, p.tf32, a.address(), b.address(), nullptr, beta, c.address());
    bias_rows(1);
}

}  // namespace dla
