"""Ranked lists to look at: of the queries that a model does worst on, and of some drawn at random."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sdk.folder import write_image
from sdk.measures import Measure
from sdk.reidentifier import Features
from sdk.search import Hit, Query, SearchResult, draw_results
from sdk.terminal import track
from training.data.benchmark import RetrievalTest
from training.evaluation.ranking import average_precision
from training.evaluation.retrieval import rows_of

SHEET = "contact-sheet.png"
SEED = 0
"""Draws the random queries: the same for every model, but for those that are among its worst."""


@dataclass(frozen=True)
class RankedList:
    """What one query found. Entries are rows of the test's `Entries`."""

    query: int
    gallery: np.ndarray
    """The nearest entries, nearest first, int `[K]`; those that the protocol leaves out are not among them."""
    distance: np.ndarray
    """`[K]`."""
    right: np.ndarray
    """Whether each is the query's person, bool `[K]`."""
    first: int
    """The rank of the first right one, from 1."""
    matches: int
    """How many right ones the whole list has."""
    average_precision: float


def ranked_lists(
    features: Features, test: RetrievalTest, measure: Measure, count: int, top_k: int = 10
) -> dict[str, list[RankedList]]:
    """{"worst": those of the least average precision, "random": others}, `count` of each, as far as there are so many.

    features: a row an entry. Queries without a match in their gallery, which no figure counts, are passed over.
    """
    _, identities = np.unique(test.entries.identities, return_inverse=True)
    _, cameras = np.unique(test.entries.cameras, return_inverse=True)
    found: list[RankedList] = []
    for query, gallery in track(test.rounds, "listing", total=len(test.rounds)):
        distances = measure(rows_of(features, query), rows_of(features, gallery))
        for place, row in enumerate(query):
            distance = _host(distances(slice(place, place + 1)))[0]
            same = identities[gallery] == identities[row]
            kept = np.flatnonzero(~(same & (cameras[gallery] == cameras[row])))
            order = kept[np.argsort(distance[kept], kind="stable")]
            ranks = np.flatnonzero(same[order]) + 1
            if len(ranks):
                top = order[:top_k]
                facts = int(ranks[0]), len(ranks), average_precision(ranks)
                found.append(RankedList(int(row), gallery[top], distance[top], same[top], *facts))
    worst = sorted(found, key=lambda listed: (listed.average_precision, -listed.first))[:count]
    order = np.random.default_rng(SEED).permutation(len(found))
    chosen = {id(listed) for listed in worst}
    others = [found[i] for i in order if id(found[i]) not in chosen]
    return {"worst": worst, "random": others[:count]}


def pictures_of(lists: dict[str, list[RankedList]]) -> list[str]:
    """The names of the files that `draw_lists` writes for them."""
    return [SHEET, *(f"{kind}-{number:02d}.png" for kind, of in lists.items() for number in range(1, len(of) + 1))]


def draw_lists(folder: Path, lists: dict[str, list[RankedList]], test: RetrievalTest, ranked_by: str = "") -> None:
    """Write `worst-01.png`, …, `random-01.png`, …, and all of them on one sheet.

    Green is right, red is wrong. Raises `DataError` naming an image that cannot be read, or written.
    """
    results = [_result(kind, listed, test) for kind, of in lists.items() for listed in of]
    sheet, *names = pictures_of(lists)
    for name, result in zip(names, results, strict=True):
        write_image(folder / name, draw_results([result], ranked_by))
    write_image(folder / sheet, draw_results(results, ranked_by))


def _result(kind: str, listed: RankedList, test: RetrievalTest) -> SearchResult:
    entries = test.entries
    identity, camera = str(entries.identities[listed.query]), str(entries.cameras[listed.query])
    facts = f"AP {listed.average_precision:.3f}, first of {listed.matches} right at rank {listed.first}"
    name = f"{kind}: {identity}, camera {camera}, {facts}"
    members = entries.groups[listed.query]
    query = Query(name, _paths(test, members), identity, camera, test.crops.read(int(members[0])))
    return SearchResult(
        query, tuple(_hit(test, *hit) for hit in zip(listed.gallery, listed.distance, listed.right, strict=True))
    )


def _hit(test: RetrievalTest, row: int, distance: float, right: bool) -> Hit:
    entries, members = test.entries, test.entries.groups[row]
    crop, path = test.crops.read(int(members[0])), next(iter(_paths(test, members)), None)
    return Hit(path, str(entries.identities[row]), str(entries.cameras[row]), float(distance), bool(right), crop)


def _paths(test: RetrievalTest, crops: np.ndarray) -> tuple[Path, ...]:
    """Of those crops that are files of their own."""
    paths = (getattr(test.crops.samples[int(crop)], "path", None) for crop in crops)
    return tuple(path for path in paths if path is not None)


def _host(distance):
    """An array, of what may be a tensor on a device."""
    return distance if isinstance(distance, np.ndarray) else distance.cpu().numpy()
