"""What a search may rank by: the cosine distance, re-ranked, re-scored by the local branch.

A measure maps the features of queries and of a gallery to rows of distances, which are computed when they are asked
for: those of all queries to a large gallery would not fit into memory.
"""

from collections.abc import Callable

import numpy as np

from sdk import distances
from sdk.errors import DataError
from sdk.re_ranking import re_rank_rows
from sdk.reidentifier import Features

DistanceRows = Callable[[slice], np.ndarray]
"""Some queries' distances to the whole gallery, float `[rows, G]`."""
Measure = Callable[[Features, Features], DistanceRows]
Align = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Local distances of query stripes `[B, S, d]` to candidates `[B, K]` among gallery stripes `[G, S, d]`."""

CANDIDATES = 100
"""How many of each query's nearest are re-scored; an aligned distance takes far longer than a cosine."""
PAIRS = 2000
"""Pairs aligned at once: bounds the memory to so many crops' stripes."""


def cosine(query: Features, gallery: Features) -> DistanceRows:
    """The cosine distance of the embeddings."""
    return lambda rows: distances.cosine_distance(query.embedding[rows], gallery.embedding)


def re_ranked(query: Features, gallery: Features) -> DistanceRows:
    """k-reciprocal re-ranking of the embeddings (`sdk.re_ranking`), with the paper's settings."""
    return re_rank_rows(query.embedding, gallery.embedding)


def rescored(
    base: Measure = cosine,
    weight: float = 1.0,
    candidates: int | None = CANDIDATES,
    align: Align = distances.local_distance_gathered,
) -> Measure:
    """`base` + weight × aligned local distance / (2S − 1), float32.

    candidates: how many of a query's nearest by `base` are aligned, by `align`; None: all, by NumPy. The rest get the
    largest local distance there could be, so they stay behind the candidates in their order. The measure raises
    `DataError` where there are no stripes.
    """

    def measure(query: Features, gallery: Features) -> DistanceRows:
        require_stripes(query)
        require_stripes(gallery)
        of_base = base(query, gallery)
        longest = 2 * query.stripes.shape[1] - 1

        def rows_of(rows: slice) -> np.ndarray:
            distance = of_base(rows).astype(np.float32)
            local = _local(query.stripes[rows], gallery.stripes, distance, candidates, longest, align)
            return distance + weight * local / longest

        return rows_of

    return measure


def require_stripes(features: Features) -> None:
    if features.stripes is None:
        raise DataError(
            "the model gives no stripes, so nothing can be re-scored by the local distance; "
            "convert its checkpoint with --rescore"
        )


def _local(query, gallery, distance: np.ndarray, candidates: int | None, longest: int, align: Align) -> np.ndarray:
    """Local distances of the candidates among all, float32 `[Q, G]`; `longest` for the others."""
    if candidates is None or candidates >= len(gallery):
        return distances.local_distance(query, gallery)
    local = np.full_like(distance, longest)
    step = max(1, PAIRS // candidates)
    for start in range(0, len(query), step):
        rows = slice(start, start + step)
        nearest = np.argpartition(distance[rows], candidates - 1, axis=1)[:, :candidates]
        aligned = align(query[rows], gallery, nearest)
        np.put_along_axis(local[rows], nearest, aligned, axis=1)
    return local
