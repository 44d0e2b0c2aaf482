// The C interface of the host library: the kernel's, on arrays in the processor's memory, at once, results in float.
#pragma once

#include <cstdint>

#if defined(_WIN32)
#define ALIGNED_REID_HOST_API extern "C" __declspec(dllexport)
#else
#define ALIGNED_REID_HOST_API extern "C" __attribute__((visibility("default")))
#endif

// 0, or 1 for sizes that the kernel does not take. For the arguments see kernel.h.
ALIGNED_REID_HOST_API int32_t aligned_reid_host_local_distance(const void* query, const void* gallery,
                                                               const int32_t* candidates, float* distance,
                                                               int64_t batch, int64_t gallery_rows,
                                                               int64_t candidates_a_query, int32_t stripes,
                                                               int32_t dim, int32_t half_in);
