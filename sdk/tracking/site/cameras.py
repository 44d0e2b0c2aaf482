"""What each camera adds to the features: its light and its colours, learned from all who pass it.

A model sees the same person differently in every camera, by about the same vector for everybody. That vector is the
mean of the camera's people; taken away, the rest is the person.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

PATIENCE = 10.0
"""People after which a camera's own mean counts as much as what was believed before."""
MOST = 200.0
"""People whose mean a camera's is; earlier ones are forgotten."""
LATEST = 12.0
"""People after whom a camera that has changed its colours is found to have."""
CHANGED = 2.5
"""How many times the mean of the latest may be off, in what chance explains (squared distances), before it has."""
LEAST_DEVIATION = 0.3
"""Of the mean deviation: a dimension in which all are alike must not be blown up."""


@dataclass
class Sums:
    """Weighted sums of features, `[D]`."""

    weight: float = 0.0
    total: np.ndarray | float = 0.0
    squares: np.ndarray | float = 0.0

    def add(self, features: np.ndarray, weight: float, most: float) -> None:
        """Take one more; no more than `most` count."""
        keep = min(1.0, most / (self.weight + weight))
        self.weight = keep * (self.weight + weight)
        self.total = keep * (self.total + weight * features)
        self.squares = keep * (self.squares + weight * features**2)

    @property
    def mean(self) -> np.ndarray:
        return self.total / self.weight

    @property
    def variance(self) -> np.ndarray:
        return np.maximum(self.squares / self.weight - self.mean**2, 0)


@dataclass
class Camera:
    """What is known of one."""

    long: Sums = field(default_factory=Sums)
    latest: Sums = field(default_factory=Sums)
    changes: int = 0
    """How often it was found to have changed its colours."""


class CameraStatistics:
    """Mean and deviation of the features of every camera's people, updated for ever.

    Every person counts once a camera, however often they pass. While few have passed, a camera is believed to be as
    the site is, and the site as the prior says: who is alone must not be taken away from themselves.
    """

    def __init__(self, mean: np.ndarray | None = None, deviation: np.ndarray | None = None):
        """mean, deviation: those of people in general, `[D]`; None: not known."""
        self._mean, self._deviation = mean, deviation
        self._cameras: dict[str, Camera] = {}
        self._site = Sums()
        self.version = 0
        """Another where anything is other than it was."""

    def copy(self) -> "CameraStatistics":
        """Another that goes its own way."""
        other = CameraStatistics(self._mean, self._deviation)
        other._cameras = {
            name: replace(c, long=replace(c.long), latest=replace(c.latest)) for name, c in self._cameras.items()
        }
        other._site = replace(self._site)
        return other

    @property
    def learned(self) -> dict[str | None, tuple[Sums, int]]:
        """What the cameras' statistics are, and the site's under None; and how often each has changed."""
        return {None: (self._site, 0)} | {name: (camera.long, camera.changes) for name, camera in self._cameras.items()}

    def restore(self, learned: Mapping[str | None, tuple[Sums, int]]) -> None:
        """Begin with what was learned before."""
        self.version += 1
        self._site = learned.get(None, (Sums(), 0))[0]
        self._cameras = {name: Camera(sums, changes=changes) for name, (sums, changes) in learned.items() if name}

    def forget(self, most: float) -> None:
        """Forget what is of fewer than `most` people: one of them may have to be forgotten."""
        self.version += 1
        self._cameras = {name: camera for name, camera in self._cameras.items() if camera.long.weight >= most}
        for camera in self._cameras.values():
            camera.latest = Sums()
        if self._site.weight < most:
            self._site = Sums()

    def add(self, camera: str, features: np.ndarray, weight: float = 1.0) -> bool:
        """Take a tracklet's features, `[D]` at unit length; whether the camera is found to have changed by it.

        weight: 1 for somebody new to this camera, less for who has been there before.
        """
        self.version += 1
        known = self._cameras.setdefault(camera, Camera())
        known.long.add(features, weight, MOST)
        known.latest.add(features, weight, LATEST)
        self._site.add(features, weight, MOST * len(self._cameras))
        if not self._has_changed(known):
            return False
        known.long = Sums(known.latest.weight, known.latest.total, known.latest.squares)
        known.changes += 1
        return True

    def _has_changed(self, camera: Camera) -> bool:
        long, latest = camera.long, camera.latest
        if latest.weight < 0.75 * LATEST or long.weight < 2 * LATEST:
            return False
        chance = latest.variance.sum() * (1 / latest.weight + 1 / long.weight)
        return float(np.square(latest.mean - long.mean).sum()) > CHANGED * chance

    def people(self, camera: str) -> float:
        """How many a camera's statistics are of."""
        return self._cameras[camera].long.weight if camera in self._cameras else 0.0

    def notes(self, camera: str) -> tuple[str, ...]:
        """What somebody should know who doubts a distance of this camera, in words."""
        people, said = self.people(camera), []
        if people < PATIENCE:
            seen = "one person" if round(people) == 1 else f"{people:.0f} people"
            said.append(f"camera '{camera}' has seen {seen}, too few to know what it adds to their looks")
        elif self._cameras[camera].changes and people < 4 * LATEST:
            said.append(f"the colours of camera '{camera}' have changed, and are learned anew from {people:.0f} people")
        return tuple(said)

    def normalised(self, features: np.ndarray, cameras: np.ndarray) -> np.ndarray:
        """Features `[N, D]` without what their cameras (`[N]`, names) add, at unit length: float32 `[N, D]`."""
        result = np.empty(features.shape, np.float32)
        for camera in np.unique(cameras):
            here = cameras == camera
            mean, deviation = self._of(camera)
            result[here] = (features[here] - mean) / deviation
        return result / np.maximum(np.linalg.norm(result, axis=1, keepdims=True), 1e-9)

    def _of(self, camera: str) -> tuple[np.ndarray | float, np.ndarray | float]:
        mean, variance = self._shrunk(self._site, 0.0 if self._mean is None else self._mean, self._prior_variance())
        if camera in self._cameras:
            mean, variance = self._shrunk(self._cameras[camera].long, mean, variance)
        if variance is None:
            return mean, 1.0
        deviation = np.sqrt(variance)
        return mean, np.maximum(deviation, LEAST_DEVIATION * deviation.mean())

    def _prior_variance(self) -> np.ndarray | None:
        return None if self._deviation is None else np.square(self._deviation)

    @staticmethod
    def _shrunk(sums: Sums, mean, variance):
        if not sums.weight:
            return mean, variance
        share = sums.weight / (sums.weight + PATIENCE)
        found = sums.variance
        if variance is None:  # nothing is known: as if all dimensions varied alike
            variance = np.full_like(found, found.mean()) if found.mean() > 0 else None
        mixed = None if variance is None else share * found + (1 - share) * variance
        return share * sums.mean + (1 - share) * mean, mixed
