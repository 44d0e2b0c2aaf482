"""The questions: a query crop and ten candidates from other cameras, one of which shows the same person."""

from dataclasses import dataclass

import numpy as np

from sdk.distances import cosine_distance
from sdk.errors import DataError

CANDIDATES = 10
"""As many as there are keys for: 1 to 9 and 0."""

HARD, RANDOM = "hard", "random"
"""How the nine others are chosen: the nearest to the query by the model's distance, or drawn.

Only drawn ones favour nobody: the nearest are those that the model itself confuses with the query."""


@dataclass(frozen=True)
class Question:
    """Crops are named by their position in the dataset."""

    query: int
    candidates: tuple[int, ...]
    """In the order in which they are shown; each of another identity, none from the query's camera."""
    right: int
    """Which of the candidates is the same person, from 0."""
    model: int
    """Which of them the model finds nearest, from 0."""


def build_questions(
    embedding: np.ndarray, labels: np.ndarray, cameras: np.ndarray, count: int, seed: int, kind: str = RANDOM
) -> list[Question]:
    """Draw `count` questions by `seed`.

    embedding float `[N, D]` at unit length, labels `[N]`, cameras `[N]`. The queries are spread over the identities
    as evenly as they go. The right candidate is drawn from the identity's crops in other cameras than the query's;
    the nine others are a crop each of nine other identities there. `HARD` takes of every identity the crop nearest
    to the query, and the nearest nine of these; `RANDOM` draws both.
    Raises `DataError` for an unknown kind, or if the dataset has not so many queries with ten candidates.
    """
    if kind not in (HARD, RANDOM):
        raise DataError(f"candidates {kind!r} are unknown; choose {HARD} or {RANDOM}")
    if count < 1:
        raise DataError(f"cannot ask {count} questions; ask at least 1")
    labels, cameras = np.asarray(labels), np.asarray(cameras)
    rng = np.random.default_rng(seed)
    possible = [int(query) for query in rng.permutation(len(labels)) if _has_candidates(query, labels, cameras)]
    if len(possible) < count:
        raise DataError(
            f"{len(possible)} of the {len(labels)} crops can be a query, {count} are wanted: a query needs its person "
            f"in another camera, and {CANDIDATES - 1} other people there; ask for fewer queries or bring more people"
        )
    return [
        _question(query, embedding, labels, cameras, kind, rng) for query in _spread(possible, labels.tolist())[:count]
    ]


def _has_candidates(query: int, labels: np.ndarray, cameras: np.ndarray) -> bool:
    elsewhere = set(labels[cameras != cameras[query]].tolist())
    return labels[query] in elsewhere and len(elsewhere) >= CANDIDATES


def _spread(queries: list[int], labels: list) -> list[int]:
    """The queries in rounds: first one of every identity, then a second one of every identity, …"""
    rounds, seen = {}, {}
    for query in queries:
        rounds[query] = seen.get(labels[query], 0)
        seen[labels[query]] = rounds[query] + 1
    return sorted(queries, key=rounds.__getitem__)


def _question(query: int, embedding, labels, cameras, kind: str, rng: np.random.Generator) -> Question:
    elsewhere = np.flatnonzero(cameras != cameras[query])
    distance = cosine_distance(embedding[query], embedding)
    right = int(rng.choice(elsewhere[labels[elsewhere] == labels[query]]))
    others = [elsewhere[labels[elsewhere] == label] for label in np.unique(labels[elsewhere]) if label != labels[query]]
    if kind == HARD:
        nearest = [int(crops[np.argmin(distance[crops])]) for crops in others]
        wrong = sorted(nearest, key=distance.__getitem__)[: CANDIDATES - 1]
    else:
        wrong = [int(rng.choice(others[i])) for i in rng.choice(len(others), CANDIDATES - 1, replace=False)]
    candidates = tuple(int(crop) for crop in rng.permutation([right, *wrong]))
    return Question(query, candidates, candidates.index(right), int(np.argmin(distance[list(candidates)])))
