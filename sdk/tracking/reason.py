"""When a tracklet is near enough to a person, and the record of why it has its identity."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sdk.odds import distance_in_words, evidence_in_words

CROWDED = 0.07
"""By how much of itself the limit for people of the gallery falls when there are e times as many of them: each is a
chance to be wrong."""


@dataclass(frozen=True)
class Thresholds:
    """The model's cosine distances, for what no site model can judge."""

    crop: float
    """Up to which two crops match."""
    tracklet: float
    """Up to which two tracklets do."""

    def limit(self, known: int) -> float:
        """Up to which a tracklet may be one of so many known people."""
        return self.tracklet * max(0.4, 1 - CROWDED * float(np.log(max(known, 1))))


@dataclass(frozen=True)
class Reason:
    """Why a track has the identity that it has, or none yet."""

    identity: str | None
    """None: it waits for more crops."""
    distance: float | None
    """To the tracklets of the nearest person that it could be, on average, with what the cameras add taken away, when
    it was asked; of somebody whom the gallery alone knows, the model's cosine distance. None if there was nobody."""
    nearest: str | None
    runner_up: str | None
    runner_up_distance: float | None
    limit: float | None
    """Up to which distance it could be the nearest."""
    crops: int
    """How many good ones there were."""
    known: int
    """People that were compared."""
    closed: tuple[str, ...] = ()
    """Who it could not be: the same camera saw them elsewhere at the time."""
    new: bool = False
    """Whether nobody knew them before."""
    aligned: tuple[tuple[int, int], ...] | None = None
    """With re-scoring: which stripes of the track (from 0, the top) were aligned with which of the nearest person."""
    evidence: float | None = None
    """For being the nearest rather than somebody else, nats (the logarithm of the odds): `look` and `odds` together."""
    look: float | None = None
    """What of it they look like, against strangers at this site."""
    odds: float | None = None
    """What of it when and where they were seen says, and how few are somebody new, before anybody looks."""
    stranger: float | None = None
    """How far apart strangers are at this site, on average: what `distance` is held against."""
    notes: tuple[str, ...] = ()
    """What else bears on it, in words."""

    @property
    def margin(self) -> float | None:
        """By how much the runner-up was farther."""
        if self.runner_up_distance is None or self.distance is None:
            return None
        return self.runner_up_distance - self.distance

    @property
    def words(self) -> str:
        """All of it in plain words."""
        said = [self._verdict()]
        if self.nearest is not None and self.distance is not None:
            said.append(distance_in_words(self.nearest, self.distance, self.stranger))
        if self.nearest is not None and self.evidence is not None and np.isfinite(self.evidence):
            said.append(evidence_in_words(self.nearest, self.evidence, self.look or 0.0, self.odds or 0.0))
        if self.runner_up is not None:
            said.append(f"next would be {self.runner_up}, {self.margin:.2f} farther")
        if self.closed:
            said.append(f"it cannot be {', '.join(self.closed)}, who was seen elsewhere at the time")
        return "; ".join([*said, *self.notes])

    def _verdict(self) -> str:
        crops = f"{self.crops} crops"
        if self.identity is None:
            return f"not decided yet, with {crops}"
        return f"{self.identity}, {'somebody new' if self.new else 'recognised'} with {crops}"

    def to_dict(self) -> dict[str, Any]:
        """For an event's detail."""
        rounded = {
            name: None if value is None else round(float(value), 4)
            for name, value in (
                ("distance", self.distance),
                ("margin", self.margin),
                ("limit", self.limit),
                ("stranger", self.stranger),
            )
        }
        for name in ("evidence", "look", "odds"):
            value = getattr(self, name)
            rounded[name] = None if value is None else round(float(value), 2)
        return {**rounded, "nearest": self.nearest, "runner_up": self.runner_up, "new": self.new, "crops": self.crops}
