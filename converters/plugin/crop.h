// The C interface of the crop kernel, for sdk/engines/device_crops.py through ctypes; in the library of kernel.h.
#pragma once

#include "kernel.h"

// A piece of a frame, uint8 BGR: where its first pixel is, in the device's memory or in memory of the host that the
// device reads, and how far it is from a row to the next.
struct AlignedReidCrop {
    const uint8_t* pixels;
    int32_t row_bytes;
    int32_t height, width;  // 1 to 65535
    int32_t unused;
};

// Puts the kernel on `stream` and returns at once: 0, or the cudaError_t of the launch.
//
//   crops  [count]                    in the device's memory
//   batch  [count, height, width, 3]  uint8, written; each crop as `resize` of sdk/preprocess.py makes it, to one level
//
// height and width from 1 to 4096; other sizes, 2^31 pixels or more, or a null pointer give cudaErrorInvalidValue.
ALIGNED_REID_API int32_t aligned_reid_crops(const AlignedReidCrop* crops, int64_t count, uint8_t* batch,
                                            int32_t height, int32_t width, void* stream);
