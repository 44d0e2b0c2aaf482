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


class RankingTally:
    """Adds up the figures of rankings, block by block or gallery by gallery."""

    def __init__(self, max_rank: int = 50, trapezoid: bool = False):
        """max_rank: how far the CMC goes; trapezoid: which average precision, see `average_precision`."""
        self.max_rank, self.trapezoid = max_rank, trapezoid
        self.hits_by_rank = np.zeros(max_rank)
        self.largest_gallery = 0
        self.average_precisions: list[np.ndarray] = []
        self.inverse_penalties: list[np.ndarray] = []

    def add(self, distance: np.ndarray, same: np.ndarray, left_out: np.ndarray) -> None:
        """Rank one gallery for some queries.

        distance float `[Q, G]`, overwritten; same, left_out: bool `[Q, G]`, who is the query's person and who is
        neither right nor wrong. Queries without a match are not counted.
        """
        distance[left_out] = np.inf  # ranked last, and not a match there
        order = np.argsort(distance, axis=1, kind="stable")
        hits = np.take_along_axis(same & ~left_out, order, axis=1)
        hits = hits[hits.any(axis=1)]
        found = np.cumsum(hits, axis=1)
        self.largest_gallery = max(self.largest_gallery, distance.shape[1])
        by_rank = (found[:, : self.max_rank] > 0).sum(axis=0)
        self.hits_by_rank[: len(by_rank)] += by_rank
        self.hits_by_rank[len(by_rank) :] += len(hits)  # a smaller gallery's last value counts
        self.average_precisions.append(average_precision(hits, self.trapezoid))
        last_hit = hits.shape[1] - np.argmax(hits[:, ::-1], axis=1)
        self.inverse_penalties.append(hits.sum(axis=1) / last_hit)

    def result(self) -> RankingResult:
        """The means over all queries so far. Raises `DataError` if none of them has a match."""
        precision = np.concatenate(self.average_precisions) if self.average_precisions else np.empty(0)
        count = len(precision)
        if count == 0:
            raise DataError(
                "no query has a match in the gallery: every identity is needed in at least two cameras "
                "(the camera is the part of a file's name before the first '_')"
            )
        cmc = self.hits_by_rank[: self.largest_gallery] / count
        return RankingResult(cmc, float(precision.mean()), float(np.concatenate(self.inverse_penalties).mean()), count)


def average_precision(hits: np.ndarray, trapezoid: bool = False) -> np.ndarray:
    """Average precision of ranked lists, float64 `[Q]`; hits: bool `[Q, R]`, at least one a row.

    The mean over the hits of the precision at the hit. With `trapezoid`, of the mean of that precision and the one at
    the rank before (1 ahead of the first): the area under the curve as the evaluation code of Market-1501 (Zheng et
    al., ICCV 2015), MARS and the new protocol of CUHK03 has it.
    """
    found, ranks = np.cumsum(hits, axis=1), np.arange(1, hits.shape[1] + 1)
    precision = found / ranks
    if trapezoid:
        before = np.concatenate([np.ones((len(hits), 1)), precision[:, :-1]], axis=1)
        precision = (precision + before) / 2
    return (precision * hits).sum(axis=1) / found[:, -1]


def _figures(
    distance_of: Callable[[slice], np.ndarray], ids: tuple, cameras: tuple, cross_camera: bool, max_rank: int
) -> RankingResult:
    """distance_of: some rows of the distances, `[rows, G]`, which may be written to."""
    tally = RankingTally(max_rank)
    tally_rows(tally, distance_of, ids, cameras, cross_camera)
    return tally.result()


def tally_rows(
    tally: RankingTally,
    distance_of: Callable[[slice], np.ndarray],
    ids: tuple[np.ndarray, np.ndarray],
    cameras: tuple[np.ndarray, np.ndarray],
    cross_camera: bool = False,
) -> None:
    """Add the queries to the tally, a block of rows at a time.

    distance_of: some rows of the distances, `[rows, G]`, which may be written to; ids, cameras: of the queries `[Q]`
    and of the gallery `[G]`.
    """
    (query_ids, gallery_ids), (query_cameras, gallery_cameras) = (
        tuple(map(np.asarray, pair)) for pair in (ids, cameras)
    )
    for start in range(0, len(query_ids), BLOCK):
        rows = slice(start, start + BLOCK)
        same = query_ids[rows, None] == gallery_ids[None]
        left_out = query_cameras[rows, None] == gallery_cameras[None]
        if not cross_camera:
            left_out &= same
        tally.add(distance_of(rows), same, left_out)
