"""Pairs of crops across cameras: genuine (one person) and impostor (two people), with their distances."""

from dataclasses import dataclass

import numpy as np

from sdk.distances import cosine_distance
from sdk.errors import DataError

MOST_CROPS = 5000
"""Of more, so many are taken, evenly spread: 12 million pairs, and it is the people who limit the precision."""


@dataclass(frozen=True)
class Pairs:
    """Cosine distances of pairs of crops from different cameras, and whose they are."""

    genuine: np.ndarray
    """Of one person, float `[M]`."""
    impostor: np.ndarray
    """Of two people, float `[N]`."""
    genuine_people: np.ndarray
    """Number of the person, int `[M]`."""
    impostor_people: np.ndarray
    """Numbers of both people, int `[N, 2]`."""


def pair_distances(embedding: np.ndarray, labels: np.ndarray, cameras: np.ndarray) -> Pairs:
    """All pairs of crops from different cameras: embedding float `[N, D]` at unit length, labels and cameras `[N]`.

    Of more than `MOST_CROPS` crops, that many.

    Raises `DataError` where there is no pair of one person or none of two.
    """
    _, people = np.unique(labels, return_inverse=True)
    kept = np.linspace(0, len(people) - 1, min(MOST_CROPS, len(people))).astype(int)
    embedding, people, cameras = embedding[kept], people[kept].astype(np.int32), np.asarray(cameras)[kept]
    first, second = np.nonzero(np.triu(cameras[:, None] != cameras[None]))
    distance = cosine_distance(embedding, embedding)[first, second]
    same = people[first] == people[second]
    if not same.any() or same.all():
        raise DataError("a threshold needs at least two people, each seen by at least two cameras")
    both = np.stack([people[first], people[second]], axis=1)
    return Pairs(distance[same], distance[~same], both[same, 0], both[~same])
