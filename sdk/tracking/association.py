"""Which identity a tracklet bears: asked of several crops together, for all undecided tracklets at once."""

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment  # scipy comes with `trackers`

from sdk.gallery import Gallery
from sdk.tracking.tracklet import GROUP, PATIENCE, Tracklet

MIN_CHANGED = 0.5
"""Share of a tracklet's ticks in which its picture must have changed; see `change.py`."""

SURELY_NEW = 1.3
"""How many times `most` the nearest known person must be away for a tracklet to be somebody new at once."""

CLOSED = 1e6
"""The cost of what is impossible: dearer than any sum of distances, yet finite, as the solver wants it."""


@dataclass(frozen=True)
class Thresholds:
    """Cosine distances that divide the sure from the doubtful."""

    sure: float
    """Up to here a tracklet is a known person, at once."""
    most: float
    """Up to here it is one if no other explanation is better, and after waiting for more crops."""

    @property
    def surely_new(self) -> float:
        """Beyond here nobody known comes into question, whatever further crops may show."""
        return SURELY_NEW * self.most


def is_ready(tracklet: Tracklet) -> bool:
    """Whether a tracklet without identity is known well enough to ask for one."""
    return tracklet.identity is None and tracklet.complete and tracklet.changed >= MIN_CHANGED * max(1, tracklet.seen)


def assign_identities(
    undecided: list[Tracklet],
    others: list[Tracklet],
    gallery: Gallery,
    thresholds: Thresholds,
    time: float | None,
    ended: bool = False,
) -> None:
    """Give tracklets of `undecided` an identity, a known or a new one, as far as the case is clear.

    One assignment over all of a camera (the Hungarian algorithm) instead of each its nearest: where two
    tracklets want one identity, the sum of the distances decides, and to be somebody new costs
    `thresholds.most`. Camera by camera, because cameras may overlap and see one person at once. An identity
    is closed to a tracklet that was seen together with a bearer of it, in one camera, among `others`.
    Doubtful tracklets stay undecided until they are sure, or have `PATIENCE` groups of crops, or `ended`.
    People whom nobody enrolled are called person-1, person-2, …
    """
    for camera in dict.fromkeys(tracklet.camera for tracklet in undecided):
        of_camera = [tracklet for tracklet in undecided if tracklet.camera == camera]
        _assign_in_camera(of_camera, others, gallery, thresholds, time, ended)


def _assign_in_camera(
    undecided: list[Tracklet],
    others: list[Tracklet],
    gallery: Gallery,
    thresholds: Thresholds,
    time: float | None,
    ended: bool,
) -> None:
    cost, names = _costs(undecided, others, gallery)
    new = np.full((len(undecided), len(undecided)), CLOSED)
    np.fill_diagonal(new, thresholds.most)
    rows, columns = linear_sum_assignment(np.hstack([np.where(cost <= thresholds.most, cost, CLOSED), new]))
    for row, column in zip(rows, columns, strict=True):
        tracklet, known = undecided[row], column < len(names)
        nearest = cost[row].min(initial=CLOSED)
        sure = cost[row, column] <= thresholds.sure if known else nearest > thresholds.surely_new
        if sure or ended or len(tracklet.crops) >= PATIENCE * GROUP:
            tracklet.identity = names[column] if known else _new_name(gallery)
            enroll(tracklet, gallery, time)


def enroll(tracklet: Tracklet, gallery: Gallery, time: float | None) -> None:
    """Make the mean of a decided tracklet's crops an exemplar of its identity."""
    gallery.add(tracklet.take_exemplar(), identity=tracklet.identity, camera=tracklet.camera, time=time)


def _costs(undecided: list[Tracklet], others: list[Tracklet], gallery: Gallery) -> tuple[np.ndarray, list[str]]:
    """Distance of every tracklet to every known identity, `CLOSED` where it cannot be; and the identities."""
    found = gallery.search(np.stack([t.embedding for t in undecided]), k=max(1, len(gallery.identities())))
    names = sorted({candidate.identity for candidates in found for candidate in candidates})
    cost = np.full((len(undecided), len(names)), CLOSED)
    for row, (tracklet, candidates) in enumerate(zip(undecided, found, strict=True)):
        taken = {other.identity for other in others if other.identity and tracklet.overlaps(other)}
        for candidate in candidates:
            if candidate.identity not in taken:
                cost[row, names.index(candidate.identity)] = candidate.distance
    return cost, names


def _new_name(gallery: Gallery) -> str:
    known = set(gallery.identities())
    return next(name for i in itertools.count(1) if (name := f"person-{i}") not in known)
