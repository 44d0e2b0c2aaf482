"""From queries to the nearest identities: exact, or by the candidates of an index that are then compared exactly."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sdk.gallery.index import Index
from sdk.gallery.results import Candidate
from sdk.gallery.rows import Snapshot

AGGREGATES = ("best", "mean3", "centroid")
"""How an identity's distance comes from its exemplars': the nearest; the mean of the nearest three; that of their
mean at unit length."""
CONSIDERED = 64
"""At least so many identities, the nearest by their best exemplar, are re-scored or compared by another aggregate."""
RESCORED = 100
"""Exemplars of a query that are aligned, at most; the nearest."""
SIMILARITIES = 32 * 2**20
"""Similarities held at once: bounds the memory of a large batch among many exemplars to 128 MB."""


@dataclass(frozen=True)
class State:
    """What a reader searches: never changed, replaced as a whole."""

    rows: Snapshot
    names: list[str | None]
    """By number of the identity; a list that only grows, or is replaced."""
    cameras: list[str | None]
    """By number of the camera; the same."""
    index: Index | None = None
    """Of the rows' generation; may not cover the newest rows."""


@dataclass(frozen=True)
class Question:
    """A checked search."""

    queries: np.ndarray
    """float32 `[Q, D]` of unit length."""
    k: int
    cameras: Sequence[str | None] | None = None
    """One a query; None in it: any."""
    since: float | None = None
    until: float | None = None
    identities: frozenset[str] | None = None
    aggregate: str = "best"
    stripes: np.ndarray | None = None
    """`[Q, S, d]`: re-score."""
    weight: float = 1.0

    @property
    def considered(self) -> int:
        """How many identities must be known by their nearest exemplar to answer."""
        plain = self.aggregate == "best" and self.stripes is None
        return self.k if plain else max(4 * self.k, CONSIDERED)


