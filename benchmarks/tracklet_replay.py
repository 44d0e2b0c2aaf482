"""Real tracklets in order of time through the tracker, in stand-ins for its frames; `real_association.py` says how.

It may also run with the `sdk` of another checkout (`other_checkout.py`).
"""

import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import other_checkout
import supervision as sv
from final_names import FinalNames
from market_tracklets import STARTS, Tracklets

from sdk.reidentifier import Features, ReIdentifier
from sdk.terminal import track
from sdk.tracking import MultiCameraTracker
from sdk.video.records import RecordWriter

RATE = 10
"""Frames a second."""
EMPTY_SECONDS, IDLE_SECONDS = 3.0, 10.0
"""For how long a camera still has frames in which nobody is, and the tracker still runs when nobody is anywhere."""
CELL, BOX, COLUMNS, LINES = (320, 180), (48, 96), 4, 3
"""Width and height of the part of a frame in which a box has its place, and of the box, px; parts of a frame."""
MARK = 8
"""Side in px of the square in a box's middle whose colour is the number of its crop."""


class Stage:
    """One camera's picture: who is in view has a place of their own, whose colour in the middle tells the crop."""

    def __init__(self, seed: int):
        self._picture = np.zeros((CELL[1] * LINES, CELL[0] * COLUMNS, 3), np.uint8)
        self._places: dict[int, int] = {}
        self._left = [-(10**9)] * (COLUMNS * LINES)
        self._rng = np.random.default_rng(seed)
        self.boxes = np.zeros((0, 4), np.float32)

    def show(self, shown: dict[int, int], tick: int) -> np.ndarray:
        """The frame in which these tracklets show these crops; `boxes` are theirs, in the same order."""
        for gone in self._places.keys() - shown.keys():
            place = self._places.pop(gone)
            self._left[place] = tick
            x, y = self._corner(place)
            self._picture[y : y + BOX[1], x : x + BOX[0]] = 0
        boxes = []
        for tracklet, crop in shown.items():
            if tracklet not in self._places:  # where nobody has been for longest
                free = set(range(len(self._left))) - set(self._places.values())
                self._places[tracklet] = min(free, key=lambda place: (self._left[place], place))
            x, y = self._corner(self._places[tracklet])
            box = self._picture[y : y + BOX[1], x : x + BOX[0]]
            box[:] = self._rng.integers(256)
            middle = box[(BOX[1] - MARK) // 2 : (BOX[1] + MARK) // 2, (BOX[0] - MARK) // 2 : (BOX[0] + MARK) // 2]
            middle[:] = crop % 256, crop // 256 % 256, crop // 65536
            boxes.append((x, y, x + BOX[0], y + BOX[1]))
        self.boxes = np.array(boxes, np.float32).reshape(-1, 4)
        return self._picture

    def detect(self, _frame: np.ndarray) -> sv.Detections:
        count = len(self.boxes)
        return sv.Detections(self.boxes.copy(), confidence=np.ones(count), class_id=np.zeros(count, int))

    @staticmethod
    def _corner(place: int) -> tuple[int, int]:
        return (
            CELL[0] * (place % COLUMNS) + (CELL[0] - BOX[0]) // 2,
            CELL[1] * (place // COLUMNS) + (CELL[1] - BOX[1]) // 2,
        )


class LookedUp(ReIdentifier):
    """Knows the features of the crops that a `Stage` shows."""

    def __init__(self, embedding: np.ndarray, model: Path | None):
        super().__init__(model)
        self._embedding = embedding

    def embed(self, crops, camera=None) -> Features:
        middles = np.array([crop[crop.shape[0] // 2, crop.shape[1] // 2] for crop in crops], int)
        return Features(self._embedding[middles @ [1, 256, 65536]])


def ticks(tracklets: Tracklets) -> Iterator[tuple[int, dict[int, dict[int, int]]]]:
    """(tick, {camera: {tracklet: crop}}) of all ticks at which something is to be done, in order."""
    seen: dict[int, dict[int, dict[int, int]]] = defaultdict(dict)
    crops = np.split(np.argsort(tracklets.tracklet, kind="stable"), np.cumsum(tracklets.crops)[:-1])
    awake: set[int] = set()
    for number, rows in enumerate(crops):
        camera = int(tracklets.camera[number])
        frames = np.round(tracklets.time[rows] * RATE).astype(int)
        starts = np.unique(frames)
        ends = [*starts[1:], round(float(tracklets.last[number]) * RATE)]
        for start, end in zip(starts, ends, strict=True):
            here = rows[frames == start]
            for tick in range(start, end):
                seen[tick].setdefault(camera, {})[number] = int(here[(tick - start) % len(here)])
        awake.update(range(frames[0], ends[-1] + int(IDLE_SECONDS * RATE)))
    until: dict[int, int] = {}
    for tick in sorted(awake):
        now = seen.get(tick, {})
        until |= dict.fromkeys(now, tick + int(EMPTY_SECONDS * RATE))
        yield tick, {camera: now.get(camera, {}) for camera, end in sorted(until.items()) if tick <= end}


def tracked(tracklets: Tracklets, model: Path | None, **options) -> dict[str, np.ndarray]:
    """Names of the tracklets by the tracker, object `[T]`, None without one: as recorded, and at the end.

    options: of `MultiCameraTracker`.
    """
    stages = {f"c{camera}": Stage(camera) for camera in STARTS}
    final_names = FinalNames()
    tracker = MultiCameraTracker(
        LookedUp(tracklets.embedding, model),
        {name: stage.detect for name, stage in stages.items()},
        frame_rate=RATE,
        on_event=final_names,
        **options,
    )
    owner: dict[tuple[str, int, float, float], int] = {}
    steps = list(ticks(tracklets))
    with tempfile.TemporaryDirectory() as folder:
        with RecordWriter(Path(folder), tracker.identity_of) as records:
            for tick, cameras in track(steps, f"{len(tracklets)} tracklets", total=len(steps)):
                frames = {}
                for camera, shown in cameras.items():
                    name = f"c{camera}"
                    frames[name] = stages[name].show(shown, tick)
                    corners = stages[name].boxes[:, :2].tolist()
                    owner |= {(name, tick, *corner): one for corner, one in zip(corners, shown, strict=True)}
                for name, detections in tracker.update(frames, tick / RATE).items():
                    records.write(tick / RATE, name, tick, detections)
            tracker.finish()
        votes = [Counter() for _ in range(len(tracklets))], [Counter() for _ in range(len(tracklets))]
        with (Path(folder) / "tracks.jsonl").open(encoding="utf-8") as lines:
            for record in map(json.loads, lines):
                one = owner[(record["camera"], record["frame"], *record["box"][:2])]
                votes[0][one][record["identity"]] += 1
                votes[1][one][final_names.of(record["camera"], record["track"], record["identity"])] += 1
    recorded, final = (np.array([v.most_common(1)[0][0] if v else None for v in arm], object) for arm in votes)
    return {"as it comes": recorded, "as it comes, names at the end": final}


def tracked_elsewhere(checkout: Path, tracklets: Tracklets, model: Path | None) -> dict[str, np.ndarray]:
    """The same by the tracker of another checkout."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "input.npz", **{f.name: getattr(tracklets, f.name) for f in fields(tracklets)})
        (Path(folder) / "input.json").write_text(json.dumps({"model": str(model.resolve()) if model else None}))
        other_checkout.run_elsewhere(checkout, "tracklet_replay:track_folder", Path(folder))
        arms = json.loads((Path(folder) / "names.json").read_text(encoding="utf-8"))
    before = other_checkout.title(checkout)
    return {arm.replace("as it comes", before): np.array(names, object) for arm, names in arms.items()}


def track_folder(folder: Path) -> None:
    """`tracked` of the folder's input; into `names.json`."""
    with np.load(folder / "input.npz") as arrays:
        tracklets = Tracklets(**arrays)
    model = json.loads((folder / "input.json").read_text())["model"]
    names = tracked(tracklets, Path(model) if model else None)
    text = json.dumps({arm: of_arm.tolist() for arm, of_arm in names.items()})
    (folder / "names.json").write_text(text, encoding="utf-8")
