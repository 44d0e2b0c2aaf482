"""When people come back, and to which camera: what two times of being seen say of whether it was one person.

Before anybody looks, the odds that a tracklet is the person of another are: how many other tracklets a person has in
that camera at such a gap, against how many tracklets of others there are. Both are counted at the site, by classes of
gaps (`prior.GAPS`) and pairs of cameras. So the odds fall as a site fills, and nobody has to say how many people
there are; passages that are common at this site become likely, and travel times are learned.
"""

from typing import NamedTuple

import numpy as np

from sdk.tracking.site.prior import BETWEEN, FARTHEST, GAPS, WITHIN, SitePrior

TRUST = (60.0, 20.0)
"""Tracklets from which all pairs of cameras together count as much as the prior, and one pair as much as all."""
CLASSES = len(GAPS) + 1
ODDS = (1e-4, 20.0)
"""The least and the most."""
ROUNDS = 10
"""Of expectation and maximisation, each time."""
MOST_BEFORE = 300.0
"""Tracklets, of any class of gaps, as which those of earlier runs count."""
LOOKS = np.linspace(-10.0, 10.0, 81)
"""Nats at which a new class of looks begins: pairs of one class count alike."""
FEW = 0.5
"""Of others there may always be half a tracklet more than were seen."""


def classes(first: np.ndarray, last: np.ndarray, other_first: np.ndarray, other_last: np.ndarray) -> np.ndarray:
    """The class of the gap between each of N tracklets and each of M others: int `[N, M]`."""
    gap = np.maximum(first[:, None] - other_last[None], other_first[None] - last[:, None])
    return np.searchsorted(GAPS, gap, side="left")


class Seen(NamedTuple):
    """When and where tracklets were seen, `[N]` each."""

    camera: np.ndarray
    """int."""
    first: np.ndarray
    last: np.ndarray


def chances(seen: Seen) -> np.ndarray:
    """For each of N tracklets, what part of a class of gaps lies within the time that is remembered, of before and
    after on average: float `[N, classes]`, 1 for those that overlap."""
    begin, end = seen.first.min(), seen.last.max()
    edges = np.array([*GAPS, FARTHEST])
    ahead = np.clip(end - seen.last[:, None] - edges[:-1], 0, np.diff(edges))
    behind = np.clip(seen.first[:, None] - begin - edges[:-1], 0, np.diff(edges))
    return np.hstack([np.ones((len(seen.first), 1)), (ahead + behind) / (2 * np.diff(edges))])


