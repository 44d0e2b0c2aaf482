"""What a map shows: features with the name, the identity, the camera and the crop of each, as far as they are known."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from sdk.errors import DataError
from sdk.gallery import Gallery

_MARKET = re.compile(r"(-?\d+)_c(\d+)")
"""How files of Market-1501, and of datasets in its form, begin: person and camera."""


@dataclass(frozen=True)
class Point:
    """One crop."""

    name: str
    identity: str | None
    camera: str | None
    crop: Callable[[], np.ndarray] | None = None
    """Reads it, uint8 BGR `[H, W, 3]`; None: there is none to show."""


def points_of_features(names: Sequence[str], read: Callable[[str], np.ndarray] | None = None) -> list[Point]:
    """Points for the names in a file of `reid embed`: identity and camera as `named_after` finds them.

    read: gives the crop of a name; None: there are none.
    """
    return [Point(name, *named_after(name), None if read is None else _later(read, name)) for name in names]


def named_after(name: str) -> tuple[str | None, str | None]:
    """(identity, camera) that a file's name tells: `ann/dock_1.png`, or `0002_c1s1_000451_03.jpg` as in Market-1501;
    of other names the folder is the identity."""
    path = PurePath(name)
    if found := _MARKET.match(path.name):
        return found[1], found[2]
    identity = path.parent.name or None
    camera, underscore, _ = path.stem.partition("_")
    return identity, camera if identity and underscore and camera else None


def points_of_gallery(gallery: Gallery) -> tuple[np.ndarray, list[Point]]:
    """The exemplars of a gallery, float32 `[N, D]`, and their points.

    Cameras and crops are known of identities all of whose crops the gallery stores. Raises `DataError` if nobody is in
    it.
    """
    parts, points = [], []
    for identity in gallery.identities():
        exemplars, crops = gallery.exemplars(identity), gallery.crops(identity)
        parts.append(exemplars)
        whole = len(crops) == len(exemplars)  # both are in the order of enrolment
        for number in range(len(exemplars)):
            image, camera, _ = crops[number] if whole else (None, None, None)
            crop = None if image is None else _later(lambda image: image, image)
            points.append(Point(f"{identity} {number + 1}", identity, camera, crop))
    if not parts:
        raise DataError("nobody is in the gallery; enrol somebody first")
    return np.concatenate(parts), points


def whole_people(identities: Sequence[str | None], most: int, seed: int) -> np.ndarray:
    """Which of the points to show where there are more than `most`: int, ascending. All of some people, drawn by
    `seed`: a map of a few crops of each says little."""
    if len(identities) <= most:
        return np.arange(len(identities))
    kinds, label = np.unique(["" if identity is None else identity for identity in identities], return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(kinds))
    rank = np.empty(len(kinds), int)
    rank[order] = np.arange(len(kinds))
    return np.sort(np.argsort(rank[label], kind="stable")[:most])


def _later(read: Callable, what) -> Callable[[], np.ndarray]:
    return lambda: read(what)
