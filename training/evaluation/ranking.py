"""Ranking figures of the field: CMC (rank-k), mAP and mINP."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sdk.distances import cosine_distance
from sdk.errors import DataError

BLOCK_BYTES = 64 * 2**20
"""Of the distances of the queries that are ranked at once: bounds the memory, whatever the size of the gallery."""


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
    order. Raises `DataError` if no query has a match, or for distances that are NaN.
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
    return _figures(lambda rows: distance[rows], ids, cameras, cross_camera, max_rank)


def _figures(
    distance_of: Callable[[slice], np.ndarray], ids: tuple, cameras: tuple, cross_camera: bool, max_rank: int
) -> RankingResult:
    """distance_of: some rows of the distances, `[rows, G]`."""
    query_ids, gallery_ids = _numbered(*ids)
    query_cameras, gallery_cameras = _numbered(*cameras)
    size = len(gallery_ids)
    step = max(1, BLOCK_BYTES // (8 * max(1, size)))
    first_ranks, average_precisions, inverse_penalties = [], [], []
    for start in range(0, len(query_ids), step):
        rows = slice(start, start + step)
        for row, distance in enumerate(distance_of(rows), start=start):
            if np.isnan(distance).any():
                raise DataError(f"distances of query {row} are NaN; are its features, or the gallery's, finite?")
            same = gallery_ids == query_ids[row]
            left_out = gallery_cameras == query_cameras[row]
            if not cross_camera:
                left_out &= same
            ranks = _ranks(distance, same & ~left_out, ~left_out)
            if len(ranks):
                first_ranks.append(ranks[0])
                average_precisions.append(np.mean(np.arange(1, len(ranks) + 1) / ranks))
                inverse_penalties.append(len(ranks) / ranks[-1])
    if not first_ranks:
        raise DataError(
            "no query has a match in the gallery: every identity is needed in at least two cameras "
            "(the camera is the part of a file's name before the first '_')"
        )
    found = np.bincount(first_ranks, minlength=size + 1)[1 : min(max_rank, size) + 1]
    cmc = np.cumsum(found) / len(first_ranks)
    return RankingResult(cmc, float(np.mean(average_precisions)), float(np.mean(inverse_penalties)), len(first_ranks))


def _ranks(distance: np.ndarray, match: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """The ranks of the matches among the entries that are kept, from 1, ascending: `[G]` × 3 → int64 `[matches]`.

    Only what is as near as the farthest match needs sorting, which is little of a large gallery.
    """
    if not match.any():
        return np.empty(0, np.int64)
    near = np.flatnonzero((distance <= distance[match].max()) & kept)
    order = near[np.argsort(distance[near], kind="stable")]
    return np.flatnonzero(match[order]) + 1


def _numbered(query: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Names as numbers, which compare faster."""
    query, gallery = np.asarray(query), np.asarray(gallery)
    numbers = np.unique(np.concatenate([query, gallery]), return_inverse=True)[1].ravel()
    return numbers[: len(query)], numbers[len(query) :]
