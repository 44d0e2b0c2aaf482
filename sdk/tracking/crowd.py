"""Everybody's tracklets side by side, so that all can be held against all in one operation."""

from collections.abc import Iterable
from operator import is_
from typing import NamedTuple

import numpy as np

from sdk.tracking.people import Past, Person
from sdk.tracking.site import Pairing, SiteModel, Witnesses
from sdk.tracking.tracklet import Tracklet


def witnesses(tracklets: Iterable) -> Witnesses:
    """Of `Tracklet` or `Past`, as the site model takes them."""
    rows = list(tracklets)
    features = [_features(row) for row in rows]
    return Witnesses(
        np.array([row.camera for row in rows], object),
        np.array([row.first for row in rows], float),
        np.array([row.last for row in rows], float),
        np.array(features, np.float32),
    )


def _features(row: Tracklet | Past) -> np.ndarray:
    return row.embedding if isinstance(row, Tracklet) else row.features


def _prepare(people: list[Person], rows: list[list], site: SiteModel) -> None:
    """Have each person's `prepared` hold the cameras' numbers and features of their `rows`, as `SiteModel.prepare`
    makes them.

    Worked out anew only where a tracklet or what is known of the cameras is another than the last time: of most people
    of a site nothing has changed since somebody else was asked about.
    """
    state, stale = (site.cameras, site.cameras.version), []
    for person, theirs in zip(people, rows, strict=True):
        features = [_features(row) for row in theirs]
        then, of, _ = person.prepared or (None, [], None)
        if then != state or len(of) != len(features) or not all(map(is_, of, features)):
            stale.append((person, theirs, features))
    if not stale:
        return
    pairing = site.prepare(witnesses(row for _, theirs, _ in stale for row in theirs))
    ends = np.cumsum([len(theirs) for _, theirs, _ in stale])[:-1]
    parts = np.split(pairing.camera, ends), np.split(pairing.features, ends)
    for (person, _, features), *result in zip(stale, *parts, strict=True):
        person.prepared = state, features, [part.copy() for part in result]  # a view would keep everybody's


class Crowd(NamedTuple):
    """P people and their M tracklets, those of the first person first."""

    names: list[str]
    """`[P]`."""
    pairing: Pairing
    """`[M]`."""
    starts: np.ndarray
    """int `[P]`: where each one's tracklets begin."""
    counts: np.ndarray
    """int `[P]`: how many there are, at least 1."""

    @classmethod
    def of(cls, people: Iterable[Person], site: SiteModel) -> "Crowd | None":
        """Those of `people` who have been seen; None if nobody has."""
        seen, rows = [], []
        for person in people:
            theirs = [*person.past, *(t for t in person.members.values() if t.count)]
            if theirs:
                seen.append(person)
                rows.append(theirs)
        if not rows:
            return None
        _prepare(seen, rows, site)
        cameras, features = (np.concatenate([person.prepared[2][part] for person in seen]) for part in (0, 1))
        first = np.array([row.first for theirs in rows for row in theirs], float)
        last = np.array([row.last for theirs in rows for row in theirs], float)
        counts = np.array([len(theirs) for theirs in rows])
        pairing = Pairing(cameras, first, last, features)
        return cls([person.name for person in seen], pairing, np.cumsum(counts) - counts, counts)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Of values `[N, M]` the mean over each person's tracklets, `[N, P]`."""
        return np.add.reduceat(values, self.starts, axis=1) / self.counts
