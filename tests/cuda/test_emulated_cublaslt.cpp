// SPDX-License-Identifier: MIT
// The emulated cuBLASLt multiplies as the real one, and refuses what the real one refuses or gets wrong.
#include <cublasLt.h>

#include <cstring>
#include <limits>

#include "emulated_check.hpp"

using namespace emulated_check;

namespace {

/// D = alpha op(A) op(B) + beta C, with everything that can be got wrong to be changed.
struct Product {
    std::size_t m = 5, n = 3, k = 4;
    bool ta = false, tb = false, with_bias = false;
    float alpha = 1, beta = 0;
    cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
    std::size_t pad = 0;    // by which leading dimensions exceed the rows
    std::size_t shift = 0;  // floats by which A begins behind an aligned address
    std::uint32_t alignment_of_a = 256;
    std::uint64_t may_use = 1 << 20;            // bytes of workspace
    std::size_t has = 1 << 20, says = 1 << 20;  // bytes that there are, and that are told of
    Floats a, b, c, bias;

    Product() : a(small_integers(200, 1)), b(small_integers(200, 2)), c(small_integers(200, 3)), bias(small_integers(20, 4)) {}

    std::size_t lda() const { return (ta ? k : m) + pad; }
    std::size_t ldb() const { return (tb ? n : k) + pad; }
    std::size_t ldc() const { return m + pad; }

    double exact(std::size_t i, std::size_t j) const {
        double sum = 0;
        for (std::size_t l = 0; l < k; ++l)
            sum += static_cast<double>(ta ? a[i * lda() + l] : a[l * lda() + i]) * static_cast<double>(tb ? b[l * ldb() + j] : b[j * ldb() + l]);
        return static_cast<double>(alpha) * sum + (beta != 0 ? static_cast<double>(beta) * static_cast<double>(c[j * ldc() + i]) : 0) +
               (with_bias ? static_cast<double>(bias[i]) : 0);
    }
};

struct Descriptors {
    cublasLtHandle_t handle{};
    cublasLtMatmulDesc_t operation{};
    cublasLtMatrixLayout_t a{}, b{}, d{};
    cublasLtMatmulPreference_t preference{};

    explicit Descriptors(const Product& p) {
        REQUIRE(cublasLtCreate(&handle) == CUBLAS_STATUS_SUCCESS);
        REQUIRE(cublasLtMatmulDescCreate(&operation, p.compute, CUDA_R_32F) == CUBLAS_STATUS_SUCCESS);
        const cublasOperation_t ops[] = {p.ta ? CUBLAS_OP_T : CUBLAS_OP_N, p.tb ? CUBLAS_OP_T : CUBLAS_OP_N};
        CHECK(cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSA, &ops[0], sizeof ops[0]) == CUBLAS_STATUS_SUCCESS);
        CHECK(cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSB, &ops[1], sizeof ops[1]) == CUBLAS_STATUS_SUCCESS);
        CHECK(cublasLtMatrixLayoutCreate(&a, CUDA_R_32F, p.ta ? p.k : p.m, p.ta ? p.m : p.k, static_cast<std::int64_t>(p.lda())) == CUBLAS_STATUS_SUCCESS);
        CHECK(cublasLtMatrixLayoutCreate(&b, CUDA_R_32F, p.tb ? p.n : p.k, p.tb ? p.k : p.n, static_cast<std::int64_t>(p.ldb())) == CUBLAS_STATUS_SUCCESS);
        CHECK(cublasLtMatrixLayoutCreate(&d, CUDA_R_32F, p.m, p.n, static_cast<std::int64_t>(p.ldc())) == CUBLAS_STATUS_SUCCESS);
        CHECK(cublasLtMatmulPreferenceCreate(&preference) == CUBLAS_STATUS_SUCCESS);
        CHECK(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &p.may_use, 8) == CUBLAS_STATUS_SUCCESS);
        CHECK(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &p.alignment_of_a, 4) == CUBLAS_STATUS_SUCCESS);
    }
    ~Descriptors() {
        cublasLtMatmulPreferenceDestroy(preference);
        for (const auto layout : {a, b, d}) cublasLtMatrixLayoutDestroy(layout);
        cublasLtMatmulDescDestroy(operation);
        cublasLtDestroy(handle);
    }
    Descriptors(const Descriptors&) = delete;
    Descriptors& operator=(const Descriptors&) = delete;

    void bias(const float* vector) const {
        const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
        CHECK(cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue) == CUBLAS_STATUS_SUCCESS);
        CHECK(cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &vector, sizeof vector) == CUBLAS_STATUS_SUCCESS);
    }
    cublasStatus_t find(cublasLtMatmulHeuristicResult_t& out) const {
        int found = 0;
        const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(handle, operation, a, b, d, d, preference, 1, &out, &found);
        CHECK(found == (status == CUBLAS_STATUS_SUCCESS ? 1 : 0));
        return status;
    }
};

