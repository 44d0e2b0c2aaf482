// The kernel's source, lane by lane on the processor, against double precision. ALIGNED_REID_EMULATED, a number like
// __CUDA_ARCH__, says which architecture's matrix instructions are emulated: 750 or 800.
#include "emulated_gpu.h"

#define ALIGNED_REID_BLOCKS 4

#include "kernel.cu"

#include <cstdio>
#include <cstdlib>

#include "cases.h"
#include "reference.h"

namespace {

int failures = 0;

void fail(const Case& made, bool half, const char* what, double found, double expected) {
    if (++failures <= 10) {
        std::printf("stripes %d, dim %d, %s: %s: %.8g, not %.8g\n", made.stripes, made.dim, half ? "half" : "float",
                    what, found, expected);
    }
}

// An array that begins at a multiple of 16 bytes, declared as readable.
template <typename Value>
class Array {
   public:
    explicit Array(size_t size) : memory_(size + 16 / sizeof(Value)), size_(size) {
        while (reinterpret_cast<uintptr_t>(memory_.data() + shift_) % 16 != 0) {
            ++shift_;
        }
        const auto begin = reinterpret_cast<uintptr_t>(data());
        readable.push_back({begin, begin + size * sizeof(Value)});
    }
    Value* data() { return memory_.data() + shift_; }
    size_t size() const { return size_; }

   private:
    std::vector<Value> memory_;
    size_t size_, shift_ = 0;
};

template <typename Value, typename From>
void fill(Array<Value>& to, const From& from) {
    for (size_t i = 0; i < to.size(); ++i) {
        if constexpr (sizeof(Value) == 2) {
            to.data()[i] = __float2half_rn(from[i]);
        } else {
            to.data()[i] = from[i];
        }
    }
}

template <typename Value>
void check(const Case& made, bool half_out) {
    constexpr bool half = sizeof(Value) == 2;
    readable.clear();
    Array<Value> query(made.query.size()), gallery(made.gallery.size());
    Array<int32_t> candidates(made.candidates.size());
    fill(query, made.query);
    fill(gallery, made.gallery);
    fill(candidates, made.candidates);
    const size_t count = made.candidates.size();
    const float untouched = -7.0f;
    std::vector<float> distance(count + 8, untouched);  // half precision is put into the same memory
    const int32_t error = aligned_reid_local_distance(query.data(), gallery.data(), candidates.data(), distance.data(),
                                                      made.batch, made.gallery_rows, made.candidates_a_query,
                                                      made.stripes, made.dim, half, half_out, nullptr);
    if (error != 0) {
        fail(made, half, "error", error, 0);
        return;
    }
    const auto size = static_cast<size_t>(made.stripes * made.dim);
    for (size_t i = 0; i < count; ++i) {
        const int32_t row = made.candidates[i];
        float found = distance[i];
        if (half_out) {
            uint16_t bits;
            std::memcpy(&bits, reinterpret_cast<const char*>(distance.data()) + 2 * i, 2);
            found = half_to_float(bits);
        }
        if (row == -1) {
            if (!(std::isinf(found) && found > 0)) {
                fail(made, half, "no candidate", found, INFINITY);
            }
        } else if (row < 0 || row >= made.gallery_rows) {
            if (!std::isnan(found)) {
                fail(made, half, "a row outside the gallery", found, NAN);
            }
        } else {
            const size_t b = i / static_cast<size_t>(made.candidates_a_query);
            const double expected = reference(&made.query[b * size], &made.gallery[static_cast<size_t>(row) * size],
                                              made.stripes, made.dim);
            const double rounding = half_out ? expected / 2048 : 0;
            if (!(std::fabs(found - expected) <= 2e-5 + rounding)) {
                fail(made, half, "distance", found, expected);
            }
        }
    }
    const size_t written = half_out ? (count + 1) / 2 : count;
    for (size_t i = written; i < distance.size(); ++i) {
        if (distance[i] != untouched) {
            fail(made, half, "written behind the end", distance[i], untouched);
        }
    }
}

void check_refusals() {
    alignas(16) float memory[64] = {};
    const int32_t row = 0;
    const auto call = [&](const float* query, int64_t batch, int32_t stripes, int32_t dim) {
        return aligned_reid_local_distance(query, memory, &row, memory, batch, 1, 1, stripes, dim, 0, 0, nullptr);
    };
    const bool right = call(memory, 0, 1, 8) == cudaSuccess && call(nullptr, 1, 1, 8) == cudaErrorInvalidValue &&
                       call(memory, 1, 17, 8) == cudaErrorInvalidValue &&
                       call(memory, 1, 0, 8) == cudaErrorInvalidValue &&
                       call(memory, 1, 1, 12) == cudaErrorInvalidValue &&
                       call(memory, -1, 1, 8) == cudaErrorInvalidValue &&
                       call(memory + 1, 1, 1, 8) == cudaErrorMisalignedAddress;
    if (!right) {
        ++failures;
        std::printf("wrong sizes or addresses are not refused as kernel.h says\n");
    }
}

}  // namespace

int main(int argc, char** argv) {
    const int rounds = argc > 1 ? std::atoi(argv[1]) : 1;
    std::mt19937 random(2018);
    int cases = 0;
    for (int round = 0; round < rounds; ++round) {
        for (int stripes = 1; stripes <= aligned_reid::kMaxStripes; ++stripes) {
            for (const int dim : {8, 40, 128}) {
                if (dim == 128 && stripes != 1 && stripes != 8 && stripes != 13) {
                    continue; // our models' size for three numbers of stripes: it takes most of the time
                }
                // One in four has more candidates than the blocks' warps take at once.
                const Case made = random_case(random, stripes, dim, (stripes + dim / 8) % 4 ? 11 : 140);
                check<__half>(made, (round + stripes) % 4 == 0);
                check<float>(made, (round + stripes) % 4 == 1);
                cases += 2;
            }
        }
    }
    check_refusals();
    if (reads_outside != 0) {
        ++failures;
        std::printf("%d reads outside the arrays\n", reads_outside);
    }
    std::printf("%d cases, %d failures\n", cases, failures);
    return failures == 0 ? 0 : 1;
}
