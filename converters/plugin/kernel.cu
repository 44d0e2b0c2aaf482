// The aligned local distance of queries to their own candidates, gathered straight from the resident gallery.
//
// A warp takes a few candidates of one query (kChunk). It loads their stripes into registers, multiplies, turns the
// products into element distances, lays those out in shared memory, and then one lane walks the path of each pair.
// Nothing between the stripes and the distance is ever in device memory. docs/kernel.md counts bytes and operations.
#include "kernel.h"

#if defined(ALIGNED_REID_EMULATED)
#include "emulated_gpu.h"
#else
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#endif

#include "local_distance.h"

namespace aligned_reid {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = 32 * kWarps;
constexpr unsigned kAllLanes = 0xffffffffu;

// How many blocks are started at most, if there are fewer queries: enough to fill the largest GPU several times. With
// more candidates than that a warp goes on to further chunks of its query.
#if !defined(ALIGNED_REID_BLOCKS)  // a test has fewer, so that its warps go on
#define ALIGNED_REID_BLOCKS 8192
#endif
constexpr int64_t kBlocks = ALIGNED_REID_BLOCKS;

struct Arguments {
    const void* query;
    const void* gallery;
    const int32_t* candidates;
    void* distance;
    int32_t gallery_rows;
    int32_t candidates_a_query;
    int32_t stripes;
    int32_t dim;
    int32_t blocks_a_query;
    bool half_out;
};

__device__ __forceinline__ uint4 load_16_bytes(const void* address) {
    return __ldg(static_cast<const uint4*>(address));
}

#if !defined(ALIGNED_REID_EMULATED)
// The tensor cores' instructions, named as the PTX manual names them: d += a × b, sums in float.
[[maybe_unused]] __device__ __forceinline__ void mma_m16n8k16(float (&d)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3,
                                             unsigned b0, unsigned b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

[[maybe_unused]] __device__ __forceinline__ void mma_m16n8k8(float (&d)[4], unsigned a0, unsigned a1, unsigned b0) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a0), "r"(a1), "r"(b0));
}
#endif

// One 16×8 tile more: accumulator += A × B, A 16×16 and B 16×8 in half precision. In A, `low` are the values of rows
// 0–7 and `high` those of rows 8–15; the number is the half of the 16 columns.
__device__ __forceinline__ void multiply(float (&accumulator)[4], unsigned low0, unsigned high0, unsigned low1,
                                         unsigned high1, unsigned b0, unsigned b1) {
#if __CUDA_ARCH__ >= 800
    mma_m16n8k16(accumulator, low0, high0, low1, high1, b0, b1);
#else  // Turing's tensor cores take eight columns at a time
    mma_m16n8k8(accumulator, low0, high0, b0);
    mma_m16n8k8(accumulator, low1, high1, b1);
#endif
}

// Half precision on tensor cores. A lane holds eight consecutive values of row lane / 4 at column 8 · (lane % 4) of
// every 32 columns: 16 bytes a load. The columns are permuted against the order that the instruction's manual gives,
// in both factors alike, which changes no inner product. In that layout a row's part of A is also its part of B, so
// the norms come from the same registers and the same instruction as the products, as the diagonal of G·Gᵀ; where a
// gallery stripe equals a query's, ‖f‖² + ‖g‖² − 2 f·g is then the difference of equal numbers.
//
// Up to 8 stripes, two candidates share a tile of 16 rows; above, one fills it and the query takes two tiles of 8.
template <int ROWS, int DIM>
class HalfTile {
   public:
    using Value = __half;
    static constexpr int kPairs = ROWS == 8 ? 2 : 1;
    static constexpr int kBlocksAtOnce = 4;  // on a multiprocessor, at least: at most 128 registers

    __device__ HalfTile(const __half* query, int stripes, int dim, int lane)
        : query_(query), stripes_(stripes), dim_(DIM ? DIM : dim), group_(lane / 4), column_(lane % 4) {
        float diagonal[kTiles][4] = {};
        if constexpr (DIM != 0) {
#pragma unroll
            for (int step = 0; step < kSteps; ++step) {
#pragma unroll
                for (int tile = 0; tile < kTiles; ++tile) {
                    kept_[tile][step] = load(query_row(tile), step);
                }
            }
        }
#pragma unroll
        for (int step = 0; step < steps(); ++step) {
#pragma unroll
            for (int tile = 0; tile < kTiles; ++tile) {
                const uint4 part = query_part(tile, step);
                multiply(diagonal[tile], part.x, part.x, part.y, part.y, part.x, part.y);
                multiply(diagonal[tile], part.z, part.z, part.w, part.w, part.z, part.w);
            }
        }
#pragma unroll
        for (int tile = 0; tile < kTiles; ++tile) {
            const float own = group_ % 2 ? diagonal[tile][1] : diagonal[tile][0];
            norm_[tile][0] = __shfl_sync(kAllLanes, own, 9 * column_);      // column 2c: row 2c, lane 4 · 2c + c
            norm_[tile][1] = __shfl_sync(kAllLanes, own, 9 * column_ + 4);  // column 2c + 1: row 2c + 1
        }
    }

