"""What a research dataset brings: people to train on, and a test of retrieval with its rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sdk.errors import DataError
from training.data.folder import PeopleDataset

NOBODY = "nobody"
"""The identity of whom no query asks for: distractors, which are wrong for everybody."""

Round = tuple[np.ndarray, np.ndarray]
"""One ranking: rows of `Entries`, the queries' int `[Q]` and the gallery's int `[G]`."""


@dataclass(frozen=True)
class Entries:
    """What is ranked. An entry is one crop, or several of one person in one camera whose features are averaged."""

    groups: tuple[np.ndarray, ...]
    """The crops of each entry, int `[n]`, n ≥ 1."""
    identities: np.ndarray
    """`[E]` of str."""
    cameras: np.ndarray
    """`[E]` of str."""

    @classmethod
    def of_crops(cls, crops: PeopleDataset) -> "Entries":
        """Every crop an entry of its own."""
        identities = np.array([sample.identity for sample in crops.samples])
        return cls(tuple(np.arange(len(crops))[:, None]), identities, crops.cameras)


@dataclass(frozen=True)
class RetrievalTest:
    """Who is searched for among whom.

    What is neither right nor wrong, such as Market-1501's junk, is in no gallery; an entry with the query's identity
    *and* camera is left out when it is ranked.
    """

    crops: PeopleDataset
    entries: Entries
    rounds: tuple[Round, ...]
    multi_query: tuple[Round, ...] = ()
    """The same with all images that the dataset has of the query's person in the query's camera; empty if it has no
    such images."""
    trapezoid: bool = False
    """Whether the dataset's own evaluation takes average precision by trapezoids (`training.evaluation`): it is then
    given beside the standard one."""
    splits: bool = False
    """Whether the rounds are random splits of the people: figures are then means over them, with their deviation."""
    named_cameras: bool = True
    """False where the dataset does not tell its cameras, and each image counts as one."""
    protocol: str = ""
    """Who is searched for among whom, in words."""


@dataclass(frozen=True)
class Benchmark:
    """A research dataset."""

    name: str
    train: PeopleDataset
    test: RetrievalTest


def find_root(root: str | Path, *inside: str) -> Path:
    """The folder `root`, or the one in it, of the names `inside`, that an archive unpacks to."""
    root = Path(root)
    return next((root / name for name in inside if (root / name).is_dir()), root)


def check_folders(root: Path, *names: str) -> None:
    """Raise `DataError` naming the first of the files or folders `names` that `root` lacks."""
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    for name in names:
        if not (root / name).exists():
            raise DataError(f"{root / name}: missing; the dataset is not here as it was published")


def check_published(root: Path, found: Mapping[str, int], published: Mapping[str, int]) -> None:
    """Raise `DataError` naming every count of `published` that `found` does not meet."""
    wrong = [f"{found[name]} {name} instead of {count}" for name, count in published.items() if found[name] != count]
    if wrong:
        raise DataError(
            f"{root}: not the dataset as published: {', '.join(wrong)}; was it copied whole? "
            "--any-counts takes it as it is"
        )


def count_identities(people: PeopleDataset) -> int:
    return len(set(people.identities) - {NOBODY})
