"""Everybody's tracklets side by side, so that all can be held against all in one operation."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from sdk.tracking.people import Person
from sdk.tracking.site import Pairing, SiteModel, Witnesses
from sdk.tracking.tracklet import Tracklet


def witnesses(tracklets: Iterable) -> Witnesses:
    """Of `Tracklet` or `Past`, as the site model takes them."""
    rows = list(tracklets)
    features = [row.embedding if isinstance(row, Tracklet) else row.features for row in rows]
    return Witnesses(
        np.array([row.camera for row in rows], object),
        np.array([row.first for row in rows], float),
        np.array([row.last for row in rows], float),
        np.array(features, np.float32),
    )


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
        names, rows, counts = [], [], []
        for person in people:
            theirs = [*person.past, *(t for t in person.members.values() if t.count)]
            if theirs:
                names.append(person.name)
                rows += theirs
                counts.append(len(theirs))
        if not rows:
            return None
        counts = np.array(counts)
        return cls(names, site.prepare(witnesses(rows)), np.cumsum(counts) - counts, counts)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Of values `[N, M]` the mean over each person's tracklets, `[N, P]`."""
        return np.add.reduceat(values, self.starts, axis=1) / self.counts
