"""What a distance says of whether two tracklets are one person.

The evidence is linear in the distance: it is 0 where strangers and the same person are equally likely to be so far
apart, and falls from there. Its unit is the distance of strangers, which the site itself shows: almost all pairs of
people are strangers, those that one camera sees at once for certain. So people in uniform must be nearer to be taken
for one than people in all colours.
"""

import numpy as np

from sdk.tracking.site.prior import WITHIN, SitePrior

MOST = 10.0
"""Nats; a look can never say more, for better or worse."""
MOST_BEFORE = 100.0
"""Pairs of people as which those of earlier runs count."""
LEAST = 0.2
"""Of the prior's stranger distance: nearer to each other strangers are not believed to be."""


class Likeness:
    """Nats for "the same person" of the distance between two tracklets, of one camera or of two."""

    def __init__(self, prior: SitePrior):
        self._prior = prior
        self.stranger = np.array(prior.stranger, float)
        """Of pairs of one camera and of two: how far strangers are apart at this site."""
        self._before = [(0.0, 0.0)] * 2
        self._pairs = [0.0, 0.0]
        """Of how many pairs `stranger` is."""

    @property
    def learned(self) -> list[tuple[float, float]]:
        """Of both kinds of pairs, how far strangers are apart, and of how many pairs that is."""
        return [(float(mean), min(MOST_BEFORE, pairs)) for mean, pairs in zip(self.stranger, self._pairs, strict=True)]

    def restore(self, learned: list[tuple[float, float]]) -> None:
        """Begin with what was learned before."""
        self._before = list(learned)
        self.learn([np.zeros(0), np.zeros(0)])

    def learn(self, distances: list[np.ndarray]) -> None:
        """Take the distances of strangers of late: those of pairs of one camera, and of two.

        Cameras of which little is known are taken to differ from the prior as single cameras do: there strangers are
        seen at once, and are known to be.
        """
        scale = 1.0
        for kind, found in enumerate(distances):
            believed = scale * self._prior.stranger[kind]
            trust = self._prior.trust
            before, pairs = self._before[kind]
            self._pairs[kind] = pairs + len(found)
            mean = (trust * believed + pairs * before + float(np.sum(found))) / (trust + pairs + len(found))
            self.stranger[kind] = max(mean, LEAST * self._prior.stranger[kind])
            scale = self.stranger[WITHIN] / self._prior.stranger[WITHIN]

    def nats(self, distance: np.ndarray, kind: np.ndarray) -> np.ndarray:
        """For distances of any shape and int `kind` of the same (`prior.WITHIN`, `prior.BETWEEN`)."""
        neutral, slope = (np.array(values) for values in (self._prior.neutral, self._prior.slope))
        return np.clip(slope[kind] * (neutral[kind] - distance / self.stranger[kind]), -MOST, MOST)
