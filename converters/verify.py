"""Does a converted model compute what the checkpoint computes? Asked at the end of every convert."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sdk.errors import DataError
from sdk.folder import IMAGE_SUFFIXES, read_image

Embedder = Callable[[Sequence[np.ndarray]], np.ndarray]

BATCHES = (1, 2, 7, 32)
"""Batch sizes in turn, so that the dynamic batch is exercised too."""


@dataclass(frozen=True)
class Agreement:
    """Cosine similarity of two embedders' features, crop by crop."""

    cosine: np.ndarray
    """float64 `[N]`."""

    @property
    def worst(self) -> int:
        """Index of the crop that agrees least."""
        return int(np.argmin(self.cosine))


def compare(a: Embedder, b: Embedder, crops: Sequence[np.ndarray]) -> Agreement:
    """Embed `crops` with both, in batches of changing size. NaN counts as no agreement at all."""
    cosine, start, turn = [], 0, 0
    while start < len(crops):
        batch = crops[start : start + BATCHES[turn % len(BATCHES)]]
        first, second = (np.asarray(embed(batch), np.float64) for embed in (a, b))
        lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            cosine.append(np.nan_to_num((first * second).sum(axis=1) / lengths, nan=-1.0))
        start, turn = start + len(batch), turn + 1
    return Agreement(np.concatenate(cosine))


def read_crops(folder: Path, limit: int = 1024) -> list[np.ndarray]:
    """Up to `limit` images below `folder`, evenly chosen. Raises `DataError` if there are none."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise DataError(f"{folder}: no .png or .jpg images to compare on")
    chosen = np.linspace(0, len(paths) - 1, min(limit, len(paths))).round().astype(int)
    return [read_image(paths[i]) for i in chosen]
