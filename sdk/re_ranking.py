"""k-reciprocal re-ranking of a gallery (Zhong et al., arXiv 1701.08398), in NumPy.

The whole distance matrix of N = Q + G features is never held: it is computed by blocks of rows, and of the k-reciprocal
features of equation 7, N rows of N numbers, only what is not zero is kept.
"""

from typing import NamedTuple

import numpy as np

BLOCK = 256
"""Rows worked on at once: bounds the memory to a few BLOCK × N arrays."""


class Sparse(NamedTuple):
    """Rows of a matrix of which only the entries that are not zero are kept."""

    start: np.ndarray
    """Where each row begins in the two others, int64 `[rows + 1]`."""
    columns: np.ndarray
    values: np.ndarray
    """float32."""


def re_rank(query: np.ndarray, gallery: np.ndarray, k1: int = 20, k2: int = 6, lambda_value: float = 0.3) -> np.ndarray:
    """Distances of queries to a gallery, re-ranked: unit-length float `[Q, D]`, `[G, D]` → float32 `[Q, G]` in [0, 1].

    (1 − λ) × the Jaccard distance of two features' k1-reciprocal neighbours, each averaged over the k2 nearest, plus
    λ × the cosine distance as a share of the query's largest. Queries take part in each other's neighbourhoods, so a
    query's result depends on which others there are.

    Where the paper's text and the authors' published code differ, this follows the code, which gave the paper's
    figures: the neighbours include the feature itself (k1 + 1 of them, k1 / 2 + 1 in the expansion, k2), the overlap
    of an expansion must be *more* than two thirds, and the weights of a row sum to 1. Raises `ValueError` for a k1 or
    k2 below 1 or a λ outside [0, 1].
    """
    if k1 < 1 or k2 < 1 or not 0 <= lambda_value <= 1:
        raise ValueError(f"re-ranking needs k1 and k2 from 1 and lambda in [0, 1], not {k1}, {k2}, {lambda_value}")
    query, gallery = np.asarray(query, np.float32), np.asarray(gallery, np.float32)
    features = np.concatenate([query, gallery])
    if not (len(query) and len(gallery)):
        return np.empty((len(query), len(gallery)), np.float32)
    neighbours, scale = _neighbours(features, max(k1 + 1, k2))
    encoded = _encode(features, scale, neighbours[:, : k1 + 1], (k1 + 2) // 2)
    encoded = _expand(encoded, neighbours[:, :k2])
    result = _jaccard(encoded, len(query))
    result *= 1 - lambda_value
    for start in range(0, len(query), BLOCK):
        rows = slice(start, start + BLOCK)
        result[rows] += lambda_value / scale[: len(query)][rows, None] * (1 - query[rows] @ gallery.T)
    return result


def _blocks(count: int):
    for start in range(0, count, BLOCK):
        yield np.arange(start, min(start + BLOCK, count))


def _neighbours(features: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of each feature, nearest first, itself among them: int `[N, k]`; its largest distance `[N]`."""
    k = min(k, len(features))
    nearest = np.empty((len(features), k), np.int64)
    largest = np.empty(len(features), np.float32)
    for rows in _blocks(len(features)):
        distance = 1 - features[rows] @ features.T
        distance[np.arange(len(rows)), rows] = -1  # ahead of its own copies, whatever rounding makes of a zero
        found = np.argpartition(distance, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(distance, found, axis=1), axis=1, kind="stable")
        nearest[rows] = np.take_along_axis(found, order, axis=1)
        largest[rows] = distance.max(axis=1)
    return nearest, np.maximum(largest, 1e-6)  # nobody to scale by: all are copies


def _reciprocal(neighbours: np.ndarray) -> np.ndarray:
    """Which neighbours have the feature among theirs (equation 2): bool, as `neighbours` int `[N, k]`."""
    mutual = np.empty(neighbours.shape, bool)
    for rows in _blocks(len(neighbours)):
        mutual[rows] = (neighbours[neighbours[rows]] == rows[:, None, None]).any(axis=2)
    return mutual


def _encode(features: np.ndarray, scale: np.ndarray, neighbours: np.ndarray, half: int) -> Sparse:
    """The k-reciprocal features (equation 7): exp(−d) over the expanded set of equation 3, a row's sum being 1."""
    mutual, near = _reciprocal(neighbours), neighbours[:, :half]
    mutual_near = _reciprocal(near)
    sizes = mutual_near.sum(axis=1)
    counts, columns, values = [np.zeros(1, np.int64)], [], []
    for rows in _blocks(len(features)):
        own, at = neighbours[rows], np.arange(len(rows))[:, None]
        member = np.zeros((len(rows), len(features)), bool)
        member[at, own] = mutual[rows]
        candidates = near[own]  # [rows, k, half]: the expansion that each neighbour would bring
        brought = mutual_near[own]
        shared = (member[at[..., None], candidates] & brought).sum(axis=2)
        wanted = mutual[rows] & (3 * shared > 2 * sizes[own])
        row, rank, place = np.nonzero(wanted[..., None] & brought)
        member[row, candidates[row, rank, place]] = True
        row, column = np.nonzero(member)
        weight = np.exp((features[rows] @ features.T - 1)[row, column] / scale[rows][row])
        weight /= np.bincount(row, weight, len(rows))[row]
        counts.append(np.bincount(row, minlength=len(rows)))
        columns.append(column)
        values.append(weight.astype(np.float32))
    return Sparse(np.cumsum(np.concatenate(counts)), np.concatenate(columns), np.concatenate(values))


def _entries(matrix: Sparse, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the entries of `rows`, row after row, lie in the matrix, and how many each row has."""
    counts = matrix.start[rows + 1] - matrix.start[rows]
    ends = np.cumsum(counts)
    places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(matrix.start[rows] - ends + counts, counts)
    return places, counts


def _expand(encoded: Sparse, neighbours: np.ndarray) -> Sparse:
    """Local query expansion (equation 11): each row becomes the mean of its nearest neighbours' rows."""
    size, k = neighbours.shape
    if k == 1:
        return encoded
    lengths, columns, values = [np.zeros(1, np.int64)], [], []
    for rows in _blocks(size):
        places, counts = _entries(encoded, neighbours[rows].ravel())
        row = np.repeat(np.repeat(np.arange(len(rows)), k), counts)
        # One number for a place in the block, so that several neighbours' entries there are added up.
        place, group = np.unique(row * size + encoded.columns[places], return_inverse=True)
        values.append((np.bincount(group, encoded.values[places], len(place)) / k).astype(np.float32))
        columns.append(place % size)
        lengths.append(np.bincount(place // size, minlength=len(rows)))
    return Sparse(np.cumsum(np.concatenate(lengths)), np.concatenate(columns), np.concatenate(values))


def _jaccard(encoded: Sparse, queries: int) -> np.ndarray:
    """Jaccard distance of the first `queries` rows to the rest (equation 10): float32 `[Q, G]`.

    1 − Σ min / Σ max; as rows sum to 1, Σ max is 2 − Σ min. A query meets only the rows that share a column with it.
    """
    size = len(encoded.start) - 1
    rows = np.repeat(np.arange(size), np.diff(encoded.start))
    kept = rows >= queries
    order = np.flatnonzero(kept)[np.argsort(encoded.columns[kept], kind="stable")]
    starts = np.concatenate([[0], np.cumsum(np.bincount(encoded.columns[kept], minlength=size))])
    by_column = Sparse(starts, rows[order] - queries, encoded.values[order])
    result = np.empty((queries, size - queries), np.float32)
    for query in range(queries):
        own = slice(encoded.start[query], encoded.start[query + 1])
        places, counts = _entries(by_column, encoded.columns[own])
        smaller = np.minimum(np.repeat(encoded.values[own], counts), by_column.values[places])
        shared = np.bincount(by_column.columns[places], smaller, size - queries)
        result[query] = 1 - shared / (2 - shared)
    return result
