"""The protocol of small datasets: half of the people, drawn at random, is trained on, the others are tested; ten times.

Tests are single shot: the gallery holds one image of each person.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from sdk.errors import DataError
from training.data.benchmark import NOBODY, Benchmark, Entries, RetrievalTest, Round
from training.data.folder import PeopleDataset

SPLITS = 10

Draw = Callable[[Sequence[str], np.random.Generator], Round]
"""The people to test, and what chance decides by → who is searched for among whom, rows of the images."""


def random_halves(
    name: str,
    people: PeopleDataset,
    draw: Draw,
    *,
    split: str | None = None,
    seed: int = 0,
    shown: str,
    named_cameras: bool = True,
) -> Benchmark:
    """Ten splits drawn from `seed`, whichever of them is asked for.

    split: "0" to "9" for that one, whose other half is then there to be trained on; None or "all": all ten are tested,
    and nobody is left to be trained on. shown: in words, what is searched for among what. Raises `DataError` for
    another split.
    """
    single = split is not None and split != "all"
    if single and split not in map(str, range(SPLITS)):
        raise DataError(f"split '{split}': {name} has the splits 0 to {SPLITS - 1}, or all")
    identities = [identity for identity in people.identities if identity != NOBODY]
    rounds, trained = [], set()
    for number in [int(split)] if single else range(SPLITS):
        rng = np.random.default_rng([seed, number])
        drawn = [identities[i] for i in rng.permutation(len(identities))]
        half = len(drawn) // 2
        rounds.append(draw(sorted(drawn[half:]), rng))
        trained = set(drawn[:half]) if single else set()
    tested = f"split {split}" if single else f"mean ± deviation of {SPLITS} splits"
    protocol = f"random halves, {len(identities) - len(identities) // 2} people tested, {tested}, seed {seed}; {shown}"
    test = RetrievalTest(
        people,
        Entries.of_crops(people),
        tuple(rounds),
        splits=True,
        named_cameras=named_cameras,
        protocol=protocol,
    )
    return Benchmark(name, replace(people, samples=people.subset(trained).samples), test)


def one_each(people: PeopleDataset, query: np.ndarray, gallery: np.ndarray) -> Draw:
    """One image of each person of the rows `query` is searched for among one of each of the rows `gallery`.

    Who is nobody is in every gallery. Raises `DataError` naming a person who is not in both.
    """
    queries, galleries = (by_identity(people, rows) for rows in (query, gallery))
    nobody = galleries.pop(NOBODY, [])
    for identity in sorted(queries.keys() ^ galleries.keys()):
        there = queries.get(identity, []) + galleries.get(identity, [])
        raise DataError(
            f"{people.samples[there[0]].path}: person {identity} has no image in the other camera; was all copied?"
        )

    def draw(tested: Sequence[str], rng: np.random.Generator) -> Round:
        one, other = ([rng.choice(rows[identity]) for identity in tested] for rows in (queries, galleries))
        return np.array(one), np.array([*other, *nobody])

    return draw


def one_of_all(people: PeopleDataset) -> Draw:
    """One image of each person is in the gallery, all others are searched for."""
    rows = by_identity(people, np.arange(len(people)))

    def draw(tested: Sequence[str], rng: np.random.Generator) -> Round:
        gallery = [rng.choice(rows[identity]) for identity in tested]
        everything = np.concatenate([rows[identity] for identity in tested])
        return np.setdiff1d(everything, gallery), np.array(gallery)

    return draw


def by_identity(people: PeopleDataset, rows: np.ndarray) -> dict[str, list[int]]:
    """Of the rows, those of each identity."""
    found: dict[str, list[int]] = {}
    for row in rows.tolist():
        found.setdefault(people.samples[row].identity, []).append(row)
    return found
