"""Threads that read: one a camera, so that a slow or dead one holds up no other."""

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np

from sdk.confidential import why
from sdk.video.pace import Pace
from sdk.video.sources.address import Address
from sdk.video.sources.capture import Capture, Repeated, open_capture
from sdk.video.sources.frames import Frame, frames_of, usable
from sdk.video.sources.patience import Patience

AHEAD = 4
"""Frames of a file that are decoded ahead; the memory of a 4K frame is 25 MB."""
STEP = 8
"""Every which pixel, across and along, is looked at for whether a picture stands still."""
TOLERANCE = 6
"""Grey levels by which a pixel may differ: a picture that is sent over and over is compressed anew each time."""
NAP = 0.05
"""Seconds until it is looked again whether to stop."""


class FileReader:
    """Decodes a file or a folder of images a few frames ahead; none is left out that can be decoded."""

    def __init__(self, capture: Capture | Repeated):
        self._capture = capture
        self._queue: queue.Queue[Frame | None] = queue.Queue(AHEAD)
        self._stop = threading.Event()
        self.reason = ""
        """Why it ended before its end, or had nothing; empty if all was well."""
        self.missing = 0
        """Frames so far that could not be decoded."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def next(self, wait: float | None = None) -> Frame | bool | None:
        """The next frame; None at the end; False if none is decoded within `wait` seconds, or it is stopped."""
        until = None if wait is None else time.monotonic() + wait
        while True:
            left = NAP if until is None else until - time.monotonic()
            with contextlib.suppress(queue.Empty):
                return self._queue.get(left > 0, min(left, NAP) if left > 0 else None)
            if self._stop.is_set() and wait is None:
                return None
            if self._stop.is_set() or left <= 0:
                return False

    def stop(self) -> None:
        self._stop.set()

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        count, flaw, said = 0, "none of its frames can be decoded", ""
        try:
            for frame in frames_of(self._capture):
                if self._stop.is_set():
                    return
                said = said or frame.said
                if frame.picture is None:
                    self.missing += 1
                    flaw = frame.flaw or flaw
                else:
                    count += 1
                    self._put(replace(frame, said=said))
                    said = ""
            if not count:
                self.reason = flaw
        except Exception as error:  # whatever a decoder throws must not end the other cameras
            self.reason = why(error)
        finally:
            self._capture.close()
            self._put(None)

    def _put(self, item: Frame | None) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(item, timeout=0.1)
                return


class LiveReader:
    """Keeps the newest frame of a live camera, and connects again whenever it is lost."""

    def __init__(self, address: Address, patience: Patience):
        self._address = address
        self._patience = patience
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._newest: Frame | None = None
        self._passed_over = 0
        self._alive = time.monotonic()
        self.said: deque[str] = deque()
        """What is wrong with the time stamps of a file that is played as if live, in words."""
        self.opening = True
        """Whether a connection is being made, for which there may be a queue."""
        self.reason = ""
        """Why there is no connection; empty while there is one."""
        self.ended = False
        """Whether there will be no further frame: a file that was played as if live."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def take(self) -> tuple[Frame | None, int]:
        """The newest frame, once; and how many were passed over since the last call."""
        with self._lock:
            frame, self._newest = self._newest, None
            passed_over, self._passed_over = self._passed_over, 0
        return frame, passed_over

    @property
    def hung(self) -> bool:
        """Whether the driver has not come back for far too long."""
        return not self.opening and time.monotonic() - self._alive > self._patience.hung

    def stop(self) -> None:
        self._stop.set()

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        pause = self._patience.first_retry
        while not self._stop.is_set():
            connected = self._alive = time.monotonic()
            try:
                self.opening = True
                try:
                    capture = open_capture(self._address, self._patience, self._stop.is_set)
                finally:
                    self.opening, self._alive = False, time.monotonic()
                try:
                    self.reason = self._read(capture)
                finally:
                    capture.close()
            except Exception as error:  # a driver's own exceptions too: this camera is lost, no other is
                self.reason = why(error)
            if self.ended:
                return
            if time.monotonic() - connected > self._patience.steady:
                pause = self._patience.first_retry
            until = time.monotonic() + pause
            while not self._stop.is_set() and time.monotonic() < until:
                self._alive = time.monotonic()
                self._stop.wait(min(1.0, pause))
            pause = min(2 * pause, self._patience.longest_retry)

    def _read(self, capture: Capture | Repeated) -> str:
        """Read until there is no more; why not."""
        look, changed = None, time.monotonic()
        for picture in self._played(capture) if self._address.ends else self._live(capture):
            now = time.monotonic()
            small = np.ascontiguousarray(picture[::STEP, ::STEP])
            if look is None or look.shape != small.shape or cv2.absdiff(look, small).max() > TOLERANCE:
                look, changed = small, now
            self.reason = ""
            with self._lock:
                self._passed_over += self._newest is not None
                self._newest = Frame(now, picture, now - changed)
        if self._stop.is_set():
            return ""
        self.ended = self._address.ends
        return "the file has ended" if self.ended else f"no frame within {self._patience.silence:g} s, or closed"

    def _live(self, capture: Capture) -> Iterator[np.ndarray]:
        """The pictures of a camera, as they come; those that cannot be decoded are passed by."""
        while not self._stop.is_set() and (got := capture.read()) is not None:
            self._alive = time.monotonic()
            if got[1] is not None:
                yield usable(got[1])

    def _played(self, capture: Capture | Repeated) -> Iterator[np.ndarray]:
        """The pictures of a file at its own speed."""
        started, pace = time.monotonic(), Pace()
        for frame in frames_of(capture):
            due = started + pace(frame.time)
            if frame.said:
                self.said.append(frame.said)
            while not self._stop.is_set() and (wait := due - time.monotonic()) > 0:
                self._alive = time.monotonic()
                self._stop.wait(min(wait, 1.0))
            if self._stop.is_set():
                return
            self._alive = time.monotonic()
            if frame.picture is not None:
                yield frame.picture


def join_all(readers, seconds: float) -> bool:
    """Stop all at once, then wait for them `seconds` in all; whether all have ended."""
    for reader in readers:
        reader.stop()
    until = time.monotonic() + seconds
    for reader in readers:
        reader.join(max(0.0, until - time.monotonic()))
    return not any(reader.alive for reader in readers)