    // The element distances of kPairs candidates, rows of `gallery` (negative: none), to `out`, `stride` apart.
    __device__ void elements(const __half* gallery, const int32_t (&rows)[kPairs], float* out, int stride) const {
        const __half* low_row = row_of(gallery, rows[0], group_);
        const __half* high_row =
            ROWS == 8 ? row_of(gallery, rows[kPairs - 1], group_) : row_of(gallery, rows[0], group_ + 8);
        float product[kTiles][4] = {};
        float low_norm[4] = {};
        float high_norm[4] = {};
        if constexpr (DIM != 0) {
            uint4 low[kSteps], high[kSteps];  // all loads first: they are what takes long
#pragma unroll
            for (int step = 0; step < kSteps; ++step) {
                low[step] = load(low_row, step);
                high[step] = load(high_row, step);
            }
#pragma unroll
            for (int step = 0; step < kSteps; ++step) {
                accumulate(product, low_norm, high_norm, low[step], high[step], step);
            }
        } else {
            for (int step = 0; step < steps(); ++step) {
                accumulate(product, low_norm, high_norm, load(low_row, step), load(high_row, step), step);
            }
        }
        // The diagonal's cell (r, r) lies with lane 4r + r / 2.
        const int owner = 4 * group_ + group_ / 2;
        const float low_g = __shfl_sync(kAllLanes, group_ % 2 ? low_norm[1] : low_norm[0], owner);
        const float high_g = __shfl_sync(kAllLanes, group_ % 2 ? high_norm[3] : high_norm[2], owner);
        float* const low_out = out + group_ * ROWS + 2 * column_;
        float* const high_out = ROWS == 8 ? low_out + stride : low_out + 8 * ROWS;
#pragma unroll
        for (int tile = 0; tile < kTiles; ++tile) {
            store(low_out + 8 * tile, tile, low_g, product[tile][0], product[tile][1]);
            store(high_out + 8 * tile, tile, high_g, product[tile][2], product[tile][3]);
        }
    }

   private:
    static constexpr int kTiles = ROWS / 8;
    static constexpr int kSteps = DIM ? (DIM + 31) / 32 : 1;

    const __half* query_;
    int stripes_, dim_, group_, column_;
    uint4 kept_[kTiles][kSteps];  // the query's registers, where the dimension is known
    float norm_[kTiles][2];

    __device__ int steps() const { return DIM ? kSteps : (dim_ + 31) / 32; }

    __device__ const __half* row_of(const __half* stripes, int32_t person, int row) const {
        const bool there = person >= 0 && row < stripes_;
        return there ? stripes + (static_cast<int64_t>(person) * stripes_ + row) * dim_ + 8 * column_ : nullptr;
    }

    __device__ const __half* query_row(int tile) const { return row_of(query_, 0, 8 * tile + group_); }

    __device__ uint4 load(const __half* row, int step) const {
        return row && 32 * step + 8 * column_ < dim_ ? load_16_bytes(row + 32 * step) : make_uint4(0, 0, 0, 0);
    }

    __device__ uint4 query_part(int tile, int step) const {
        if constexpr (DIM != 0) {
            return kept_[tile][step];
        } else {
            return load(query_row(tile), step);
        }
    }

    __device__ void accumulate(float (&product)[kTiles][4], float (&low_norm)[4], float (&high_norm)[4],
                               const uint4& low, const uint4& high, int step) const {
#pragma unroll
        for (int tile = 0; tile < kTiles; ++tile) {
            const uint4 part = query_part(tile, step);
            multiply(product[tile], low.x, high.x, low.y, high.y, part.x, part.y);
            multiply(product[tile], low.z, high.z, low.w, high.w, part.z, part.w);
        }
        multiply(low_norm, low.x, high.x, low.y, high.y, low.x, low.y);
        multiply(low_norm, low.z, high.z, low.w, high.w, low.z, low.w);
        multiply(high_norm, low.x, high.x, low.y, high.y, high.x, high.y);
        multiply(high_norm, low.z, high.z, low.w, high.w, high.z, high.w);
    }

    __device__ void store(float* out, int tile, float gallery_norm, float product0, float product1) const {
        *reinterpret_cast<float2*>(out) =
            make_float2(element_distance(squared_distance(norm_[tile][0], gallery_norm, product0)),
                        element_distance(squared_distance(norm_[tile][1], gallery_norm, product1)));
    }
};