class Returns:
    """Log odds that two tracklets are one person, from when and where they were."""

    def __init__(self, prior: SitePrior):
        self._prior = np.array(prior.returns)
        self._cameras = 0
        self._odds = np.zeros((0, 0, CLASSES))
        self._before = self._found = np.zeros((2, 0, 0, CLASSES))
        self.usual = float(np.log(self._prior[BETWEEN].mean() / FEW))
        """Log odds that two tracklets are one person, where and whenever they were."""
        self.others = 0.0
        """How many other tracklets of the same person there are, for a tracklet that is remembered."""

    @property
    def learned(self) -> np.ndarray:
        """Other tracklets of a person and chances for one that were counted, by pair of cameras and class of gap: float
        `[2, C, C, classes]`."""
        learned = _room(self._before, self._cameras) + _room(self._found, self._cameras)
        return learned * min(1.0, MOST_BEFORE / max(float(learned[1].sum(axis=(0, 1)).max(initial=0.0)), 1e-9))

    def restore(self, learned: np.ndarray) -> None:
        """Begin with what was learned before; the cameras' numbers are those of then."""
        self._before, self._found = learned, np.zeros_like(learned)
        self._cameras, self._odds = 0, np.zeros((0, 0, CLASSES))
        self._grow(learned.shape[1])

    def learn(self, seen: Seen, look: np.ndarray, cannot: np.ndarray) -> None:
        """Count anew from all that is remembered: N tracklets, what they look like, who cannot be one person.

        look: nats for "one person", float `[N, N]`; cannot: bool `[N, N]`. Nobody knows yet which pairs are one
        person, so every pair counts by how likely it is (expectation and maximisation; Fellegi and Sunter's record
        linkage without labels). It begins with what was learned before.
        """
        cameras = max(self._cameras, int(seen.camera.max(initial=-1)) + 1)
        if len(seen.camera) < 2:
            return
        self._grow(cameras)
        shape = (cameras, cameras, CLASSES)
        gap = classes(seen.first, seen.last, seen.first, seen.last)
        cell = (seen.camera[:, None] * cameras + seen.camera[None]) * CLASSES + gap
        pairs = ~np.eye(len(look), dtype=bool)
        everybody = np.bincount(cell[pairs], minlength=np.prod(shape)).reshape(shape)
        open_ = pairs & ~cannot
        look_class = np.searchsorted(LOOKS, look[open_])
        middle = np.concatenate([LOOKS[:1], (LOOKS[1:] + LOOKS[:-1]) / 2, LOOKS[-1:]])
        table = np.bincount(cell[open_] * len(middle) + look_class, minlength=everybody.size * len(middle))
        table = table.reshape(-1, len(middle))
        each = chances(seen)
        each = np.stack([each[seen.camera == camera].sum(axis=0) for camera in range(cameras)])
        possible = (each[:, None] + each[None]) / 2  # of a pair of cameras, either is where it begins
        for _ in range(ROUNDS):
            likely = 1 / (1 + np.exp(-(middle + self._odds.reshape(-1, 1))))
            same = (table * likely).sum(axis=1).reshape(shape)
            rate = self._rate(same, possible)
            expected = rate * possible
            odds = np.where(everybody > 0, expected / np.maximum(everybody - expected, FEW), rate / FEW)
            self._odds = np.log(np.clip(odds, *ODDS))
        self._found = np.stack([same, possible])
        counted = table.sum(axis=1)
        self.others = float(same.sum() / len(seen.camera))
        if counted.any():
            self.usual = float(np.log(np.average(np.exp(self._odds.reshape(-1)), weights=counted)))

    def _rate(self, same: np.ndarray, chances: np.ndarray) -> np.ndarray:
        """Other tracklets of a person, a tracklet: as the prior has it, as all pairs of cameras have, as these two.

        At a site where people come back more often than the prior says, they are taken to do so after any gap.
        """
        kind = _kinds(len(same))
        before = _room(self._before, len(same))
        same, chances = same + before[0], chances + before[1]
        rate = self._prior[kind]
        for of_kind in np.unique(kind):
            here, prior = kind == of_kind, self._prior[of_kind]
            found, chance = same[here].sum(axis=0), chances[here].sum(axis=0)
            prior = prior * (TRUST[0] + found.sum()) / (TRUST[0] + (prior * chance).sum())
            rate[here] = (TRUST[0] * prior + found) / (TRUST[0] + chance)
        return (TRUST[1] * rate + same) / (TRUST[1] + chances)

    def log_odds(self, camera: np.ndarray, other_camera: np.ndarray, gap: np.ndarray) -> np.ndarray:
        """For cameras int `[N]` and `[M]` and classes of gaps int `[N, M]`: float `[N, M]`."""
        self._grow(max(camera.max(initial=-1), other_camera.max(initial=-1)) + 1)
        return self._odds[camera[:, None], other_camera[None], gap]

    def _grow(self, cameras: int) -> None:
        """Make room for cameras of which nothing is known yet."""
        if cameras <= self._cameras:
            return
        nothing = np.zeros((cameras, cameras, CLASSES))
        table = np.log(np.clip(self._rate(nothing, nothing) / FEW, *ODDS))
        table[: self._cameras, : self._cameras] = self._odds
        self._cameras, self._odds = int(cameras), table


def _room(table: np.ndarray, cameras: int) -> np.ndarray:
    """A table `[2, C, C, classes]` with room for more cameras."""
    grown = np.zeros((2, cameras, cameras, CLASSES))
    grown[:, : table.shape[1], : table.shape[2]] = table
    return grown


def _kinds(cameras: int) -> np.ndarray:
    return np.where(np.eye(cameras, dtype=bool), WITHIN, BETWEEN)
