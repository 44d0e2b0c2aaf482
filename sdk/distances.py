"""Distances between features in NumPy: global (cosine) and aligned local, the paper's equations 1 and 2; re-ranked."""

import numpy as np

from sdk.re_ranking import re_rank

__all__ = [
    "cosine_distance",
    "element_distance",
    "local_distance",
    "local_distance_gathered",
    "re_rank",
    "shortest_path",
]


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
