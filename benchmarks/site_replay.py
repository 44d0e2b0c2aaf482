"""A site of the cache through the tracker, in stand-ins for its frames, whose detections and crops are looked up.

It may also run with the `sdk` of another checkout (`other_checkout.py`).
"""

import json
import time as clock
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import supervision as sv
from final_names import FinalNames

from sdk.reidentifier import Features, ReIdentifier
from sdk.tracking import MultiCameraTracker, multi_camera
from sdk.video.records import RecordWriter

if TYPE_CHECKING:  # not needed by the replay, which another checkout runs as well
    from site_cache import Found

    from sdk.simulation.site import Site

FINAL = "names-at-the-end"
"""Folder of the records with the names that their tracks have in the end."""


class CachedFrame(np.ndarray):
    """Stands in for a frame of the cache: has its shape, no pixels, and gives for a crop the number of its row."""

    @classmethod
    def of(cls, shape: tuple[int, int, int], found: "Found", rows: np.ndarray) -> "CachedFrame":
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
        if stripes is not None:
            shape = {"stripes": stripes.shape[1], "stripe_dim": stripes.shape[2]}
            self.engine = SimpleNamespace(metadata=replace(self.engine.metadata, **shape))
        self.embedded = 0

    def embed(self, crops, camera=None) -> Features:
        rows = np.array(crops, int)
        self.embedded += len(rows)
        return Features(self._embedding[rows], None if self._stripes is None else self._stripes[rows])


def detect(frame: CachedFrame) -> sv.Detections:
    found, rows = frame.found, frame.rows
    return sv.Detections(found.box[rows], confidence=found.confidence[rows], class_id=np.zeros(len(rows), int))


def ticks(site: "Site", found: "Found"):
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


def replay(site: "Site", found: "Found", reid: ReIdentifier, output: Path, make=MultiCameraTracker, **options):
    """Track the site again; `tracks.jsonl` in `output`. Returns the tracker."""
    meter, multi_camera.ChangeMeter = multi_camera.ChangeMeter, CachedChange
    try:
        tracker = make(reid, detect, frame_rate=site.frame_rate, **options)
        with RecordWriter(output, tracker.identity_of) as records:
            for number, (time, frames) in enumerate(ticks(site, found)):
                for camera, detections in tracker.update(frames, time).items():
                    records.write(time, camera, number, detections)
            tracker.finish()
    finally:
        multi_camera.ChangeMeter = meter
    return tracker


def write_input(folder: Path, site: "Site", found: "Found", embedding: np.ndarray, model: Path | None = None) -> None:
    """What `replay_folder` needs. embedding: float32 `[N, D]`, of each found box, as `model` gives them."""
    columns = {name: getattr(found, name) for name in ("tick", "camera", "box", "confidence", "changed")}
    np.savez(folder / "input.npz", embedding=embedding, **columns)
    facts = {name: getattr(site, name) for name in ("cameras", "camera_names", "ticks", "frame_rate", "size")}
    text = json.dumps({"site": facts, "model": str(model.resolve()) if model else None})
    (folder / "input.json").write_text(text, encoding="utf-8")


def replay_folder(folder: Path) -> None:
    """Track the site in the folder; `tracks.jsonl` there, another in `FINAL`, and `replay.json` with its cost."""
    with np.load(folder / "input.npz") as arrays:
        columns = dict(arrays)
    settings = json.loads((folder / "input.json").read_text(encoding="utf-8"))
    reid = CachedReIdentifier(columns.pop("embedding"), None, engine=settings["model"])
    final_names, started = FinalNames(), clock.perf_counter()
    replay(SimpleNamespace(**settings["site"]), SimpleNamespace(**columns), reid, folder, on_event=final_names)
    cost = {"embedded": reid.embedded, "seconds": clock.perf_counter() - started}
    (folder / "replay.json").write_text(json.dumps(cost), encoding="utf-8")
    (folder / FINAL).mkdir()
    with (folder / "tracks.jsonl").open() as lines, (folder / FINAL / "tracks.jsonl").open("w") as changed:
        for record in map(json.loads, lines):
            name = final_names.of(record["camera"], record["track"], record["identity"])
            changed.write(json.dumps(record | {"identity": name}) + "\n")
