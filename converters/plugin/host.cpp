// The aligned local distance on the processor, with the kernel's functions and interface: what tests call through
// ctypes. Single precision by sums of squared differences and half precision by norms and products, as the kernel.
#include "host.h"

#include <cstring>
#include <vector>

#include "local_distance.h"

namespace aligned_reid {
namespace {

// IEEE half precision as bits, since C++17 has no such type.
float to_float(uint16_t half) {
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
    const uint32_t exponent = (half >> 10) & 0x1fu;
    const uint32_t mantissa = half & 0x3ffu;
    if (exponent == 0) {  // zero or subnormal: mantissa · 2^-24
        const float magnitude = std::ldexp(static_cast<float>(mantissa), -24);
        return sign ? -magnitude : magnitude;
    }
    const uint32_t bits = exponent == 31 ? sign | 0x7f800000u | mantissa << 13
                                         : sign | (exponent + 112) << 23 | mantissa << 13;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

float to_float(float value) { return value; }

float inner_product(const std::vector<float>& a, int i, const std::vector<float>& b, int j, int dim) {
    float sum = 0.0f;
    for (int k = 0; k < dim; ++k) {
        sum += a[static_cast<size_t>(i) * dim + k] * b[static_cast<size_t>(j) * dim + k];
    }
    return sum;
}

float squared(const std::vector<float>& query, int i, const std::vector<float>& person, int j, int dim, bool half) {
    if (half) {
        return squared_distance(inner_product(query, i, query, i, dim), inner_product(person, j, person, j, dim),
                                inner_product(query, i, person, j, dim));
    }
    float sum = 0.0f;
    for (int k = 0; k < dim; ++k) {
        const float difference = query[static_cast<size_t>(i) * dim + k] - person[static_cast<size_t>(j) * dim + k];
        sum += difference * difference;
    }
    return sum;
}

template <typename Value>
std::vector<float> person(const Value* stripes, int64_t index, int count) {
    std::vector<float> values(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) {
        values[static_cast<size_t>(i)] = to_float(stripes[index * count + i]);
    }
    return values;
}

template <typename Value>
void compute(const Value* query, const Value* gallery, const int32_t* candidates, float* distance, int64_t batch,
             int64_t gallery_rows, int64_t candidates_a_query, int32_t stripes, int32_t dim) {
    constexpr bool half = sizeof(Value) == 2;
    for (int64_t b = 0; b < batch; ++b) {
        const std::vector<float> own = person(query, b, stripes * dim);
        for (int64_t k = 0; k < candidates_a_query; ++k) {
            const int32_t row = candidates[b * candidates_a_query + k];
            float& result = distance[b * candidates_a_query + k];
            if (row < 0 || row >= gallery_rows) {
                result = distance_to_nobody(row);
                continue;
            }
            const std::vector<float> other = person(gallery, row, stripes * dim);
            const auto read = [&](int i, float(&values)[kMaxStripes]) {
                for (int j = 0; j < kMaxStripes; ++j) {
                    values[j] = j < stripes ? element_distance(squared(own, j, other, i, dim, half)) : 0.0f;
                }
            };
            result = shortest_path<kMaxStripes>(read, stripes);
        }
    }
}

}  // namespace
}  // namespace aligned_reid

int32_t aligned_reid_host_local_distance(const void* query, const void* gallery, const int32_t* candidates,
                                         float* distance, int64_t batch, int64_t gallery_rows,
                                         int64_t candidates_a_query, int32_t stripes, int32_t dim, int32_t half_in) {
    using namespace aligned_reid;
    if (!valid_sizes(batch, gallery_rows, candidates_a_query, stripes, dim)) {
        return 1;
    }
    if (half_in) {
        compute(static_cast<const uint16_t*>(query), static_cast<const uint16_t*>(gallery), candidates, distance, batch,
                gallery_rows, candidates_a_query, stripes, dim);
    } else {
        compute(static_cast<const float*>(query), static_cast<const float*>(gallery), candidates, distance, batch,
                gallery_rows, candidates_a_query, stripes, dim);
    }
    return 0;
}