/// Runs a product; D starts as C where beta is not 0, and not as numbers elsewhere.
cublasStatus_t run(const Product& p, Floats* out = nullptr) {
    const Descriptors with(p);
    const Device<float> a(p.a), b(p.b), d(p.beta != 0 ? p.c : Floats(p.c.size(), std::numeric_limits<float>::quiet_NaN())), bias(p.bias);
    const Device<std::byte> workspace(p.has);
    if (p.with_bias) with.bias(bias.data());
    cublasLtMatmulHeuristicResult_t found{};
    if (const cublasStatus_t status = with.find(found); status != CUBLAS_STATUS_SUCCESS) return status;
    const cublasStatus_t status = cublasLtMatmul(with.handle, with.operation, &p.alpha, a.data() + p.shift, with.a, b.data(), with.b, &p.beta, d.data(), with.d,
                                                 d.data(), with.d, &found.algo, workspace.data(), p.says, nullptr);
    if (out != nullptr) *out = d.get();
    return status;
}

void check_product(const Product& p) {
    Floats got;
    REQUIRE(run(p, &got) == CUBLAS_STATUS_SUCCESS);
    for (std::size_t j = 0; j < p.n; ++j)
        for (std::size_t i = 0; i < p.m; ++i) CHECK(got[j * p.ldc() + i] == static_cast<float>(p.exact(i, j)));
}

}  // namespace

TEST_CASE("cuBLASLt: products in all combinations") {
    const Fresh fresh;
    for (const bool ta : {false, true})
        for (const bool tb : {false, true})
            for (const bool bias : {false, true})
                for (const float beta : {0.0f, 1.0f, -0.5f})
                    for (const std::size_t pad : {std::size_t(0), std::size_t(3)}) {
                        Product p;
                        p.ta = ta, p.tb = tb, p.with_bias = bias, p.beta = beta, p.pad = pad, p.alpha = beta == 1.0f ? 1.0f : 2.0f;
                        CAPTURE(ta);
                        CAPTURE(tb);
                        CAPTURE(bias);
                        CAPTURE(beta);
                        check_product(p);
                    }
    CHECK(emulated::counters().matmuls == 48);
}

TEST_CASE("cuBLASLt: TF32 rounds what is multiplied, ordinary products round the sum once") {
    const Fresh fresh;
    Product p;
    p.m = p.n = 1, p.k = 4;
    p.a = {1 + 0x1p-11f, 1 + 2 * 0x1p-11f, 1 + 3 * 0x1p-11f, 1 + 5 * 0x1p-11f}, p.b = {1, 1, 1, 1};
    Floats got;
    REQUIRE(run(p, &got) == CUBLAS_STATUS_SUCCESS);
    CHECK(got[0] == 4 + 11 * 0x1p-11f);
    p.compute = CUBLAS_COMPUTE_32F_FAST_TF32;
    REQUIRE(run(p, &got) == CUBLAS_STATUS_SUCCESS);
    CHECK(got[0] == 4 + (0 + 2 + 4 + 4) * 0x1p-11f);  // ties go to even
    p.a = {1, 0x1p-24f, 0x1p-24f, 0};
    REQUIRE(run(p, &got) == CUBLAS_STATUS_SUCCESS);
    CHECK(got[0] == 1 + 0x1p-23f);
}

TEST_CASE("cuBLASLt: what does not fit is refused") {
    const Fresh fresh;
    const auto refused = [](const Product& p, const char* sentence) {
        CHECK(run(p) == CUBLAS_STATUS_INVALID_VALUE);
        CHECK(contains(emulated::last_sentence(), sentence));
    };
    Product p;
    p.shift = 1;
    refused(p, "A, 0x");
    CHECK(contains(emulated::last_sentence(), "is not aligned to the 256 bytes that the heuristics were told of"));
    p.alignment_of_a = 4;
    CHECK(run(p) == CUBLAS_STATUS_SUCCESS);
    p.shift = 181;
    refused(p, "A, 0x");
    CHECK(contains(emulated::last_sentence(), "has 76 bytes on the device, and 80 are needed"));
    p = Product();
    p.pad = static_cast<std::size_t>(-1);  // leading dimensions one less than the rows
    refused(p, "the leading dimension is less than the rows");
    p = Product();
    p.has = 4000;
    refused(p, "a workspace of 4096 bytes is needed");
    p.has = 5000, p.says = 4000;
    refused(p, "a workspace of 4096 bytes is needed");
    p.may_use = 0;
    check_product(p);
}

