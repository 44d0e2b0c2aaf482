"""What the tracker remembers of a person: the tracklets that are theirs, and the picture that they make together."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from sdk.tracking.rescoring import Stripes, keep_best
from sdk.tracking.tracklet import Tracklet

INTERVALS = 256
"""Of past tracklets that are remembered a person, to know whom they were seen with."""
VIEWS = 32
"""Views of past tracklets that are kept a person; the oldest are forgotten."""


@dataclass(eq=False)
class Person:
    """Somebody with a name. Bounded, however often they come: past tracklets are one sum and a few intervals."""

    name: str
    since: int
    """The tick in which the tracker first saw them."""
    known: bool = False
    """Whether the gallery knew them before this tracker did."""
    members: dict[tuple[str, int], Tracklet] = field(default_factory=dict)
    """Tracklets of theirs that are still in memory, by camera and number."""
    past: np.ndarray | float = 0.0
    """What past tracklets add to the picture, `[D]`."""
    views: deque[np.ndarray] = field(default_factory=lambda: deque(maxlen=VIEWS))
    """Views of past tracklets, `[D]` each."""
    intervals: deque[tuple[str, int, int]] = field(default_factory=lambda: deque(maxlen=INTERVALS))
    """(camera, first tick, last tick) of past tracklets."""
    last_tick: int = 0
    stripes: Stripes = field(default_factory=list)
    """Of past tracklets' best crops."""

    _retired: int = 0
    """How often `past` has changed."""
    _drawn: tuple[tuple, np.ndarray, np.ndarray] | None = None
    """What `look` worked out last, and of what."""

    def look(self, without: Tracklet | None = None) -> tuple[np.ndarray, np.ndarray] | None:
        """Their picture, the mean of their tracklets, `[D]`, and the views of those, `[V, D]`, all at unit length.

        None if there is no tracklet but `without`. Views of a tracklet with less than a group of crops are its mean.
        """
        tracklets = [t for t in self.members.values() if t is not without and t.count]
        state = (self._retired, *((t.camera, t.track, t.qualities) for t in tracklets))
        if self._drawn is None or self._drawn[0] != state:
            total = self.past + sum(t.weight * t.embedding for t in tracklets)
            if not np.ndim(total):
                return None
            views = [*self.views, *(view for t in tracklets for view in t.views or [t.embedding])]
            self._drawn = state, total / np.linalg.norm(total), np.stack(views)
        return self._drawn[1:]

    def best_stripes(self, without: Tracklet | None = None) -> Stripes:
        """Stripes of their best crops but those of `without`."""
        theirs = (stripes for t in self.members.values() if t is not without for stripes in t.stripes)
        return keep_best([*self.stripes, *theirs])

    def retire(self, tracklet: Tracklet) -> None:
        """A tracklet leaves the memory; what it looked like stays."""
        if self.members.pop((tracklet.camera, tracklet.track), None) and tracklet.count:
            self._retired += 1
            self.past = self.past + tracklet.weight * tracklet.embedding
            self.views.extend(tracklet.views or [tracklet.embedding])
            self.intervals.append((tracklet.camera, tracklet.first_tick, tracklet.last_tick))
            self.stripes = keep_best([*self.stripes, *tracklet.stripes])

    def absorb(self, other: "Person") -> None:
        """`other` was the same person."""
        self.members |= other.members
        self._retired += 1
        self.past = self.past + other.past
        self.views.extend(other.views)
        self.intervals.extend(other.intervals)
        self.last_tick = max(self.last_tick, other.last_tick)
        self.stripes = keep_best([*self.stripes, *other.stripes])

    def together(self, other: "Person") -> int:
        """For how many ticks one camera saw both."""
        here = self.seen()
        return sum(
            max(0, min(end, last) - max(start, first) + 1)
            for camera, spans in other.seen().items()
            for start, end in spans
            for first, last in here.get(camera, ())
        )

    def seen(self, without: Tracklet | None = None) -> dict[str, list[tuple[int, int]]]:
        """When each camera saw them: (first tick, last tick) of their tracklets, but of `without`."""
        spans: dict[str, list[tuple[int, int]]] = {}
        for camera, first, last in self.intervals:
            spans.setdefault(camera, []).append((first, last))
        for tracklet in self.members.values():
            if tracklet is not without:
                spans.setdefault(tracklet.camera, []).append((tracklet.first_tick, tracklet.last_tick))
        return spans