// Single precision on the ordinary cores: sums of squared differences, which lose nothing to cancellation. A lane has
// a square of 4×4 cells and every kSlices-th group of four columns; the lanes of a square then share out its cells.
template <int ROWS, int DIM>
class FloatTile {
   public:
    using Value = float;
    static constexpr int kPairs = 1;
    static constexpr int kBlocksAtOnce = 2;  // at most 255 registers

    __device__ FloatTile(const float* query, int stripes, int dim, int lane)
        : query_(query), stripes_(stripes), dim_(DIM ? DIM : dim), slice_(lane % kSlices) {
        const int square = lane / kSlices;
        row_ = 4 * (square / kSquares);
        column_ = 4 * (square % kSquares);
    }

    __device__ void elements(const float* gallery, const int32_t (&rows)[kPairs], float* out, int) const {
        float sum[16] = {};
        const float* person = gallery + static_cast<int64_t>(rows[0]) * stripes_ * dim_;
#pragma unroll kUnroll
        for (int k = 4 * slice_; k < dim_; k += 4 * kSlices) {
            float4 g[4], q[4];
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                g[i] = load(person, row_ + i, k);
                q[i] = load(query_, column_ + i, k);
            }
#pragma unroll
            for (int cell = 0; cell < 16; ++cell) {
                add_square(sum[cell], g[cell / 4].x - q[cell % 4].x);
                add_square(sum[cell], g[cell / 4].y - q[cell % 4].y);
                add_square(sum[cell], g[cell / 4].z - q[cell % 4].z);
                add_square(sum[cell], g[cell / 4].w - q[cell % 4].w);
            }
        }
        const int first = share_out<8, kSlices / 2>(sum);
#pragma unroll
        for (int i = 0; i < 16 / kSlices; ++i) {
            const int cell = first + i;
            out[(row_ + cell / 4) * ROWS + column_ + cell % 4] = element_distance(sum[i]);
        }
    }

   private:
    static constexpr int kSquares = ROWS / 4;
    static constexpr int kSlices = 32 / (kSquares * kSquares);
    static constexpr int kUnroll = DIM == 0 ? 1 : 2;  // more would ask for more registers than there are

    const float* query_;
    int stripes_, dim_, slice_, row_, column_;

    // Adds up the slices' sums of the 16 cells: a round halves the cells that a lane is responsible for and doubles the
    // columns that they cover. Returns this lane's first cell, whose sum is sum[0] then. Constant indices only, and no
    // choice between two of the array's elements: either would put it into memory.
    template <int COUNT, int DISTANCE>
    __device__ int share_out(float (&sum)[16]) const {
        if constexpr (DISTANCE == 0) {
            return 0;
        } else {
            const bool upper = slice_ & DISTANCE;
#pragma unroll
            for (int i = 0; i < COUNT; ++i) {
                const float below = sum[i];
                const float above = sum[i + COUNT];
                sum[i] = (upper ? above : below) + __shfl_xor_sync(kAllLanes, upper ? below : above, DISTANCE);
            }
            return (upper ? COUNT : 0) + share_out<COUNT / 2, DISTANCE / 2>(sum);
        }
    }

    static __device__ void add_square(float& sum, float difference) { sum = fmaf(difference, difference, sum); }

    __device__ float4 load(const float* person, int row, int k) const {
        return row < stripes_ ? __ldg(reinterpret_cast<const float4*>(person + row * dim_ + k))
                              : make_float4(0, 0, 0, 0);
    }
};

