"""Threads that read: one a camera, so that a slow or dead one holds up no other."""

import contextlib
import queue
import threading
import time
from dataclasses import dataclass

import cv2
import numpy as np

from sdk.confidential import why
from sdk.errors import DataError
from sdk.preprocess import MIN_SIDE
from sdk.video.sources.address import Address
from sdk.video.sources.capture import Capture, open_capture
from sdk.video.sources.patience import Patience

AHEAD = 4
"""Frames of a file that are decoded ahead; the memory of a 4K frame is 25 MB."""
STEP = 8
"""Every which pixel, across and along, is looked at for whether a picture stands still."""
TOLERANCE = 6
"""Grey levels by which a pixel may differ: a picture that is sent over and over is compressed anew each time."""


@dataclass(frozen=True)
class Frame:
    """A frame and when it was taken."""

    time: float
    """Seconds: of a file on its own clock from 0, of a live camera the arrival on `time.monotonic`."""
    picture: np.ndarray
    """uint8 BGR `[H, W, 3]`."""
    still: float = 0.0
    """For how long the picture has not changed at all, s."""


class FileReader:
    """Decodes a file or a folder of images a few frames ahead; none is left out."""

    def __init__(self, capture: Capture):
        self._capture = capture
        self._queue: queue.Queue[Frame | None] = queue.Queue(AHEAD)
        self._stop = threading.Event()
        self.reason = ""
        """Why it ended before its end; empty if it did not."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def next(self, wait: bool = True) -> Frame | bool | None:
        """The next frame; None at the end; False if none is decoded yet and we are not to `wait`."""
        try:
            return self._queue.get(wait)
        except queue.Empty:
            return False

    def stop(self) -> None:
        self._stop.set()

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        count, last = 0, -1.0
        try:
            while not self._stop.is_set() and (got := self._capture.read()) is not None:
                stamp, picture = got
                # Files tell the time of each frame, some wrongly: it must go on, or the nominal rate counts.
                if count == 0:
                    first = stamp or 0.0
                time_ = (stamp or 0.0) - first
                if count and time_ <= last:
                    time_ = last + 1 / self._capture.frame_rate
                count, last = count + 1, time_
                self._put(Frame(time_, usable(picture)))
            missing = self._capture.frames - count
            if not self._stop.is_set() and missing > max(1, 0.02 * self._capture.frames):
                self.reason = f"{missing} of {self._capture.frames} frames could not be decoded"
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

    def _read(self, capture: Capture) -> str:
        """Read until there is no more; why not."""
        look, changed = None, time.monotonic()
        started, first = time.monotonic(), None
        while not self._stop.is_set():
            got = capture.read()
            now = self._alive = time.monotonic()
            if got is None:
                self.ended = self._address.ends
                return (
                    "the file has ended" if self.ended else f"no frame within {self._patience.silence:g} s, or closed"
                )
            stamp, picture = got[0], usable(got[1])
            if self._address.ends and stamp is not None:
                first = stamp if first is None else first
                while not self._stop.is_set() and (wait := started + stamp - first - time.monotonic()) > 0:
                    self._alive = time.monotonic()
                    self._stop.wait(min(wait, 1.0))
                now = time.monotonic()
            small = np.ascontiguousarray(picture[::STEP, ::STEP])
            if look is None or look.shape != small.shape or cv2.absdiff(look, small).max() > TOLERANCE:
                look, changed = small, now
            self.reason = ""
            with self._lock:
                self._passed_over += self._newest is not None
                self._newest = Frame(now, picture, now - changed)
        return ""


def usable(picture: np.ndarray) -> np.ndarray:
    """The picture as uint8 BGR `[H, W, 3]`. Raises `DataError` if it is something else, or too small for a person."""
    if picture.ndim == 2:
        picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    elif picture.ndim == 3 and picture.shape[2] == 4:
        picture = cv2.cvtColor(picture, cv2.COLOR_BGRA2BGR)
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise DataError(f"gives {picture.dtype} of shape {picture.shape}; expected uint8 [H, W, 3]")
    if min(picture.shape[:2]) < 2 * MIN_SIDE:
        raise DataError(f"gives frames of {picture.shape[1]}×{picture.shape[0]} px, too small for a person")
    return picture


def join_all(readers, seconds: float) -> bool:
    """Stop all at once, then wait for them `seconds` in all; whether all have ended."""
    for reader in readers:
        reader.stop()
    until = time.monotonic() + seconds
    for reader in readers:
        reader.join(max(0.0, until - time.monotonic()))
    return not any(reader.alive for reader in readers)
