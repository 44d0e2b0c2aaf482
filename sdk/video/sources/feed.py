"""One camera as the run sees it: its next frame, and whether all is well with it."""

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np

from sdk.video.pace import Pace
from sdk.video.sources.address import Address
from sdk.video.sources.capture import IMAGES_RATE, USUAL_RATE, Capture, Repeated
from sdk.video.sources.frames import Frame
from sdk.video.sources.network import set_ffmpeg_options
from sdk.video.sources.patience import Patience
from sdk.video.sources.reader import FileReader, LiveReader
from sdk.video.sources.report import CameraReport

Tell = Callable[..., None]
"""`tell(kind, **detail)`: something has happened to the camera; see `sdk.events.KINDS`."""


class Feed(Protocol):
    """What a site needs of a camera."""

    report: CameraReport
    frame_rate: float
    ended: bool

    def take(self, elapsed: float) -> np.ndarray | None:
        """The frame that is due `elapsed` seconds after the start of a live site; None if none is."""
        ...

    def close_report(self) -> None:
        """Write down what is still going on."""
        ...


class FileFeed:
    """A file or a folder of images: every frame, in its turn."""

    def __init__(self, address: Address, capture: Capture | Repeated, tell: Tell):
        self.report = CameraReport(address.name)
        self.frame_rate = capture.frame_rate
        self.frames = capture.frames
        """How many there are, as far as the file says, which may be anything."""
        self.interval = 1 / capture.frame_rate
        """The least seconds between its frames, as far as it says and of late."""
        self.ended = False
        self._tell = tell
        self._capture = capture
        self._next: Frame | bool | None = False
        self._due = 0.0
        self._last: float | None = None
        self._pace = Pace()
        self.reader: FileReader | None = None

    def start(self) -> None:
        """Begin to read ahead."""
        self.reader = FileReader(self._capture)

    @property
    def time(self) -> float:
        """Of the frame that waits, s."""
        return self._next.time

    def wait(self, seconds: float) -> bool:
        """Wait up to so long for the next frame, or its end; whether one of them has come."""
        if self._next is False:
            self._next = self.reader.next(seconds)
            if self._next:
                self._due = self._pace(self._next.time)
        if self._next is None and not self.ended:
            self.ended = True
            self.report.reason, self.report.missing = self.reader.reason, self.reader.missing
            self._tell("camera_ended", reason=self.reader.reason or "the file has ended")
        return self._next is not False

    def pop(self) -> np.ndarray:
        """The frame that waits."""
        frame, self._next = self._next, False
        if self._last is not None:
            self.interval = min(1 / self.frame_rate, frame.time - self._last)
        self._last = frame.time
        _note_clock(frame.said, self.report, self._tell)
        _note_size(frame.picture, self.report, self._tell)
        self.report.frames += 1
        self.report.missing = self.reader.missing
        return frame.picture

    def take(self, elapsed: float) -> np.ndarray | None:
        """As in `Feed`; of long gaps a few seconds."""
        if not self.wait(0) or self.ended or self._due > elapsed:
            return None
        return self.pop()

    def close_report(self) -> None:
        pass


class LiveFeed:
    """A live camera: the newest frame, and its troubles as they come and go."""

    def __init__(self, address: Address, patience: Patience, tell: Tell):
        self.report = CameraReport(address.name)
        self.frame_rate = address.frame_rate or (IMAGES_RATE if address.ends else USUAL_RATE)
        self.ended = False
        self._address = address
        self._patience = patience
        self._tell = tell
        self._last = time.monotonic()
        self._lost = False
        self._frozen_since: float | None = None
        self.reader: LiveReader | None = None

    def start(self) -> None:
        """Begin to read."""
        set_ffmpeg_options()
        self._last = time.monotonic()
        self.reader = LiveReader(self._address, self._patience)

    def take(self, elapsed: float) -> np.ndarray | None:
        """As in `Feed`; never waits. A picture that stands still is withheld: whoever is in it is long gone."""
        ended = self.reader.ended  # asked first: a last frame may come between
        frame, passed_over = self.reader.take()
        self.report.passed_over += passed_over
        while self.reader.said:
            _note_clock(self.reader.said.popleft(), self.report, self._tell)
        now = time.monotonic()
        if frame is None:
            self._miss(now, ended)
            return None
        if self._lost:
            self._lost = False
            self.report.away += now - self._last
            self._tell("camera_back", seconds=round(now - self._last, 1))
        self._last = now
        if self._stands_still(frame, now):
            return None
        _note_size(frame.picture, self.report, self._tell)
        self.report.frames += 1
        return frame.picture

    def close_report(self) -> None:
        now = time.monotonic()
        if self._lost:
            self.report.away += now - self._last
        elif self._frozen_since is not None:
            self.report.frozen += now - self._frozen_since
        self.report.out = self._lost or self._frozen_since is not None

    def _miss(self, now: float, ended: bool) -> None:
        silent = now - self._last > self._patience.silence
        if ended:
            self.ended = True
            self._tell("camera_ended", reason="the file has ended")
        elif not self._lost and (self.reader.reason or (silent and not self.reader.opening)):
            self._lost = True
            if self._frozen_since is not None:
                self.report.frozen += now - self._frozen_since
                self._frozen_since = None
            self.report.losses += 1
            self.report.reason = self.reader.reason or f"no frame within {self._patience.silence:g} s"
            self._tell("camera_lost", reason=self.report.reason)
        if self.reader.hung:
            self.reader.stop()  # it ends when its driver comes back, if ever
            self.reader = LiveReader(self._address, self._patience)

    def _stands_still(self, frame: Frame, now: float) -> bool:
        still = frame.still > self._patience.frozen  # not 0: the frame that changed may have been passed over
        if still and self._frozen_since is None:
            self._frozen_since = now
            self.report.freezes += 1
            self._tell("camera_frozen", seconds=round(frame.still, 1))
        elif not still and self._frozen_since is not None:
            self.report.frozen += now - self._frozen_since
            self._tell("camera_back", seconds=round(now - self._frozen_since, 1))
            self._frozen_since = None
        return self._frozen_since is not None


def _note_clock(said: str, report: CameraReport, tell: Tell) -> None:
    if said:
        report.clock.append(said)
        tell("camera_clock", what=said)


def _note_size(picture: np.ndarray, report: CameraReport, tell: Tell) -> None:
    size = picture.shape[:2]
    if not report.sizes or report.sizes[-1] != size:
        if report.sizes:
            tell("camera_changed", before=list(report.sizes[-1]), now=list(size))
        report.sizes.append(size)
        del report.sizes[1:-20]  # a camera that flickers between sizes must not fill the memory
