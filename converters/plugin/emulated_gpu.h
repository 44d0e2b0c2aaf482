// As much of CUDA as kernel.cu uses, on the processor, lane by lane, so that the kernel's own source, its layouts and
// its exchanges between lanes are tested where there is no GPU (kernel_test.cpp). It says nothing about speed.
//
// Reads of global memory are checked against the arrays that the test has declared.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

#define __device__
#define __global__
#define __forceinline__ inline
#define __shared__ static  // one warp runs at a time
#define __launch_bounds__(...)

#include "local_distance.h"  // before __CUDA_ARCH__ is there: with the processor's functions
#define __CUDA_ARCH__ ALIGNED_REID_EMULATED

struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

struct __half {
    uint16_t bits;
};

// Exact: half precision has fewer bits.
inline float half_to_float(uint16_t bits) {
    const int exponent = (bits >> 10) & 31;
    const int mantissa = bits & 1023;
    float value = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -24)
                                : std::ldexp(static_cast<float>(1024 + mantissa), exponent - 25);
    if (exponent == 31) {
        value = mantissa ? NAN : INFINITY;
    }
    return bits & 0x8000 ? -value : value;
}

// To the nearest, ties to even.
inline uint16_t float_to_half(float value) {
    const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
    const float magnitude = std::fabs(value);
    if (std::isnan(value)) {
        return 0x7e00;
    }
    if (magnitude >= 65520.0f) {
        return static_cast<uint16_t>(sign | 0x7c00);
    }
    int exponent = magnitude < 6.103515625e-05f ? -14 : std::ilogb(magnitude);
    auto mantissa = static_cast<int>(std::nearbyint(std::ldexp(magnitude, 10 - exponent)));
    if (mantissa == 2048) {
        mantissa = 1024;
        ++exponent;
    }
    return static_cast<uint16_t>(sign | (mantissa < 1024 ? mantissa : (exponent + 15) << 10 | (mantissa - 1024)));
}

inline __half __float2half_rn(float value) { return {float_to_half(value)}; }

using cudaStream_t = void*;
constexpr int cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorMisalignedAddress = 716;
using cudaError_t = int;
inline int cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorString(int) { return "emulated"; }

// The memory that the kernel may read, if any is declared. What it reads beyond is counted, and is 0.
struct Range {
    uintptr_t begin, end;
};
inline std::vector<Range> readable;
inline int reads_outside = 0;

template <typename Value>
Value __ldg(const Value* address) {
    const auto begin = reinterpret_cast<uintptr_t>(address);
    if (readable.empty()) {
        return *address;
    }
    for (const Range& range : readable) {
        if (range.begin <= begin && begin + sizeof(Value) <= range.end && begin % sizeof(Value) == 0) {
            return *address;
        }
    }
    ++reads_outside;
    return Value{};
}

// A lane is a thread of its own, on its own stack, that hands over to the warp's next lane whenever it comes to a
// meeting of all; what the lanes show each other there lies in two places in turn, as no lane can be a meeting ahead.
struct Lane {
    ucontext_t context;
    std::vector<unsigned char> stack = std::vector<unsigned char>(256 * 1024);
    unsigned meetings = 0;
    bool done = false;
};

struct Index {
    unsigned x;
};
inline Index threadIdx, blockIdx;
inline std::vector<Lane> lanes(32);
inline ucontext_t between_lanes;
inline unsigned char places[2][32][32];

// AddressSanitizer is to know which stack is in use.
inline const void* outer_stack;
inline size_t outer_size;
#if defined(__SANITIZE_ADDRESS__)
inline void leave_for(void** keep, const void* stack, size_t size) {
    __sanitizer_start_switch_fiber(keep, stack, size);
}
inline void arrived(void* kept, const void** from, size_t* size) { __sanitizer_finish_switch_fiber(kept, from, size); }
#else
inline void leave_for(void**, const void*, size_t) {}
inline void arrived(void*, const void**, size_t*) {}
#endif

inline Lane& this_lane() { return lanes[threadIdx.x % 32]; }

inline void __syncwarp() {
    Lane& lane = this_lane();
    ++lane.meetings;
    void* kept = nullptr;
    leave_for(&kept, outer_stack, outer_size);
    swapcontext(&lane.context, &between_lanes);
    arrived(kept, &outer_stack, &outer_size);
}

template <typename Value>
struct Shown {
    Value values[32];
};

