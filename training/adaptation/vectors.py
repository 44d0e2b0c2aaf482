"""Sums, lengths and cameras' means of features."""

import numpy as np

PATIENCE = 10.0
"""Crops of a camera from which its own mean counts as much as that of all cameras."""


def sums(features: np.ndarray, group: np.ndarray, number: int) -> np.ndarray:
    """The sum of each group's rows: `[N, D]`, int `[N]` → float32 `[number, D]`."""
    total = np.zeros((number, features.shape[1]), np.float32)
    np.add.at(total, group, features)
    return total


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors at unit length; one of zeros stays one."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def without_cameras(features: np.ndarray, cameras: np.ndarray) -> np.ndarray:
    """Unit-length features `[N, D]` without the mean of their camera, at unit length again: float32.

    The mean of a camera with few crops is mostly that of all: who is alone must not be taken away from themselves.
    """
    result, everybody = features.astype(np.float32), features.mean(axis=0)
    for camera in np.unique(cameras):
        here = cameras == camera
        result[here] -= (result[here].sum(axis=0) + PATIENCE * everybody) / (here.sum() + PATIENCE)
    return unit(result)


def cosine_of(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Cosine distances row by row: `[N, D]` × 2, unit length → `[N]`."""
    return 1 - np.einsum("nd,nd->n", one, other)
