"""The test with strangers: half of the people are enrolled, and the other half must be told to be nobody known.

rank-1 asks only who of the enrolled is nearest. A site asks first whether it is anybody of them. (Open-set
identification: Phillips, Grother and Micheals, Handbook of Face Recognition, 2011; for persons, Liao et al., "Open-set
person re-identification", arXiv 1408.0872.)
"""

from dataclasses import asdict, dataclass

import numpy as np

from sdk.distances import cosine_distance
from sdk.errors import DataError

ROUNDS = 20
"""Halves that are drawn and averaged over."""
RATES = (0.01, 0.001)
"""False-positive identification rates at which the figures are given."""


@dataclass(frozen=True)
class OpenSet:
    """Means over `rounds` draws of the people who are enrolled. Rates are shares of the probes, 0 to 1."""

    rates: tuple[float, ...]
    """False-positive identification rates (FPIR): strangers who are taken for somebody enrolled."""
    true_positive: tuple[float, ...]
    """True-positive identification rates (TPIR) at these: enrolled people whose own name is nearest and near enough."""
    true_positive_spread: tuple[float, ...]
    """Their standard deviations over the draws."""
    rank1: float
    """The same without any threshold."""
    threshold: float
    """The cosine distance whose rates the next two are."""
    false_positive_at_threshold: float
    true_positive_at_threshold: float
    enrolled: int
    """People."""
    strangers: int
    stranger_probes: float
    """Crops of strangers, mean over the draws: a rate below 1 / this cannot be measured, and is then that of none."""
    rounds: int

    def to_dict(self) -> dict:
        return asdict(self)


def evaluate_open_set(
    embedding: np.ndarray,
    labels: np.ndarray,
    cameras: np.ndarray,
    threshold: float,
    rates: tuple[float, ...] = RATES,
    seed: int = 0,
) -> OpenSet:
    """Enrol half of the people with all their crops; probe with every crop, against the crops of other cameras.

    embedding float `[N, D]` at unit length, labels and cameras `[N]`. Raises `DataError` for fewer than four people.
    """
    _, people = np.unique(labels, return_inverse=True)
    number = people.max() + 1
    if number < 4:
        raise DataError(f"{number} people are too few for a test with strangers; at least 4 are needed")
    nearest = _nearest_of_each(embedding, people, np.asarray(cameras), number)
    rng = np.random.default_rng(seed)
    rows, probes = [], []
    for _ in range(ROUNDS):
        enrolled = np.sort(rng.permutation(number)[: number // 2])
        best, own = nearest[:, enrolled], nearest[np.arange(len(people)), people]
        distance, name = best.min(axis=1), enrolled[best.argmin(axis=1)]
        asked = np.isfinite(distance)
        known = np.isin(people, enrolled)
        stranger = np.sort(distance[asked & ~known])
        known &= asked & np.isfinite(own)
        right, found = name[known] == people[known], distance[known]
        if not (len(stranger) and known.any()):
            continue  # nobody of one half was seen by two cameras
        limits = [_limit(stranger, rate) for rate in rates]
        row = [(right & (found <= limit)).mean() for limit in limits]
        rows.append([*row, right.mean(), (stranger <= threshold).mean(), (right & (found <= threshold)).mean()])
        probes.append(len(stranger))
    if not rows:
        raise DataError("a test with strangers needs people who were seen by at least two cameras")
    mean, spread = np.mean(rows, axis=0).tolist(), np.std(rows, axis=0).tolist()
    count = len(rates)
    return OpenSet(
        rates=tuple(rates),
        true_positive=tuple(mean[:count]),
        true_positive_spread=tuple(spread[:count]),
        rank1=mean[count],
        threshold=float(threshold),
        false_positive_at_threshold=mean[count + 1],
        true_positive_at_threshold=mean[count + 2],
        enrolled=int(number // 2),
        strangers=int(number - number // 2),
        stranger_probes=float(np.mean(probes)),
        rounds=len(rows),
    )


def _limit(stranger: np.ndarray, rate: float) -> float:
    """The largest distance that at most `rate` of the strangers' nearest (ascending) are within; below them: none."""
    allowed = int(np.floor(rate * len(stranger)))
    return float(np.nextafter(stranger[allowed], -np.inf)) if allowed < len(stranger) else np.inf


def _nearest_of_each(embedding: np.ndarray, people: np.ndarray, cameras: np.ndarray, number: int) -> np.ndarray:
    """Every crop's distance to everybody's nearest crop of another camera: `[N, people]`, inf where there is none."""
    nearest = np.full((len(people), number), np.inf, np.float32)
    order = np.argsort(people, kind="stable")
    starts = np.searchsorted(people[order], np.arange(number))
    for start in range(0, len(people), 1024):
        rows = slice(start, start + 1024)
        distance = cosine_distance(embedding[rows], embedding[order])
        distance[cameras[rows, None] == cameras[order][None]] = np.inf
        nearest[rows] = np.minimum.reduceat(distance, starts, axis=1)
    return nearest
