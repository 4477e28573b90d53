// SPDX-License-Identifier: MIT
// Matrix products of cuBLASLt on the emulated device: column-major floats, a bias, and a refusal of whatever the real one would refuse or get wrong.
#include <bit>
#include <cstring>

#include "cublaslt.hpp"

namespace {

using emulated::Call;
using namespace emulated::lt;

/// What an algorithm was made for, in the 64 bytes that a caller keeps.
struct Algorithm {
    static constexpr uint64_t all = 0x656d756c61746564;
    uint64_t mark, problem, workspace;
    uint32_t alignment[4];
};
static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t));

struct Problem {
    const Matmul* op = nullptr;
    const Layout *a = nullptr, *b = nullptr, *c = nullptr, *d = nullptr;

    std::size_t m() const { return d->rows; }
    std::size_t n() const { return d->cols; }
    std::size_t k() const { return op->transa == CUBLAS_OP_N ? a->cols : a->rows; }
    uint64_t mark() const {
        uint64_t hash = 1469598103934665603u;
        const auto add = [&](uint64_t value) { hash = (hash ^ value) * 1099511628211u, hash ^= hash >> 29; };
        for (const Layout* l : {a, b, c, d}) add(l->rows), add(l->cols), add(static_cast<uint64_t>(l->ld)), add(l->type);
        for (const int32_t value : {op->compute, op->transa, op->transb, static_cast<int32_t>(op->epilogue)}) add(static_cast<uint64_t>(value));
        return hash;
    }
};

constexpr std::size_t workspace_bytes = 4096, workspace_alignment = 16;

std::string text(const Layout& l) { return "[" + std::to_string(l.rows) + ", " + std::to_string(l.cols) + "], leading dimension " + std::to_string(l.ld); }

cublasStatus_t check(const Problem& p) {
    if (!p.op || !p.a || !p.b || !p.c || !p.d) return invalid("a descriptor is null");
    for (const Layout* l : {p.a, p.b, p.c, p.d}) {
        if (l->type != CUDA_R_32F || l->order != CUBLASLT_ORDER_COL) return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "only column-major floats are emulated");
        if (l->rows == 0 || l->cols == 0) return invalid("a matrix is empty: " + text(*l));
        if (l->ld < 0 || static_cast<uint64_t>(l->ld) < l->rows) return invalid("the leading dimension is less than the rows: " + text(*l));
    }
    const bool ta = p.op->transa != CUBLAS_OP_N, tb = p.op->transb != CUBLAS_OP_N;
    const uint64_t inner = tb ? p.b->cols : p.b->rows;
    if ((ta ? p.a->cols : p.a->rows) != p.m() || (tb ? p.b->rows : p.b->cols) != p.n() || inner != p.k() || p.c->rows != p.d->rows || p.c->cols != p.d->cols)
        return invalid("sizes do not fit: A " + text(*p.a) + (ta ? ", transposed" : "") + "; B " + text(*p.b) + (tb ? ", transposed" : "") + "; C " +
                       text(*p.c) + "; D " + text(*p.d));
    if (p.op->transc != CUBLAS_OP_N || p.op->scale != CUDA_R_32F || p.op->bias_type != CUDA_R_32F || p.op->pointers != CUBLASLT_POINTER_MODE_HOST ||
        (p.op->epilogue != CUBLASLT_EPILOGUE_DEFAULT && p.op->epilogue != CUBLASLT_EPILOGUE_BIAS) ||
        (p.op->compute != CUBLAS_COMPUTE_32F && p.op->compute != CUBLAS_COMPUTE_32F_PEDANTIC && p.op->compute != CUBLAS_COMPUTE_32F_FAST_TF32))
        return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "this kind of product is not emulated");
    return CUBLAS_STATUS_SUCCESS;
}

struct Operands {
    const float *a, *b, *c, *bias;
    float* d;
    std::byte* workspace;
    std::size_t workspace_bytes;
    float alpha, beta;
};

/// A matrix, or its transpose, with its elements as doubles, row after row.
std::vector<double> rows_of(const float* x, const Layout& l, bool transposed, bool tf32) {
    std::vector<double> out(l.rows * l.cols);
    for (std::size_t c = 0; c < l.cols; ++c)
        for (std::size_t r = 0; r < l.rows; ++r) {
            const float value = x[c * static_cast<std::size_t>(l.ld) + r];
            out[transposed ? c * l.rows + r : r * l.cols + c] = static_cast<double>(tf32 ? emulated::as_tf32(value) : value);
        }
    return out;
}

