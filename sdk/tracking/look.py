"""How far tracklets are from a person: by the whole of what both have shown, and by their nearest views."""

from typing import NamedTuple

import numpy as np

from sdk.tracking.tracklet import Tracklet

LUCKY = 0.08
"""What is added to the distance of a tracklet's and a person's nearest views when there are e times as many people to
be taken for."""
CLOSED = 1e6
"""The cost of what is impossible: dearer than any sum of distances, yet finite, as the solver wants it."""


class Look(NamedTuple):
    """What some tracklets look like."""

    means: np.ndarray
    """`[N, D]`."""
    views: np.ndarray
    """`[V, D]`, those of the first tracklet first."""
    starts: np.ndarray
    """int `[N]`: where each one's views begin."""

    @classmethod
    def of(cls, tracklet: Tracklet) -> "Look":
        mean = tracklet.embedding
        return cls(mean[None], np.stack([mean, *tracklet.views]), np.zeros(1, int))

    @classmethod
    def join(cls, looks: list["Look"]) -> "Look":
        means, views, _ = (np.concatenate(part) for part in zip(*looks, strict=True))
        counts = [len(look.views) for look in looks]
        return cls(means, views, np.cumsum([0, *counts[:-1]]))

    def distances(self, person: tuple[np.ndarray, np.ndarray] | None, lucky: float) -> np.ndarray:
        """To a person's picture `[D]` and views `[V, D]`, `[N]`; `CLOSED` if there is no person.

        The mean of the distances to the picture, which errs least, and to the nearest view, which knows sides that
        others have not shown. Where few people come into question the nearest two views are witness enough, but
        among many somebody always has a view like any: so they count as `lucky` farther.
        """
        if person is None:
            return np.full(len(self.means), CLOSED)
        picture, views = person
        near = (self.views @ views.T).max(axis=1)
        to_view = 1 - near[self.starts]
        mixed = (1 - self.means @ picture + to_view) / 2
        return np.maximum(np.minimum(mixed, 1 - np.maximum.reduceat(near, self.starts) + lucky), 0)
