"""From queries to the nearest identities: exact, or by the candidates of an index that are then compared exactly."""

from collections.abc import Callable, Sequence
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
"""Exemplars of a query that are aligned, the nearest; one of each identity in question in any case."""
ALIGNED = 2000
"""Pairs that are aligned at once: bounds the memory to so many crops' stripes."""
SIMILARITIES = 32 * 2**20
"""Similarities held at once: bounds the memory of a large batch among many exemplars to 128 MB."""


Align = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Local distances of query stripes `[B, S, d]` to candidates `[B, K]` among gallery stripes `[G, S, d]`; −1: inf. If it
has an attribute `resident` that is not None (`sdk.gallery.resident`), that is asked first, by the numbers of rows."""


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
class SearchRequest:
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


def search(state: State, request: SearchRequest, align: Align) -> list[list[Candidate]]:
    """The nearest identities of each query. align: local distances, if the request has stripes."""
    rows = state.rows
    mask = _mask(state, request)
    if not mask.any():
        return [[] for _ in request.queries]
    cameras = _camera_numbers(state, request)
    step = max(1, SIMILARITIES // max(1, rows.size))
    found = []
    for start in range(0, len(request.queries), step):
        part = slice(start, start + step)
        found += _nearest(state, request, part, mask, None if cameras is None else cameras[part])
    local = [None] * len(found) if request.stripes is None else _local(state, request, found, align)
    return [_answer(state, request, query, found[query], mask, local[query]) for query in range(len(found))]


@dataclass(frozen=True)
class Nearest:
    """A query's nearest exemplars, nearest first."""

    rows: np.ndarray
    similarity: np.ndarray
    firsts: np.ndarray
    """Places in `rows` of each identity's nearest exemplar, nearest identity first; at most `considered`."""


def _nearest(state, request, part, mask, cameras) -> list[Nearest]:
    queries, wanted = request.queries[part], request.considered
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
    # In the order of the rows: they are fetched block by block, and ties fall as in an exact search.
    candidates = np.sort(index.search(queries, max(index.candidates, 4 * wanted)), axis=1)
    similarity = rows.similarity_at(queries, np.maximum(candidates, 0))
    similarity[candidates < 0] = -np.inf
    if index.covered < rows.size:
        tail = np.arange(index.covered, rows.size)
        similarity = np.hstack([similarity, rows.similarity(queries, index.covered)])
        candidates = np.hstack([candidates, np.broadcast_to(tail, (len(queries), len(tail)))])
    similarity[~mask[candidates]] = -np.inf
    if cameras is not None:
        similarity[(cameras[:, None] >= -1) & (cameras[:, None] != rows.camera[candidates])] = -np.inf
    if similarity.shape[1] > index.candidates:
        nearest = np.argpartition(-similarity, index.candidates - 1, axis=1)[:, : index.candidates]
        nearest.sort(axis=1)
        similarity, candidates = (np.take_along_axis(a, nearest, axis=1) for a in (similarity, candidates))
    order = np.argsort(-similarity, axis=1, kind="stable")
    similarity, candidates = (np.take_along_axis(a, order, axis=1) for a in (similarity, candidates))
    people = rows.person[candidates].tolist()
    usable = np.count_nonzero(similarity > -np.inf, axis=1).tolist()
    answers = []
    for q, number in enumerate(usable):
        firsts: dict[int, int] = {}
        for place in range(number):
            if people[q][place] not in firsts:
                firsts[people[q][place]] = place
                if len(firsts) == wanted:
                    break
        places = np.fromiter(firsts.values(), np.int64, len(firsts))
        enough = len(firsts) == wanted
        answers.append(Nearest(candidates[q, :number], similarity[q, :number], places) if enough else None)
    return answers


def first_places(values: np.ndarray) -> np.ndarray:
    """Where each value comes first, in that order."""
    return np.sort(np.unique(values, return_index=True)[1])


def _answer(state: State, request: SearchRequest, query: int, nearest: Nearest, mask, local) -> list[Candidate]:
    rows = state.rows
    firsts = nearest.firsts
    if not len(firsts):
        return []
    person = rows.person[nearest.rows[firsts]]
    distance = np.maximum(1 - nearest.similarity[firsts], 0)
    if request.aggregate != "best":
        distance = _aggregated(state, request, query, person, mask)
    rescored = [None] * len(firsts)
    rank_by = distance
    if local is not None:
        rank_by = rescored = distance + request.weight * local
    order = np.argsort(rank_by, kind="stable")[: request.k]
    which = nearest.rows[firsts[order]]
    cameras, times = rows.camera[which].tolist(), rows.time[which].tolist()
    columns = person[order].tolist(), distance[order].tolist(), cameras, times, [rescored[i] for i in order]
    return [
        Candidate(
            state.names[number],
            near,
            state.cameras[camera],
            None if time != time else time,  # NaN
            None if score is None else float(score),
        )
        for number, near, camera, time, score in zip(*columns, strict=True)
    ]


