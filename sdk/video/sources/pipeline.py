"""GStreamer pipelines, each in a process of its own (`gstreamer.py`).

OpenCV's wheels are built without GStreamer. And a process that hangs, or a driver's plug-in that crashes, takes
nobody with it: it is ended and started again.
"""

import contextlib
import os
import re
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from sdk.confidential import Confidential, hide
from sdk.errors import DataError
from sdk.video.sources.patience import Patience

PROGRAM = Path(__file__).with_name("gstreamer.py")
NAP = 0.2
"""Seconds until it is asked again whether to stop."""

# GStreamer pads other sizes to multiples of these and does not say so in the header.
TAIL = (
    " ! videoconvert ! videoscale"
    " ! video/x-raw,format=I420,width=[16,8192,8],height=[16,8192,2] ! y4menc ! fdsink fd={fd} sync=false"
)


class Pipeline:
    """The pictures at the end of a pipeline, as raw video (YUV4MPEG2) through a pipe."""

    def __init__(self, pipeline: Confidential, patience: Patience, stopped: Callable[[], bool] = lambda: False):
        """stopped: asked while waiting; once it says so there is no further picture.

        Raises `DataError` if GStreamer is not installed, or the pipeline gives no picture, with its own reason.
        """
        self._silence, self._stopped = patience.silence, stopped
        self._pipeline = pipeline
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._pipe, write_end = os.pipe()
        command = without_sink(pipeline.reveal()) + TAIL.format(fd=write_end)
        try:
            self._process = subprocess.Popen(
                # A session of its own keeps Ctrl-C of the terminal away.
                [sys.executable, "-I", "-S", PROGRAM],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._errors,
                pass_fds=[write_end], start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(write_end)
        with contextlib.suppress(BrokenPipeError), self._process.stdin as pipe:
            pipe.write("\0".join(_split(command)).encode())
        self._buffer = bytearray()
        self.frame_rate, self.frames = 25.0, 0
        self._size = (0, 0)
        # A pipeline may take its time to begin: a hardware camera a second or two.
        line = self._line(time.monotonic() + 2 * self._silence)
        if line is None or not self._understand(line):
            reason = self._reason()
            self.close()
            raise DataError(f"{self._pipeline}: {reason}")

    def read(self) -> tuple[float | None, np.ndarray] | None:
        until = time.monotonic() + self._silence
        line = self._line(until)
        if line is not None and line.startswith(b"YUV4MPEG2"):
            self._understand(line)  # the resolution has changed
            line = self._line(until)
        if line is None:
            return None
        width, height = self._size
        planes = self._take(width * height * 3 // 2, until)
        if planes is None:
            return None
        picture = np.frombuffer(planes, np.uint8).reshape(height * 3 // 2, width)
        return None, cv2.cvtColor(picture, cv2.COLOR_YUV2BGR_I420)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(0.3)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(0.5)
        with contextlib.suppress(OSError):
            os.close(self._pipe)
        self._errors.close()

    def _understand(self, header: bytes) -> bool:
        found = re.match(rb"YUV4MPEG2 .*?W(\d+) H(\d+)", header)
        if not found:
            return False
        self._size = (int(found[1]), int(found[2]))
        rate = re.search(rb" F(\d+):(\d+)", header)
        if rate and int(rate[2]) and 1 <= int(rate[1]) / int(rate[2]) <= 240:
            self.frame_rate = int(rate[1]) / int(rate[2])
        return True

    def _line(self, until: float) -> bytes | None:
        """Up to the next line break, without it; None when the process says nothing in time, or is gone."""
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > 4096 or not self._more(until):
                return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _take(self, count: int, until: float) -> bytes | None:
        while len(self._buffer) < count:
            if not self._more(until):
                return None
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def _more(self, until: float) -> bool:
        while not self._stopped() and (wait := until - time.monotonic()) > 0:
            ready, _, _ = select.select([self._pipe], [], [], min(wait, NAP))
            if ready:
                data = os.read(self._pipe, 1 << 20)
                self._buffer += data
                return bool(data)
        return False

    def _reason(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.2)
        if self._process.poll() is None:
            return f"GStreamer gave no picture within {2 * self._silence:g} s"
        self._errors.seek(0)
        text = self._errors.read(8000).decode(errors="replace")
        said = [line.strip() for line in text.splitlines() if re.search("error|warning", line, re.IGNORECASE)]
        return f"GStreamer: {_without(self._pipeline, said[-1])[:200] if said else 'the pipeline has ended'}"


def without_sink(pipeline: str) -> str:
    """The pipeline without a sink that was written for another program (`appsink`, `autovideosink`, …)."""
    return re.sub(r"\s*!\s*\w*sink\b[^!]*$", "", pipeline.strip())


def _without(pipeline: Confidential, said: str) -> str:
    """What GStreamer says, without what properties hold; names of elements and properties stay."""
    words = _split(pipeline.reveal())
    elements = {word for before, word in zip(["!", *words], words, strict=False) if before == "!"}
    held = {word.partition("=")[2] or word for word in words if word not in elements} - {"!"}
    for value in sorted(held, key=len, reverse=True):
        said = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "…", said)
    return hide(said)


def _split(command: str) -> list[str]:
    """As gst-launch-1.0 would get it from a shell: quotes group, and nothing else is special."""
    words = re.findall(r"(?:[^\s\"']|\"[^\"]*\"|'[^']*')+", command)
    return [re.sub(r"\"([^\"]*)\"|'([^']*)'", r"\1\2", word) for word in words]
