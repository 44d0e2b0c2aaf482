"""How good features are, told without a label: from tracks, which are one person each, and from what clusters do.

None of these proves anything alone. A network that maps everybody to one point has perfect tracks; one that tells
every picture from every other knows all strangers. So they are read together (`training.adaptation.guard`).
"""

from dataclasses import asdict, dataclass

import numpy as np

from training.adaptation.clusters import Linkage, cluster
from training.adaptation.tracklets import Tracklets
from training.adaptation.vectors import cosine_of, sums, unit

FEW = 50
"""Pairs of tracklets seen at once, below which pairs of one camera that chance brings together count too."""
STRANGERS = 50_000
"""Of those pairs."""
MOST_HALVES = 0.9
"""Share of the tracklets that are within their own model's threshold."""
MOST = 2000
"""Tracklets whose halves are gathered twice for `Measures.agreement`."""
TURNS = 8
"""How often, at most: of 60 tracklets, one draw is off by a tenth."""


@dataclass(frozen=True)
class Measures:
    """Of one network on one site."""

    halves: float
    """Share of tracklets whose first half finds the second first, among those of all tracklets of its camera."""
    separation: float
    """Chance that the halves of a tracklet are nearer to each other than two tracklets seen at once."""
    agreement: float
    """How far the clusters of the first halves and those of the second agree (adjusted Rand index)."""
    within: float
    """Median distance of a tracklet's halves, cameras taken away."""
    between: float
    """Median distance of two tracklets seen at once, cameras taken away."""
    clusters: int
    """Clusters of two tracklets or more."""
    clustered: float
    """Share of the crops that is in them."""

    def to_dict(self) -> dict:
        return asdict(self)


def measure(plain: np.ndarray, tracklets: Tracklets, labels: np.ndarray, linkage: Linkage, seed: int = 0) -> Measures:
    """plain: features of all crops without their cameras, unit length `[N, D]`; labels: the clusters of tracklets."""
    chosen, first, second = halves(tracklets, plain)
    means, pairs = tracklets.means(plain), strangers(tracklets, seed)
    within, between = cosine_of(first, second), cosine_of(means[pairs[:, 0]], means[pairs[:, 1]])
    sizes, crops = np.bincount(labels), np.bincount(labels, tracklets.sizes)
    return Measures(
        halves=halves_found(first, second, tracklets.cameras[chosen]),
        separation=chance_of_smaller(within, between),
        agreement=agreement(plain, tracklets, linkage, seed),
        within=_median(within),
        between=_median(between),
        clusters=int((sizes >= 2).sum()),
        clustered=float(crops[sizes >= 2].sum() / max(1, len(plain))),
    )


def agreement(plain: np.ndarray, tracklets: Tracklets, linkage: Linkage, seed: int = 0) -> float:
    """`Measures.agreement`, of at most `MOST` tracklets; of few, the mean over several draws of which half is which."""
    chosen, first, second = halves(tracklets, plain)
    rng = np.random.default_rng(seed)
    some = rng.permutation(len(chosen))[:MOST]
    both = np.stack([first[some], second[some]])
    rows, none, values = np.arange(len(some)), np.zeros((0, 2), np.int64), []
    for turn in range(max(1, min(TURNS, MOST // max(1, len(some))))):
        one = rng.integers(2, size=len(some)) * (turn > 0)
        values.append(rand_index(*(cluster(both[which, rows], none, none, linkage) for which in (one, 1 - one))))
    return float(np.mean(values))


def halves(tracklets: Tracklets, features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tracklets of two crops or more, int64 `[H]`, and the means of the first and the second half of each in time,
    `[H, D]` at unit length. features: of all crops `[N, D]`."""
    sizes = tracklets.sizes
    chosen = np.flatnonzero(sizes >= 2)
    early = tracklets.place < sizes[tracklets.of_crop] // 2
    means = (unit(sums(features[rows], tracklets.of_crop[rows], len(tracklets))[chosen]) for rows in (early, ~early))
    return chosen, *means


def usual_distance(tracklets: Tracklets, features: np.ndarray) -> float:
    """The cosine distance within which the halves of most tracklets are (`MOST_HALVES`); 0 where none has two crops.

    features: of all crops `[N, D]`, unit length. What a model's own threshold is, where nobody has measured one.
    """
    _, first, second = halves(tracklets, features)
    return float(np.quantile(cosine_of(first, second), MOST_HALVES)) if len(first) else 0.0


def halves_found(first: np.ndarray, second: np.ndarray, cameras: np.ndarray) -> float:
    """Share of the rows of `first` to which their own row of `second` is nearest among those of their camera.

    first, second: unit length `[H, D]`; cameras `[H]`. 0 where there are none.
    """
    found = 0
    for camera in np.unique(cameras):
        here = cameras == camera
        similarity = first[here] @ second[here].T
        found += int((similarity.argmax(axis=1) == np.arange(len(similarity))).sum())
    return found / max(1, len(cameras))


def chance_of_smaller(one: np.ndarray, other: np.ndarray) -> float:
    """Chance that a value of `one` is smaller than one of `other`, ties by half; 0.5 where either is empty."""
    if not len(one) or not len(other):
        return 0.5
    other = np.sort(other)
    below, upto = np.searchsorted(other, one, "left"), np.searchsorted(other, one, "right")
    return float(1 - (below + upto).mean() / 2 / len(other))


def strangers(tracklets: Tracklets, seed: int = 0) -> np.ndarray:
    """Pairs of tracklets that are two people, int64 `[P, 2]`: those that cannot be one, and, where these are few, pairs
    of one camera by chance."""
    if len(tracklets.cannot) >= FEW or not len(tracklets):
        return tracklets.cannot
    one, other = np.random.default_rng(seed).integers(len(tracklets), size=(2, STRANGERS))
    apart = (one != other) & (tracklets.cameras[one] == tracklets.cameras[other])
    return np.concatenate([tracklets.cannot, np.stack([one, other], axis=1)[apart]])


def rand_index(one: np.ndarray, other: np.ndarray) -> float:
    """The adjusted Rand index of two partitions, int `[N]` each: 1 if they are the same, about 0 by chance, and 0 where
    both hold all in one, or all alone: that they are the same says nothing of anybody."""
    if not len(one):
        return 0.0
    a, b = (np.unique(labels, return_inverse=True)[1] for labels in (one, other))

    def pairs(counts: np.ndarray) -> float:
        return float((counts * (counts - 1.0) / 2).sum())

    both = pairs(np.unique(a * (int(b.max()) + 1) + b, return_counts=True)[1])
    in_a, in_b, total = pairs(np.bincount(a)), pairs(np.bincount(b)), pairs(np.array([len(a)]))
    expected, most = in_a * in_b / max(total, 1.0), (in_a + in_b) / 2
    return 0.0 if most == expected else (both - expected) / (most - expected)


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else 0.0
