"""How far a threshold and its error rates may be off, because only so many people were there to measure on.

Pairs of one person are not independent of each other, so people are drawn anew, not pairs (the bootstrap by subject;
Poh, Martin and Bengio, "Performance generalization in biometric authentication using joint user-specific and sample
bootstraps", TPAMI 2007).
"""

from dataclasses import asdict, dataclass

import numpy as np

from sdk.calibration.pairs import Pairs

ROUNDS = 400
COVERAGE = 0.95
MOST_PAIRS = 1_000_000
"""More pairs of a kind than this are thinned out evenly: the people are what limits the precision."""


@dataclass(frozen=True)
class Interval:
    """The 95% intervals of a calibration, each (low, high)."""

    value: tuple[float, float]
    """Of the threshold that has the wanted false-match rate, cosine distance."""
    false_match_rate: tuple[float, float]
    """Of the false-match rate at the threshold that was found."""
    true_match_rate: tuple[float, float]
    """Of the true-match rate there."""
    people: int
    """How many people were drawn anew, `rounds` times."""
    rounds: int

    def to_dict(self) -> dict:
        return asdict(self)


def threshold_intervals(pairs: Pairs, value: float, false_match_rate: float, seed: int = 0) -> Interval:
    """Intervals of a threshold `value` (cosine distance) that was chosen for a `false_match_rate` on `pairs`.

    Every round draws as many people as there are, with replacement; a pair counts once for each time that both its
    people were drawn.
    """
    rng = np.random.default_rng(seed)
    people = 1 + max(int(pairs.genuine_people.max()), int(pairs.impostor_people.max()))
    impostor, impostor_people = _thinned(pairs.impostor, pairs.impostor_people)
    genuine, genuine_people = _thinned(pairs.genuine, pairs.genuine_people)
    order = np.argsort(impostor)
    impostor, impostor_people = impostor[order], impostor_people[order]
    passing, matching = np.searchsorted(impostor, value, "right"), genuine <= value
    found = []
    while len(found) < ROUNDS:
        drawn = np.bincount(rng.integers(0, people, people), minlength=people)
        weight = np.cumsum(drawn[impostor_people[:, 0]] * drawn[impostor_people[:, 1]])
        own = drawn[genuine_people]
        if not (weight[-1] and own.sum()):
            continue  # so few people that all pairs were of one
        place = min(np.searchsorted(weight, false_match_rate * weight[-1]), len(impostor) - 1)
        rate = weight[passing - 1] / weight[-1] if passing else 0.0
        found.append((impostor[place], rate, own[matching].sum() / own.sum()))
    tail = (1 - COVERAGE) / 2
    low, high = np.quantile(found, [tail, 1 - tail], axis=0)
    return Interval(*((float(a), float(b)) for a, b in zip(low, high, strict=True)), people, ROUNDS)


def _thinned(distance: np.ndarray, people: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(distance) <= MOST_PAIRS:
        return distance, people
    kept = np.linspace(0, len(distance) - 1, MOST_PAIRS).astype(int)
    return distance[kept], people[kept]
