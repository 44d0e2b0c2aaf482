// The C interface of the GPU kernel, for the plugin and, through ctypes, for sdk/engines/cuda.py.
#pragma once

#include <cstdint>

#if defined(_WIN32)
#define ALIGNED_REID_API extern "C" __declspec(dllexport)
#else
#define ALIGNED_REID_API extern "C" __attribute__((visibility("default")))
#endif

// Puts the kernel on `stream` and returns at once: 0, or the cudaError_t of the launch.
//
//   query       [batch, stripes, dim]        half or float, as `half_in` says
//   gallery     [gallery_rows, stripes, dim] the same
//   candidates  [batch, candidates_a_query]  int32, rows of the gallery; −1: none
//   distance    [batch, candidates_a_query]  half or float, as `half_out` says; +inf for −1, NaN for a row outside
//
// All in the memory of the current context's device, query and gallery at a multiple of 16 bytes. 1 to 16 stripes;
// dim a multiple of 8. Other sizes or a null pointer give cudaErrorInvalidValue, other addresses
// cudaErrorMisalignedAddress.
ALIGNED_REID_API int32_t aligned_reid_local_distance(const void* query, const void* gallery, const int32_t* candidates,
                                                     void* distance, int64_t batch, int64_t gallery_rows,
                                                     int64_t candidates_a_query, int32_t stripes, int32_t dim,
                                                     int32_t half_in, int32_t half_out, void* stream);

// What a number that aligned_reid_local_distance returned means, in CUDA's words.
ALIGNED_REID_API const char* aligned_reid_error(int32_t error);
