"""The distances that a test may rank by. Each maps the features of queries and of a gallery to float `[Q, G]`."""

from collections.abc import Callable

import numpy as np

from sdk import distances
from sdk.errors import DataError
from sdk.reidentifier import Features

Measure = Callable[[Features, Features], np.ndarray]

CANDIDATES = 100
"""How many of each query's nearest are re-scored; an aligned distance takes far longer than a cosine."""
PAIRS = 2000
"""Pairs aligned at once: bounds the memory to so many crops' stripes."""


def cosine(query: Features, gallery: Features) -> np.ndarray:
    """The cosine distance of the embeddings."""
    return distances.cosine_distance(query.embedding, gallery.embedding)


def re_ranked(query: Features, gallery: Features) -> np.ndarray:
    """k-reciprocal re-ranking of the embeddings (`sdk.re_ranking`), with the paper's settings."""
    return distances.re_rank(query.embedding, gallery.embedding)


def rescored(
    query: Features, gallery: Features, weight: float = 1.0, candidates: int | None = CANDIDATES
) -> np.ndarray:
    """Cosine distance + weight × aligned local distance / (2S − 1), float32.

    candidates: how many of a query's nearest are aligned; None: all. The rest get the largest local distance there
    could be, so they stay behind the candidates in their order. Raises `DataError` where there are no stripes.
    """
    require_stripes(query)
    require_stripes(gallery)
    count = len(gallery) if candidates is None else min(candidates, len(gallery))
    result = cosine(query, gallery).astype(np.float32)
    longest = 2 * query.stripes.shape[1] - 1
    block = max(1, PAIRS // count)
    for start in range(0, len(query), block):
        rows = slice(start, start + block)
        nearest = np.argpartition(result[rows], count - 1, axis=1)[:, :count]
        local = distances.local_distance_gathered(query.stripes[rows], gallery.stripes, nearest)
        penalty = np.ones_like(result[rows])
        np.put_along_axis(penalty, nearest, local / longest, axis=1)
        result[rows] += weight * penalty
    return result


def require_stripes(features: Features) -> None:
    if features.stripes is None:
        raise DataError(
            "the model gives no stripes, so nothing can be re-scored by the local distance; "
            "use the checkpoint (.pt) that it was converted from"
        )
