"""Sources, tracker and page together, until all have ended."""

import signal
import threading
import time as clock
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sdk.confidential import why
from sdk.errors import DataError
from sdk.report import PictureWriter
from sdk.serve.site import LiveSite
from sdk.video.records import RecordWriter

Ticks = Iterable[tuple[float, dict[str, np.ndarray]]]


def run_site(site: LiveSite, ticks: Ticks, stop: threading.Event, recording: "Recording | None" = None) -> None:
    """Track `ticks` into `site`, and into `recording`, until they have ended or `stop` is set.

    What the tracker raises is passed on, and the site says so.
    """
    reason = "the sources have ended"
    try:
        for time, frames in ticks:
            if stop.is_set():
                return
            with site.turn():
                began = clock.perf_counter()
                tracks = site.tracker.update(frames, time)
                site.take(time, frames, tracks, clock.perf_counter() - began)
            if recording is not None:
                for camera, detections in tracks.items():
                    recording.records.write(time, camera, site.frames_of(camera) - 1, detections)
                    recording.pictures.write(time, camera, frames[camera], detections)
        with site.turn():
            site.tracker.finish()
    except Exception as error:
        reason = f"tracking has stopped: {why(error)}"
        raise
    finally:
        site.end(reason)


@dataclass(frozen=True)
class Recording:
    """What `reid report` reads."""

    folder: Path
    records: RecordWriter
    pictures: PictureWriter


@contextmanager
def record(output: Path, identity_of: Callable[[str, int], str | None]) -> Iterator[Recording]:
    """Record in a folder in `output` that is named after this moment, so that no start overwrites an earlier one.

    identity_of: the tracker's. Raises `DataError` if the folder cannot be made.
    """
    folder = output / clock.strftime("%Y-%m-%dT%H-%M-%S")
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made a folder ({error.strerror})") from error
    with RecordWriter(folder, identity_of) as records, PictureWriter(folder) as pictures:
        yield Recording(folder, records, pictures)


def paced(ticks: Ticks, stop: threading.Event) -> Iterator[tuple[float, dict[str, np.ndarray]]]:
    """Files as if they were live: each tick when its time has come. Where tracking is slower it falls behind."""
    started = None
    for time, frames in ticks:
        now = clock.monotonic()
        started = now - time if started is None else started
        if stop.wait(max(0.0, started + time - now)):
            return
        yield time, frames


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """While inside, Ctrl-C and SIGTERM end what is inside, and nothing else."""

    def end(*_) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
