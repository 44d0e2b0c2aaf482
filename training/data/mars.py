"""MARS (Zheng et al., ECCV 2016): tracklets of people, `bbox_train`, `bbox_test` and the lists in `info`."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sdk.errors import DataError
from sdk.folder import Sample
from training.data.benchmark import (
    NOBODY,
    Benchmark,
    Entries,
    RetrievalTest,
    check_folders,
    check_published,
)
from training.data.folder import PeopleDataset
from training.data.matlab import read_integers

PUBLISHED = {
    "training identities": 625,
    "training tracklets": 8298,
    "test identities": 636,  # as the paper counts: the distractors and the junk are one each
    "test tracklets": 12180,
    "queries": 1980,
}
JUNK, DISTRACTOR = -1, 0
FOLDER = {JUNK: "00-1"}
"""Of the junk; any other identity's folder is its number in four digits."""


def load_mars(root: str | Path, *, published: Mapping[str, int] = PUBLISHED) -> Benchmark:
    """The dataset in the folder `root`. Training sees single images; the test ranks tracklets, averaged.

    As in the published evaluation, the gallery holds every tracklet of the test but the junk, the queries among them:
    a query's own is left out as one of its identity and camera. Raises `DataError` naming a list, an image or a
    count that is not as published.
    """
    root = Path(root)
    lists = ("train_name.txt", "test_name.txt", "tracks_train_info.mat", "tracks_test_info.mat", "query_IDX.mat")
    check_folders(root, "bbox_train", "bbox_test", *(f"info/{name}" for name in lists))
    train_tracks = _tracks(root / "info" / "tracks_train_info.mat", "track_train_info")
    test_tracks = _tracks(root / "info" / "tracks_test_info.mat", "track_test_info")
    query = np.atleast_1d(read_integers(root / "info" / "query_IDX.mat", "query_IDX")) - 1
    check_published(
        root,
        {
            "training identities": len(set(train_tracks[:, 2])),
            "training tracklets": len(train_tracks),
            "test identities": len(set(test_tracks[:, 2])),
            "test tracklets": len(test_tracks),
            "queries": len(query),
        },
        published,
    )
    if query.min() < 0 or query.max() >= len(test_tracks) or (test_tracks[query, 2] <= 0).any():
        raise DataError(f"{root / 'info' / 'query_IDX.mat'}: points at a tracklet that is nobody's or is not there")
    train, _ = _crops(root, "train", train_tracks)
    crops, groups = _crops(root, "test", test_tracks)
    entries = Entries(
        groups,
        np.array([_identity(identity) for identity in test_tracks[:, 2]]),
        np.array([f"C{camera}" for camera in test_tracks[:, 3]]),
    )
    gallery = np.flatnonzero(test_tracks[:, 2] != JUNK)
    protocol = f"{len(query)} tracklets searched for among all {len(gallery)} that are not junk, means of their images"
    test = RetrievalTest(crops, entries, ((query, gallery),), trapezoid=True, protocol=protocol)
    return Benchmark("mars", train, test)


def _tracks(path: Path, name: str) -> np.ndarray:
    """First and last image (counted from 1, both included), identity, camera of each tracklet: int64 `[T, 4]`."""
    tracks = np.atleast_2d(read_integers(path, name))
    if tracks.ndim != 2 or tracks.shape[1] != 4:
        raise DataError(f"{path}: '{name}' is not a table of four columns; is it the file as published?")
    return tracks


def _identity(number: int) -> str:
    return NOBODY if number == DISTRACTOR else FOLDER.get(number, f"{number:04d}")


def _crops(root: Path, part: str, tracks: np.ndarray) -> tuple[PeopleDataset, tuple[np.ndarray, ...]]:
    """The images of all tracklets, and which of them each tracklet has.

    Raises `DataError` naming an image that is not there, or one whose name tells of another person or camera than
    its tracklet does.
    """
    listed = root / "info" / f"{part}_name.txt"
    names = listed.read_text().split()
    if len(names) < tracks[:, 1].max():
        raise DataError(f"{listed}: has {len(names)} names, but the tracklets need {tracks[:, 1].max()} of them")
    samples, groups, here = [], [], {}
    for first, last, identity, camera in tracks.tolist():
        folder = FOLDER.get(identity, f"{identity:04d}")
        directory = root / f"bbox_{part}" / folder
        if folder not in here:
            here[folder] = {path.name for path in directory.iterdir()} if directory.is_dir() else set()
        for name in names[first - 1 : last]:
            path = directory / name
            if name not in here[folder]:
                raise DataError(f"{path}: missing, but listed in {listed}; was the dataset copied whole?")
            if name[:6] != f"{folder}C{camera}":
                raise DataError(f"{path}: is in a tracklet of person {folder} in camera {camera}, says {listed}")
            samples.append(Sample(path, _identity(identity), f"C{camera}"))
        groups.append(np.arange(len(samples) - (last - first + 1), len(samples)))
    return PeopleDataset(tuple(samples), "mars"), tuple(groups)
