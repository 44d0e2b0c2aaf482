"""The loop of every run: ticks go through the tracker, and whoever observes the run sees what came of them.

`reid track` and `reid serve` differ in their observers alone: what is written (`recorder.py`), a live page
(`sdk.serve.LiveSite`), a progress bar.
"""

import time as clock
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import supervision as sv

from sdk.confidential import why
from sdk.events import Listener, listening
from sdk.terminal import notes, progress_bar
from sdk.tracking import MultiCameraTracker
from sdk.video.observer import ENDED, INTERRUPTED, Observer
from sdk.video.origin import remember_origin
from sdk.video.recorder import Recorder
from sdk.video.run_folder import RunFolder
from sdk.video.sources import Sources
from sdk.video.stopping import stop_on_signals
from sdk.video.summary import Sighting

Ticks = Iterable[tuple[float, dict[str, np.ndarray]]]
"""(time in seconds, frame uint8 BGR `[H, W, 3]` by camera), one a tick."""

Boxes = Callable[[float, Mapping[str, np.ndarray]], Mapping[str, sv.Detections]]
"""(time in seconds, frames) → the people in them, by camera."""


def run(
    ticks: Ticks,
    tracker: MultiCameraTracker,
    observers: Sequence[Observer] = (),
    stopped: Callable[[], bool] = lambda: False,
    boxes: Boxes | None = None,
) -> str:
    """Track `ticks`, and let `observers` see it, until the ticks end, `stopped()` says so, or Ctrl-C or SIGTERM comes.

    A signal ends the run within two seconds; everything is written then as at a usual end. Signals reach the main
    thread alone: in another it is `stopped` that ends a run. Every tick is one turn of the tracker
    (`MultiCameraTracker.turn`), observers included. boxes: brings who is in the frames; None: the detectors look.

    Returns why it ended: `ENDED` or `INTERRUPTED`. What tracker, sources or observers raise is passed on, after all
    observers were told of the end.
    """
    asked = False

    def stop() -> None:
        nonlocal asked
        asked = True
        if hasattr(ticks, "stop"):
            ticks.stop()

    reason = ENDED
    try:
        try:
            with stop_on_signals(stop):
                try:
                    for time, frames in ticks:
                        if asked or stopped():
                            break
                        _take_turn(time, frames, tracker, observers, boxes)
                finally:
                    if hasattr(ticks, "close"):
                        ticks.close()
        except KeyboardInterrupt:
            asked = True
        reason = INTERRUPTED if asked or stopped() else ENDED
        tracker.finish()
    except Exception as error:
        reason = f"tracking has stopped: {why(error)}"
        raise
    finally:
        _end(observers, reason)
    return reason


def _take_turn(
    time: float, frames: dict[str, np.ndarray], tracker: MultiCameraTracker, observers, boxes: Boxes | None
) -> None:
    with tracker.turn():
        began = clock.perf_counter()
        tracks = tracker.update(frames, time) if boxes is None else tracker.update(frames, time, boxes(time, frames))
        seconds = clock.perf_counter() - began
        for observer in observers:
            observer.take(time, frames, tracks, seconds)


def _end(observers: Sequence[Observer], reason: str) -> None:
    """Tell all, even where one of them fails."""
    if observers:
        try:
            observers[0].end(reason)
        finally:
            _end(observers[1:], reason)


class ProgressBar:
    """An observer that counts the ticks on the terminal."""

    def __init__(self, total: int | None = None):
        """total: how many ticks there are, as far as that is known."""
        self._progress = progress_bar()
        self._bar = self._progress.add_task("tracking", total=total or None)
        self._progress.start()

    def take(self, time: float, frames, tracks, seconds: float) -> None:
        self._progress.advance(self._bar)

    def end(self, reason: str) -> None:
        self._progress.stop()


def track_videos(
    ticks: Ticks,
    tracker: MultiCameraTracker,
    output: str | Path,
    frame_rates: Mapping[str, float],
    total: int | None = None,
    *,
    listeners: Iterable[Listener] = (),
    video: bool = True,
    segment: float | None = None,
    overwrite: bool = False,
) -> list[Sighting]:
    """Run `tracker` over `ticks` and record it in the run folder `output`, as `Recorder` does.

    frame_rates: frames per second, by camera, of the videos to write. total: how many ticks there are, for the
    progress bar. listeners: are told of the events of the tracker, and of the cameras where `ticks` are `Sources`;
    `events.jsonl` has both. video, segment: see `Recorder`. overwrite: whether a run that is in `output` already is
    replaced.

    Ctrl-C or SIGTERM ends the run early, within two seconds: the files hold what was seen so far. Returns who was seen
    where and when. Raises `DataError` if `output` cannot be written, or holds something that must not be replaced.
    """
    with (
        RunFolder(output, "track_videos", overwrite) as folder,
        Recorder(folder, tracker, frame_rates, video=video, segment=segment) as recorder,
        listening((ticks, tracker), (*listeners, recorder.listen)),
    ):
        if isinstance(ticks, Sources):
            remember_origin(folder, ticks, segment=segment)
        if run(ticks, tracker, [recorder, ProgressBar(total)]) == INTERRUPTED:
            notes.print("interrupted; the files hold what was seen so far")
    return recorder.sightings