TEST_CASE("cuBLASLt: an algorithm serves what it was made for, and its workspace is overwritten") {
    const Fresh fresh;
    Product p, other;
    other.tb = true, other.n = 4;
    const Descriptors with(p), with_other(other);
    const Device<float> a(p.a), b(p.b), d(200), work(Floats(2048, 1));
    cublasLtMatmulHeuristicResult_t found{}, found_other{};
    REQUIRE(with.find(found) == CUBLAS_STATUS_SUCCESS);
    REQUIRE(with_other.find(found_other) == CUBLAS_STATUS_SUCCESS);
    CHECK(found.workspaceSize == 4096);
    const auto multiply = [&](const cublasLtMatmulAlgo_t* algorithm, const float* c, void* workspace, const void* alpha) {
        return cublasLtMatmul(with.handle, with.operation, alpha, a.data(), with.a, b.data(), with.b, &p.beta, c, with.d, d.data(), with.d, algorithm,
                              workspace, 4096, nullptr);
    };
    CHECK(multiply(&found.algo, d.data(), work.data(), &p.alpha) == CUBLAS_STATUS_SUCCESS);
    CHECK(d.get()[0] == static_cast<float>(p.exact(0, 0)));
    const Floats left = work.get();
    CHECK((std::isnan(left[0]) && std::isnan(left[1023]) && left[1024] == 1));
    CHECK(multiply(&found_other.algo, d.data(), work.data(), &p.alpha) == CUBLAS_STATUS_INVALID_VALUE);
    CHECK(contains(emulated::last_sentence(), "other sizes"));
    const cublasLtMatmulAlgo_t none{};
    CHECK(multiply(&none, d.data(), work.data(), &p.alpha) == CUBLAS_STATUS_INVALID_VALUE);
    CHECK(contains(emulated::last_sentence(), "an algorithm that the heuristics did not give"));
    CHECK(multiply(&found.algo, d.data() + 1, work.data(), &p.alpha) == CUBLAS_STATUS_INVALID_VALUE);
    CHECK(multiply(&found.algo, d.data(), nullptr, &p.alpha) == CUBLAS_STATUS_INVALID_VALUE);
    CHECK(multiply(&found.algo, d.data(), work.data(), a.data()) == CUBLAS_STATUS_INVALID_VALUE);
    CHECK(multiply(nullptr, nullptr, nullptr, &p.alpha) == CUBLAS_STATUS_SUCCESS);
    // A matrix as workspace is lost.
    CHECK(multiply(&found.algo, d.data(), a.data(), &p.alpha) == CUBLAS_STATUS_INVALID_VALUE);  // too small
    CHECK(cublasLtMatmul(with.handle, with_other.operation, &p.alpha, a.data(), with.a, b.data(), with.b, &p.beta, d.data(), with.d, d.data(), with.d, nullptr,
                         nullptr, 0, nullptr) == CUBLAS_STATUS_INVALID_VALUE);
    CHECK(contains(emulated::last_sentence(), "sizes do not fit: A [5, 4], leading dimension 5; B [4, 3], leading dimension 4, transposed"));
    Product longer;
    longer.k = 5;
    const Descriptors with_longer(longer);
    CHECK(cublasLtMatmul(with.handle, with.operation, &p.alpha, a.data(), with.a, b.data(), with_longer.b, &p.beta, d.data(), with.d, d.data(), with.d, nullptr,
                         nullptr, 0, nullptr) == CUBLAS_STATUS_INVALID_VALUE);
    std::uint64_t wrong = 0;
    CHECK(cublasLtMatmulDescSetAttribute(with.operation, CUBLASLT_MATMUL_DESC_TRANSA, &wrong, sizeof wrong) == CUBLAS_STATUS_INVALID_VALUE);
}

TEST_CASE("cuBLASLt: late products are queued, and no device or no algorithm is said") {
    const Fresh fresh;
    emulated::settings().pace = Pace::late;
    const Product p;
    {
        const Descriptors with(p);
        const Device<float> a(p.a), b(p.b);
        float* pinned = nullptr;
        REQUIRE(cudaMallocHost(reinterpret_cast<void**>(&pinned), 800) == cudaSuccess);
        pinned[0] = 0;
        const Device<float> d(200);
        cudaStream_t stream{};
        REQUIRE(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
        REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
        REQUIRE(cublasLtMatmul(with.handle, with.operation, &p.alpha, a.data(), with.a, b.data(), with.b, &p.beta, d.data(), with.d, d.data(), with.d, nullptr,
                               nullptr, 0, stream) == CUBLAS_STATUS_SUCCESS);
        REQUIRE(cudaMemcpyAsync(pinned, d.data(), 800, cudaMemcpyDeviceToHost, stream) == cudaSuccess);
        CHECK(pinned[0] == 0);
        REQUIRE(cudaStreamSynchronize(stream) == cudaSuccess);
        CHECK(pinned[0] == static_cast<float>(p.exact(0, 0)));
        CHECK(cudaStreamDestroy(stream) == cudaSuccess);
        CHECK(cudaFreeHost(pinned) == cudaSuccess);
        emulated::settings().no_algorithms = true;
        cublasLtMatmulHeuristicResult_t found{};
        CHECK(with.find(found) == CUBLAS_STATUS_NOT_SUPPORTED);
    }
    emulated::settings().devices = 0;
    cublasLtHandle_t handle{};
    CHECK(cublasLtCreate(&handle) == CUBLAS_STATUS_NOT_INITIALIZED);
}
