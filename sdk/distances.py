"""Distances between features in NumPy: global (cosine) and aligned local, the paper's equations 1 and 2."""

from functools import partial

import numpy as np

from sdk.blocks import on_all_cores, steps
from sdk.re_ranking import re_rank

__all__ = [
    "cosine_distance",
    "element_distance",
    "local_distance",
    "local_distance_gathered",
    "path_cells",
    "re_rank",
    "shortest_path",
]

QUERIES, ENTRIES = 128, 1024
"""How many queries × gallery entries are multiplied at once, by NumPy's library for matrices and on its threads."""
PART = 16
"""Of those, how many queries' paths one of our threads walks: enough for its calls to be long beside what starting one
costs, few enough for a core's cache."""


def cosine_distance(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """1 − a·b for all pairs of unit-length vectors: float `[Q, D]`, `[G, D]` → `[Q, G]` in [0, 2].

    A vector of zeros has the distance 1 to everything.
    """
    distance: np.ndarray = 1 - query @ gallery.T
    return distance


def element_distance(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Distance of every stripe to every stripe: `[..., S, d]` × `[..., S, d]` → float32 `[..., S, S]` in [0, 1).

    Paper, equation 1: (e^x − 1) / (e^x + 1) with x = ‖f_i − g_j‖₂, which is tanh(x / 2) and never overflows so.
    """
    query, gallery = np.asarray(query, np.float32), np.asarray(gallery, np.float32)
    squared = np.square(query).sum(-1)[..., :, None] + np.square(gallery).sum(-1)[..., None, :]
    squared = squared - 2 * query @ np.swapaxes(gallery, -1, -2)
    distance: np.ndarray = np.tanh(np.sqrt(np.maximum(squared, 0)) / 2)
    return distance


def shortest_path(element: np.ndarray) -> np.ndarray:
    """Cheapest monotone path from (1, 1) to (S, S), moving right or down: `[..., S, S]` → `[...]`. Equation 2."""
    return _shortest_path(np.moveaxis(element, (-2, -1), (0, 1)))


def path_cells(element: np.ndarray) -> np.ndarray:
    """The cells of the path that `shortest_path` prices: `[R, C]` → int64 `[R + C − 1, 2]`, (0, 0) first.

    Where two paths cost the same, the one that comes to a cell from above is taken. Raises `ValueError` for anything
    but one matrix with at least one cell.
    """
    element = np.asarray(element)
    if element.ndim != 2 or not element.size:
        raise ValueError(f"path_cells takes one matrix [R, C], not an array of shape {element.shape}")
    cost = np.full((element.shape[0] + 1, element.shape[1] + 1), np.inf)  # a rim of infinity: no path leaves the matrix
    cost[0, 1] = 0
    for i, j in np.ndindex(element.shape):
        cost[i + 1, j + 1] = element[i, j] + min(cost[i, j + 1], cost[i + 1, j])
    i, j = element.shape[0] - 1, element.shape[1] - 1
    cells = [(i, j)]
    while (i, j) != (0, 0):
        above, left = cost[i, j + 1], cost[i + 1, j]
        # Row 0 is left by its rim alone: cost[0, 1] = 0 is the entrance, not a cell above.
        i, j = (i - 1, j) if i > 0 and above <= left else (i, j - 1)
        cells.append((i, j))
    return np.array(cells[::-1], np.int64)


def local_distance(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Aligned local distance of all pairs: stripes `[Q, S, d]`, `[G, S, d]` → float32 `[Q, G]`, at most 2S − 1.

    On all cores. A NaN in a stripe makes the distances of its crop NaN. Raises `ValueError` for other shapes.
    """
    query, gallery = np.asarray(query, np.float32), np.asarray(gallery, np.float32)
    distance = np.empty((len(query), len(gallery)), np.float32)
    # ‖a − b‖² / 4 as one product: (−a/2, ‖a‖²/4, 1) · (b, 1, ‖b‖²/4)
    length, other = (np.square(stripes).sum(-1, keepdims=True) / 4 for stripes in (query, gallery))
    left = np.concatenate([query / -2, length, np.ones_like(length)], axis=-1)
    right = np.concatenate([gallery, np.ones_like(other), other], axis=-1)
    for entries in steps(len(gallery), ENTRIES):
        # The entries last: the walk is along them, over contiguous memory.
        factor = np.ascontiguousarray(right[entries].transpose(2, 1, 0))
        for queries in steps(len(query), QUERIES):
            product = np.tensordot(left[queries], factor, axes=1)  # [q, S, S, g]
            on_all_cores(partial(_align, product, distance[queries, entries]), len(product), PART)
    return distance


def local_distance_gathered(query: np.ndarray, gallery: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Aligned local distance of each query to its own candidates.

    query `[B, S, d]`, gallery `[G, S, d]`, candidates int `[B, K]` of gallery rows → float32 `[B, K]`.
    A candidate of −1 stands for "none" and gives +inf. Raises `IndexError` for one outside the gallery.
    """
    candidates = np.asarray(candidates)
    if candidates.size and (candidates.max() >= len(gallery) or candidates.min() < -1):
        raise IndexError(
            f"candidates reach from {candidates.min()} to {candidates.max()}; the gallery has {len(gallery)}"
        )
    distance = shortest_path(element_distance(query[:, None], gallery[candidates]))
    return np.where(candidates < 0, np.float32(np.inf), distance)


def _align(quarter_squared: np.ndarray, distance: np.ndarray, queries: slice) -> None:
    """‖f_i − g_j‖² / 4 of some pairs `[q, S, S, g]`, which are overwritten, to their local distances `[q, g]`."""
    element = quarter_squared[queries]
    np.maximum(element, 0, out=element)
    np.sqrt(element, out=element)
    np.tanh(element, out=element)
    distance[queries] = _shortest_path(element.transpose(1, 2, 0, 3))


def _shortest_path(element: np.ndarray) -> np.ndarray:
    """`[S, T, ...]` → `[...]`, a row of the matrix after the other, every pair at the same cell at the same time."""
    rows, columns = element.shape[:2]
    cost: list[np.ndarray] = list(np.cumsum(element[0], axis=0))
    for i in range(1, rows):
        cost[0] = cost[0] + element[i, 0]
        for j in range(1, columns):
            cost[j] = np.minimum(cost[j], cost[j - 1])
            cost[j] += element[i, j]
    return cost[-1]
