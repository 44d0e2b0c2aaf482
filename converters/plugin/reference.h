// The aligned local distance in double precision, as the paper's equations say it, for the tests of both libraries.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

// All monotone paths from (i, j) to the last cell, one by one.
inline double cheapest_path(const std::vector<double>& element, int stripes, int i, int j) {
    const double own = element[static_cast<size_t>(i * stripes + j)];
    if (i == stripes - 1 && j == stripes - 1) {
        return own;
    }
    double best = INFINITY;
    if (i + 1 < stripes) {
        best = std::min(best, cheapest_path(element, stripes, i + 1, j));
    }
    if (j + 1 < stripes) {
        best = std::min(best, cheapest_path(element, stripes, i, j + 1));
    }
    return own + best;
}

// The same from the last cell backwards, each cell once: for sizes with too many paths to try.
inline double cheapest_path_backwards(std::vector<double> cost, int stripes) {
    for (int i = stripes - 1; i >= 0; --i) {
        for (int j = stripes - 1; j >= 0; --j) {
            const double down = i + 1 < stripes ? cost[static_cast<size_t>((i + 1) * stripes + j)] : INFINITY;
            const double right = j + 1 < stripes ? cost[static_cast<size_t>(i * stripes + j + 1)] : INFINITY;
            const bool last = i == stripes - 1 && j == stripes - 1;
            cost[static_cast<size_t>(i * stripes + j)] += last ? 0.0 : std::min(down, right);
        }
    }
    return cost[0];
}

// Of one pair. query and person hold stripes × dim values.
inline double reference(const float* query, const float* person, int stripes, int dim) {
    std::vector<double> element(static_cast<size_t>(stripes * stripes));
    for (int i = 0; i < stripes; ++i) {
        for (int j = 0; j < stripes; ++j) {
            double squared = 0;
            for (int k = 0; k < dim; ++k) {
                const double difference = static_cast<double>(query[i * dim + k]) - person[j * dim + k];
                squared += difference * difference;
            }
            element[static_cast<size_t>(i * stripes + j)] = std::tanh(std::sqrt(squared) / 2);
        }
    }
    return stripes <= 6 ? cheapest_path(element, stripes, 0, 0) : cheapest_path_backwards(element, stripes);
}
