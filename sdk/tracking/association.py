"""Which identity a tracklet bears: asked once, of several crops together, for all undecided tracklets at once."""

import itertools

import numpy as np
from scipy.optimize import linear_sum_assignment  # scipy comes with `trackers`

from sdk.gallery import Gallery
from sdk.tracking.tracklet import Tracklet

MIN_CHANGED = 0.5
"""Share of a tracklet's ticks in which its picture must have changed; see `change.py`."""


def is_ready(tracklet: Tracklet) -> bool:
    """Whether a tracklet without identity is known well enough to be given one."""
    return tracklet.identity is None and tracklet.complete and tracklet.changed >= MIN_CHANGED * tracklet.seen


def assign_identities(
    undecided: list[Tracklet], others: list[Tracklet], gallery: Gallery, threshold: float, time: float | None
) -> None:
    """Give every tracklet of `undecided` an identity: a known one within `threshold`, else a new one.

    One assignment over all (the Hungarian algorithm) instead of each its nearest: where two tracklets want
    one identity, the sum of the distances decides. An identity is closed to a tracklet that was seen together
    with a bearer of it, in one camera, among `others`; two of `undecided` never get the same one.
    People whom nobody enrolled are called person-1, person-2, …
    """
    if not undecided:
        return
    embedding = np.stack([tracklet.embedding for tracklet in undecided])
    found = gallery.search(embedding, k=max(1, len(gallery.identities())))
    names = sorted({candidate.identity for candidates in found for candidate in candidates})
    column = {name: i for i, name in enumerate(names)}
    closed = 1e6  # dearer than any sum of distances, yet finite, as the solver wants it
    cost = np.full((len(undecided), len(names)), closed)
    for row, (tracklet, candidates) in enumerate(zip(undecided, found, strict=True)):
        taken = {other.identity for other in others if other.identity and tracklet.overlaps(other)}
        for candidate in candidates:
            if candidate.distance <= threshold and candidate.identity not in taken:
                cost[row, column[candidate.identity]] = candidate.distance
    for row, col in zip(*linear_sum_assignment(cost), strict=True):
        if cost[row, col] < closed:
            undecided[row].identity = names[col]
    for tracklet in undecided:
        if tracklet.identity is None:
            tracklet.identity = _new_name(gallery)
        enroll_group(tracklet, gallery, time)


def enroll_group(tracklet: Tracklet, gallery: Gallery, time: float | None) -> None:
    """Make a decided tracklet's complete group of crops an exemplar of its identity."""
    gallery.add(tracklet.take_exemplar(), identity=tracklet.identity, camera=tracklet.camera, time=time)


def _new_name(gallery: Gallery) -> str:
    known = set(gallery.identities())
    return next(name for i in itertools.count(1) if (name := f"person-{i}") not in known)
