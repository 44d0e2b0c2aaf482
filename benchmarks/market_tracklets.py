"""Market-1501 as what a site's cameras saw: tracklets of real people, with times on one clock.

    python benchmarks/market_tracklets.py ../datasets/Market-1501-v15.09.15 --cache out/market --export out/market

A name of Market-1501 (`0002_c1s1_000451_03.jpg`) holds person, camera, sequence, frame and box, so its crops are
tracklets: a person's crops in one camera, in order of time, until they are out of view for more than `GAP` seconds.
Junk (-1) and distractors (0000) are left out, as nobody knows who they are; so are the queries, which are drawn by
hand.

**Times.** Every sequence counts its frames from 0, and nothing is published of how sequences and cameras go together.
It can be measured: people walk from camera to camera, so the difference of the frame numbers of one person in two
sequences has a sharp peak where both were recorded at once. The 85 pairs of sequences that share enough people agree,
with a residual of 3 s (median; 17 s at the most), and they say that all six cameras ran together for 4.7 hours, their
sequences being one after the other (`STARTS`; camera 6 was off for an hour). 25 frames are a second: the sequences'
lengths and the step of 25 or 50 frames between crops speak for it, but nothing published does. Travel times shorter
than the residual mean nothing.
"""

import hashlib
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from sdk.errors import DataError
from sdk.reidentifier import ReIdentifier
from sdk.terminal import notes, track

FRAME_RATE = 25.0
"""Frames a second."""
GAP = 5.0
"""Seconds out of view after which somebody's next crop begins another tracklet."""
LAST = 1.5
"""Seconds for which the last crop of a tracklet stands: crops are about a second apart."""
HALVES = {"train": "bounding_box_train", "test": "bounding_box_test"}
NOBODY = ("-1", "0000")
JUNK = "-1"
"""In the test half's folder: what Market's detector laid over somebody by 20 to 50% only."""
STARTS = {
    1: (0, 72_800, 147_800, 222_600, 297_600, 372_700),
    2: (600, 165_100, 330_200),
    3: (500, 162_300, 324_000),
    4: (-100, 72_800, 148_200, 222_700, 298_100, 372_600),
    5: (0, 161_700, 323_500),
    6: (0, 168_100, 300_300, 397_500),
}
"""For each camera the frames, on the clock of all, at which its sequences begin; see above."""

# person, camera, sequence, frame, box; some copies of the dataset have names that end in .jpg.jpg
NAME = re.compile(r"(-1|\d{4})_c(\d)s(\d)_(\d+)_(\d+)(\.jpg)+")


@dataclass(frozen=True)
class Tracklets:
    """Crops and the tracklets that they make, both in order of time: tracklets by their beginning."""

    person: np.ndarray
    """int `[T]`: the number in Market's names."""
    camera: np.ndarray
    """int `[T]`, 1 to 6."""
    first: np.ndarray
    """When it begins, s, `[T]`."""
    last: np.ndarray
    """When it ends, s: the time of its last crop and `LAST`, `[T]`."""
    tracklet: np.ndarray
    """int `[N]`: which one a crop belongs to."""
    time: np.ndarray
    """When the crop was taken, s, `[N]`."""
    name: np.ndarray
    """Its file, str `[N]`."""
    embedding: np.ndarray
    """float32 `[N, D]` at unit length."""

    def __len__(self) -> int:
        return len(self.person)

    @property
    def crops(self) -> np.ndarray:
        """How many each has, int `[T]`."""
        return np.bincount(self.tracklet, minlength=len(self))

    @property
    def mean(self) -> np.ndarray:
        """Of a tracklet's crops, at unit length, float32 `[T, D]`."""
        total = np.zeros((len(self), self.embedding.shape[1]), np.float32)
        np.add.at(total, self.tracklet, self.embedding)
        return total / np.linalg.norm(total, axis=1, keepdims=True)

    @property
    def together(self) -> np.ndarray:
        """Which pairs one camera saw at once, so that they are two people: bool `[T, T]`."""
        overlap = (self.first[:, None] < self.last) & (self.first < self.last[:, None])
        overlap &= self.camera[:, None] == self.camera
        np.fill_diagonal(overlap, False)
        return overlap

    def of(self, kept: np.ndarray) -> "Tracklets":
        """Those of the tracklets that are `kept`, bool `[T]`, alone."""
        crops = kept[self.tracklet]
        number = np.cumsum(kept) - 1
        return Tracklets(
            *(getattr(self, name)[kept] for name in ("person", "camera", "first", "last")),
            number[self.tracklet[crops]],
            *(getattr(self, name)[crops] for name in ("time", "name", "embedding")),
        )


