"""Track the cameras of a site from beginning to end and write everything down."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from sdk.errors import DataError
from sdk.events import Listener
from sdk.report import PictureWriter
from sdk.terminal import notes, progress_bar
from sdk.tracking import MultiCameraTracker
from sdk.video.annotate import AnnotatedVideo
from sdk.video.listeners import EventFile, Listeners
from sdk.video.records import RecordWriter
from sdk.video.stopping import stop_on_signals
from sdk.video.summary import Sighting

Ticks = Iterable[tuple[float, dict[str, np.ndarray]]]
"""(time in seconds, frame uint8 BGR `[H, W, 3]` by camera), one a tick."""


def track_videos(
    ticks: Ticks,
    tracker: MultiCameraTracker,
    output: str | Path,
    frame_rates: Mapping[str, float],
    total: int | None = None,
    *,
    listeners: Sequence[Listener] | Listeners = (),
    video: bool = True,
    segment: float | None = None,
) -> list[Sighting]:
    """Run `tracker` over `ticks`; write `<camera>.mp4`, `<camera>.txt`, `tracks.jsonl`, `events.jsonl` into `output`.

    frame_rates: frames a second, by camera, of the videos to write. total: how many ticks there are, for the
    progress bar. listeners: are told of the events of the cameras, where `ticks` are `Sources`, and of the tracker:
    pass the `Listeners` that were given to the tracker as its `on_event`, and `events.jsonl` has both.
    video: whether to write annotated videos; if not, `pictures.jsonl` has the best views of people. segment: seconds of
    frames after which a video begins a new file, so that what is written is safe; None: one file, as long as the
    resolution stays.

    Ctrl-C or SIGTERM ends the run early, within two seconds: the files hold what was seen so far. Returns who was seen
    where and when. Raises `DataError` if `output` cannot be written.
    """
    output = Path(output)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{output}: cannot be made a folder ({error.strerror})") from error
    frames_of: dict[str, int] = {}
    with contextlib.ExitStack() as stack:
        records = stack.enter_context(RecordWriter(output, tracker.identity_of))
        events = listeners if isinstance(listeners, Listeners) else Listeners(listeners)
        file = stack.enter_context(EventFile(output / "events.jsonl"))
        stack.callback(events.remove, file)
        events.add(file)
        for teller in (ticks, tracker):
            stack.enter_context(_listening(teller, events))
        stack.callback(tracker.finish)  # before the records are closed: the last ones wait for it
        videos: dict[str, AnnotatedVideo] = {}
        pictures = None if video else stack.enter_context(PictureWriter(output))
        progress = stack.enter_context(progress_bar())
        bar = progress.add_task("tracking", total=total or None)
        with _ended_early(ticks) as until_asked:
            for time, frames in until_asked:
                for camera, detections in tracker.update(frames, time).items():
                    number = frames_of.get(camera, 0)
                    frames_of[camera] = number + 1
                    records.write(time, camera, number, detections)
                    if pictures is not None:
                        pictures.write(time, camera, frames[camera], detections)
                        continue
                    if camera not in videos:
                        new = AnnotatedVideo(output / f"{camera}.mp4", frame_rates[camera], segment)
                        videos[camera] = stack.enter_context(new)
                    videos[camera].write(frames[camera], detections)
                progress.advance(bar)
    return records.sightings


@contextlib.contextmanager
def _listening(teller: object, events: Listener) -> Iterator[None]:
    """Have the events of `teller`, if it has any to tell, told to `events` beside whoever listens already."""
    before = getattr(teller, "on_event", events)
    if before is events:
        yield
        return
    teller.on_event = events if before is None else Listeners([before, events])
    try:
        yield
    finally:
        teller.on_event = before


@contextlib.contextmanager
def _ended_early(ticks: Ticks) -> Iterator[Ticks]:
    """The ticks until Ctrl-C or SIGTERM; cameras among them are let go of at the end."""
    asked = False

    def stop() -> None:
        nonlocal asked
        asked = True
        if hasattr(ticks, "stop"):
            ticks.stop()

    try:
        with stop_on_signals(stop):
            try:
                yield itertools.takewhile(lambda _: not asked, ticks)
            finally:
                if hasattr(ticks, "close"):
                    ticks.close()
    except KeyboardInterrupt:
        asked = True
    if asked:
        notes.print("interrupted; the files hold what was seen so far")
