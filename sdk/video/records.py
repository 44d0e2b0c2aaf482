"""Track records: JSON lines of all cameras together, and MOTChallenge text a camera."""

import contextlib
import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

import supervision as sv

from sdk.errors import DataError
from sdk.names import visible, wrong_with_camera
from sdk.video.run_folder import RunFolder, as_folder
from sdk.video.summary import SINCE_1970, Sighting, Tally, tracks_file

HOLD_SECONDS = 10.0
"""For how long a record waits for its track's identity before it is written without."""
FLUSH_SECONDS = 1.0
"""How much a power failure may lose besides."""


@dataclass
class TrackRecord:
    """One person in one frame."""

    time: float
    """Seconds."""
    camera: str
    frame: int
    """Counted from 0."""
    track: int
    identity: str | None
    box: list[float]
    """x1, y1, x2, y2 in px."""
    confidence: float


def mot_file(camera: str, day: str = "") -> str:
    """What a camera's MOTChallenge text is called; day: as in "2026-11-24", of one that is over."""
    return f"{camera}.{day}.txt" if day else f"{camera}.txt"


class Page:
    """The files of one day's records: JSON lines of all cameras, and MOTChallenge text a camera.

    Whoever writes records, or writes them anew, does it through this, so that both have one form.
    """

    def __init__(self, lines: IO[str], open_mot: Callable[[str], IO[str]], numbers: dict[str, int]):
        """lines: the JSON lines' file. open_mot: opens the text of a camera. numbers: of identities in MOTChallenge
        text, in order of appearance; all pages of a run share them."""
        self._json, self._open_mot, self._numbers = lines, open_mot, numbers
        self._mot: dict[str, IO[str]] = {}

    @property
    def cameras(self) -> list[str]:
        """Those that have a file."""
        return list(self._mot)

    def add_camera(self, camera: str) -> None:
        """Give a camera its file, which may stay empty. Raises `DataError` for a name that no file can have."""
        if camera not in self._mot:
            if wrong := wrong_with_camera(camera):
                raise DataError(f"a camera's name '{visible(camera)}' {wrong}")
            self._mot[camera] = self._open_mot(camera)

    def write(self, record: TrackRecord) -> None:
        """A line in each file; none in the MOTChallenge text for somebody without identity: it has no "somebody"."""
        self._json.write(json.dumps(asdict(record)) + "\n")
        self.add_camera(record.camera)
        if record.identity is None:
            return
        number = self._numbers.setdefault(record.identity, len(self._numbers) + 1)
        x1, y1, x2, y2 = record.box
        box = f"{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f}"
        self._mot[record.camera].write(f"{record.frame + 1},{number},{box},{record.confidence:.4f},-1,-1,-1\n")

    def flush(self) -> None:
        """Hand what was written to the system."""
        for file in (self._json, *self._mot.values()):
            file.flush()

    def close(self) -> None:
        """Close all files."""
        for file in (self._json, *self._mot.values()):
            file.close()


class RecordWriter:
    """Writes `tracks.jsonl` and `<camera>.txt` into a folder, in order of time. A context manager.

    A track learns its identity a moment after it begins. So records wait, up to ten seconds, until
    `identity_of(camera, track)` knows it, and the beginning of a track bears its name too.

    Where the time is a clock's, which counts from 1970, every day has files of its own: when the first record of a new
    day comes, `tracks.jsonl` becomes `tracks.2026-11-24.jsonl`, `dock.txt` `dock.2026-11-24.txt`.

    folder: where to write; in a run's folder, files that the run did not make are not touched.
    """

    def __init__(self, folder: Path | RunFolder, identity_of: Callable[[str, int], str | None]):
        self._folder = as_folder(folder)
        self._identity_of = identity_of
        self._numbers: dict[str, int] = {}
        self._begin_page()
        self._waiting: deque[TrackRecord] = deque()
        self._tally = Tally()
        self._flushed = float("-inf")
        self._day = ""

    def __enter__(self) -> "RecordWriter":
        return self

    def __exit__(self, *_) -> None:
        with self._named():
            try:
                self._flush(float("inf"))
            finally:
                self._page.close()

    @property
    def sightings(self) -> list[Sighting]:
        """Who was seen where and when, in the records written so far."""
        return self._tally.sightings

    def write(self, time: float, camera: str, frame: int, detections: sv.Detections) -> None:
        """Take a camera's tracked detections of one frame, which may be none.

        Raises `DataError` if they cannot be written: the disk is full.
        """
        with self._named():
            self._take(time, camera, frame, detections)

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            name = self._folder.path
            raise DataError(f"{name}: records cannot be written ({error.strerror}); make room there") from error

    def _take(self, time: float, camera: str, frame: int, detections: sv.Detections) -> None:
        self._page.add_camera(camera)
        confidence = detections.confidence
        for i in range(len(detections)):
            box = [round(float(v), 2) for v in detections.xyxy[i]]
            score = 1.0 if confidence is None else round(float(confidence[i]), 4)
            track = int(detections.tracker_id[i])
            self._waiting.append(TrackRecord(round(time, 4), camera, frame, track, None, box, score))
        self._flush(time)
        if time - self._flushed >= FLUSH_SECONDS:
            self._flushed = time
            self._page.flush()

    def _flush(self, now: float) -> None:
        while self._waiting:
            record = self._waiting[0]
            record.identity = self._identity_of(record.camera, record.track)
            if record.identity is None and abs(now - record.time) < HOLD_SECONDS:  # farther: the clock was set back
                return
            self._write(self._waiting.popleft())

    def _begin_page(self) -> None:
        self._json = self._folder.open(tracks_file())
        self._page = Page(self._json, lambda camera: self._folder.open(mot_file(camera)), self._numbers)

    def _turn_the_page(self, time: float) -> None:
        """Put yesterday's files aside if `time` is of another day."""
        day = f"{datetime.fromtimestamp(time):%Y-%m-%d}"
        if self._day and day > self._day:
            self._page.close()
            self._folder.rename(tracks_file(), tracks_file(self._day))
            for camera in self._page.cameras:
                self._folder.rename(mot_file(camera), mot_file(camera, self._day))
            self._begin_page()
        self._day = max(day, self._day)

    def _write(self, record: TrackRecord) -> None:
        if record.time >= SINCE_1970:
            self._turn_the_page(record.time)
        self._page.write(record)
        self._tally.add(record.identity, record.camera, record.time, record.track)
