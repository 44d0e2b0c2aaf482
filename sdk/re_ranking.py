"""k-reciprocal re-ranking (Zhong et al., arXiv 1701.08398) with sparse neighbourhoods, in NumPy.

A neighbourhood holds a few dozen of all entries. So the distances are computed by blocks of rows, of which the nearest
are kept, and everything after that is lists: memory grows with (Q + G)·k, not with (Q + G)².
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sdk.blocks import on_all_cores, steps

NEAR = 2 / 3
"""Share of a neighbour's reciprocal neighbours that must be the probe's too before they are added (equation 5)."""
BLOCK_BYTES = 64 * 2**20
"""Of the largest temporary array."""
PART = 64
"""Rows of distances that a thread takes at once."""
SHARES = 16
"""Of a row, when its smallest values are looked for."""


class Rows(NamedTuple):
    """A sparse matrix by rows: row i has the values `value[start[i] : start[i + 1]]` in these columns, ascending."""

    start: np.ndarray
    """int64 `[N + 1]`."""
    column: np.ndarray
    value: np.ndarray


def re_rank(query: np.ndarray, gallery: np.ndarray, k1: int = 20, k2: int = 6, lambda_value: float = 0.3) -> np.ndarray:
    """Distances after re-ranking: unit-length features float `[Q, D]`, `[G, D]` → `[Q, G]`, float32 or as the features.

    A mix of the Jaccard distance of k-reciprocal neighbourhoods and of the original distance, which has the weight
    `lambda_value` (equation 12). k1 is the size of the neighbourhoods, k2 how many neighbours' are averaged (local
    query expansion); where there are fewer entries, all of them. A vector of zeros counts as orthogonal to all others.
    The original distance is the squared Euclidean one,
    divided by each row's largest, as in the authors' code. Raises `ValueError` for k1 or k2 below 1, and for features
    that are not finite or whose dimensions differ.
    """
    return re_rank_rows(query, gallery, k1, k2, lambda_value)(slice(None))


def re_rank_rows(
    query: np.ndarray, gallery: np.ndarray, k1: int = 20, k2: int = 6, lambda_value: float = 0.3
) -> Callable[[slice], np.ndarray]:
    """The same for a gallery whose `[Q, G]` is too large to hold: a function from a slice of queries to their rows."""
    query, gallery = np.atleast_2d(query), np.atleast_2d(gallery)
    if k1 < 1 or k2 < 1:
        raise ValueError(f"k1 is {k1} and k2 is {k2}; both must be at least 1")
    if query.shape[1] != gallery.shape[1]:
        raise ValueError(f"the query has {query.shape[1]} dimensions, the gallery {gallery.shape[1]}")
    features = np.concatenate([query, gallery])
    features = features.astype(np.promote_types(features.dtype, np.float32), copy=False)
    if not np.isfinite(features).all():
        raise ValueError("features contain NaN or infinity; leave out the crops that they are from")
    nearest, largest = _nearest(features, max(k1 + 1, k2))
    weights = _neighbourhoods(features, largest, nearest, k1)
    if k2 > 1:
        weights = _averaged(weights, nearest[:, :k2])
    return _mixed(features[: len(query)], features[len(query) :], largest, weights, lambda_value)


def jaccard_pairs(features: np.ndarray, k1: int, k2: int, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of unit-length features `[N, D]` whose Jaccard distance (equation 10) is below `limit`, at most 1.

    Returns int64 `[P, 2]`, the smaller number first, and their distances `[P]`; all other pairs are farther apart, and
    most share no neighbour at all. k1, k2: as of `re_rank`.
    """
    nearest, largest = _nearest(features, max(k1 + 1, k2))
    weights = _neighbourhoods(features, largest, nearest, k1)
    if k2 > 1:
        weights = _averaged(weights, nearest[:, :k2])
    number = len(features)
    entry = np.argsort(weights.column, kind="stable")
    row = np.repeat(np.arange(number), np.diff(weights.start))[entry]
    value, start = weights.value[entry], _starts(weights.column[entry], number)
    length = np.diff(start)
    pairs, distances = [], []
    for probe in range(number):
        own = slice(weights.start[probe], weights.start[probe + 1])
        columns = weights.column[own]
        found = _ranges(start[columns], length[columns])
        least = np.minimum(value[found], np.repeat(weights.value[own], length[columns]))
        shared = np.bincount(row[found], least, number)
        distance = 1 - shared / (2 - shared)
        near = np.flatnonzero(distance[probe + 1 :] < limit) + probe + 1
        pairs.append(np.stack([np.full(len(near), probe), near], axis=1))
        distances.append(distance[near])
    return np.concatenate(pairs), np.concatenate(distances)


