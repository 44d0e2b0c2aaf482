"""k-reciprocal re-ranking (Zhong et al., arXiv 1701.08398) in NumPy."""

import numpy as np

NEAR = 2 / 3
"""Share of a neighbour's reciprocal neighbours that must be the probe's too before they are added (equation 5)."""


def re_rank(query: np.ndarray, gallery: np.ndarray, k1: int = 20, k2: int = 6, lambda_value: float = 0.3) -> np.ndarray:
    """Distances after re-ranking: unit-length features float `[Q, D]`, `[G, D]` → float32 `[Q, G]`.

    A mix of the Jaccard distance of k-reciprocal neighbourhoods and of the original distance, which has the weight
    `lambda_value` (equation 12). k1 is the size of the neighbourhoods, k2 how many neighbours' are averaged (local
    query expansion). The original distance is the squared Euclidean one, divided by each row's largest, as in the
    authors' code. Needs memory for three float32 matrices of (Q + G)². Raises `ValueError` for k1 or k2 below 1.
    """
    if k1 < 1 or k2 < 1:
        raise ValueError(f"k1 is {k1} and k2 is {k2}; both must be at least 1")
    features = np.concatenate([query, gallery]).astype(np.float32)
    number = len(features)
    distance = np.maximum(2 - 2 * features @ features.T, 0)
    distance /= np.maximum(distance.max(axis=1, keepdims=True), 1e-12)
    ranked = _nearest(distance, max(k1 + 1, k2))
    reciprocal = _reciprocal(ranked, k1)
    half = _reciprocal(ranked, round(k1 / 2))
    weights = np.zeros((number, number), np.float32)  # equation 7: a row encodes the neighbourhood of a probe
    for probe in range(number):
        own = reciprocal[probe]
        members = [own]
        for candidate in own:
            theirs = half[candidate]
            if len(np.intersect1d(theirs, own, assume_unique=True)) > NEAR * len(theirs):
                members.append(theirs)
        members = np.unique(np.concatenate(members))
        near = np.exp(-distance[probe, members])
        weights[probe, members] = near / near.sum()
    if k2 > 1:
        weights = np.stack([weights[ranked[probe, :k2]].mean(axis=0) for probe in range(number)])
    jaccard = _jaccard_distance(weights[: len(query)], weights[len(query) :])
    return (1 - lambda_value) * jaccard + lambda_value * distance[: len(query), len(query) :]


def _nearest(distance: np.ndarray, count: int) -> np.ndarray:
    """The `count` nearest of every row, nearest first: `[N, N]` → int `[N, count]`. A row's own entry is among them."""
    count = min(count, len(distance))
    chosen = np.argpartition(distance, count - 1, axis=1)[:, :count]
    order = np.argsort(np.take_along_axis(distance, chosen, axis=1), axis=1, kind="stable")
    return np.take_along_axis(chosen, order, axis=1)


def _reciprocal(ranked: np.ndarray, k: int) -> list[np.ndarray]:
    """For every row those among its k nearest (and itself) that have it among theirs (equation 3)."""
    nearest = ranked[:, : k + 1]
    mutual = (nearest[nearest] == np.arange(len(nearest))[:, None, None]).any(axis=2)
    return [row[kept] for row, kept in zip(nearest, mutual, strict=True)]


def _jaccard_distance(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """1 − Σ min / Σ max of the encoded neighbourhoods (equation 10): `[Q, N]`, `[G, N]` → float32 `[Q, G]`.

    The rows add up to 1, so Σ max = 2 − Σ min; most entries are 0, so that only a probe's own columns are looked at.
    """
    distance = np.empty((len(query), len(gallery)), np.float32)
    for row, probe in enumerate(query):
        columns = np.flatnonzero(probe)
        least = np.minimum(probe[columns], gallery[:, columns]).sum(axis=1)
        distance[row] = 1 - least / (2 - least)
    return distance
