"""What a run writes down: records, events, and videos or pictures of the people."""

import contextlib
from collections import Counter
from collections.abc import Mapping

import numpy as np
import supervision as sv

from sdk.event_sinks import json_lines_sink
from sdk.events import Event
from sdk.report import PictureWriter
from sdk.tracking import MultiCameraTracker
from sdk.video.annotate import AnnotatedVideo
from sdk.video.history import EVENTS
from sdk.video.observer import ENDED
from sdk.video.records import RecordWriter
from sdk.video.run_folder import RunFolder
from sdk.video.summary import Sighting
from sdk.video.zones import write_zones
from sdk.zones.ledger import KINDS

MOST_EVENTS = 100_000
"""That wait for a disk that is full or slow; about 30 MB."""
CLOSE_SECONDS = 10.0
"""For the last events to reach the disk."""


class Recorder:
    """Writes into a run folder what `reid report` and others read. An observer, a listener and a context manager.

    `tracks.jsonl` and `<camera>.txt` (see `RecordWriter`), `events.jsonl`, and either `<camera>.mp4` with everybody's
    box and name, or `pictures.jsonl` with the best views of people. All is on disk when the run ends.
    """

    def __init__(
        self,
        folder: RunFolder,
        tracker: MultiCameraTracker,
        frame_rates: Mapping[str, float] | None = None,
        *,
        video: bool = True,
        segment: float | None = None,
    ):
        """frame_rates: frames per second of the videos, by camera; needed for videos alone. segment: seconds of frames
        after which a video begins a new file, so that what is written is safe; None: one file, as long as the
        resolution stays. Raises `DataError` if the files cannot be written.
        """
        self.folder = folder
        self._frame_rates, self._segment = frame_rates or {}, segment
        self._frames: Counter[str] = Counter()
        self._videos: dict[str, AnnotatedVideo] = {}
        self._closed = self._zones = False
        with contextlib.ExitStack() as stack:
            self._records = stack.enter_context(RecordWriter(folder, tracker.identity_of))
            self.events = json_lines_sink(folder.claim(EVENTS), capacity=MOST_EVENTS)
            """Where `listen` sends them; a `Delivery`, which counts what could not be written."""
            stack.callback(self.events.close, CLOSE_SECONDS)
            self._pictures = None if video else stack.enter_context(PictureWriter(folder))
            self._open = stack.pop_all()

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    @property
    def sightings(self) -> list[Sighting]:
        """Who was seen where and when, in the records written so far."""
        return self._records.sightings

    def listen(self, event: Event) -> None:
        """Take an event: a listener, as `sdk.events` has it."""
        if not self._closed:
            self._zones |= event.kind in KINDS
            self.events(event)

    def take(
        self, time: float, frames: Mapping[str, np.ndarray], tracks: Mapping[str, sv.Detections], seconds: float
    ) -> None:
        """One tick: an observer, as `sdk.video.run` has it. Raises `DataError` if it cannot be written."""
        for camera, detections in tracks.items():
            self._records.write(time, camera, self._frames[camera], detections)
            self._frames[camera] += 1
            if self._pictures is not None:
                self._pictures.write(time, camera, frames[camera], detections)
            else:
                self._video(camera).write(frames[camera], detections)

    def end(self, reason: str) -> None:
        """The run is over; its folder says whether it went to the end."""
        self.folder.interrupted = reason != ENDED
        self.close()

    def close(self) -> None:
        """Write what still waits, and close all files; once."""
        if self._closed:
            return
        self._closed = True
        self._open.close()
        if self._zones:
            write_zones(self.folder)

    def _video(self, camera: str) -> AnnotatedVideo:
        if camera not in self._videos:
            path = self.folder.path / f"{camera}.mp4"
            video = AnnotatedVideo(path, self._frame_rates[camera], self._segment, self.folder)
            self._videos[camera] = self._open.enter_context(video)
        return self._videos[camera]
