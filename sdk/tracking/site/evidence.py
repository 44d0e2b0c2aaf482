"""The evidence that tracklets are one person, with all that the site has taught so far."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from sdk.tracking.site.cameras import CameraStatistics
from sdk.tracking.site.likeness import Likeness
from sdk.tracking.site.newcomers import concentration
from sdk.tracking.site.prior import BETWEEN, WITHIN, SitePrior
from sdk.tracking.site.returns import CLASSES, Returns, Seen, classes


class Witnesses(NamedTuple):
    """Tracklets as the site model sees them, `[N]` each."""

    camera: np.ndarray
    """Names, object."""
    first: np.ndarray
    """When each was first and last seen, s on the tracker's clock."""
    last: np.ndarray
    features: np.ndarray
    """The means of their crops' embeddings, float32 `[N, D]` at unit length."""


class Pairing(NamedTuple):
    """Tracklets made ready to be paired: cameras are numbers, and what they add to the features is taken away."""

    camera: np.ndarray
    first: np.ndarray
    last: np.ndarray
    features: np.ndarray

    def __len__(self) -> int:  # of tracklets, not of columns
        return len(self.camera)


class Evidence(NamedTuple):
    """For "one person", of pairs, `[N, M]` each."""

    look: np.ndarray
    """Nats for what they look like."""
    odds: np.ndarray
    """Nats for when and where they were, and for how few are somebody new: the log odds before anybody looks."""
    distance: np.ndarray
    """Cosine distance, with what the cameras add taken away."""

    @property
    def total(self) -> np.ndarray:
        return self.look + self.odds


class SiteModel:
    """What is known of a site: its cameras, what strangers look like there, when people come back."""

    def __init__(self, prior: SitePrior | None = None, learns: bool = True):
        """learns: whether the site changes anything. If not, a look counts as the prior says, with the features as
        they are, and times say nothing."""
        self.prior = prior or SitePrior()
        self.learns = learns
        self.cameras = CameraStatistics(self.prior.mean, self.prior.deviation)
        self.likeness = Likeness(self.prior)
        self.returns = Returns(self.prior)
        self.newcomer = self._newcomer(0, 0)
        """Nats that speak for somebody new, beside those for two tracklets anywhere."""
        self._numbers: dict[str, int] = {}
        self._settled = self.cameras
        """What the cameras' statistics are without the tracklets whose person may still change."""
        self.restored: frozenset[str] = frozenset()
        """Cameras of which earlier runs have learned; see `memory.py`."""

    @property
    def numbered(self) -> list[str]:
        """The names of the cameras, in the order of the numbers that `Pairing` has."""
        return list(self._numbers)

    def restore(self, cameras: list[str]) -> None:
        """Begin with what earlier runs have learned, which `cameras`, `likeness` and `returns` were given just before.

        cameras: in the order of the numbers that `returns` has.
        """
        self._settled = self.cameras
        self._numbers = {name: number for number, name in enumerate(cameras)}
        self.restored = frozenset(name for name in self.cameras.learned if name)

    def forget(self, most: float) -> None:
        """Forget what is of fewer than `most` people, because one of them may have to be forgotten."""
        if self.cameras.learned[None][0].weight < most:
            self.likeness.restore([(0.0, 0.0)] * 2)
            self.returns.restore(np.zeros((2, 0, 0, CLASSES)))
        for statistics in (self._settled, self.cameras):
            statistics.forget(most)
        self.restored = self.restored.intersection(self._settled.learned)

    def settled(self, camera: str, features: np.ndarray, passes: int) -> None:
        """Take a tracklet that will not change its person any more; passes: how often they had passed before."""
        self._settled.add(camera, features, _weight(passes))

    def observe(self, open_: list[tuple[str, np.ndarray, str]], passes: Mapping[str, Mapping[str, int]]) -> None:
        """Take the tracklets whose person may still change, in order of time: (camera, features `[D]`, person).

        passes: how often each person has passed each camera before them.
        """
        cameras, seen = self._settled.copy(), Counter()
        for camera, features, person in open_:
            before = passes.get(person, {}).get(camera, 0) + seen[person, camera]
            cameras.add(camera, features, _weight(before))
            seen[person, camera] += 1
        self.cameras = cameras

    def prepare(self, witnesses: Witnesses) -> Pairing:
        """Make tracklets ready to be paired; for as long as `cameras.version` stays."""
        for name in witnesses.camera:
            self._numbers.setdefault(name, len(self._numbers))
        numbers = np.array([self._numbers[name] for name in witnesses.camera], int)
        features = witnesses.features
        if self.learns:
            features = self.cameras.normalised(features, witnesses.camera)
        return Pairing(numbers, witnesses.first, witnesses.last, features)

    def evidence(self, one: Pairing, other: Pairing) -> Evidence:
        """Of every pair of one of N tracklets and one of M others."""
        distance = 1 - one.features @ other.features.T
        kind = np.where(one.camera[:, None] == other.camera[None], WITHIN, BETWEEN)
        gap = classes(one.first, one.last, other.first, other.last)
        odds = np.zeros(distance.shape)
        if self.learns:
            odds = self.returns.log_odds(one.camera, other.camera, gap) - self.newcomer
        return Evidence(self.likeness.nats(distance, kind), odds, distance)

    def learn(self, seen: Pairing, person: np.ndarray, cannot: np.ndarray) -> None:
        """Learn from all that is remembered: N tracklets, who they are taken for (int `[N]`), and who cannot be one
        person (bool `[N, N]`)."""
        if not self.learns:
            return
        self.likeness.learn(_strangers(seen, person, cannot))
        distance = 1 - seen.features @ seen.features.T
        kind = np.where(seen.camera[:, None] == seen.camera[None], WITHIN, BETWEEN)
        look = self.likeness.nats(distance, kind)
        self.returns.learn(Seen(seen.camera, seen.first, seen.last), look, cannot)
        # Names alone would not do: while nobody is joined, everybody would be new for ever. Nor would looks alone.
        people = np.sqrt(len(np.unique(person)) * len(person) / (1 + self.returns.others))
        self.newcomer = self._newcomer(people, len(person))

    def _newcomer(self, people: float, tracklets: int) -> float:
        return self.returns.usual + float(np.log(concentration(people, tracklets)))


def _weight(passes: int) -> float:
    """What a tracklet of somebody counts who has passed before: all later ones together half of the first."""
    return 1.0 if passes == 0 else 1 / ((passes + 1) * (passes + 2))


def _strangers(seen: Pairing, person: np.ndarray, cannot: np.ndarray) -> list[np.ndarray]:
    """How far apart strangers are, within cameras and between cameras: of each pair of people the mean, and of all who
    were seen at once each pair of tracklets."""
    people, number = np.unique(person, return_inverse=True)
    member = np.zeros((len(people), len(person)), np.float32)
    member[number, np.arange(len(person))] = 1
    distance = 1 - seen.features @ seen.features.T
    same_camera = (seen.camera[:, None] == seen.camera[None]).astype(np.float32)
    pairs = np.triu_indices(len(people), 1)
    found = []
    for which in (same_camera, 1 - same_camera):
        count = (member @ which @ member.T)[pairs]
        total = (member @ (which * distance) @ member.T)[pairs]
        at_once = distance[np.triu(cannot & (which > 0), 1)]
        found.append(np.concatenate([total[count > 0] / count[count > 0], at_once]))
    return found
