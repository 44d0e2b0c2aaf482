"""What the tracker remembers of a person: the tracklets that are theirs, of now and of the past."""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from sdk.tracking.rescoring import Stripes, keep_best
from sdk.tracking.tracklet import Span, Tracklet

INTERVALS = 256
"""Of past tracklets that are remembered a person, to know whom they were seen with."""
PAST = 12
"""Past tracklets whose looks are kept a person; the oldest are forgotten."""


class Past(NamedTuple):
    """A tracklet whose track has long ended."""

    camera: str
    first: float
    last: float
    features: np.ndarray
    """float32 `[D]` at unit length."""
    crops: int


@dataclass(eq=False)
class Person:
    """Somebody with a name. Bounded, however often they come."""

    name: str
    since: float
    """When the tracker first saw them, s on its clock."""
    known: bool = False
    """Whether the gallery knew them before this tracker did, or a human has named them."""
    members: dict[tuple[str, int], Tracklet] = field(default_factory=dict)
    """Tracklets of theirs whose name may still change, by camera and number."""
    past: deque[Past] = field(default_factory=lambda: deque(maxlen=PAST))
    intervals: deque[tuple[str, Span]] = field(default_factory=lambda: deque(maxlen=INTERVALS))
    """(camera, from when to when) of past tracklets."""
    passes: Counter = field(default_factory=Counter)
    """Past tracklets by camera."""
    last: float = 0.0
    """When they were last seen."""
    bound: set[tuple[str, int]] = field(default_factory=set)
    """Tracklets of which a human has said that they are one person's, by camera and number."""
    stripes: Stripes = field(default_factory=list)
    """Of past tracklets' best crops."""
    prepared: tuple | None = field(default=None, repr=False)
    """What `crowd.py` has worked out of the tracklets, and of what."""

    def picture(self, without: Tracklet | None = None) -> np.ndarray | None:
        """The mean of their tracklets, float `[D]` at unit length; None if there is none but `without`."""
        features = [past.features for past in self.past]
        features += [t.embedding for t in self.members.values() if t is not without and t.count]
        if not features:
            return None
        total = np.sum(features, axis=0)
        return total / max(float(np.linalg.norm(total)), 1e-9)

    def best_stripes(self, without: Tracklet | None = None) -> Stripes:
        """Stripes of their best crops but those of `without`."""
        theirs = (stripes for t in self.members.values() if t is not without for stripes in t.stripes)
        return keep_best([*self.stripes, *theirs])

    def retire(self, tracklet: Tracklet) -> None:
        """A tracklet leaves the memory; what it looked like stays."""
        if self.members.pop((tracklet.camera, tracklet.track), None) and tracklet.count:
            span = tracklet.span
            self.past.append(Past(tracklet.camera, span.first, span.last, tracklet.embedding, tracklet.count))
            self.intervals.append((tracklet.camera, span))
            self.passes[tracklet.camera] += 1
            self.stripes = keep_best([*self.stripes, *tracklet.stripes])

    def absorb(self, other: "Person") -> None:
        """`other` was the same person."""
        self.members |= other.members
        self.past.extend(other.past)
        self.intervals.extend(other.intervals)
        self.passes += other.passes
        self.bound |= other.bound
        self.since = min(self.since, other.since)
        self.last = max(self.last, other.last)
        self.stripes = keep_best([*self.stripes, *other.stripes])

    def seen(self, without: Tracklet | None = None) -> dict[str, list[Span]]:
        """When each camera saw them: the spans of their tracklets, but of `without`."""
        spans: dict[str, list[Span]] = {}
        for camera, span in self.intervals:
            spans.setdefault(camera, []).append(span)
        for tracklet in self.members.values():
            if tracklet is not without:
                spans.setdefault(tracklet.camera, []).append(tracklet.span)
        return spans
