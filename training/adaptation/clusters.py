"""Who may be who: tracklets gathered by average linkage of the Jaccard distance, under what cannot be and what must be.

DBSCAN, which the published methods use, joins over bridges: with a small model's features half of a site becomes one
cluster. Average linkage asks all members of both clusters.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sdk.blocks import steps
from sdk.re_ranking import jaccard_pairs
from training.adaptation.vectors import cosine_of, sums, unit

ROWS = 1024
"""Tracklets that are compared with all clusters at once."""
SAME = 1e-6
"""Cosine distance below which two pictures are the same to float32."""
FAR = 0.95
"""Jaccard distance from which two tracklets count as sharing no neighbour."""


@dataclass(frozen=True)
class Linkage:
    """How clusters are made."""

    k1: int = 15
    """Size of the neighbourhoods, as of re-ranking."""
    limit: float = 0.7
    """The mean Jaccard distance up to which two clusters become one."""


def cluster(features: np.ndarray, cannot: np.ndarray, must: np.ndarray, linkage: Linkage) -> np.ndarray:
    """The cluster of each tracklet, int64 `[T]` from 0; one that is like no other is alone in its own.

    features: unit length `[T, D]`. cannot, must: pairs int `[P, 2]` that are two people, or one; `must` wins.
    """
    number = len(features)
    if number < 2:
        return np.zeros(number, np.int64)
    k1 = min(linkage.k1, number - 1)
    pairs, distance = jaccard_pairs(features, k1, max(1, round(k1 / 4)), FAR)
    return average_linkage(number, pairs, 1 - distance, 1 - linkage.limit, cannot, must)


def silhouette(features: np.ndarray, labels: np.ndarray) -> float:
    """How much nearer points are to their own cluster's mean, without themselves, than to the nearest other, −1 to 1.

    features: unit length `[T, D]`, labels int `[T]` from 0. Who is alone counts as 0 (Hruschka et al., "Evolving
    clusters in gene-expression data", 2006: the simplified silhouette of Rousseeuw, 1987).
    """
    sizes = np.bincount(labels)
    total = sums(features, labels, len(sizes))
    means, values = unit(total), np.zeros(len(features))
    for rows in steps(len(features), ROWS):
        own, points = labels[rows], features[rows]
        distance = np.maximum(1 - points @ means.T, 0.0)  # rounding makes it less for the same picture twice
        distance[np.arange(len(points)), own] = np.inf
        other = distance.min(axis=1)
        among = np.maximum(cosine_of(points, unit(total[own] - points)), 0.0)
        known = (sizes[own] > 1) & np.isfinite(other)
        other, among = other[known], among[known]
        values[rows][known] = (other - among) / np.maximum(np.maximum(other, among), SAME)
    return float(values.mean())


def average_linkage(
    number: int, pairs: np.ndarray, similarity: np.ndarray, least: float, cannot: np.ndarray, must: np.ndarray
) -> np.ndarray:
    """Clusters of `number` points by the mean similarity of all pairs between two, 0 of those not in `pairs`.

    pairs int `[P, 2]` with similarity `[P]`; two clusters become one from `least` on, the most alike first, unless a
    pair of `cannot` lies between them. Returns int64 `[number]`.
    """
    near: list[dict[int, float]] = [{} for _ in range(number)]
    for (one, other), value in zip(pairs.tolist(), similarity.tolist(), strict=True):
        near[one][other] = near[other][one] = value
    apart: list[set[int]] = [set() for _ in range(number)]
    for one, other in cannot.tolist():
        apart[one].add(other)
        apart[other].add(one)
    members: list[list[int] | None] = [[point] for point in range(number)]
    changes = [0] * number

    def join(one: int, other: int) -> None:
        """All of `other` goes over to `one`; `near` holds sums over all pairs between two clusters."""
        members[one] += members[other]
        members[other] = None
        changes[one] += 1
        for stranger in apart[other]:
            apart[stranger].discard(other)
            apart[stranger].add(one)
            apart[one].add(stranger)
        near[one].pop(other, None)
        for third, value in near[other].items():
            if third != one:
                near[third].pop(other)
                near[one][third] = near[third][one] = near[one].get(third, 0.0) + value
        near[other] = {}

    owner = list(range(number))
    for one, other in must.tolist():
        one, other = owner[one], owner[other]
        if one != other:
            for point in members[other]:
                owner[point] = one
            join(one, other)
            apart[one].discard(one)
    waiting: list[tuple[float, int, int, int, int]] = []

    def consider(one: int, others: Iterable[tuple[int, float]]) -> None:
        for other, total in others:
            mean = total / (len(members[one]) * len(members[other]))
            if mean >= least and other not in apart[one]:
                heapq.heappush(waiting, (-mean, one, other, changes[one], changes[other]))

    for one in range(number):
        if members[one] is not None:
            consider(one, [(other, total) for other, total in near[one].items() if other > one])
    while waiting:
        _, one, other, then, others_then = heapq.heappop(waiting)
        stale = members[one] is None or members[other] is None
        if stale or (changes[one], changes[other]) != (then, others_then):
            continue
        if len(near[one]) < len(near[other]):
            one, other = other, one
        join(one, other)
        consider(one, near[one].items())
    labels = np.empty(number, np.int64)
    for label, group in enumerate(group for group in members if group is not None):
        labels[group] = label
    return labels
