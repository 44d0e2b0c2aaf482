"""Opening one source: whatever it is, it gives frames one after the other."""

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from sdk.confidential import Confidential
from sdk.errors import DataError
from sdk.folder import IMAGE_SUFFIXES, is_image, read_image
from sdk.video.sources.address import FILE, IMAGES, PIPELINE, STREAM, Address
from sdk.video.sources.network import check_reachable
from sdk.video.sources.patience import Patience

USUAL_RATE = 25.0
"""Frames a second of a video that does not say."""
IMAGES_RATE = 10.0
"""Frames a second of a folder of images, unless the option `fps` says."""
FAILURES = 300
"""Frames in a row that cannot be decoded, after which a file has ended: at its end OpenCV says just the same."""
LIVE_FAILURES = 10
"""The same of a live camera; then it is lost, and connected again."""
AT_ONCE = 1.0
"""Seconds within which a live camera has failed to decode a frame; what takes longer is silence."""

# FFmpeg writes warnings of its own to the terminal, passwords of URLs among them; ours say enough.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


class Capture(Protocol):
    """An open source."""

    frame_rate: float
    """Frames a second, as far as it says; else `USUAL_RATE`."""
    frames: int
    """How many there are, as far as it says; else 0."""

    def read(self) -> "Read | None":
        """The next frame, BGR uint8 `[H, W, 3]`, after its time on the source's own clock (s; None if it has none).

        The frame is None if it cannot be decoded. None if there is none any more: the end of a file, or a camera that
        is silent or gone.
        """
        ...

    def close(self) -> None:
        """Let the source go."""
        ...


Read = tuple[float | None, np.ndarray | None]
"""(time stamp in s, frame), either of which may be missing."""


def open_capture(
    address: Address, patience: Patience, stopped: Callable[[], bool] = lambda: False
) -> "Capture | Repeated":
    """Open a source; `stopped` is asked where waiting can be broken off.

    Raises `DataError` saying why it cannot be opened, without naming the password in its URL.
    """
    if address.ends and address.loops > 1:
        once = replace(address, options={name: value for name, value in address.options.items() if name != "loop"})
        return Repeated(lambda: open_capture(once, patience, stopped), address.loops)
    if address.kind == IMAGES:
        return ImageFolder(address)
    if address.kind == PIPELINE:
        from sdk.video.sources.pipeline import Pipeline

        return Pipeline(address.location, patience, stopped)
    return OpenCvCapture(address, patience)


class OpenCvCapture:
    """Files, network streams and USB cameras, through OpenCV."""

    def __init__(self, address: Address, patience: Patience):
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # as FFmpeg's
        self._ends = address.ends
        self._missing: int | None = None
        """Frames that could not be decoded before the one that was grabbed; None if none was."""
        if address.kind == FILE:
            self._capture = cv2.VideoCapture(address.location)
            remedy = "not a video that OpenCV can decode"
        elif address.kind == STREAM:
            check_reachable(address.location, patience.silence)
            limit = max(1, round(1000 * patience.silence))
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit]
            self._capture = _open_stream(address.location, limits)
            remedy = "cannot be opened; are path, user and password right?"
        else:
            device = int(address.location) if address.location.isdigit() else address.location
            self._capture = cv2.VideoCapture(device, cv2.CAP_V4L2 if os.name == "posix" else cv2.CAP_ANY)
            self._ask(address)
            remedy = "no such camera, or another program has it open"
        if not self._capture.isOpened() or (self._ends and self._capture.get(cv2.CAP_PROP_FRAME_WIDTH) < 1):
            self._capture.release()
            raise DataError(f"{address.shown}: {remedy}")
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.frame_rate = rate if 1 <= rate <= 240 else USUAL_RATE  # some containers say 0, or nonsense
        self.frames = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))) if self._ends else 0

    def _ask(self, address: Address) -> None:
        """Ask a USB camera for what the options say; it gives what it can."""
        if address.size:
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, address.size[0])
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, address.size[1])
        if address.frame_rate:
            self._capture.set(cv2.CAP_PROP_FPS, address.frame_rate)

    def read(self) -> Read | None:
        if self._missing is None and not self._grab():
            return None
        if self._missing:
            self._missing -= 1
            return None, None
        self._missing = None
        there, frame = self._capture.retrieve()
        stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 if self._ends else None
        return stamp, frame if there else None

    def _grab(self) -> bool:
        """Find the next frame, and how many before it could not be decoded; False if there is none any more."""
        self._missing = 0
        began = time.monotonic()
        while not self._capture.grab():
            silent = not self._ends and time.monotonic() - began > AT_ONCE
            self._missing += 1
            if silent or self._missing >= (FAILURES if self._ends else LIVE_FAILURES):
                self._missing = None
                return False
        return True

    def close(self) -> None:
        self._capture.release()


class ImageFolder:
    """The images of a folder, in the order of the numbers in their names."""

    def __init__(self, address: Address):
        self._paths = sorted(
            filter(is_image, Path(address.location).iterdir()),
            key=_natural,
        )
        if not self._paths:
            raise DataError(f"{address.location}: no images in this folder; expected {', '.join(IMAGE_SUFFIXES)}")
        read_image(self._paths[0])
        self.frame_rate = address.frame_rate or IMAGES_RATE
        self.frames = len(self._paths)
        self._next = 0

    def read(self) -> Read | None:
        if self._next == len(self._paths):
            return None
        number, self._next = self._next, self._next + 1
        try:
            return number / self.frame_rate, read_image(self._paths[number])
        except DataError:
            return number / self.frame_rate, None

    def close(self) -> None:
        pass


class Repeated:
    """A file or folder that is played several times over."""

    def __init__(self, opened: Callable[[], Capture], times: int):
        self._open, self._capture, self._times = opened, opened(), times
        self.frame_rate, self.frames = self._capture.frame_rate, self._capture.frames * times

    def rounds(self) -> Iterator[Capture]:
        """The source, from its beginning, so many times."""
        yield self._capture
        for _ in range(self._times - 1):
            self._capture.close()
            self._capture = self._open()
            yield self._capture

    def close(self) -> None:
        self._capture.close()


def _open_stream(url: Confidential, limits: list[int]) -> cv2.VideoCapture:
    """The one place where FFmpeg gets the whole address."""
    return cv2.VideoCapture(url.reveal(), cv2.CAP_FFMPEG, limits)


def _natural(path: Path) -> list:
    """`frame-9` before `frame-10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]
