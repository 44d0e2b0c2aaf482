// Random cases for the tests of both libraries, with what is awkward in them: copies, zeros, candidates that are not.
#pragma once

#include <cstdint>
#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

struct Case {
    int batch, gallery_rows, candidates_a_query, stripes, dim;
    std::vector<float> query, gallery;  // values that half precision holds exactly
    std::vector<int32_t> candidates;
};

// A multiple of 1/256 below 1 in magnitude: exact in half precision, and so are such stripes' products in float.
template <typename Generator>
float value(Generator& random) {
    return static_cast<float>(static_cast<int>(random() % 511) - 255) / 256.0f;
}

template <typename Generator>
Case random_case(Generator& random, int stripes, int dim, unsigned most_candidates = 11) {
    Case made;
    made.batch = 1 + static_cast<int>(random() % 3);
    made.gallery_rows = 1 + static_cast<int>(random() % 6);
    made.candidates_a_query = 1 + static_cast<int>(random() % most_candidates);
    made.stripes = stripes;
    made.dim = dim;
    const auto size = static_cast<size_t>(stripes * dim);
    // A stripe of length about 1, as the models' are: near tanh's steep part. One in four is as long as they come.
    const float scale = random() % 4 ? 1.0f / std::sqrt(static_cast<float>(dim)) : 1.0f;
    const float step = std::ldexp(1.0f, static_cast<int>(std::floor(std::log2(scale))));
    for (size_t i = 0; i < size * static_cast<size_t>(made.batch); ++i) {
        made.query.push_back(value(random) * step);
    }
    for (size_t i = 0; i < size * static_cast<size_t>(made.gallery_rows); ++i) {
        made.gallery.push_back(value(random) * step);
    }
    for (int i = 0; i < stripes; ++i) {  // stripes of the first query in the first person, each at some height
        if (random() % 3 == 0) {
            const int from = static_cast<int>(random()) % stripes, to = static_cast<int>(random()) % stripes;
            std::copy_n(made.query.begin() + std::abs(from) * dim, dim, made.gallery.begin() + std::abs(to) * dim);
        }
    }
    if (random() % 8 == 0) {
        std::fill_n(made.gallery.begin(), size, 0.0f);
    }
    for (int i = 0; i < made.batch * made.candidates_a_query; ++i) {
        const int32_t strange[] = {-1, -2, made.gallery_rows, INT32_MIN, INT32_MAX};
        const bool usual = random() % 6 != 0;
        made.candidates.push_back(usual ? static_cast<int32_t>(random() % static_cast<unsigned>(made.gallery_rows))
                                        : strange[random() % 5]);
    }
    return made;
}
