// Crops of frames, resized into an engine's input: what sdk/preprocess.py does on the processor.
//
// A crop that shrinks along both axes is averaged ("area"), any other is interpolated ("bilinear"), both in OpenCV's own
// arithmetic: a model sees a grey level that is lost everywhere, as rounding down by hand would lose it.
//
// A lane makes one pixel of the batch. Neighbours read neighbours; what they read twice comes from the cache.
#include "crop.h"

#if defined(ALIGNED_REID_EMULATED)
#include "emulated_gpu.h"
#else
#include <cuda_runtime.h>
#endif

namespace aligned_reid {
namespace {

constexpr int kCropThreads = 128;
constexpr int32_t kMostBatchSide = 4096;

struct CropArguments {
    const AlignedReidCrop* crops;
    uint8_t* batch;
    int32_t count, height, width;
};

__device__ int smaller(int a, int b) { return a < b ? a : b; }
__device__ int larger(int a, int b) { return a > b ? a : b; }

// The part of an axis that a pixel of the batch is the mean of. It is counted in units that are whole both in a pixel of
// the crop, which is `to` units long, and in this cell, which is `from`: so weights are exact.
struct Cell {
    int begin, end, scale;

    __device__ Cell(int pixel, int from, int to) : begin(pixel * from), end(begin + from), scale(to) {}

    __device__ int first() const { return begin / scale; }
    __device__ int last() const { return (end - 1) / scale; }

    // The units of the cell that lie in the crop's pixel i.
    __device__ int weight(int i) const {
        return smaller(end, scale * (i + 1)) - larger(begin, scale * i);
    }
};

__device__ void average(const AlignedReidCrop& crop, const Cell& rows, const Cell& columns, uint8_t* out) {
    const int first = columns.first(), last = columns.last();
    float sum[3] = {};
    for (int y = rows.first(); y <= rows.last(); ++y) {
        const uint8_t* pixel = crop.pixels + static_cast<int64_t>(y) * crop.row_bytes + 3 * first;
        int row[3] = {};  // exact
        for (int x = first; x <= last; ++x, pixel += 3) {
            const int weight = columns.weight(x);
#pragma unroll
            for (int channel = 0; channel < 3; ++channel) {
                row[channel] += weight * __ldg(pixel + channel);
            }
        }
        const auto weight = static_cast<float>(rows.weight(y));
#pragma unroll
        for (int channel = 0; channel < 3; ++channel) {
            sum[channel] += weight * static_cast<float>(row[channel]);
        }
    }
    const float units = static_cast<float>(crop.height) * static_cast<float>(crop.width);
    // A half goes to the even number, but of four whole pixels up.
    const bool halves = crop.height == 2 * rows.scale && crop.width == 2 * columns.scale;
#pragma unroll
    for (int channel = 0; channel < 3; ++channel) {
        const float mean = sum[channel] / units;
        out[channel] = static_cast<uint8_t>(halves ? floorf(mean + 0.5f) : rintf(mean));
    }
}

// The two pixels of an axis that a pixel of the batch lies between, and their weights in 1/2048.
struct Taps {
    int first, second, weight[2];

    __device__ Taps(int pixel, int from, int to) {
        const int place = (2 * pixel + 1) * from - to;  // of its middle from that of the first pixel, in 1/(2 to) px
        const int before = place < 0 ? -1 : place / (2 * to);
        // OpenCV rounds the place to single precision, and then takes what is behind the point.
        const float whole = static_cast<float>(before);
        const float part = static_cast<float>(place - before * 2 * to) / static_cast<float>(2 * to);
        const float between = (whole + part) - whole;
        weight[0] = static_cast<int>(rintf((1.0f - between) * 2048.0f));
        weight[1] = static_cast<int>(rintf(between * 2048.0f));
        first = larger(before, 0);
        second = smaller(before + 1, from - 1);
    }
};

__device__ void interpolate(const AlignedReidCrop& crop, const Taps& rows, const Taps& columns, uint8_t* out) {
    const uint8_t* const top = crop.pixels + static_cast<int64_t>(rows.first) * crop.row_bytes;
    const uint8_t* const bottom = crop.pixels + static_cast<int64_t>(rows.second) * crop.row_bytes;
    const bool one = columns.first == columns.second;  // at the ends: the one pixel has all the weight
    const int left = one ? 2048 : columns.weight[0], right = one ? 0 : columns.weight[1];
#pragma unroll
    for (int channel = 0; channel < 3; ++channel) {
        const int i = 3 * columns.first + channel, j = 3 * columns.second + channel;
        const int above = left * __ldg(top + i) + right * __ldg(top + j);
        const int below = left * __ldg(bottom + i) + right * __ldg(bottom + j);
        const int sum = (rows.weight[0] * (above >> 4) >> 16) + (rows.weight[1] * (below >> 4) >> 16);
        out[channel] = static_cast<uint8_t>((sum + 2) >> 2);
    }
}

__global__ void __launch_bounds__(kCropThreads) crop_kernel(const CropArguments arguments) {
    const unsigned number = blockIdx.x * kCropThreads + threadIdx.x;
    const auto a_crop = static_cast<unsigned>(arguments.height * arguments.width);
    const unsigned which = number / a_crop;
    if (which >= static_cast<unsigned>(arguments.count)) {
        return;
    }
    const auto place = static_cast<int>(number % a_crop);
    const int y = place / arguments.width, x = place % arguments.width;
    const AlignedReidCrop& crop = arguments.crops[which];
    uint8_t* const out = arguments.batch + 3 * static_cast<int64_t>(number);
    if (crop.height >= arguments.height && crop.width >= arguments.width) {
        average(crop, {y, crop.height, arguments.height}, {x, crop.width, arguments.width}, out);
    } else {
        interpolate(crop, {y, crop.height, arguments.height}, {x, crop.width, arguments.width}, out);
    }
}

bool side_of_batch(int32_t side) { return side >= 1 && side <= kMostBatchSide; }

}  // namespace
}  // namespace aligned_reid

int32_t aligned_reid_crops(const AlignedReidCrop* crops, int64_t count, uint8_t* batch, int32_t height, int32_t width,
                           [[maybe_unused]] void* stream) {
    using namespace aligned_reid;
    if (count < 0 || count > INT32_MAX || !side_of_batch(height) || !side_of_batch(width) ||
        count * height > INT32_MAX / width) {
        return cudaErrorInvalidValue;
    }
    if (count == 0) {
        return cudaSuccess;
    }
    if (!crops || !batch) {
        return cudaErrorInvalidValue;
    }
    const CropArguments arguments{crops, batch, static_cast<int32_t>(count), height, width};
    const auto blocks = static_cast<unsigned>((count * height * width + kCropThreads - 1) / kCropThreads);
#if defined(ALIGNED_REID_EMULATED)
    emulated_launch(&crop_kernel, blocks, kCropThreads, arguments);
#else
    crop_kernel<<<blocks, kCropThreads, 0, static_cast<cudaStream_t>(stream)>>>(arguments);
#endif
    return cudaGetLastError();
}
