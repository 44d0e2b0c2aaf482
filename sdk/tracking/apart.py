"""Who cannot be one person: a camera sees both at once, or they are in two places that are too far apart."""

from collections.abc import Iterable, Sequence

import numpy as np

from sdk.tracking.clock import ROUNDING
from sdk.tracking.people import Person
from sdk.tracking.tracklet import Span, Tracklet
from sdk.tracking.travel import TravelTimes


class Apart:
    """Says of tracklets and people whether they must be two."""

    def __init__(self, tolerance: float = 0.0, travel: TravelTimes | None = None):
        """tolerance: seconds for which one camera may see a person twice, because one of two tracks was about to be
        lost and lay on somebody else. travel: how long people take between cameras."""
        self._tolerance = tolerance
        self._travel = travel

    def tracklets(self, one: Tracklet, other: Tracklet) -> bool:
        """Whether one camera sees both now, or saw both for longer than can be a mistake."""
        together = one.together(other)
        return together > self._tolerance + ROUNDING or (together > 0 and one.last == other.last)

    def tracklet_and_person(self, tracklet: Tracklet, person: Person) -> bool:
        """Whether a tracklet cannot be a person's, but for it is one of theirs already."""
        if any(t is not tracklet and self.tracklets(t, tracklet) for t in person.members.values()):
            return True
        if self._travel is None:
            return False
        return any(
            self._travel.forbid(camera, tracklet.camera, max(tracklet.first - span.last, span.first - tracklet.last))
            for camera, spans in person.seen(without=tracklet).items()
            for span in spans
        )

    def barred(self, tracklets: Iterable[Tracklet], people: Iterable[Person]) -> list[list[str]]:
        """Of each tracklet the names of the people whom it cannot be, as `tracklet_and_person` says, in their order."""
        people = list(people)
        if self._travel is not None:
            return [[person.name for person in people if self.tracklet_and_person(t, person)] for t in tracklets]
        here: dict[str, list[tuple[int, Tracklet]]] = {}
        for number, person in enumerate(people):
            for member in person.members.values():
                here.setdefault(member.camera, []).append((number, member))
        found = []
        for t in tracklets:
            at_once = (
                number
                for number, other in here.get(t.camera, ())
                if other is not t and other.last >= t.first and other.first <= t.last and self.tracklets(other, t)
            )
            found.append([people[number].name for number in sorted(set(at_once))])
        return found

    def matrix(self, nodes: Sequence[Iterable[tuple[str, Span]]]) -> np.ndarray:
        """Which of N groups of tracklets cannot be one person, given where and when each was seen: bool `[N, N]`."""
        cannot = np.zeros((len(nodes), len(nodes)), bool)
        rows: dict[str, list[tuple[int, Span]]] = {}
        for number, seen in enumerate(nodes):
            for camera, span in seen:
                rows.setdefault(camera, []).append((number, span))
        tables = {}
        for camera, entries in rows.items():
            owner = np.array([number for number, _ in entries])
            first, last, frame = np.array([span for _, span in entries], float).T
            tables[camera] = owner, first, last
            both = np.minimum(last[:, None], last) - np.maximum(first[:, None], first)
            together = np.where(both >= 0, both + np.minimum(frame[:, None], frame), 0.0)
            apart = (together > self._tolerance + ROUNDING) | ((together > 0) & (last[:, None] == last))
            one, other = np.nonzero(apart)
            cannot[owner[one], owner[other]] = True
        if self._travel is not None:
            for pair, seconds in self._travel.least.items():
                one, other = sorted(pair)
                if seconds > 0 and one in tables and other in tables:
                    (a, first, last), (b, other_first, other_last) = tables[one], tables[other]
                    gap = np.maximum(first[:, None] - other_last, other_first - last[:, None])
                    rows_, columns = np.nonzero(gap < seconds)
                    cannot[a[rows_], b[columns]] = cannot[b[columns], a[rows_]] = True
        np.fill_diagonal(cannot, False)
        return cannot
