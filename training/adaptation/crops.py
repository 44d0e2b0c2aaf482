"""Crops of which nobody has said who they are: what is known is their camera, when they were taken, and their track."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sdk.folder import read_image

Pair = tuple[int, int]
"""Rows of two crops."""


class Crop(NamedTuple):
    """One crop: where its pixels are, and what the site knows of it without a label."""

    path: Path
    camera: str
    sequence: str = ""
    """Tracks, and times, of one camera belong together within one sequence."""
    track: int | None = None
    """The track that it is of; None: tracks are yet to be found."""
    time: float | None = None
    """When it was taken, s; None: nobody knows."""
    pixels: Callable[[], np.ndarray] | None = None
    """Gives the crop, uint8 BGR `[H, W, 3]`, where it is not the whole file `path`."""
    until: float | None = None
    """When its track showed this very picture last, s; None: at `time` alone."""


@dataclass(frozen=True)
class Crops:
    """All crops of a site."""

    items: tuple[Crop, ...]
    source: str
    """Where they are from, in words, without a path."""
    cannot: tuple[Pair, ...] = ()
    """Crops of two people, as a tracker or a human found."""
    must: tuple[Pair, ...] = ()
    """Crops of one person, as a human said."""
    thrown_away: dict[str, int] | None = None
    """How many crops were left out when they were read, by reason in words."""

    def __len__(self) -> int:
        return len(self.items)

    def read(self, index: int) -> np.ndarray:
        """The crop as uint8 BGR `[H, W, 3]`. Raises `DataError` naming a file that cannot be decoded."""
        crop = self.items[index]
        return read_image(crop.path) if crop.pixels is None else crop.pixels()

    @property
    def cameras(self) -> np.ndarray:
        """The camera of every crop, `[N]` of str."""
        return np.array([crop.camera for crop in self.items])
