"""Identities across the cameras of drawn sites: IDF1 and HOTA with the tracker, and with the nearest crop, greedily.

    python benchmarks/site.py --seeds 0,1,2,3 --cache out/sites --output benchmarks/results/site.json

Each site (4 cameras, 30 people, 2 minutes at 10 frames/s) is drawn once (`site_cache.py`), then replayed: the tracker
gets stand-ins for frames, whose detections and crops come from the cache.
"""

from pathlib import Path

import numpy as np
import supervision as sv
from site_cache import Found

from sdk.reidentifier import Features, ReIdentifier
from sdk.simulation.site import Site
from sdk.tracking import MultiCameraTracker, multi_camera
from sdk.video.records import RecordWriter

SHOWN = 0.3
"""Share of a body that shows, from which somebody must be found: what the simulated detector finds."""


class CachedFrame(np.ndarray):
    """Stands in for a frame of the cache: has its shape, no pixels, and gives for a crop the number of its row."""

    @classmethod
    def of(cls, shape: tuple[int, int, int], found: Found, rows: np.ndarray) -> "CachedFrame":
        frame = np.broadcast_to(np.uint8(0), shape).view(cls)
        frame.found, frame.rows = found, rows
        frame.corners = {tuple(_corners(found.box[row], shape)): row for row in rows}
        return frame

    def __array_finalize__(self, other) -> None:
        self.found = getattr(other, "found", None)

    def __getitem__(self, key):
        rows, columns = key
        return np.int64(self.corners[columns.start, rows.start, columns.stop, rows.stop])

    def row_of(self, box: np.ndarray) -> int:
        return self.corners[tuple(_corners(box, self.shape))]


def _corners(box: np.ndarray, shape: tuple) -> list[int]:
    return np.round(np.clip(box, 0, [shape[1], shape[0], shape[1], shape[0]])).astype(int).tolist()


class CachedChange:
    """Stands in for `ChangeMeter`."""

    def update(self, frame: CachedFrame) -> None:
        self._frame = frame

    def share(self, box: np.ndarray) -> float:
        return float(self._frame.found.changed[self._frame.row_of(box)])


class CachedReIdentifier(ReIdentifier):
    """Looks features up instead of embedding crops."""

    def __init__(self, embedding: np.ndarray, stripes: np.ndarray | None, **options):
        super().__init__(**options)
        self._embedding, self._stripes = embedding, stripes
        self.embedded = 0

    def embed(self, crops) -> Features:
        rows = np.array(crops, int)
        self.embedded += len(rows)
        return Features(self._embedding[rows], None if self._stripes is None else self._stripes[rows])


def detect(frame: CachedFrame) -> sv.Detections:
    found, rows = frame.found, frame.rows
    return sv.Detections(found.box[rows], confidence=found.confidence[rows], class_id=np.zeros(len(rows), int))


def ticks(site: Site, found: Found):
    """(time, frames) of the whole site."""
    order = np.lexsort((found.camera, found.tick))
    key = found.tick[order] * site.cameras + found.camera[order]
    starts = np.searchsorted(key, np.arange(site.ticks * site.cameras + 1))
    for tick in range(site.ticks):
        frames = {}
        for number, name in enumerate(site.camera_names):
            place = tick * site.cameras + number
            frames[name] = CachedFrame.of((*site.size, 3), found, order[starts[place] : starts[place + 1]])
        yield tick / site.frame_rate, frames


def replay(site: Site, found: Found, reid: ReIdentifier, output: Path, make=MultiCameraTracker, **options):
    """Track the site again; `tracks.jsonl` in `output`. Returns the tracker."""
    multi_camera.ChangeMeter = CachedChange
    tracker = make(reid, detect, frame_rate=site.frame_rate, **options)
    with RecordWriter(output, tracker.identity_of) as records:
        for number, (time, frames) in enumerate(ticks(site, found)):
            for camera, detections in tracker.update(frames, time).items():
                records.write(time, camera, number, detections)
        tracker.finish()
    return tracker
