"""What features have to be whatever model they are of: agreeing with the original does not make them right.

A model that is read wrongly agrees with the same wrong reading of it. So every convert also asks: are they numbers, has
a crop the same ones alone as among others, do people differ, is a mirrored crop near, are people found. The first two
stop it; the others are doubts, which are said with what to try, for an untrained model has them too.
"""

from collections.abc import Sequence

import numpy as np

from converters.verify import MIN_COSINE, Crops, Embedder, Ranking
from sdk.errors import EngineError

ALONE = 3
"""Crops that are embedded one by one too."""
MOST = 64
"""Crops that are compared with one another."""
FEWEST = 8
"""Crops below which nothing is said of how they differ."""
ALIKE = 0.97
"""Mean cosine of pairs of crops, from which on they are all alike: of a fast-reid ResNet on real people it is 0.996
where the normalisation is done twice, and 0.05 where it is done once."""
DIRECTIONS = 2.0
"""Effective rank of the features about their mean, below which they differ in hardly more than one way."""
MIRRORED = 0.6
"""Least share of crops that are nearer to their mirror image than to half of the other crops."""
BETTER = 2.0
"""How many times better than by chance rank-1 should be."""
QUERIES = 20
"""Fewest queries of which that is asked."""


def check_features(features: np.ndarray, name: str) -> None:
    """Raise `EngineError` unless all of `[N, D]` are numbers, and no feature is zero."""
    bad = ~(np.isfinite(features).all(1) & (np.linalg.norm(features, axis=1) > 0.5))
    if bad.any():
        raise EngineError(
            f"{name}: the features of {bad.sum()} of {len(bad)} crops are no numbers or zero; the model is damaged, or "
            "takes images of another range (--value-range, --mean, --std)"
        )


def check_alone(embed: Embedder, crops: Crops, precision: str, name: str) -> None:
    """Raise `EngineError` where a crop's features depend on the others of its batch."""
    some = _spread(crops.images, ALONE)
    together = np.asarray(embed(some))
    for index, crop in enumerate(some):
        alone = np.asarray(embed([crop]))[0]
        if (cosine := float(alone @ together[index])) < MIN_COSINE[precision]:
            raise EngineError(
                f"{name}: a crop alone has other features than the same one in a batch (cosine {cosine:.4f}); the "
                "graph normalises over the batch, or folds crops into each other: export it after model.eval(), with a "
                "dynamic batch"
            )


def doubts(embed: Embedder, crops: Crops, ranking: Ranking | None, foreign: bool) -> tuple[str, ...]:
    """What may be wrong, a line each. foreign: whether somebody had to say what another project's images are."""
    some = _spread(crops.images, MOST)
    found = []
    try_this = (
        "is its normalisation done twice, or white another (--value-range), or --color, --from?"
        if foreign
        else "is it trained?"
    )
    if len(some) >= FEWEST:
        features, mirrored = np.asarray(embed(some)), np.asarray(embed([crop[:, ::-1].copy() for crop in some]))
        if (alike := mean_pair_cosine(features)) > ALIKE:
            found.append(f"doubt: all crops look alike to it (mean cosine of pairs {alike:.3f}); {try_this}")
        elif (rank := effective_rank(features)) < DIRECTIONS:
            found.append(f"doubt: its features differ in {rank:.1f} ways only; {try_this}")
        if (share := mirrored_share(features, mirrored)) < MIRRORED:
            found.append(f"doubt: only {share:.0%} of the crops are near to their own mirror image; {try_this}")
    if ranking is not None and ranking.queries >= QUERIES:
        chance = rank1_by_chance(crops.identities, crops.cameras)
        if ranking.rank1[1] < BETTER * chance:
            found.append(
                f"doubt: it finds people hardly better than by chance (rank-1 {ranking.rank1[1]:.3f}, by chance "
                f"{chance:.3f}); {try_this}"
            )
    return tuple(found)


def mean_pair_cosine(features: np.ndarray) -> float:
    """Of different rows of `[N, D]`, at unit length."""
    count = len(features)
    return float((np.square(features.sum(0)).sum() - count) / (count * (count - 1)))


def effective_rank(features: np.ndarray) -> float:
    """In how many directions `[N, D]` spread about their mean: the exponential of the spectrum's entropy."""
    spectrum = np.square(np.linalg.svd(features - features.mean(0), compute_uv=False))
    if not spectrum.sum():
        return 0.0
    shares = spectrum / spectrum.sum()
    return float(np.exp(-(shares * np.log(np.maximum(shares, 1e-12))).sum()))


def mirrored_share(features: np.ndarray, mirrored: np.ndarray) -> float:
    """Share of rows whose mirror image is nearer than half of the other rows."""
    similar = features @ features.T
    np.fill_diagonal(similar, np.nan)
    return float(((features * mirrored).sum(1) >= np.nanmedian(similar, axis=1)).mean())


def rank1_by_chance(identities: np.ndarray, cameras: np.ndarray) -> float:
    """rank-1 across cameras of somebody who guesses."""
    other = cameras[:, None] != cameras[None, :]
    right = (other & (identities[:, None] == identities[None, :])).sum(1)
    queries = right > 0
    return float((right[queries] / other.sum(1)[queries]).mean()) if queries.any() else 1.0


def _spread(images: Sequence[np.ndarray], most: int) -> list[np.ndarray]:
    chosen = np.linspace(0, len(images) - 1, min(most, len(images))).round().astype(int)
    return [images[i] for i in chosen]
