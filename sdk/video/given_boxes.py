"""Boxes that another program has found, read from files: MOTChallenge's `det.txt`, or JSON Lines, one file a camera."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import supervision as sv

from sdk.errors import DataError
from sdk.reading import LARGEST, mot_values, parse_json
from sdk.video.sources import Sources

FORMS = ("{}.txt", "{}/det/det.txt", "{}/det.txt", "{}.jsonl")
"""Where the boxes of a camera may be, in the folder."""
EXAMPLE = '{"frame": 0, "xyxy": [[x1, y1, x2, y2], …], "confidence": [0.9, …]}'

Key = float | int
"""Of a frame: its number, counted from 0, or its time in s."""


class GivenBoxes:
    """The boxes of all frames of recordings. Called with each tick, it gives those of its frames.

    A frame that the files do not name has no boxes.
    """

    def __init__(self, folder: str | Path, frame_rates: Mapping[str, float]):
        """frame_rates: frames a second by camera: a time in a file means the frame that is less than half a frame away.

        Raises `DataError` for a camera without a file, or naming the file and line that is no box.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; name one with a file of boxes a camera")
        self._half = {camera: 0.5 / rate for camera, rate in frame_rates.items()}
        self._by_frame: dict[str, dict[int, np.ndarray]] = {}
        self._by_time: dict[str, tuple[np.ndarray, list[np.ndarray]]] = {}
        self._next = dict.fromkeys(frame_rates, 0)
        for camera in frame_rates:
            path = find_boxes(folder, camera)
            rows = _mot_rows(path) if path.suffix == ".txt" else _json_rows(path)
            timed, boxes = _collect(path, rows)
            if timed:
                self._by_time[camera] = np.array(list(boxes), float), list(boxes.values())
            else:
                self._by_frame[camera] = boxes

    def __call__(self, time: float, frames: Iterable[str]) -> dict[str, sv.Detections]:
        """The boxes of the next frame of each of these cameras; time: of the tick, s."""
        found = {}
        for camera in frames:
            number = self._next[camera]
            self._next[camera] += 1
            rows = self._by_frame[camera].get(number) if camera in self._by_frame else self._at(camera, time)
            rows = np.zeros((0, 5), np.float32) if rows is None else rows
            found[camera] = sv.Detections(
                xyxy=rows[:, :4].copy(), confidence=rows[:, 4].copy(), class_id=np.zeros(len(rows), int)
            )
        return found

    def _at(self, camera: str, time: float) -> np.ndarray | None:
        times, boxes = self._by_time[camera]
        if not len(times):
            return None
        after = int(np.searchsorted(times, time))
        nearest = min((i for i in (after - 1, after) if 0 <= i < len(times)), key=lambda i: abs(times[i] - time))
        return boxes[nearest] if abs(times[nearest] - time) < self._half[camera] else None


def given_boxes(folder: Path, detector: str | None, site: Sources) -> GivenBoxes:
    """The boxes of a site's recordings, as a command line names them. Raises `DataError` as `GivenBoxes`, and where a
    detector is named too, or a camera is live."""
    if detector is not None:
        raise DataError(f"{folder} has the boxes, so no detector looks; leave out --detector or --detections")
    if site.live:
        raise DataError(f"{folder}: boxes from files are of recordings; for live cameras call update(…, detections=…)")
    return GivenBoxes(folder, site.frame_rates)


def find_boxes(folder: Path, camera: str) -> Path:
    """The file with a camera's boxes. Raises `DataError` saying what it might be called."""
    names = [form.format(camera) for form in FORMS]
    there = [folder / name for name in names if (folder / name).is_file()]
    if len(there) > 1:
        raise DataError(f"{there[0]} and {there[1].name}: two files with the boxes of '{camera}'; remove one of them")
    if not there:
        raise DataError(f"{folder}: no boxes of the camera '{camera}'; write them to {' or '.join(names)} there")
    return there[0]


def _collect(path: Path, rows: Iterator[tuple[bool, Key, list]]) -> tuple[bool, dict[Key, np.ndarray]]:
    """(whether the keys are times, boxes and confidence float32 `[N, 5]` by key, in order)."""
    boxes: dict[Key, list] = defaultdict(list)
    kinds = set()
    for timed, key, found in rows:
        kinds.add(timed)
        if len(kinds) > 1:
            raise DataError(f"{path}: some lines have a frame and some a time; give all of them one of the two")
        boxes[key] += found
    made = {key: np.array(boxes[key], np.float32).reshape(-1, 5) for key in sorted(boxes)}
    return kinds == {True}, made


def _mot_rows(path: Path) -> Iterator[tuple[bool, Key, list]]:
    """Of lines `frame,id,left,top,width,height[,confidence,…]`; frames are counted from 1 there."""
    for number, line in _lines(path):
        try:
            values = mot_values(line.strip().removesuffix(","))
        except ValueError:
            values = []
        if len(values) < 6 or values[0] < 1 or values[0] % 1 or min(values[4:6]) <= 0:
            raise DataError(
                f"{path}: line {number} is no box; write frame (from 1),-1,left,top,width,height,confidence in numbers"
            )
        frame, _, x, y, width, height, *more = values
        yield False, int(frame) - 1, [[x, y, x + width, y + height, _share(more[0]) if more else 1.0]]


def _json_rows(path: Path) -> Iterator[tuple[bool, Key, list]]:
    """Of lines as `EXAMPLE`, or with `time` in place of `frame`; one box may stand without the outer brackets."""
    for number, line in _lines(path):
        try:
            row = parse_json(line)
        except ValueError:
            row = None
        found = _boxes(row) if isinstance(row, dict) else None
        if found is None:
            raise DataError(
                f'{path}: line {number} is no frame with boxes; write {EXAMPLE}, or "time" in s for "frame"'
            )
        yield found


def _boxes(row: dict) -> tuple[bool, Key, list] | None:
    timed = "time" in row and "frame" not in row
    key, boxes, sure = row.get("time" if timed else "frame"), row.get("xyxy"), row.get("confidence")
    if not _is_number(key) or key < 0 or (not timed and not isinstance(key, int)) or not isinstance(boxes, list):
        return None
    if boxes and not isinstance(boxes[0], list):
        boxes, sure = [boxes], None if sure is None else [sure]
    sure = [1.0] * len(boxes) if sure is None else sure
    if not isinstance(sure, list) or len(sure) != len(boxes) or not all(map(_is_number, sure)):
        return None
    if not all(isinstance(box, list) and len(box) == 4 and all(map(_is_number, box)) for box in boxes):
        return None
    if not all(x2 > x1 and y2 > y1 for x1, y1, x2, y2 in boxes):
        return None
    return timed, key, [[*box, _share(value)] for box, value in zip(boxes, sure, strict=True)]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, line) of those that are not empty. Raises `DataError` if the file cannot be read."""
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, line
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: cannot be read as text ({error}); write UTF-8") from error


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def _share(confidence: float) -> float:
    return min(max(float(confidence), 0.0), 1.0)
