"""Distances between features in NumPy: global (cosine) and aligned local, the paper's equations 1 and 2."""

import numpy as np


def cosine_distance(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """1 − a·b for all pairs of unit-length vectors: float `[Q, D]`, `[G, D]` → `[Q, G]` in [0, 2]."""
    return 1 - query @ gallery.T


def element_distance(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Distance of every stripe to every stripe: `[..., S, d]` × `[..., S, d]` → float32 `[..., S, S]` in [0, 1).

    Paper, equation 1: (e^x − 1) / (e^x + 1) with x = ‖f_i − g_j‖₂, which is tanh(x / 2) and never overflows so.
    """
    query, gallery = np.asarray(query, np.float32), np.asarray(gallery, np.float32)
    squared = np.square(query).sum(-1)[..., :, None] + np.square(gallery).sum(-1)[..., None, :]
    squared = squared - 2 * query @ np.swapaxes(gallery, -1, -2)
    return np.tanh(np.sqrt(np.maximum(squared, 0)) / 2)


def shortest_path(element: np.ndarray) -> np.ndarray:
    """Cheapest monotone path from (1, 1) to (S, S), moving right or down: `[..., S, S]` → `[...]`. Equation 2."""
    rows, columns = element.shape[-2:]
    cost = np.cumsum(element[..., 0, :], axis=-1)
    for i in range(1, rows):
        row = np.empty_like(cost)
        row[..., 0] = cost[..., 0] + element[..., i, 0]
        for j in range(1, columns):
            row[..., j] = element[..., i, j] + np.minimum(cost[..., j], row[..., j - 1])
        cost = row
    return cost[..., -1]


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
    """Aligned local distance of all pairs: stripes `[Q, S, d]`, `[G, S, d]` → float32 `[Q, G]`, at most 2S − 1."""
    return np.stack([shortest_path(element_distance(stripes[None], gallery)) for stripes in query])


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
