"""When a tracklet is near enough to a person, and the record of why it has its identity."""

from dataclasses import dataclass

import numpy as np

CROWDED = 0.07
"""By how much of itself the limit falls when there are e times as many people to be taken for: each is a chance to be
wrong."""


@dataclass(frozen=True)
class Thresholds:
    """The model's cosine distances."""

    crop: float
    """Up to which two crops match."""
    tracklet: float
    """Up to which two tracklets do."""

    def limit(self, known: int) -> float:
        """Up to which a tracklet may be one of so many known people."""
        return self.tracklet * max(0.4, 1 - CROWDED * np.log(max(known, 1)))


@dataclass(frozen=True)
class Reason:
    """Why a track has the identity that it has, or none yet."""

    identity: str | None
    """None: it waits for more crops."""
    distance: float | None
    """To the nearest person that it could be, when it was asked; None if there was nobody."""
    nearest: str | None
    runner_up: str | None
    runner_up_distance: float | None
    limit: float
    """Up to which distance it could be one of the people known then."""
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

    @property
    def margin(self) -> float | None:
        """By how much the runner-up was farther."""
        if self.runner_up_distance is None or self.distance is None:
            return None
        return self.runner_up_distance - self.distance

    def to_dict(self) -> dict:
        """For an event's detail."""
        rounded = {
            name: None if value is None else round(float(value), 4)
            for name, value in (("distance", self.distance), ("margin", self.margin), ("limit", self.limit))
        }
        return {**rounded, "runner_up": self.runner_up, "new": self.new, "crops": self.crops}
