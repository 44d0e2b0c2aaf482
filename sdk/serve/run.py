"""Sources, tracker and page together, until all have ended."""

import signal
import threading
import time as clock
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from sdk.serve.site import LiveSite

Ticks = Iterable[tuple[float, dict[str, np.ndarray]]]


def run_site(site: LiveSite, ticks: Ticks, stop: threading.Event) -> None:
    """Track `ticks` into `site` until they or the site are ended; what the tracker raises is passed on."""
    reason = "the sources have ended"
    try:
        for time, frames in ticks:
            if stop.is_set():
                return
            with site.turn():
                began = clock.perf_counter()
                tracks = site.tracker.update(frames, time)
                site.take(time, frames, tracks, clock.perf_counter() - began)
        with site.turn():
            site.tracker.finish()
    except Exception as error:
        reason = f"tracking has stopped: {error}"
        raise
    finally:
        site.end(reason)


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
