"""Pictures of people that are kept while cameras run, for a report about cameras of which no video is written."""

import base64
import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sdk.errors import DataError
from sdk.reading import NUMBER, read_lines
from sdk.report.thumbnails import thumbnail
from sdk.report.visits import Visit, views
from sdk.video.run_folder import RunFolder, as_folder

NAME = "pictures.jsonl"
BETTER = 1.3
"""How many times the worth of a track's last picture a view must have to be kept too: a handful of pictures a track."""
FORGET_SECONDS = 60.0
"""After this long unseen a track does not come back."""
SLACK = 0.5
"""Seconds by which a picture may lie outside its visit: records have their times rounded."""

FIELDS = {"time": NUMBER, "camera": str, "track": int, "worth": NUMBER, "jpeg": str}


class PictureWriter:
    """Writes `pictures.jsonl` into a folder: the first view of every track, and those that are much better.

    A context manager. A line holds time, camera, track, worth and the JPEG in base64: about 5 kB.
    """

    def __init__(self, folder: Path | RunFolder):
        self._file = as_folder(folder).open(NAME, buffering=1)
        self._best: dict[tuple[str, int], tuple[float, float]] = {}

    def __enter__(self) -> "PictureWriter":
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def write(self, time: float, camera: str, frame: np.ndarray, detections) -> None:
        """Take a frame uint8 BGR `[H, W, 3]` and the tracked `sv.Detections` in it."""
        for row, box, value in views(detections):
            track = int(detections.tracker_id[row])
            best, _ = self._best.get((camera, track), (0.0, time))
            if value > BETTER * best and (jpeg := thumbnail(frame, box, line=0)) is not None:
                best = value
                line = {"time": time, "camera": camera, "track": track, "worth": round(value, 2)}
                self._file.write(json.dumps(line | {"jpeg": base64.b64encode(jpeg).decode()}) + "\n")
            self._best[camera, track] = best, time
        if len(self._best) > 1000:
            self._best = {key: item for key, item in self._best.items() if time - item[1] < FORGET_SECONDS}


def kept_pictures(visits: list[Visit], folder: Path) -> Mapping[int, bytes]:
    """JPEG of the best picture of each visit that `pictures.jsonl` has one of, by its index in `visits`.

    Raises `DataError` naming a line that is no picture.
    """
    path = folder / NAME
    if not path.is_file():
        return {}
    of_track: dict[tuple[str, int], list[int]] = defaultdict(list)
    for index, visit in enumerate(visits):
        for track in visit.tracks:
            of_track[visit.camera, track].append(index)
    best: dict[int, tuple[float, str]] = {}
    for line in read_lines(path, FIELDS):
        for index in of_track.get((line["camera"], line["track"]), ()):
            visit = visits[index]
            inside = visit.first - SLACK <= line["time"] <= visit.last + SLACK
            if inside and line["worth"] > best.get(index, (0.0, ""))[0]:
                best[index] = line["worth"], line["jpeg"]
    try:
        return {index: base64.b64decode(jpeg, validate=True) for index, (_, jpeg) in best.items()}
    except ValueError:
        raise DataError(f"{path}: a picture in it is not base64; remove the file") from None