def _aggregated(state: State, request: SearchRequest, query: int, people: np.ndarray, mask) -> np.ndarray:
    rows = state.rows
    which = np.flatnonzero(mask & np.isin(rows.person, people))
    if request.cameras is not None and request.cameras[query] is not None:
        which = which[rows.camera[which] == state.cameras.index(request.cameras[query])]
    embedding, person = rows.gather(which), rows.person[which]
    distance = np.empty(len(people), np.float32)
    for i, number in enumerate(people):
        own = embedding[person == number]
        if request.aggregate == "centroid":
            mean = own.mean(axis=0)
            distance[i] = 1 - request.queries[query] @ (mean / max(float(np.linalg.norm(mean)), 1e-12))
        else:
            distance[i] = 1 - np.sort(own @ request.queries[query])[-3:].mean()
    return np.maximum(distance, 0)


def _local(state: State, request: SearchRequest, found: list[Nearest], align: Align) -> list[np.ndarray]:
    """For each query, aligned local distance / (2S − 1) of its identities by their best aligned exemplar, float32.

    An identity that has no stripes gets the mean of the others: nothing speaks for it or against it.
    """
    result = []
    for start in range(0, len(found), ALIGNED // RESCORED):
        part = found[start : start + ALIGNED // RESCORED]
        chosen = [_aligned_rows(state.rows, nearest) for nearest in part]
        lines = np.full((len(part), max(map(len, chosen))), -1, np.int32)
        for line, rows in zip(lines, chosen, strict=True):
            line[: len(rows)] = rows
        query = request.stripes[start : start + len(part)]
        local = _aligned(state.rows, query, lines, align) / (2 * query.shape[1] - 1)
        for nearest, rows, line in zip(part, chosen, local, strict=True):
            result.append(_by_identity(state.rows, nearest, rows, line[: len(rows)]))
    return result


def _aligned(rows: Snapshot, query: np.ndarray, lines: np.ndarray, align: Align) -> np.ndarray:
    """Local distances of queries to rows `[B, K]`, −1: none; inf for those that have no stripes."""
    resident = getattr(align, "resident", None)
    if resident is not None and (local := resident.distances(rows, query, lines)) is not None:
        return local
    needed, places = np.unique(lines, return_inverse=True)
    absent = np.count_nonzero(needed < 0)
    stripes = rows.gather_stripes(needed[absent:])
    candidates = (places.reshape(lines.shape) - absent).astype(np.int32)
    has = np.append(stripes.any(axis=(1, 2)), False)  # the last for −1
    candidates[~has[candidates]] = -1
    if (candidates < 0).all():
        return np.full(lines.shape, np.inf, np.float32)
    return align(query, stripes, candidates)


def _aligned_rows(rows: Snapshot, nearest: Nearest) -> np.ndarray:
    """The nearest exemplars of the identities in question, at least one of each."""
    firsts = nearest.rows[nearest.firsts]
    near = nearest.rows[: 4 * RESCORED]
    near = near[np.isin(rows.person[near], rows.person[firsts])][:RESCORED]
    return np.unique(np.concatenate([near, firsts]))


def _by_identity(rows: Snapshot, nearest: Nearest, which: np.ndarray, local: np.ndarray) -> np.ndarray:
    people = rows.person[nearest.rows[nearest.firsts]]
    best = dict.fromkeys(people.tolist(), np.inf)
    for number, value in zip(rows.person[which].tolist(), local.tolist(), strict=True):
        best[number] = min(best[number], value)
    result = np.array([best[number] for number in people.tolist()], np.float32)
    known = np.isfinite(result)
    return np.where(known, result, result[known].mean() if known.any() else 0).astype(np.float32)


def _mask(state: State, request: SearchRequest) -> np.ndarray:
    rows = state.rows
    mask = rows.alive
    if request.identities is not None:
        numbers = [n for n, name in enumerate(state.names) if name in request.identities]
        mask = mask & np.isin(rows.person, numbers)
    if request.since is not None:
        mask = mask & (rows.time >= request.since)  # an unknown time, NaN, is in no window
    if request.until is not None:
        mask = mask & (rows.time <= request.until)
    return mask


def _camera_numbers(state: State, request: SearchRequest) -> np.ndarray | None:
    """int32 `[Q]`: −2 any camera, −1 one that nobody was seen by."""
    if request.cameras is None or all(camera is None for camera in request.cameras):
        return None
    known = {camera: number for number, camera in enumerate(state.cameras) if camera is not None}
    return np.array([-2 if camera is None else known.get(camera, -1) for camera in request.cameras], np.int32)
