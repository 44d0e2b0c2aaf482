"""Ranking figures of the field: CMC (rank-k), mAP and mINP."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sdk.distances import cosine_distance
from sdk.errors import DataError
from sdk.measures import DistanceRows

BLOCK_BYTES = 64 * 2**20
"""Of the distances of the queries that are ranked at once: bounds the memory, whatever the size of the gallery."""

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class RankingResult:
    """Means over the queries that have a match in the gallery."""

    cmc: np.ndarray
    """Cumulative matching characteristic, float64 `[R]`: `cmc[k - 1]` is rank-k."""
    mean_ap: float
    """The standard one: a list's average precision is the mean of the precision at its matches."""
    mean_inp: float
    """Mean inverse negative penalty (arXiv 2001.04193): how deep the hardest match lies."""
    num_queries: int
    """Queries that were counted; those without a match in the gallery are not."""
    mean_ap_trapezoids: float | None = None
    """By trapezoids (`average_precision`), where the dataset's own evaluation has it so; it is lower."""
    splits: int = 1
    """How many random splits of the people the figures are means over."""
    deviation: dict[str, float] = field(default_factory=dict)
    """Standard deviation of the figures, by their names in `to_dict`, over several splits; else empty."""

    def rank(self, k: int) -> float:
        """rank-k, the share of queries with a match among the first k; a smaller gallery's last value counts."""
        return float(self.cmc[min(k, len(self.cmc)) - 1])

    def figures(self) -> dict[str, float]:
        """What is measured, by name: "mAP" is the standard one, "mAP_trapezoids" is there where it is known."""
        trapezoids = {} if self.mean_ap_trapezoids is None else {"mAP_trapezoids": self.mean_ap_trapezoids}
        ranks = {f"rank{k}": self.rank(k) for k in (1, 5, 10)}
        return {**ranks, "mAP": self.mean_ap, **trapezoids, "mINP": self.mean_inp}

    def to_dict(self) -> dict:
        """The figures, the number of queries and, of several splits, their number and the figures' deviation."""
        several = {"splits": self.splits, "deviation": self.deviation} if self.splits > 1 else {}
        return {**self.figures(), "queries": self.num_queries, **several}


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

    query float `[Q, D]`, gallery float `[G, D]`, arrays, or tensors of PyTorch on any device, where the work is then
    done; ids and cameras `[Q]` and `[G]`, arrays of any comparable dtype.
    As on Market-1501, gallery entries of the query's identity *and* camera are left out;
    with `cross_camera`, all entries of the query's camera are. Entries at equal distance keep the gallery's
    order. Raises `DataError` if no query has a match, or for distances that are NaN.
    """
    tally = RankingTally(max_rank)
    tally.add(
        lambda rows: cosine_distance(query[rows], gallery),
        (query_ids, gallery_ids),
        (query_cameras, gallery_cameras),
        cross_camera,
    )
    return tally.result()


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
    """The same for distances of any kind, array or tensor, float `[Q, G]`: re-scored, re-ranked, …"""
    tally = RankingTally(max_rank)
    ids, cameras = (query_ids, gallery_ids), (query_cameras, gallery_cameras)
    tally.add(distance.__getitem__, ids, cameras, cross_camera)
    return tally.result()


def mean_of_splits(results: Sequence[RankingResult]) -> RankingResult:
    """The mean of the figures of several random splits, one or more, and their deviation; queries are added up."""
    if len(results) == 1:
        return results[0]
    length = min(len(result.cmc) for result in results)
    figures = [result.figures() for result in results]
    mean = {name: float(np.mean([row[name] for row in figures])) for name in figures[0]}
    return RankingResult(
        np.mean([result.cmc[:length] for result in results], axis=0),
        mean["mAP"],
        mean["mINP"],
        sum(result.num_queries for result in results),
        mean.get("mAP_trapezoids"),
        len(results),
        {name: float(np.std([row[name] for row in figures], ddof=1)) for name in mean},
    )


class RankingTally:
    """Adds up the figures of several rankings: a protocol may have one gallery a query, or draw galleries anew."""

    def __init__(self, max_rank: int = 50, trapezoid: bool = False):
        """max_rank: how far the CMC goes; trapezoid: give average precision by trapezoids too (`average_precision`)."""
        self._max_rank, self._trapezoid = max_rank, trapezoid
        self._largest_gallery = 0
        self._first_ranks: list[int] = []
        self._average_precisions: list[float] = []
        self._by_trapezoids: list[float] = []
        self._inverse_penalties: list[float] = []

    def add(self, distance_of: DistanceRows, ids: Pair, cameras: Pair, cross_camera: bool = False) -> None:
        """Rank a gallery for some queries, of which those without a match are not counted.

        ids, cameras: of the queries `[Q]` and of the gallery `[G]`; who is left out is said in `evaluate_ranking`.
        Raises `DataError` for distances that are NaN.
        """
        query_ids, gallery_ids = _numbered(*ids)
        query_cameras, gallery_cameras = _numbered(*cameras)
        size = len(gallery_ids)
        self._largest_gallery = max(self._largest_gallery, size)
        step = max(1, BLOCK_BYTES // (8 * max(1, size)))
        for start in range(0, len(query_ids), step):
            block = distance_of(slice(start, min(start + step, len(query_ids))))
            if start == 0:
                gallery_ids, gallery_cameras = _beside(block, gallery_ids), _beside(block, gallery_cameras)
            for row, distance in enumerate(block, start=start):
                if (distance != distance).any():  # the one number that is not itself
                    raise DataError(f"distances of query {row} are NaN; are its features, or the gallery's, finite?")
                same = gallery_ids == int(query_ids[row])
                left_out = gallery_cameras == int(query_cameras[row])
                if not cross_camera:
                    left_out &= same
                self._count(_ranks(distance, same & ~left_out, ~left_out))

    def result(self) -> RankingResult:
        """The means over all queries so far. Raises `DataError` if none of them has a match."""
        counted = len(self._first_ranks)
        if not counted:
            raise DataError(
                "no query has a match in the gallery: every identity is needed in at least two cameras "
                "(the camera is the part of a file's name before the first '_')"
            )
        found = np.bincount(self._first_ranks, minlength=self._largest_gallery + 1)
        cmc = np.cumsum(found[1 : min(self._max_rank, self._largest_gallery) + 1]) / counted
        mean_ap, mean_inp = np.mean(self._average_precisions), np.mean(self._inverse_penalties)
        by_trapezoids = float(np.mean(self._by_trapezoids)) if self._trapezoid else None
        return RankingResult(cmc, float(mean_ap), float(mean_inp), counted, by_trapezoids)

    def _count(self, ranks: np.ndarray) -> None:
        if len(ranks):
            self._first_ranks.append(int(ranks[0]))
            self._average_precisions.append(average_precision(ranks))
            if self._trapezoid:
                self._by_trapezoids.append(average_precision(ranks, trapezoid=True))
            self._inverse_penalties.append(len(ranks) / ranks[-1])


def average_precision(ranks: np.ndarray, trapezoid: bool = False) -> float:
    """Average precision of one ranked list; ranks: those of all its matches, from 1, ascending, int `[M]`, M ≥ 1.

    The mean over the matches of the precision there, as model zoos report it. With `trapezoid`, of the mean of that
    precision and the one at the rank before (1 ahead of the first): the area under the curve as the evaluation code of
    Market-1501 (Zheng et al., ICCV 2015), MARS and the new protocol of CUHK03 has it.
    """
    found = np.arange(1, len(ranks) + 1)
    precision = found / ranks
    if trapezoid:
        before = np.where(ranks == 1, 1.0, (found - 1) / np.maximum(ranks - 1, 1))
        precision = (precision + before) / 2
    return float(precision.mean())


def _ranks(distance, match, kept) -> np.ndarray:
    """The ranks of the matches among the entries that are kept, from 1, ascending: `[G]` × 3 → int64 `[matches]`.

    Only what is as near as the farthest match needs sorting, which is little of a large gallery.
    """
    if not match.any():
        return np.empty(0, np.int64)
    near = _indices((distance <= distance[match].max()) & kept)
    order = near[_stable_order(distance[near])]
    return np.asarray(_indices(match[order]).tolist()) + 1


# The same for arrays of NumPy and for tensors of PyTorch, which is not needed for the former.


def _beside(distance, numbers: np.ndarray):
    """`numbers` as an array of the kind of `distance`, on its device."""
    if isinstance(distance, np.ndarray):
        return numbers
    import torch

    return torch.as_tensor(numbers, device=distance.device)


def _indices(mask):
    return np.flatnonzero(mask) if isinstance(mask, np.ndarray) else mask.nonzero(as_tuple=True)[0]


def _stable_order(values):
    return np.argsort(values, kind="stable") if isinstance(values, np.ndarray) else values.argsort(stable=True)


def _numbered(query: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Names as numbers, which compare faster."""
    query, gallery = np.asarray(query), np.asarray(gallery)
    numbers = np.unique(np.concatenate([query, gallery]), return_inverse=True)[1].ravel()
    return numbers[: len(query)], numbers[len(query) :]
