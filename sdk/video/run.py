"""Track a set of videos from beginning to end and write everything down."""

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from sdk.errors import DataError
from sdk.terminal import notes, progress_bar
from sdk.tracking import MultiCameraTracker
from sdk.video.annotate import AnnotatedVideo
from sdk.video.records import RecordWriter
from sdk.video.summary import Sighting, read_sightings

Ticks = Iterable[tuple[float, dict[str, np.ndarray]]]
"""(time in seconds, frame uint8 BGR `[H, W, 3]` by camera), one a tick."""


def track_videos(
    ticks: Ticks,
    tracker: MultiCameraTracker,
    output: str | Path,
    frame_rates: Mapping[str, float],
    total: int | None = None,
) -> list[Sighting]:
    """Run `tracker` over `ticks`; write `<camera>.mp4`, `<camera>.txt` and `tracks.jsonl` into `output`.

    frame_rates: frames a second, by camera, of the videos to write. total: how many ticks there are, for the
    progress bar. Ctrl-C ends the run early: the files hold what was
    seen so far. Returns who was seen where and when. Raises `DataError` if `output` cannot be written.
    """
    output = Path(output)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{output}: cannot be made a folder ({error.strerror})") from error
    frames_of: dict[str, int] = {}
    with contextlib.ExitStack() as stack:
        records = stack.enter_context(RecordWriter(output, tracker.identity_of))
        stack.callback(tracker.finish)  # before the records are closed: the last ones wait for it
        videos: dict[str, AnnotatedVideo] = {}
        progress = stack.enter_context(progress_bar())
        bar = progress.add_task("tracking", total=total or None)
        stack.enter_context(_ended_by_ctrl_c())
        for time, frames in ticks:
            for camera, detections in tracker.update(frames, time).items():
                if camera not in videos:
                    video = AnnotatedVideo(output / f"{camera}.mp4", frame_rates[camera])
                    videos[camera] = stack.enter_context(video)
                number = frames_of.get(camera, 0)
                records.write(time, camera, number, detections)
                videos[camera].write(frames[camera], detections)
                frames_of[camera] = number + 1
            progress.advance(bar)
    return read_sightings(output / "tracks.jsonl")


@contextlib.contextmanager
def _ended_by_ctrl_c():
    try:
        yield
    except KeyboardInterrupt:
        notes.print("interrupted; the files hold what was seen so far")
