"""Ranking figures of the field: CMC (rank-k), mAP and mINP."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sdk.distances import cosine_distance
from sdk.errors import DataError

BLOCK = 256
"""Queries ranked at once: bounds the memory to BLOCK × gallery."""


@dataclass(frozen=True)
class RankingResult:
    """Means over the queries that have a match in the gallery."""

    cmc: np.ndarray
    """Cumulative matching characteristic, float64 `[R]`: `cmc[k - 1]` is rank-k."""
    mean_ap: float
    mean_inp: float
    """Mean inverse negative penalty (arXiv 2001.04193): how deep the hardest match lies."""
    num_queries: int
    """Queries that were counted; those without a match in the gallery are not."""

    def rank(self, k: int) -> float:
        """rank-k, the share of queries with a match among the first k; a smaller gallery's last value counts."""
        return float(self.cmc[min(k, len(self.cmc)) - 1])

    def to_dict(self) -> dict[str, float]:
        return {
            "rank1": self.rank(1),
            "rank5": self.rank(5),
            "rank10": self.rank(10),
            "mAP": self.mean_ap,
            "mINP": self.mean_inp,
            "queries": self.num_queries,
        }


def evaluate_ranking(
    query: np.ndarray,
    gallery: np.ndarray,
    query_ids: np.ndarray,
    gallery_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_cameras: np.ndarray,
    *,
    cross_camera: bool = False,
    max_rank: int = 50,
) -> RankingResult:
    """Rank the gallery for every query by cosine distance.

    query float `[Q, D]`, gallery float `[G, D]`; ids and cameras `[Q]` and `[G]` of any comparable dtype.
    As on Market-1501, gallery entries of the query's identity *and* camera are left out;
    with `cross_camera`, all entries of the query's camera are. Entries at equal distance keep the gallery's
    order. Raises `DataError` if no query has a match.
    """
    query, gallery = np.asarray(query), np.asarray(gallery)
    ids, cameras = (query_ids, gallery_ids), (query_cameras, gallery_cameras)
    return _figures(lambda rows: cosine_distance(query[rows], gallery), ids, cameras, cross_camera, max_rank)


def evaluate_distances(
    distance: np.ndarray,
    query_ids: np.ndarray,
    gallery_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_cameras: np.ndarray,
    *,
    cross_camera: bool = False,
    max_rank: int = 50,
) -> RankingResult:
    """The same for distances of any kind, float `[Q, G]`: re-scored by the local branch, re-ranked, …"""
    distance = np.asarray(distance)
    ids, cameras = (query_ids, gallery_ids), (query_cameras, gallery_cameras)
    return _figures(lambda rows: distance[rows].copy(), ids, cameras, cross_camera, max_rank)


def _figures(
    distance_of: Callable[[slice], np.ndarray], ids: tuple, cameras: tuple, cross_camera: bool, max_rank: int
) -> RankingResult:
    """distance_of: some rows of the distances, `[rows, G]`, which may be written to."""
    (query_ids, gallery_ids), (query_cameras, gallery_cameras) = (
        tuple(map(np.asarray, pair)) for pair in (ids, cameras)
    )
    cmc = np.zeros(min(max_rank, len(gallery_ids)))
    average_precisions, inverse_penalties = [], []
    for start in range(0, len(query_ids), BLOCK):
        rows = slice(start, start + BLOCK)
        same = query_ids[rows, None] == gallery_ids[None]
        left_out = query_cameras[rows, None] == gallery_cameras[None]
        if not cross_camera:
            left_out &= same
        distance = distance_of(rows)
        distance[left_out] = np.inf  # ranked last, and not a match there
        order = np.argsort(distance, axis=1, kind="stable")
        hits = np.take_along_axis(same & ~left_out, order, axis=1)
        hits = hits[hits.any(axis=1)]
        found = np.cumsum(hits, axis=1)
        cmc += (found[:, : len(cmc)] > 0).sum(axis=0)
        matches = found[:, -1]
        ranks = np.arange(1, hits.shape[1] + 1)
        average_precisions.append((found / ranks * hits).sum(axis=1) / matches)
        last_hit = hits.shape[1] - np.argmax(hits[:, ::-1], axis=1)
        inverse_penalties.append(matches / last_hit)
    average_precision = np.concatenate(average_precisions) if average_precisions else np.empty(0)
    if len(average_precision) == 0:
        raise DataError(
            "no query has a match in the gallery: every identity is needed in at least two cameras "
            "(the camera is the part of a file's name before the first '_')"
        )
    count = len(average_precision)
    return RankingResult(
        cmc / count, float(average_precision.mean()), float(np.concatenate(inverse_penalties).mean()), count
    )
