"""What the tracker remembers of a person: the tracklets that are theirs, and the picture that they make together."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from sdk.tracking.rescoring import Stripes, keep_best
from sdk.tracking.tracklet import Span, Tracklet

INTERVALS = 256
"""Of past tracklets that are remembered a person, to know whom they were seen with."""
VIEWS = 32
"""Views of past tracklets that are kept a person; the oldest are forgotten."""


@dataclass(eq=False)
class Person:
    """Somebody with a name. Bounded, however often they come: past tracklets are one sum and a few intervals."""

    name: str
    since: float
    """When the tracker first saw them, s on its clock."""
    known: bool = False
    """Whether the gallery knew them before this tracker did."""
    members: dict[tuple[str, int], Tracklet] = field(default_factory=dict)
    """Tracklets of theirs that are still in memory, by camera and number."""
    past: np.ndarray | float = 0.0
    """What past tracklets add to the picture, `[D]`."""
    views: deque[np.ndarray] = field(default_factory=lambda: deque(maxlen=VIEWS))
    """Views of past tracklets, `[D]` each."""
    intervals: deque[tuple[str, Span]] = field(default_factory=lambda: deque(maxlen=INTERVALS))
    """(camera, from when to when) of past tracklets."""
    last: float = 0.0
    """When they were last seen."""
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
            self.intervals.append((tracklet.camera, tracklet.span))
            self.stripes = keep_best([*self.stripes, *tracklet.stripes])

    def absorb(self, other: "Person") -> None:
        """`other` was the same person."""
        self.members |= other.members
        self._retired += 1
        self.past = self.past + other.past
        self.views.extend(other.views)
        self.intervals.extend(other.intervals)
        self.last = max(self.last, other.last)
        self.stripes = keep_best([*self.stripes, *other.stripes])

    def together(self, other: "Person") -> float:
        """For how many seconds one camera saw both, more than 0 if it was in a single frame."""
        here = self.seen()
        return sum(
            mine.together(theirs)
            for camera, spans in other.seen().items()
            for theirs in spans
            for mine in here.get(camera, ())
        )

    def seen(self, without: Tracklet | None = None) -> dict[str, list[Span]]:
        """When each camera saw them: the spans of their tracklets, but of `without`."""
        spans: dict[str, list[Span]] = {}
        for camera, span in self.intervals:
            spans.setdefault(camera, []).append(span)
        for tracklet in self.members.values():
            if tracklet is not without:
                spans.setdefault(tracklet.camera, []).append(tracklet.span)
        return spans