/// Sums are made in double and rounded once.
void multiply(const Matmul& op, const Layout& la, const Layout& lb, const Layout& lc, const Layout& ld, const Operands& o) {
    const Problem p{&op, &la, &lb, &lc, &ld};
    const std::size_t m = p.m(), n = p.n(), k = p.k();
    // What is in the workspace afterwards is nobody's business, so it is wrong for whatever else it may be.
    if (o.workspace_bytes > 0) std::memset(o.workspace, 0xff, o.workspace_bytes);
    const bool tf32 = op.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    const std::vector<double> a = rows_of(o.a, la, op.transa != CUBLAS_OP_N, tf32), b = rows_of(o.b, lb, op.transb == CUBLAS_OP_N, tf32);
    for (std::size_t j = 0; j < n; ++j)
        for (std::size_t i = 0; i < m; ++i) {
            double sum = 0;
            for (std::size_t l = 0; l < k; ++l) sum += a[i * k + l] * b[j * k + l];
            sum *= static_cast<double>(o.alpha);
            if (o.beta != 0.0f) sum += static_cast<double>(o.beta) * static_cast<double>(o.c[j * static_cast<std::size_t>(lc.ld) + i]);
            if (o.bias != nullptr) sum += static_cast<double>(o.bias[i]);
            o.d[j * static_cast<std::size_t>(ld.ld) + i] = static_cast<float>(sum);
        }
    if (o.workspace_bytes > 0) std::memset(o.workspace, 0xff, o.workspace_bytes);
}

bool overlap(const void* a, std::size_t a_bytes, const void* b, std::size_t b_bytes) {
    const auto x = reinterpret_cast<std::uintptr_t>(a), y = reinterpret_cast<std::uintptr_t>(b);
    return a_bytes > 0 && b_bytes > 0 && x < y + b_bytes && y < x + a_bytes;
}

}  // namespace

