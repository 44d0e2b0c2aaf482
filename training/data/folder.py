"""Datasets of people's crops, listed but not held in memory."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from sdk.errors import DataError
from sdk.folder import Sample, read_folder, read_image


@dataclass(frozen=True)
class PeopleDataset:
    """Crops with identities and cameras; `read` gives the pixels."""

    samples: tuple[Sample, ...]
    source: str = ""
    """Where they are from, in words."""

    @classmethod
    def from_folder(cls, root: str | Path) -> "PeopleDataset":
        """All crops of `<root>/<identity>/<camera>_<anything>.png|…`. Raises `DataError` as `sdk.folder` does."""
        return cls(tuple(read_folder(root)), f"folder {Path(root).resolve().name}")

    def __len__(self) -> int:
        return len(self.samples)

    def read(self, index: int, epoch: int = 0) -> np.ndarray:
        """The crop as uint8 BGR `[H, W, 3]`. Raises `DataError` naming a file that cannot be decoded.

        epoch: of the training that asks; images on disk are the same in all.
        """
        return read_image(self.samples[index].path)

    @cached_property
    def identities(self) -> tuple[str, ...]:
        """The distinct identities, sorted; labels are positions in this tuple."""
        return tuple(sorted({sample.identity for sample in self.samples}))

    @cached_property
    def labels(self) -> np.ndarray:
        """The label of every sample, int64 `[N]`."""
        label = {identity: i for i, identity in enumerate(self.identities)}
        return np.array([label[sample.identity] for sample in self.samples], np.int64)

    @cached_property
    def cameras(self) -> np.ndarray:
        """The camera of every sample, `[N]` of str."""
        return np.array([sample.camera for sample in self.samples])

    def subset(self, identities) -> "PeopleDataset":
        """The samples of `identities` only."""
        wanted = set(identities)
        return replace(self, samples=tuple(sample for sample in self.samples if sample.identity in wanted))

    def hold_out(self, count: int, seed: int) -> tuple["PeopleDataset", "PeopleDataset"]:
        """Split by identity: (for training, `count` identities held out), drawn by `seed`.

        Raises `DataError` if fewer than two identities would be left to train on.
        """
        if not 0 <= count <= len(self.identities) - 2:
            raise DataError(
                f"cannot hold out {count} of {len(self.identities)} identities: training needs at least 2 of them"
            )
        drawn = np.random.default_rng(seed).permutation(len(self.identities))
        test = {self.identities[i] for i in drawn[:count]}
        return self.subset(set(self.identities) - test), self.subset(test)