def read_tracklets(root: Path, half: str, gap: float = GAP, junk: bool = False) -> Tracklets:
    """The tracklets of a half, "train" or "test", of the folder `root`; embeddings are empty, `[N, 0]`.

    junk: of the junk instead, as if it were one person, -1. Raises `DataError` if the folder is missing or empty, or a
    name is none of Market's.
    """
    folder = Path(root) / HALVES[half]
    rows = []
    for path in sorted(folder.glob("*.jpg")):
        match = NAME.fullmatch(path.name)
        if match is None or int(match[2]) not in STARTS or int(match[3]) > len(STARTS[int(match[2])]):
            raise DataError(f"{path}: not a name of Market-1501, such as 0002_c1s1_000451_03.jpg; remove the file")
        if match[1] == JUNK if junk else match[1] not in NOBODY:
            person, camera, sequence, frame = (int(value) for value in match.groups()[:4])
            rows.append((person, camera, (STARTS[camera][sequence - 1] + frame) / FRAME_RATE, path.name))
    if not rows:
        raise DataError(f"{folder}: nobody is in it; give the folder of Market-1501 that holds {HALVES[half]}")
    rows.sort()
    person, camera, time, name = (np.array(column) for column in zip(*rows, strict=True))
    begins = np.ones(len(rows), bool)
    begins[1:] = (person[1:] != person[:-1]) | (camera[1:] != camera[:-1]) | (time[1:] - time[:-1] > gap)
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], len(rows)) - 1
    order = np.argsort(time[starts], kind="stable")
    place = np.empty(len(starts), int)
    place[order] = np.arange(len(starts))
    number = place[np.cumsum(begins) - 1]
    crops = np.argsort(time, kind="stable")
    starts, ends = starts[order], ends[order]
    columns = person[starts], camera[starts], time[starts], time[ends] + LAST
    return Tracklets(*columns, number[crops], time[crops], name[crops], np.zeros((len(rows), 0), np.float32))


def embedded(root: Path, half: str, model: Path | None, cache: Path, gap: float = GAP, junk: bool = False) -> Tracklets:
    """The same with what a model sees in the crops, which is worked out once and kept in the folder `cache`."""
    tracklets = read_tracklets(root, half, gap, junk)
    reid = ReIdentifier(model) if model else ReIdentifier()
    folder = Path(root) / HALVES[half]
    digest = hashlib.sha256(reid.engine.metadata.to_json().encode() + "".join(sorted(tracklets.name)).encode())
    kept = Path(cache) / f"{half}-{digest.hexdigest()[:12]}.npz"
    if not kept.exists():
        parts = []
        for i in track(range(0, len(tracklets.name), 64), f"embedding {half}"):
            crops = [cv2.imread(str(folder / name)) for name in tracklets.name[i : i + 64]]
            parts.append(reid.embed(crops).embedding)
        kept.parent.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_suffix(".part.npz")
        np.savez(unfinished, name=tracklets.name, embedding=np.concatenate(parts))
        unfinished.replace(kept)
    with np.load(kept) as stored:
        row = {name: i for i, name in enumerate(stored["name"])}
        embedding = stored["embedding"][[row[name] for name in tracklets.name]]
    return Tracklets(*(getattr(tracklets, f.name) for f in fields(tracklets)[:-1]), embedding)


def choose(tracklets: Tracklets, people: int, seed: int, at_random: bool = False) -> Tracklets:
    """The tracklets of so many people: those who came one after the other from some moment on, as a site has them.

    at_random: of people drawn from all the hours, who hardly meet. Raises `DataError` if there are not so many.
    """
    everybody, first = np.unique(tracklets.person, return_index=True)
    if not 0 < people <= len(everybody):
        raise DataError(f"{people} people are asked for, and there are {len(everybody)}")
    rng = np.random.default_rng([seed, people])
    if at_random:
        chosen = rng.choice(everybody, people, replace=False)
    else:
        start = rng.integers(len(everybody) - people + 1)
        chosen = everybody[np.argsort(first)][start : start + people]
    return tracklets.of(np.isin(tracklets.person, chosen))


def export(tracklets: Tracklets, path: Path) -> None:
    """Write all arrays into one .npz: those of `Tracklets` (embeddings as float16), and `mean`, `crops`."""
    arrays = {f.name: getattr(tracklets, f.name) for f in fields(tracklets)}
    arrays |= {"embedding": tracklets.embedding.astype(np.float16), "mean": tracklets.mean, "crops": tracklets.crops}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)


def main(
    root: Annotated[Path, typer.Argument(help="The folder of Market-1501.")],
    model: Annotated[Path | None, typer.Option(help="Of `reid convert`; the shipped one if none is given.")] = None,
    cache: Annotated[Path, typer.Option(help="Where features are kept.")] = Path("out/market"),
    export_to: Annotated[Path, typer.Option("--export", help="Folder for market_tracklets_{train,test}.npz.")] = Path(
        "out/market"
    ),
) -> None:
    for half in HALVES:
        tracklets = embedded(root, half, model, cache)
        export(tracklets, export_to / f"market_tracklets_{half}.npz")
        people, pairs = len(np.unique(tracklets.person)), int(tracklets.together.sum() // 2)
        notes.print(f"{half}: {people} people, {len(tracklets)} tracklets, {pairs} pairs of them seen at once")


if __name__ == "__main__":
    typer.run(main)
