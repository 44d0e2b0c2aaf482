"""Close calls, looked at stripe by stripe: the aligned local distance of the best crops of tracks and people."""

import numpy as np

from sdk.distances import element_distance, local_distance, path_cells

KEPT = 4
"""Crops whose stripes are kept a tracklet, and a person: the best."""
WEIGHT = 1.0
"""Of the local distance, each step of its path on average, beside the cosine distance."""

Stripes = list[tuple[float, np.ndarray]]
"""(quality, stripes `[S, d]`) of some crops."""


def keep_best(stripes: Stripes) -> Stripes:
    """The `KEPT` of the best quality, the best first."""
    return sorted(stripes, key=lambda kept: -kept[0])[:KEPT]


def rescored(distances: np.ndarray, track: Stripes, people: list[Stripes]) -> np.ndarray:
    """Distances `[P]` of a track to people between whom it is close, with the local distance to each added, `[P]`.

    Only what one is nearer than the others counts, so that the sum keeps the scale of the model's thresholds. Where
    somebody's stripes are not known, the distances stay as they are.
    """
    if not track or not all(people):
        return distances
    mine = np.stack([stripes for _, stripes in track])
    steps = 2 * mine.shape[1] - 1
    local = np.array([local_distance(mine, np.stack([s for _, s in theirs])).mean() / steps for theirs in people])
    return np.maximum(distances + WEIGHT * (local - local.mean()), 0)


def aligned_stripes(track: Stripes, person: Stripes) -> tuple[tuple[int, int], ...] | None:
    """Which stripes (from 0, the top) of the track's best crop the path takes with which of the person's."""
    if not track or not person:
        return None
    (_, mine), (_, theirs) = keep_best(track)[0], keep_best(person)[0]
    return tuple((int(i), int(j)) for i, j in path_cells(element_distance(mine, theirs)))