extern "C" {

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t lightHandle, cublasLtMatmulDesc_t operationDesc, cublasLtMatrixLayout_t Adesc,
                                              cublasLtMatrixLayout_t Bdesc, cublasLtMatrixLayout_t Cdesc, cublasLtMatrixLayout_t Ddesc,
                                              cublasLtMatmulPreference_t preference, int requestedAlgoCount,
                                              cublasLtMatmulHeuristicResult_t heuristicResultsArray[], int* returnAlgoCount) {
    const Call call;
    if (lightHandle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (preference == nullptr || requestedAlgoCount < 1 || heuristicResultsArray == nullptr || returnAlgoCount == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    *returnAlgoCount = 0;
    const Problem p{static_cast<Matmul*>(operationDesc), static_cast<Layout*>(Adesc), static_cast<Layout*>(Bdesc), static_cast<Layout*>(Cdesc),
                    static_cast<Layout*>(Ddesc)};
    if (const cublasStatus_t status = check(p); status != CUBLAS_STATUS_SUCCESS) return status;
    if (emulated::settings().no_algorithms) return CUBLAS_STATUS_NOT_SUPPORTED;
    const Preference& wish = *static_cast<Preference*>(preference);
    Algorithm algorithm{Algorithm::all, p.mark(), wish.workspace >= workspace_bytes ? workspace_bytes : 0, {}};
    for (int i = 0; i < 4; ++i) {
        if (!std::has_single_bit(wish.alignment[i]) || wish.alignment[i] < sizeof(float))
            return invalid("an alignment of " + std::to_string(wish.alignment[i]));
        algorithm.alignment[i] = wish.alignment[i];
    }
    heuristicResultsArray[0] = {};
    std::memcpy(&heuristicResultsArray[0].algo, &algorithm, sizeof algorithm);
    heuristicResultsArray[0].workspaceSize = algorithm.workspace;
    heuristicResultsArray[0].wavesCount = 1;
    *returnAlgoCount = 1;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t lightHandle, cublasLtMatmulDesc_t computeDesc, const void* alpha, const void* A, cublasLtMatrixLayout_t Adesc,
                              const void* B, cublasLtMatrixLayout_t Bdesc, const void* beta, const void* C, cublasLtMatrixLayout_t Cdesc, void* D,
                              cublasLtMatrixLayout_t Ddesc, const cublasLtMatmulAlgo_t* algo, void* workspace, size_t workspaceSizeInBytes,
                              cudaStream_t stream) {
    const Call call;
    if (lightHandle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
    const Problem p{static_cast<Matmul*>(computeDesc), static_cast<Layout*>(Adesc), static_cast<Layout*>(Bdesc), static_cast<Layout*>(Cdesc),
                    static_cast<Layout*>(Ddesc)};
    if (const cublasStatus_t status = check(p); status != CUBLAS_STATUS_SUCCESS) return status;
    if (alpha == nullptr || beta == nullptr) return invalid("alpha or beta is null");
    if (emulated::on_device(alpha) || emulated::on_device(beta)) return invalid("alpha and beta are read on the host");
    const auto queue = emulated::stream_of(stream);
    if (queue == nullptr) return invalid("an unknown stream");
    Algorithm algorithm{Algorithm::all, p.mark(), 0, {4, 4, 4, 4}};
    if (algo != nullptr) {
        std::memcpy(&algorithm, algo, sizeof algorithm);
        if (algorithm.mark != Algorithm::all) return invalid("an algorithm that the heuristics did not give");
        if (algorithm.problem != p.mark()) return invalid("an algorithm that was made for other sizes, types or transposes");
    }
    Operands o{};
    std::memcpy(&o.alpha, alpha, sizeof o.alpha);
    std::memcpy(&o.beta, beta, sizeof o.beta);
    const void* pointers[] = {A, B, C, D};
    const Layout* layouts[] = {p.a, p.b, p.c, p.d};
    for (std::size_t i = 0; i < 4; ++i) {
        const auto is = [&](const std::string& what) { return invalid(std::string(1, "ABCD"[i]) + ", " + emulated::hexadecimal(pointers[i]) + ", " + what); };
        if (i == 2 && o.beta == 0.0f && C == nullptr) continue;  // not read
        if (emulated::bytes_behind(pointers[i]) < layouts[i]->bytes())
            return is("has " + std::to_string(emulated::bytes_behind(pointers[i])) + " bytes on the device, and " + std::to_string(layouts[i]->bytes()) +
                      " are needed");
        if (reinterpret_cast<std::uintptr_t>(pointers[i]) % algorithm.alignment[i] != 0)
            return is("is not aligned to the " + std::to_string(algorithm.alignment[i]) + " bytes that the heuristics were told of");
        if (i < 2 && overlap(pointers[i], layouts[i]->bytes(), D, p.d->bytes())) return is("overlaps with D");
    }
    if (C != D && C != nullptr && overlap(C, p.c->bytes(), D, p.d->bytes())) return invalid("C overlaps with D, and is not D");
    if (C == D && p.c->ld != p.d->ld) return invalid("C is D with another leading dimension");
    if (p.op->epilogue == CUBLASLT_EPILOGUE_BIAS) {
        if (emulated::bytes_behind(p.op->bias) < p.m() * sizeof(float) || reinterpret_cast<std::uintptr_t>(p.op->bias) % sizeof(float) != 0)
            return invalid("the bias, " + emulated::hexadecimal(p.op->bias) + ", is no vector of " + std::to_string(p.m()) + " floats on the device");
        o.bias = static_cast<const float*>(emulated::back(p.op->bias));
    }
    if (algorithm.workspace > 0) {
        if (workspaceSizeInBytes < algorithm.workspace || emulated::bytes_behind(workspace) < algorithm.workspace ||
            reinterpret_cast<std::uintptr_t>(workspace) % workspace_alignment != 0)
            return invalid("a workspace of " + std::to_string(algorithm.workspace) + " bytes is needed");
        o.workspace = static_cast<std::byte*>(emulated::back(workspace)), o.workspace_bytes = algorithm.workspace;
    }
    o.a = static_cast<const float*>(emulated::back(A)), o.b = static_cast<const float*>(emulated::back(B)), o.d = static_cast<float*>(emulated::back(D));
    if (C != nullptr) o.c = static_cast<const float*>(emulated::back(C));
    ++emulated::counters().matmuls;
    emulated::push(queue, {[op = *p.op, a = *p.a, b = *p.b, c = *p.c, d = *p.d, o] { multiply(op, a, b, c, d, o); }, {}, nullptr});
    return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