def search(state: State, question: Question, align) -> list[list[Candidate]]:
    """The nearest identities of each query. align: local distances of `[B, S, d]`, `[G, S, d]`, candidates `[B, K]`."""
    rows = state.rows
    mask = _mask(state, question)
    if not mask.any():
        return [[] for _ in question.queries]
    cameras = _camera_numbers(state, question)
    step = max(1, SIMILARITIES // max(1, rows.size))
    found = []
    for start in range(0, len(question.queries), step):
        part = slice(start, start + step)
        found += _nearest(state, question, part, mask, None if cameras is None else cameras[part])
    return [_answer(state, question, query, nearest, mask, align) for query, nearest in enumerate(found)]


@dataclass(frozen=True)
class Nearest:
    """A query's nearest exemplars, nearest first."""

    rows: np.ndarray
    similarity: np.ndarray
    firsts: np.ndarray
    """Places in `rows` of each identity's nearest exemplar, nearest identity first; at most `considered`."""


def _nearest(state, question, part, mask, cameras) -> list[Nearest]:
    queries, wanted = question.queries[part], question.considered
    rows = state.rows
    selected = int(np.count_nonzero(mask))
    if state.index is not None and state.index.worth(selected, rows.size):
        answers = _by_index(state, queries, wanted, mask, cameras)
        missing = [q for q, answer in enumerate(answers) if answer is None]
    else:
        answers, missing = [None] * len(queries), range(len(queries))
    missing = list(missing)
    if missing:
        exact = _exact(rows, queries[missing], wanted, mask, None if cameras is None else cameras[missing], selected)
        for q, answer in zip(missing, exact, strict=True):
            answers[q] = answer
    return answers


def _exact(rows: Snapshot, queries, wanted, mask, cameras, selected) -> list[Nearest]:
    if selected < rows.size // 4:  # copying the few is less work than comparing with all
        places = np.flatnonzero(mask)
        similarity = queries @ rows.gather(places).T
    else:
        places = np.arange(rows.size)
        similarity = rows.similarity(queries)
        similarity[:, ~mask] = -np.inf
    if cameras is not None:
        of_camera = rows.camera[places]
        similarity[(cameras[:, None] >= -1) & (cameras[:, None] != of_camera)] = -np.inf
    person = rows.person[places]
    return [_best(places, person, line, wanted) for line in similarity]


def _best(places, person, similarity, wanted) -> Nearest:
    """Of one query. Takes ever more of the nearest exemplars until they are of enough identities."""
    take = max(2 * wanted, 64)
    while True:
        all_of_them = take >= len(similarity)
        top = np.arange(len(similarity)) if all_of_them else np.argpartition(-similarity, take - 1)[:take]
        top = top[similarity[top] > -np.inf]
        top = top[np.lexsort((places[top], -similarity[top]))]
        firsts = first_places(person[top])
        if len(firsts) >= wanted or all_of_them or len(top) < take:
            return Nearest(places[top], similarity[top], firsts[:wanted])
        take *= 4


def _by_index(state: State, queries, wanted, mask, cameras) -> list[Nearest | None]:
    """None for a query of which the index did not find enough."""
    rows, index = state.rows, state.index
    candidates = index.search(queries, max(index.candidates, 4 * wanted))
    tail = np.arange(index.covered, rows.size)
    gathered = np.matmul(rows.gather(np.maximum(candidates, 0)), queries[:, :, None])[:, :, 0]
    gathered[candidates < 0] = -np.inf
    if len(tail):
        gathered = np.hstack([gathered, rows.similarity(queries, index.covered)])
        candidates = np.hstack([candidates, np.broadcast_to(tail, (len(queries), len(tail)))])
    gathered[~mask[candidates]] = -np.inf
    if cameras is not None:
        gathered[(cameras[:, None] >= -1) & (cameras[:, None] != rows.camera[candidates])] = -np.inf
    answers = []
    for places, similarity in zip(candidates, gathered, strict=True):
        nearest = _best(places, rows.person[places], similarity, wanted)
        answers.append(nearest if len(nearest.firsts) >= wanted else None)
    return answers


def first_places(values: np.ndarray) -> np.ndarray:
    """Where each value comes first, in that order."""
    return np.sort(np.unique(values, return_index=True)[1])


def _answer(state: State, question: Question, query: int, nearest: Nearest, mask, align) -> list[Candidate]:
    rows = state.rows
    firsts = nearest.firsts
    if not len(firsts):
        return []
    person = rows.person[nearest.rows[firsts]]
    distance = np.maximum(1 - nearest.similarity[firsts], 0)
    if question.aggregate != "best":
        distance = _aggregated(state, question, query, person, mask)
    rescored = [None] * len(firsts)
    rank_by = distance
    if question.stripes is not None:
        rank_by = rescored = distance + question.weight * _local(rows, question, query, nearest, person, align)
    order = np.argsort(rank_by, kind="stable")[: question.k]
    answer = []
    for i in order:
        row = nearest.rows[firsts[i]]
        time = rows.time[row]
        answer.append(
            Candidate(
                state.names[person[i]],
                float(distance[i]),
                state.cameras[rows.camera[row]],
                None if np.isnan(time) else float(time),
                None if rescored[i] is None else float(rescored[i]),
            )
        )
    return answer


def _aggregated(state: State, question: Question, query: int, people: np.ndarray, mask) -> np.ndarray:
    rows = state.rows
    which = np.flatnonzero(mask & np.isin(rows.person, people))
    if question.cameras is not None and question.cameras[query] is not None:
        which = which[rows.camera[which] == state.cameras.index(question.cameras[query])]
    embedding, person = rows.gather(which), rows.person[which]
    distance = np.empty(len(people), np.float32)
    for i, number in enumerate(people):
        own = embedding[person == number]
        if question.aggregate == "centroid":
            mean = own.mean(axis=0)
            distance[i] = 1 - question.queries[query] @ (mean / max(float(np.linalg.norm(mean)), 1e-12))
        else:
            distance[i] = 1 - np.sort(own @ question.queries[query])[-3:].mean()
    return np.maximum(distance, 0)


def _local(rows: Snapshot, question: Question, query: int, nearest: Nearest, people, align) -> np.ndarray:
    """Aligned local distance / (2S − 1) of each identity's best aligned exemplar, float32.

    An identity that has no stripes gets the mean of the others: nothing speaks for it or against it.
    """
    which = nearest.rows[np.isin(rows.person[nearest.rows], people)][:RESCORED]
    missing = nearest.rows[nearest.firsts]
    which = np.concatenate([which, missing[~np.isin(rows.person[missing], rows.person[which])]])
    stripes = rows.gather_stripes(which)
    has = stripes.any(axis=(1, 2))
    result = np.full(len(people), np.nan, np.float32)
    if has.any():
        stripes, person = stripes[has], rows.person[which[has]]
        longest = 2 * stripes.shape[1] - 1
        own = question.stripes[query : query + 1]
        local = align(own, stripes, np.arange(len(stripes), dtype=np.int32)[None])[0] / longest
        for i, number in enumerate(people):
            result[i] = local[person == number].min(initial=np.inf)
        result[np.isinf(result)] = np.nan
    if np.isnan(result).all():
        return np.zeros_like(result)
    return np.where(np.isnan(result), np.nanmean(result), result)


def _mask(state: State, question: Question) -> np.ndarray:
    rows = state.rows
    mask = rows.alive
    if question.identities is not None:
        numbers = [n for n, name in enumerate(state.names) if name in question.identities]
        mask = mask & np.isin(rows.person, numbers)
    if question.since is not None:
        mask = mask & (rows.time >= question.since)  # an unknown time, NaN, is in no window
    if question.until is not None:
        mask = mask & (rows.time <= question.until)
    return mask


def _camera_numbers(state: State, question: Question) -> np.ndarray | None:
    """int32 `[Q]`: −2 any camera, −1 one that nobody was seen by."""
    if question.cameras is None or all(camera is None for camera in question.cameras):
        return None
    known = {camera: number for number, camera in enumerate(state.cameras) if camera is not None}
    return np.array([-2 if camera is None else known.get(camera, -1) for camera in question.cameras], np.int32)
