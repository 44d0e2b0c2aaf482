"""Crops of a run's tracks, kept in its folder where it was asked for: what a site teaches its own model from.

`crops.bin` is a file of blocks (`sdk.video.block_file`), one a crop, with its picture as JPEG. They show people, so
they are for the owner alone, few of a track, and erased with whoever is forgotten. Nobody's name is in the file.
"""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from sdk.tracking import MultiCameraTracker
from sdk.tracking.tracklet import Tracklet
from sdk.video.block_file import BlockFile, BlockWriter
from sdk.video.features import mark_forgotten
from sdk.video.named_tracks import NamedTracks, Track
from sdk.video.run_folder import RunFolder

NAME = "crops.bin"
PER_TRACK = 12
"""Crops of a track that are kept."""
SECONDS = 1.0
"""At least, between two of them."""
HEIGHT = 256
"""Of the largest that are kept, px."""
JPEG_QUALITY = 92
MOST_WAITING = 4096
"""Tracks that are remembered while they may still be named."""

_KINDS = (str, int, (int, float), (int, float))


def _is_row(_head: dict, row: list, content: bytes) -> bool:
    return len(row) == len(_KINDS) and all(map(isinstance, row, _KINDS)) and bool(content)


FILE = BlockFile("crops of tracks", "crops", 1, "track the recording once more, with --store-crops", _is_row)


class StoredCrop(NamedTuple):
    """A crop as it was kept."""

    camera: str
    track: int
    time: float
    """When it was taken, s as the caller had it."""
    quality: float
    """How much it tells of its person, in [0, 1]."""
    jpeg: bytes


class CropStore:
    """Keeps crops of a tracker's tracks in its run's folder; erases those of who is forgotten. A context manager."""

    def __init__(self, folder: RunFolder, tracker: MultiCameraTracker):
        """Raises `DataError` if the file cannot be written."""
        self._folder, self._tracker = folder, tracker
        self._writer = BlockWriter(FILE, folder.claim(NAME), FILE.facts())
        self._open = True
        self._named = NamedTracks()
        self._waiting: dict[Track, tuple[int, float]] = {}
        """Of tracks of which more may be learned: how many crops are kept, and when the last was taken."""
        self._forgotten: set[Track] = set()
        tracker.add_crop_keeper(self.keep)
        tracker.add_keeper(self._settle, self.forget)
        tracker.add_listener(self._named.listen)

    def __enter__(self) -> "CropStore":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def keep(self, tracklet: Tracklet, quality: float, crop: np.ndarray) -> None:
        """Write a crop, if it is time for one of its track. Raises `DataError` if the disk is full."""
        track, time = (tracklet.camera, tracklet.track), tracklet.last_time
        count, last = self._waiting.get(track, (0, -np.inf))
        if not self._open or track in self._forgotten or count >= PER_TRACK or time - last < SECONDS:
            return
        if len(crop) > HEIGHT:
            width = max(1, round(crop.shape[1] * HEIGHT / len(crop)))
            crop = cv2.resize(crop, (width, HEIGHT), interpolation=cv2.INTER_AREA)
        jpeg = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
        self._writer.add([*track, float(time), round(float(quality), 3)], jpeg)
        self._waiting[track] = count + 1, time
        if len(self._waiting) > MOST_WAITING:  # the oldest: of a track that nobody was ever sure of
            del self._waiting[next(iter(self._waiting))]

    def forget(self, identity: str) -> int:
        """Erase the crops of a person's tracks, after the run's end too, and keep no more of these; how many tracks.

        Raises `DataError` if the file cannot be written anew; it may be asked once more.
        """
        seen = {track for track in self._waiting if self._tracker.identity_of(*track) == identity}
        tracks = self._named.of(identity) | seen
        if not tracks:
            return 0
        if self._open:
            mark_forgotten(self._folder, tracks)
            self._writer.drop(_of(tracks))
        else:
            with RunFolder.reopen(self._folder.path) as run:
                drop_crops(run, tracks)
        self._forgotten |= tracks
        self._named.forget(identity)
        return len(tracks)

    def close(self) -> None:
        """Say that this was all; once."""
        self._open = False
        self._writer.close()

    def _settle(self, tracklet: Tracklet) -> None:
        """Nothing more is learned of a tracklet: it is known whose it is."""
        track = tracklet.camera, tracklet.track
        if self._waiting.pop(track, None) is not None:
            self._named.add(tracklet.identity, track)


def read_crops(folder: str | Path) -> list[StoredCrop]:
    """The crops that a run has kept, in the order of their coming. Raises `DataError` that names the file and the
    remedy if there are none, or they cannot be read."""
    with FILE.opened(Path(folder) / NAME) as (_, rows):
        return [StoredCrop(*row, content) for row, content in rows]


def drop_crops(folder: RunFolder, tracks: Collection[Track]) -> int:
    """Erase the crops of some tracks from the folder of a run that is over, and open again; how many of the tracks had
    some. Raises `DataError` as `read_crops`."""
    mark_forgotten(folder, tracks)
    path = folder.path / NAME
    if not path.exists():
        return 0
    had = {(crop.camera, crop.track) for crop in read_crops(folder.path)} & {*tracks}
    if had:
        FILE.rewrite(path, _of(tracks), done=True)
    return len(had)


def discard_crops(folder: str | Path) -> bool:
    """Delete all crops of a run that is over; whether there were any. Raises `DataError` as `RunFolder.reopen`."""
    with RunFolder.reopen(folder) as run:
        if NAME not in run.files:
            return False
        run.remove(NAME)
    return True


def _of(tracks: Collection[Track]) -> Callable[[list], bool]:
    wanted = {(camera, int(track)) for camera, track in tracks}
    return lambda row: (row[0], row[1]) in wanted
