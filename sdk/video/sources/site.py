"""All cameras of a site in step: iterate over it."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from sdk.errors import DataError
from sdk.events import Event, Listener, Listeners
from sdk.video.pace import paced
from sdk.video.sources.address import parse_addresses
from sdk.video.sources.capture import open_capture
from sdk.video.sources.feed import FileFeed, LiveFeed
from sdk.video.sources.patience import Patience
from sdk.video.sources.reader import join_all
from sdk.video.sources.report import CameraReport

LIVE_RATE = 10.0
"""Ticks a second where a camera is live, unless told otherwise."""
NAP = 0.1
"""Seconds until it is looked again whether to stop."""


class Sources:
    """Cameras by their addresses. Iterating gives ticks; a context manager that lets the cameras go.

    Files and folders alone are read as fast as they are wanted, every frame at the time that is stamped on it, on their
    common clock, which begins at 0: a tick is a moment that has a frame. As soon as one source is live, ticks keep pace
    with the clock: `time` is the system's, and of a live camera each tick has the newest frame, or none where none has
    come since.
    """

    def __init__(
        self,
        addresses: Sequence[str | Path],
        rate: float | None = None,
        on_event: Listener | None = None,
        patience: Patience | None = None,
        seconds: float | None = None,
        realtime: bool = False,
    ):
        """addresses: see `parse_address`. rate: ticks a second of a live site; None: 10, or those of the fastest file.
        on_event: the first listener; see `add_listener`. patience: None: the usual.
        seconds: after which to end; None: with the last source, which live cameras never do.
        realtime: files alone play at their own speed, every frame; where who takes them is slower, they fall behind.
        Of a gap in which nothing was recorded a few seconds are waited. Their times stay those of their clock.

        Raises `DataError` naming a file that is missing or cannot be decoded. A live camera that cannot be reached is
        no error: it is reported as lost, and comes when it comes.
        """
        if rate is not None and not 0 < rate <= 240:
            raise DataError(f"{rate} ticks a second are impossible; choose up to 240")
        self.addresses = parse_addresses(addresses)
        self.live = any(address.live for address in self.addresses)
        """Whether a source is live, and the time the system's."""
        self.realtime = realtime
        self._listeners = Listeners([] if on_event is None else [on_event])
        self._patience = patience or Patience()
        self._limit = float("inf") if seconds is None else seconds
        self._now = 0.0
        self._stopped = False  # not an Event, whose lock a signal handler could find taken by its own thread
        self._closed = False
        self._feeds: dict[str, FileFeed | LiveFeed] = {}
        for address in self.addresses:
            self._feeds[address.name] = self._open(address)
        rates = {name: feed.frame_rate for name, feed in self._feeds.items()}
        of_files = [rates[address.name] for address in self.addresses if not address.live]
        self.tick_rate = (rate or max(LIVE_RATE, *of_files, 0)) if self.live else max(of_files)
        """Ticks a second of a live site, at a `rate` below a file's that file takes longer; of files those that the
        fastest says to have."""
        self.frame_rates = {name: min(own, self.tick_rate) for name, own in rates.items()}
        """Frames a second of each camera that there are at most."""

    def _open(self, address) -> FileFeed | LiveFeed:
        def tell(kind: str, **detail) -> None:
            self._listeners(Event(self._now, kind, camera=address.name, detail=detail))

        if address.live:
            if address.ends:
                open_capture(address, self._patience).close()  # a file that is none is told at once
            return LiveFeed(address, self._patience, tell)
        return FileFeed(address, open_capture(address, self._patience), tell)

    def add_listener(self, listener: Listener) -> None:
        """Tell `listener` of cameras that are lost, back, frozen, changed or ended, from the thread that iterates."""
        self._listeners.add(listener)

    def remove_listener(self, listener: Listener) -> None:
        """Tell `listener` no more, if it is still told."""
        self._listeners.remove(listener)

    def __enter__(self) -> "Sources":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    @property
    def cameras(self) -> list[str]:
        """The names, in the order of the addresses."""
        return list(self._feeds)

    @property
    def ticks(self) -> int:
        """Ticks until the longest file ends, as the headers say, which may be wrong; 0 if none says, or the site is
        live."""
        if self.live:
            return 0
        most = self._limit * self.tick_rate
        return max(0, *(round(min(most, f.frames / f.frame_rate * self.tick_rate)) for f in self._feeds.values()))

    @property
    def reports(self) -> list[CameraReport]:
        """What became of each camera so far."""
        return [feed.report for feed in self._feeds.values()]

    def stop(self) -> None:
        """End the iteration at its next tick, or pause; may be called from any thread and from a signal handler."""
        self._stopped = True

    def close(self) -> None:
        """Let all cameras go, within a second or so; a driver that does not come back is left to itself."""
        self._stopped = True
        if self._closed:
            return
        self._closed = True
        started = [feed for feed in self._feeds.values() if feed.reader is not None]
        for feed in started:
            feed.close_report()
        join_all([feed.reader for feed in started], self._patience.closing)

    def __iter__(self) -> Iterator[tuple[float, dict[str, np.ndarray]]]:
        """Yield (time in seconds, frame uint8 BGR `[H, W, 3]` by camera), tick by tick; once.

        A slower camera is left out of the ticks in which it has no new frame, one that has ended of all later. Files
        have no ticks without any frame, however long a gap; a live site has them, so that the tracker knows the time.
        """
        for feed in self._feeds.values():
            feed.start()
        try:
            ticks = self._clocked() if self.live else self._stamped()
            yield from paced(ticks, lambda: self._stopped) if self.realtime and not self.live else ticks
        finally:
            self.close()

    def _stamped(self) -> Iterator[tuple[float, dict[str, np.ndarray]]]:
        while not self._stopped:
            if not all(feed.wait(NAP) for feed in self._feeds.values()):
                continue
            waiting = {name: feed for name, feed in self._feeds.items() if not feed.ended}
            now = min((feed.time for feed in waiting.values()), default=self._limit)
            if now >= self._limit:
                return
            # Half a frame: rates that are no multiples of each other meet at the nearest tick.
            until = now + 0.5 * min(feed.interval for feed in waiting.values())
            self._now = now
            yield now, {name: feed.pop() for name, feed in waiting.items() if feed.time <= until}
            self._now = now + min(feed.interval for feed in waiting.values())

    def _clocked(self) -> Iterator[tuple[float, dict[str, np.ndarray]]]:
        # The system's clock is asked once: it may be set while we run, and records must stay in order.
        begin, started, tick = time.time(), time.monotonic(), 0
        while not self._stopped and not self._ended:
            elapsed = time.monotonic() - started
            if elapsed >= self._limit:
                return
            self._now = begin + elapsed
            yield self._now, self._take(elapsed)
            # A tick that took too long swallows those after it instead of putting all later ones off.
            tick = max(tick + 1, int((time.monotonic() - started) * self.tick_rate))
            while not self._stopped and (wait := started + tick / self.tick_rate - time.monotonic()) > 0:
                time.sleep(min(wait, NAP))

    def _take(self, elapsed: float) -> dict[str, np.ndarray]:
        frames = {}
        for name, feed in self._feeds.items():
            if not feed.ended and (picture := feed.take(elapsed)) is not None:
                frames[name] = picture
        return frames

    @property
    def _ended(self) -> bool:
        return all(feed.ended for feed in self._feeds.values())
