// The host library against double precision, with the cases of cases.h; ctest runs it, also under sanitizers.
#include "host.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "cases.h"
#include "local_distance.h"
#include "reference.h"

namespace {

// IEEE half precision, of a multiple of 1/256 that it holds exactly: no rounding, no infinities.
uint16_t exact_half(float value) {
    const uint16_t sign = value < 0 ? 0x8000 : 0;
    const float magnitude = std::fabs(value);
    if (magnitude < std::ldexp(1.0f, -14)) {
        return static_cast<uint16_t>(sign | static_cast<int>(std::ldexp(magnitude, 24)));
    }
    const int exponent = std::ilogb(magnitude);
    return static_cast<uint16_t>(sign | ((exponent + 15) << 10) |
                                 (static_cast<int>(std::ldexp(magnitude, 10 - exponent)) - 1024));
}

int check(const Case& made, bool half) {
    std::vector<uint16_t> half_query, half_gallery;
    for (const float value : made.query) {
        half_query.push_back(exact_half(value));
    }
    for (const float value : made.gallery) {
        half_gallery.push_back(exact_half(value));
    }
    std::vector<float> distance(made.candidates.size());
    const int32_t error = aligned_reid_host_local_distance(
        half ? static_cast<const void*>(half_query.data()) : made.query.data(),
        half ? static_cast<const void*>(half_gallery.data()) : made.gallery.data(), made.candidates.data(),
        distance.data(), made.batch, made.gallery_rows, made.candidates_a_query, made.stripes, made.dim, half);
    if (error != 0) {
        return 1;
    }
    int failures = 0;
    const auto size = static_cast<size_t>(made.stripes * made.dim);
    for (size_t i = 0; i < distance.size(); ++i) {
        const int32_t row = made.candidates[i];
        bool right;
        if (row == -1) {
            right = std::isinf(distance[i]) && distance[i] > 0;
        } else if (row < 0 || row >= made.gallery_rows) {
            right = std::isnan(distance[i]);
        } else {
            const size_t b = i / static_cast<size_t>(made.candidates_a_query);
            const double expected = reference(&made.query[b * size], &made.gallery[static_cast<size_t>(row) * size],
                                              made.stripes, made.dim);
            right = std::fabs(distance[i] - expected) <= 2e-5;
        }
        failures += right ? 0 : 1;
    }
    return failures;
}

}  // namespace

int main(int argc, char** argv) {
    const int cases = argc > 1 ? std::atoi(argv[1]) : 10000;
    std::mt19937 random(1711);
    int failures = 0;
    for (int i = 0; i < cases; ++i) {
        const int stripes = 1 + i % aligned_reid::kMaxStripes;
        const int dim = 8 * (1 + static_cast<int>(random() % 3));
        failures += check(random_case(random, stripes, dim), i / aligned_reid::kMaxStripes % 2 == 0);
    }
    std::printf("%d cases, %d failures\n", cases, failures);
    return failures == 0 ? 0 : 1;
}
