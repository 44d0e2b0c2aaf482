// The aligned local distance (arXiv 1711.08184, equations 1 and 2) as code for the processor and the GPU alike.
//
// The kernel (kernel.cu) and the host library (host.cpp) include this file, so what the tests prove of the one on a
// machine without a GPU is what the other computes, up to the order of sums and the rounding of a GPU's exp.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#if defined(__CUDACC__)
#define ALIGNED_REID_BOTH __host__ __device__ __forceinline__
#else
#define ALIGNED_REID_BOTH inline
#endif

#if defined(__CUDA_ARCH__)
#define ALIGNED_REID_UNROLL _Pragma("unroll")
#else
#define ALIGNED_REID_UNROLL  // the system's compiler decides
#endif

namespace aligned_reid {

// More stripes than this a person are refused: the kernel's tile is 16 rows of a tensor core's matrix.
constexpr int kMaxStripes = 16;

// How many values of a stripe are loaded at once (16 bytes of half precision): dim is a multiple of it.
constexpr int kDimStep = 8;

// ‖f − g‖² from ‖f‖², ‖g‖² and f·g. Rounding can make it negative, which is 0; NaN stays NaN: as a 0 it would be
// the best match of all (fmaxf would make it one).
ALIGNED_REID_BOTH float squared_distance(float query_norm, float gallery_norm, float product) {
    const float squared = query_norm + gallery_norm - 2.0f * product;
    return squared < 0.0f ? 0.0f : squared;
}

// Equation 1: (e^x − 1) / (e^x + 1) with x = ‖f − g‖, in the form that neither overflows to NaN nor loses a NaN.
// In: x². Out: [0, 1], with an absolute error of a few 1e-7.
ALIGNED_REID_BOTH float element_distance(float squared) {
#if defined(__CUDA_ARCH__)
    float x;
    asm("sqrt.approx.f32 %0, %1;" : "=f"(x) : "f"(squared));  // relative error 2^-23, without sqrtf's slow path
    return 1.0f - __fdividef(2.0f, __expf(x) + 1.0f);
#else
    return 1.0f - 2.0f / (std::exp(std::sqrt(squared)) + 1.0f);
#endif
}

// Equation 2: the cheapest path from (0, 0) to (stripes − 1, stripes − 1), right or down, a row after the other.
//
// row(i, values) writes row i of the element distances, at least `stripes` of its ROWS values. Columns from `stripes`
// on may hold anything but are computed as well: the loop's length is known when the code is compiled, so the costs
// stay in registers. A NaN in all of a row or column, which is what a NaN in a stripe gives, reaches the result.
template <int ROWS, typename Row>
ALIGNED_REID_BOTH float shortest_path(const Row& row, int stripes) {
    float cost[ROWS];
    float values[ROWS];
    row(0, values);
    cost[0] = values[0];
    ALIGNED_REID_UNROLL
    for (int j = 1; j < ROWS; ++j) {
        cost[j] = cost[j - 1] + values[j];
    }
    for (int i = 1; i < stripes; ++i) {
        row(i, values);
        cost[0] += values[0];
        ALIGNED_REID_UNROLL
        for (int j = 1; j < ROWS; ++j) {
            cost[j] = (cost[j] < cost[j - 1] ? cost[j] : cost[j - 1]) + values[j];
        }
    }
    float result = cost[ROWS - 1];
    ALIGNED_REID_UNROLL
    for (int j = ROWS - 2; j >= 0; --j) {
        result = stripes - 1 <= j ? cost[j] : result;  // not cost[stripes - 1], which would put the costs into memory
    }
    return result;
}

// What stands for the distance where `row` names nobody: +inf for −1, "no candidate", and NaN for any other row
// outside the gallery, which is a mistake of the caller and must not look like an answer.
ALIGNED_REID_BOTH float distance_to_nobody(int32_t row) {
#if defined(__CUDA_ARCH__)
    return __int_as_float(row == -1 ? 0x7f800000 : 0x7fc00000);
#else
    return row == -1 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
#endif
}

// Whether the library computes arrays of these sizes.
inline bool valid_sizes(int64_t batch, int64_t gallery, int64_t candidates, int32_t stripes, int32_t dim) {
    constexpr int64_t most = std::numeric_limits<int32_t>::max();
    return 0 <= batch && batch <= most && 0 <= gallery && gallery <= most && 0 <= candidates && candidates <= most &&
           1 <= stripes && stripes <= kMaxStripes && kDimStep <= dim && dim <= 65536 && dim % kDimStep == 0;
}

}  // namespace aligned_reid
