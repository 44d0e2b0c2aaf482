"""Everybody's tracklets side by side, so that all can be held against all in one operation."""

from collections.abc import Iterable
from operator import is_
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


class Known(NamedTuple):
    """What was worked out of a person's K tracklets, those of the past first, and of what."""

    of: tuple[object, ...]
    """What is known of the cameras, and the last of the past tracklets: these very objects."""
    numbers: tuple[int, int]
    """The version of the former, how many past tracklets there are."""
    totals: list[np.ndarray]
    """Of tracklets of now, the sums of their crops' features: every crop makes a new one."""
    past: tuple[list[float], list[float]]
    """When past tracklets were first and last seen."""
    camera: np.ndarray
    """Numbers, int `[K]`."""
    features: np.ndarray
    """As `SiteModel.prepare` gives them, float32 `[K, D]`."""


def _know(people: list[tuple[Person, list[Tracklet]]], site: SiteModel) -> None:
    """Have each person's `prepared` be what is `Known` of them now: (person, their tracklets of now).

    It is worked out anew only where anything has changed: of most people of a site nothing has, since somebody else was
    asked about."""
    stale = []
    for person, members in people:
        past, before = person.past, person.prepared
        of, numbers = (site.cameras, past[-1] if past else None), (site.cameras.version, len(past))
        totals = [t.total for t in members]
        if (
            before is None
            or before.numbers != numbers
            or not all(map(is_, before.of, of))
            or len(totals) != len(before.totals)
            or not all(map(is_, before.totals, totals))
        ):
            stale.append((person, [*past, *members], (of, numbers, totals)))
    if not stale:
        return
    pairing = site.prepare(witnesses(row for _, rows, _ in stale for row in rows))
    start = 0
    for person, rows, what in stale:
        end = start + len(rows)
        past = [p.first for p in person.past], [p.last for p in person.past]
        # Copies: a view would keep what is everybody's.
        person.prepared = Known(*what, past, pairing.camera[start:end].copy(), pairing.features[start:end].copy())
        start = end


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
        theirs = ((person, [t for t in person.members.values() if t.count]) for person in people)
        seen = [(person, members) for person, members in theirs if members or person.past]
        if not seen:
            return None
        _know(seen, site)
        first: list[float] = []
        last: list[float] = []
        for person, members in seen:
            of_past = person.prepared.past
            first += of_past[0]
            last += of_past[1]
            for member in members:
                first.append(member.first)
                last.append(member.last)
        known = [person.prepared for person, _ in seen]
        counts = np.array([len(of_one.camera) for of_one in known])
        camera, features = (
            np.concatenate(parts) for parts in zip(*((k.camera, k.features) for k in known), strict=True)
        )
        pairing = Pairing(camera, np.array(first, float), np.array(last, float), features)
        return cls([person.name for person, _ in seen], pairing, np.cumsum(counts) - counts, counts)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Of values `[N, M]` the mean over each person's tracklets, `[N, P]`."""
        return np.add.reduceat(values, self.starts, axis=1) / self.counts
