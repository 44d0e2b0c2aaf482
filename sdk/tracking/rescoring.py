"""Close calls, looked at stripe by stripe: the aligned local distance of the best crops of tracks and people."""

from collections.abc import Callable

import numpy as np

from sdk.distances import element_distance, path_cells

KEPT = 4
"""Crops whose stripes are kept a tracklet, and a person: the best."""
WEIGHT = 1.0
"""Of the local distance, each step of its path on average, beside the cosine distance."""

Stripes = list[tuple[float, np.ndarray]]
"""(quality, stripes `[S, d]`) of some crops."""
Align = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Local distances of query stripes `[B, S, d]` to candidates int `[B, K]` of gallery stripes `[G, S, d]`: `[B, K]`, as
`sdk.rescoring.choose` gives it: on the GPU where there is one. If it has an attribute `crops` that is not None
(`sdk.resident_crops`), that is asked first."""


def keep_best(stripes: Stripes) -> Stripes:
    """The `KEPT` of the best quality, the best first."""
    return sorted(stripes, key=lambda kept: -kept[0])[:KEPT]


def local_differences(align: Align, track: Stripes, people: list[Stripes]) -> np.ndarray:
    """By how much each of P people is farther from a track than they are on average, by their stripes: `[P]`.

    In cosine distance. Only what one is nearer than the others counts, so that the sum keeps the scale of the whole.
    0 where somebody's stripes are not known.
    """
    if not track or not all(people):
        return np.zeros(len(people))
    mine = np.stack([stripes for _, stripes in track])
    theirs = [stripes for person in people for _, stripes in person]
    distance = np.asarray(_distances(align, mine, theirs), np.float64).mean(axis=0) / (2 * mine.shape[1] - 1)
    owner = np.repeat(np.arange(len(people)), [len(person) for person in people])
    local = np.bincount(owner, distance) / np.bincount(owner)
    return WEIGHT * (local - local.mean())


def _distances(align: Align, mine: np.ndarray, theirs: list[np.ndarray]) -> np.ndarray:
    """Of my crops to each of theirs, `[B, N]`: on the GPU, where theirs stay, or wherever `align` computes."""
    resident = getattr(align, "crops", None)
    if resident is not None and (found := resident.distances(mine, theirs)) is not None:
        return found
    everybody = np.tile(np.arange(len(theirs), dtype=np.int32), (len(mine), 1))
    return align(mine, np.stack(theirs), everybody)


def aligned_stripes(track: Stripes, person: Stripes) -> tuple[tuple[int, int], ...] | None:
    """Which stripes (from 0, the top) of the track's best crop the path takes with which of the person's."""
    if not track or not person:
        return None
    (_, mine), (_, theirs) = keep_best(track)[0], keep_best(person)[0]
    return tuple((int(i), int(j)) for i, j in path_cells(element_distance(mine, theirs)))