template <typename Value>
Shown<Value> show(const Value& own) {
    static_assert(sizeof(Value) <= sizeof places[0][0]);
    auto& place = places[this_lane().meetings % 2];
    std::memcpy(place[threadIdx.x % 32], &own, sizeof own);
    __syncwarp();
    Shown<Value> shown;
    for (int lane = 0; lane < 32; ++lane) {
        std::memcpy(&shown.values[lane], place[lane], sizeof own);
    }
    return shown;
}

template <typename Value>
Value __shfl_sync(unsigned, Value value, int lane) {
    return show(value).values[lane % 32];
}

template <typename Value>
Value __shfl_xor_sync(unsigned, Value value, int mask) {
    return show(value).values[(threadIdx.x % 32) ^ static_cast<unsigned>(mask)];
}

inline float half_of(unsigned pair, int index) { return half_to_float(static_cast<uint16_t>(pair >> (16 * index))); }

// The matrix instructions, from the layout of the fragments in the PTX manual ("Matrix Fragments for mma.m16n8k8" and
// "… m16n8k16"): with group = lane / 4 and t = lane % 4, register a0 holds row group, columns 2t and 2t + 1; a1 row
// group + 8; a2 and a3 the same rows, columns 8 further; b0 rows 2t and 2t + 1 of column group, b1 rows 8 further; d0
// and d1 row group, columns 2t and 2t + 1; d2 and d3 row group + 8.
struct Fragments {
    unsigned a[4], b[2];
};

inline void multiply_fragments(float (&d)[4], const Fragments& own, int depth) {
    const auto shown = show(own);
    const auto a = [&](int row, int k) {
        return half_of(shown.values[row % 8 * 4 + k % 8 / 2].a[row / 8 + 2 * (k / 8)], k % 2);
    };
    const auto b = [&](int k, int column) { return half_of(shown.values[column * 4 + k % 8 / 2].b[k / 8], k % 2); };
    const int lane = static_cast<int>(threadIdx.x % 32);
    for (int i = 0; i < 4; ++i) {
        for (int k = 0; k < depth; ++k) {
            d[i] += a(lane / 4 + 8 * (i / 2), k) * b(k, 2 * (lane % 4) + i % 2);
        }
    }
}

inline void mma_m16n8k16(float (&d)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0, unsigned b1) {
    multiply_fragments(d, {{a0, a1, a2, a3}, {b0, b1}}, 16);
}

inline void mma_m16n8k8(float (&d)[4], unsigned a0, unsigned a1, unsigned b0) {
    multiply_fragments(d, {{a0, a1, 0, 0}, {b0, 0}}, 8);
}

inline std::function<void()> lane_work;

inline void lane_main() {
    arrived(nullptr, &outer_stack, &outer_size);
    lane_work();
    this_lane().done = true;
    leave_for(nullptr, outer_stack, outer_size);
    swapcontext(&this_lane().context, &between_lanes);
}

// Blocks and warps one after the other, lanes forwards and, every second warp, backwards. kernel.cu's warps return as
// a whole and never meet in a part of their lanes: anything else ends the test.
template <typename Kernel, typename Arguments>
void emulated_launch(Kernel kernel, unsigned blocks, int threads, const Arguments& arguments) {
    lane_work = [&] { kernel(arguments); };
    for (unsigned warp = 0; warp < blocks * static_cast<unsigned>(threads) / 32; ++warp) {
        const unsigned first = warp * 32 % static_cast<unsigned>(threads);
        blockIdx.x = warp * 32 / static_cast<unsigned>(threads);
        for (Lane& lane : lanes) {
            lane.meetings = 0;
            lane.done = false;
            getcontext(&lane.context);
            lane.context.uc_stack.ss_sp = lane.stack.data();
            lane.context.uc_stack.ss_size = lane.stack.size();
            lane.context.uc_link = nullptr;
            makecontext(&lane.context, lane_main, 0);
        }
        while (!lanes[0].done) {
            for (unsigned i = 0; i < 32; ++i) {
                threadIdx.x = first + (warp % 2 ? 31 - i : i);
                void* kept = nullptr;
                leave_for(&kept, this_lane().stack.data(), this_lane().stack.size());
                swapcontext(&between_lanes, &this_lane().context);
                arrived(kept, nullptr, nullptr);
            }
            for (const Lane& lane : lanes) {
                if (lane.done != lanes[0].done || lane.meetings != lanes[0].meetings) {
                    std::fputs("a warp's lanes have come to different meetings\n", stderr);
                    std::abort();
                }
            }
        }
    }
}