def _blocks(number: int, bytes_each: int):
    """Slices of `number` rows, as long as `BLOCK_BYTES` allow."""
    return steps(number, max(1, BLOCK_BYTES // max(1, bytes_each)))


def _squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances of unit-length features."""
    distance = (-2 * a) @ b.T
    distance += 2
    return np.maximum(distance, 0, out=distance)


def _nearest(features: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` nearest of everybody, nearest first, int32 `[N, count]`, and everybody's largest distance `[N]`.

    One's own entry comes first. Entries at equal distance are in the order of their numbers.
    """
    number = len(features)
    count = min(count, number)
    nearest = np.empty((number, count), np.int32)  # half the memory, and quicker to compare
    largest = np.empty(number, features.dtype)
    for rows in _blocks(number, number * features.itemsize):
        product = (-2 * features[rows]) @ features.T

        def keep(part: slice, product=product, first=rows.start) -> None:
            distance, own = product[part], np.arange(first + part.start, first + part.stop)
            distance += 2
            np.maximum(distance, 0, out=distance)
            largest[own] = distance.max(axis=1)
            distance[np.arange(len(own)), own] = -1  # also among copies, and of a vector of zeros
            nearest[own] = _smallest(distance, count)

        on_all_cores(keep, len(product), PART)
    return nearest, np.maximum(largest, 1e-12)


def _smallest(values: np.ndarray, count: int) -> np.ndarray:
    """The columns of each row's `count` smallest values, ascending, equal ones from the left: `[R, N]` → `[R, count]`.

    Many times quicker than `np.argpartition` where `count` is small beside N: the row is cut into `SHARES` interleaved
    strands, so that each place's least is a value of its own, and `count` values are not above the least of `count`
    places. Only those are sorted.
    """
    rows, number = values.shape
    places = number // SHARES
    least = values
    if places >= count:
        least = values[:, : places * SHARES].reshape(rows, SHARES, places).min(axis=1)
    limit = np.partition(least, count - 1, axis=1)[:, count - 1 : count]
    row, column = np.divmod(np.flatnonzero(values <= limit), number)
    order = np.lexsort((column, values[row, column], row))
    first = _starts(row, rows)[:-1, None]
    return column[order[first + np.arange(count)]]


def _reciprocal(nearest: np.ndarray, k: int) -> np.ndarray:
    """Everybody's k nearest (and itself), −1 for those that do not have it among theirs: `[N, k + 1]`. Equation 3."""
    nearest = nearest[:, : k + 1]
    found = np.empty_like(nearest)
    for rows in _blocks(len(nearest), nearest.shape[1] ** 2 * 8):
        probes = np.arange(len(nearest), dtype=nearest.dtype)[rows, None, None]
        mutual = (nearest[nearest[rows]] == probes).any(axis=2)
        found[rows] = np.where(mutual, nearest[rows], -1)
    return found


def _neighbourhoods(features: np.ndarray, largest: np.ndarray, nearest: np.ndarray, k1: int) -> Rows:
    """Everybody's expanded neighbourhood, weighted by nearness and adding up to 1 (equations 5 and 7)."""
    own, half = _reciprocal(nearest, k1), _reciprocal(nearest, round(k1 / 2))
    parts = []
    for rows in _blocks(len(own), own.shape[1] ** 2 * half.shape[1]):
        mine = own[rows]  # [B, k]
        theirs = np.where(mine[..., None] >= 0, half[mine], -1)  # [B, k, h]; −1 looks up the last row, which is masked
        shared = (theirs[..., None] == mine[:, None, None, :]).any(axis=3) & (theirs >= 0)
        agrees = shared.sum(axis=2) > NEAR * (theirs >= 0).sum(axis=2)
        added = np.where(agrees[..., None], theirs, -1)
        members = np.sort(np.concatenate([mine, added.reshape(len(mine), -1)], axis=1), axis=1)
        fresh = members >= 0
        fresh[:, 1:] &= members[:, 1:] != members[:, :-1]
        probe, place = np.nonzero(fresh)
        parts.append((probe + rows.start, members[probe, place]))
    probe, member = (np.concatenate(part) for part in zip(*parts, strict=True))
    near = np.empty(len(probe), features.dtype)
    for pairs in _blocks(len(probe), features.shape[1] * features.itemsize):
        product = np.einsum("nd,nd->n", features[probe[pairs]], features[member[pairs]])
        near[pairs] = np.exp(-np.maximum(2 - 2 * product, 0) / largest[probe[pairs]])
    total = np.bincount(probe, near, len(features)).astype(features.dtype)
    return Rows(_starts(probe, len(features)), member, near / total[probe])


def _starts(row: np.ndarray, number: int) -> np.ndarray:
    """Where each of `number` rows begins in entries that are sorted by row: int64 `[number + 1]`."""
    return np.searchsorted(row, np.arange(number + 1))


def _averaged(weights: Rows, neighbours: np.ndarray) -> Rows:
    """The mean of everybody's neighbours' rows (local query expansion, section 3.5): neighbours int `[N, k2]`."""
    number, count = neighbours.shape
    lengths = np.diff(weights.start)
    parts = []
    for rows in _blocks(number, int(count * max(1, lengths.mean()) * 40)):
        chosen = neighbours[rows].ravel()
        entry = _ranges(weights.start[chosen], lengths[chosen])
        probe = np.repeat(np.arange(rows.start, rows.stop).repeat(count), lengths[chosen])
        key = probe * number + weights.column[entry]
        order = np.argsort(key, kind="stable")
        key = key[order]
        first = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
        parts.append((key[first], np.add.reduceat(weights.value[entry][order], first) / count))
    key, value = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Rows(_starts(key // number, number), key % number, value.astype(weights.value.dtype))


def _ranges(start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """start[0], start[0] + 1, … (length[0] of them), start[1], …: int64."""
    offset = np.cumsum(length) - length
    return np.arange(length.sum()) + np.repeat(start - offset, length)


def _mixed(query: np.ndarray, gallery: np.ndarray, largest: np.ndarray, weights: Rows, lambda_value: float):
    """Rows of (1 − λ) · Jaccard distance + λ · original distance (equations 10 and 12).

    Σ min over the columns that a query and a gallery entry share is added up from lists of the gallery's entries by
    column. The rows add up to 1, so Σ max = 2 − Σ min.
    """
    split = weights.start[len(query)]
    entry = np.argsort(weights.column[split:], kind="stable") + split
    column, value = weights.column[entry], weights.value[entry]
    row = np.repeat(np.arange(len(gallery)), np.diff(weights.start[len(query) :]))[entry - split]
    start = _starts(column, len(query) + len(gallery))
    length = np.diff(start)

    def rows_of(rows: slice) -> np.ndarray:
        probes, theirs, farthest = np.arange(len(query))[rows], query[rows], largest[: len(query)][rows]
        mixed = np.empty((len(probes), len(gallery)), query.dtype)
        for part in _blocks(len(probes), len(gallery) * query.itemsize):
            mixed[part] = lambda_value * _squared(theirs[part], gallery) / farthest[part, None]
        for place, probe in enumerate(probes):
            own = slice(weights.start[probe], weights.start[probe + 1])
            columns = weights.column[own]
            found = _ranges(start[columns], length[columns])
            least = np.minimum(value[found], np.repeat(weights.value[own], length[columns]))
            shared = np.bincount(row[found], least, len(gallery))
            mixed[place] += (1 - lambda_value) * (1 - shared / (2 - shared))
        return mixed

    return rows_of
