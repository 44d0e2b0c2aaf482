"""Several datasets as one, as the paper trains on four at once."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sdk.errors import DataError
from training.data.folder import PeopleDataset


@dataclass(frozen=True)
class PartSample:
    """A sample of one of the parts."""

    part: int
    index: int
    """In the part."""
    identity: str
    camera: str


@dataclass(frozen=True)
class UnionPeople(PeopleDataset):
    """Crops of several datasets. Identities and cameras bear their dataset's name, so that no two are taken for one."""

    samples: tuple[PartSample, ...]
    parts: tuple[PeopleDataset, ...] = field(kw_only=True)

    def read(self, index: int, epoch: int = 0) -> np.ndarray:
        """The crop as its own dataset reads it, uint8 BGR `[H, W, 3]`."""
        sample = self.samples[index]
        return self.parts[sample.part].read(sample.index, epoch)


def union(parts: Sequence[tuple[str, PeopleDataset]]) -> UnionPeople:
    """The people of (name, dataset) pairs: identity "0002" of "market1501" becomes "market1501/0002", cameras alike.

    Raises `DataError` if two datasets have one name.
    """
    twice = [name for name, count in Counter(name for name, _ in parts).items() if count > 1]
    if twice:
        raise DataError(f"two datasets are both named '{twice[0]}': their people would be mixed up; rename a folder")
    samples = tuple(
        PartSample(number, index, f"{name}/{sample.identity}", f"{name}/{sample.camera}")
        for number, (name, part) in enumerate(parts)
        for index, sample in enumerate(part.samples)
    )
    source = " + ".join(part.source for _, part in parts)
    return UnionPeople(samples, source, parts=tuple(part for _, part in parts))
