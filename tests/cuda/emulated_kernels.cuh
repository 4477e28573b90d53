// SPDX-License-Identifier: MIT
// Kernels that do right, and kernels that do each wrong thing which the emulated device is to notice.
#pragma once

extern "C" {

__global__ void __launch_bounds__(256) test_add(int n, const float* a, const float* b, float* y) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n) y[i] = a[i] + b[i];
}

/// Where each thread is, and how many there are.
__global__ void test_places(unsigned* y) {
    const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    y[block * blockDim.x * blockDim.y * blockDim.z + thread] += 1 + block * 1000 + thread;
}

/// Who came when.
__global__ void test_record(int* log) { log[++log[0]] = static_cast<int>(blockIdx.x * 100 + threadIdx.x); }

/// y[b] = sum of the block's x, with barriers or without.
__global__ void test_block_sum(const float* x, float* y, bool barriers) {
    __shared__ float room[128];
    const unsigned t = threadIdx.x;
    room[t] = x[blockIdx.x * blockDim.x + t];
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (barriers) __syncthreads();
        if (t < half) room[t] += room[t + half];
    }
    if (t == 0) y[blockIdx.x] = room[0];
}

/// Writes only half of the room that it reads.
__global__ void test_half_written(float* y) {
    __shared__ float half[64];
    if (threadIdx.x < 32) half[threadIdx.x] = 1;
    __syncthreads();
    y[blockIdx.x * 64 + threadIdx.x] = half[threadIdx.x];
}

__global__ void test_return_before_barrier(float* y) {
    if (threadIdx.x == 3) return;
    __syncthreads();
    y[threadIdx.x] = 1;
}

__global__ void test_two_barriers(float* y) {
    if (threadIdx.x < 16)
        __syncthreads();
    else
        __syncthreads();
    y[threadIdx.x] = 1;
}

__global__ void test_barrier_and_shuffle(float* y) {
    if (threadIdx.x == 5)
        __syncthreads();
    else
        y[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1.0f, 1);
}

__global__ void test_return_before_shuffle(float* y) {
    if (threadIdx.x == 7) return;
    y[threadIdx.x] = __shfl_down_sync(0xffffffffu, 1.0f, 1);
}

__global__ void test_two_shuffles(float* y) {
    if (threadIdx.x % 2 == 0)
        y[threadIdx.x] = __shfl_down_sync(0xffffffffu, 1.0f, 1);
    else
        y[threadIdx.x] = __shfl_up_sync(0xffffffffu, 1.0f, 1);
}

__global__ void test_other_masks(float* y) { y[threadIdx.x] = __shfl_xor_sync(threadIdx.x < 8 ? 0x0000ffffu : 0xffffffffu, 1.0f, 1); }

__global__ void test_mask_without_itself(float* y) { y[threadIdx.x] = __shfl_xor_sync(0xfffffffeu, 1.0f, 1); }

__global__ void test_shuffle_down(float* y, unsigned by) { y[threadIdx.x] = __shfl_down_sync(0xffffffffu, y[threadIdx.x], by); }

/// The four shuffles of a lane's number, in rows.
__global__ void test_shuffles(int* y, int argument, int width) {
    const int me = static_cast<int>(threadIdx.x);
    const unsigned all = 0xffffffffu, by = static_cast<unsigned>(argument);
    y[me] = __shfl_sync(all, me, argument, width);
    y[32 + me] = __shfl_up_sync(all, me, by, width);
    y[64 + me] = __shfl_down_sync(all, me, by, width);
    y[96 + me] = __shfl_xor_sync(all, me, argument, width);
}

__global__ void test_halves(double* y) {
    const unsigned mask = threadIdx.x < 16 ? 0x0000ffffu : 0xffff0000u;
    double sum = threadIdx.x;
    for (int bits = 8; bits > 0; bits /= 2) sum += __shfl_xor_sync(mask, sum, bits, 16);
    __syncwarp();
    y[threadIdx.x] = sum;
}

__global__ void test_votes(const int* x, unsigned* y) {
    const unsigned all = 0xffffffffu;
    const int mine = x[threadIdx.x];
    y[threadIdx.x * 3] = __ballot_sync(all, mine);
    y[threadIdx.x * 3 + 1] = static_cast<unsigned>(__any_sync(all, mine));
    y[threadIdx.x * 3 + 2] = static_cast<unsigned>(__all_sync(all, mine));
}

/// y[at] = 1
__global__ void test_write_at(float* y, long at) { y[at] = 1; }

/// Doubles n values, one after the other.
__global__ void test_double(float* y, int n) {
    for (int i = 0; i < n; ++i) y[i] *= 2;
}

struct TestPointers {
    const float* x;
    float* y;
};
__global__ void test_pointers_in_structure(TestPointers p) { p.y[0] = p.x[0]; }

/// More local memory than an emulated thread has.
__global__ void test_deep(float* y, int n) {
    volatile float room[65536];
    for (int i = 0; i < n; ++i) room[i] = y[0];
    y[0] = room[n / 2];
}

}  // extern "C"