template <typename Tile, int ROWS>
__global__ void __launch_bounds__(kThreads, Tile::kBlocksAtOnce)
    local_distance_kernel(const Arguments arguments) {
    using Value = typename Tile::Value;
    constexpr int kChunk = ROWS == 8 ? 8 : 4;
    constexpr int kStride = ROWS * ROWS + 4;  // 4 more than a multiple of 32: the lanes' rows lie in different banks
    alignas(16) __shared__ float shared[kWarps][kChunk][kStride];

    const int lane = threadIdx.x % 32;
    const int warp = threadIdx.x / 32;
    const int64_t query = blockIdx.x / arguments.blocks_a_query;
    const int part = blockIdx.x % arguments.blocks_a_query;
    const int64_t many = arguments.candidates_a_query;
    const int32_t* const candidates = arguments.candidates + query * many;
    const auto* const gallery = static_cast<const Value*>(arguments.gallery);

    int64_t begin = static_cast<int64_t>(part * kWarps + warp) * kChunk;
    if (begin >= many) {
        return;  // the whole warp
    }
    const Tile tile(static_cast<const Value*>(arguments.query) + query * arguments.stripes * arguments.dim,
                    arguments.stripes, arguments.dim, lane);

    for (; begin < many; begin += static_cast<int64_t>(arguments.blocks_a_query) * kWarps * kChunk) {
        const bool mine = lane < kChunk && begin + lane < many;
        const int32_t candidate = mine ? __ldg(candidates + begin + lane) : -1;
        const int32_t row = 0 <= candidate && candidate < arguments.gallery_rows ? candidate : -1;
#pragma unroll 1
        for (int pair = 0; pair < kChunk; pair += Tile::kPairs) {
            int32_t rows[Tile::kPairs];
            bool any = false;
#pragma unroll
            for (int i = 0; i < Tile::kPairs; ++i) {
                rows[i] = __shfl_sync(kAllLanes, row, pair + i);
                any |= rows[i] >= 0;
            }
            if (any) {
                tile.elements(gallery, rows, shared[warp][pair], kStride);
            }
        }
        __syncwarp();
        if (mine) {
            const float* const elements = shared[warp][lane];
            const auto read = [elements](int i, float(&values)[ROWS]) {
#pragma unroll
                for (int j = 0; j < ROWS; j += 4) {
                    const float4 four = *reinterpret_cast<const float4*>(elements + i * ROWS + j);
                    values[j] = four.x;
                    values[j + 1] = four.y;
                    values[j + 2] = four.z;
                    values[j + 3] = four.w;
                }
            };
            const float distance =
                row >= 0 ? shortest_path<ROWS>(read, arguments.stripes) : distance_to_nobody(candidate);
            const int64_t at = query * many + begin + lane;
            if (arguments.half_out) {
                static_cast<__half*>(arguments.distance)[at] = __float2half_rn(distance);
            } else {
                static_cast<float*>(arguments.distance)[at] = distance;
            }
        }
        __syncwarp();
    }
}

template <template <int, int> class Tile, int ROWS>
void launch(const Arguments& arguments, unsigned blocks, [[maybe_unused]] cudaStream_t stream) {
    const auto kernel = arguments.dim == 128  // what the SDK's models have: the loops are unrolled
                             ? &local_distance_kernel<Tile<ROWS, 128>, ROWS>
                             : &local_distance_kernel<Tile<ROWS, 0>, ROWS>;
#if defined(ALIGNED_REID_EMULATED)
    emulated_launch(kernel, blocks, kThreads, arguments);
#else
    kernel<<<blocks, kThreads, 0, stream>>>(arguments);
#endif
}

bool aligned(const void* address) { return reinterpret_cast<uintptr_t>(address) % 16 == 0; }

}  // namespace
}  // namespace aligned_reid

int32_t aligned_reid_local_distance(const void* query, const void* gallery, const int32_t* candidates, void* distance,
                                    int64_t batch, int64_t gallery_rows, int64_t candidates_a_query, int32_t stripes,
                                    int32_t dim, int32_t half_in, int32_t half_out, void* stream) {
    using namespace aligned_reid;
    if (!valid_sizes(batch, gallery_rows, candidates_a_query, stripes, dim)) {
        return cudaErrorInvalidValue;
    }
    if (batch == 0 || candidates_a_query == 0) {
        return cudaSuccess;
    }
    if (!query || !candidates || !distance || (gallery_rows && !gallery)) {
        return cudaErrorInvalidValue;
    }
    if (!aligned(query) || !aligned(gallery)) {
        return cudaErrorMisalignedAddress;
    }
    const bool small = stripes <= 8;
    const int64_t a_block = kWarps * (small ? 8 : 4);
    const int64_t wanted = (candidates_a_query + a_block - 1) / a_block;
    const int64_t most = batch < kBlocks ? kBlocks / batch : 1;
    const int64_t blocks_a_query = wanted < most ? wanted : most;
    const Arguments arguments{query,
                              gallery,
                              candidates,
                              distance,
                              static_cast<int32_t>(gallery_rows),
                              static_cast<int32_t>(candidates_a_query),
                              stripes,
                              dim,
                              static_cast<int32_t>(blocks_a_query),
                              half_out != 0};
    const auto blocks = static_cast<unsigned>(batch * blocks_a_query);
    const auto queue = static_cast<cudaStream_t>(stream);
    if (half_in && small) {
        launch<HalfTile, 8>(arguments, blocks, queue);
    } else if (half_in) {
        launch<HalfTile, 16>(arguments, blocks, queue);
    } else if (small) {
        launch<FloatTile, 8>(arguments, blocks, queue);
    } else {
        launch<FloatTile, 16>(arguments, blocks, queue);
    }
    return cudaGetLastError();
}

const char* aligned_reid_error(int32_t error) { return cudaGetErrorString(static_cast<cudaError_t>(error)); }
