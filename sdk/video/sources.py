"""Reading video files, several in step."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from sdk.errors import DataError


class VideoFiles:
    """Some video files as the cameras of one site; a camera is named after its file."""

    def __init__(self, paths: Sequence[str | Path]):
        """Raises `DataError` naming a file that is missing or holds no video that OpenCV can decode."""
        if not paths:
            raise DataError("no video files given; name at least one")
        self._captures: dict[str, cv2.VideoCapture] = {}
        for path, name in zip(paths, camera_names(paths), strict=True):
            if not Path(path).is_file():
                raise DataError(f"{path}: no such video file")
            capture = cv2.VideoCapture(str(path))
            if not capture.isOpened() or capture.get(cv2.CAP_PROP_FRAME_WIDTH) < 1:
                raise DataError(f"{path}: not a video that OpenCV can decode")
            self._captures[name] = capture
        self.frame_rates = {name: _frame_rate(capture) for name, capture in self._captures.items()}
        """Frames a second of each camera."""
        self.tick_rate = max(self.frame_rates.values())
        """Ticks a second: the fastest camera has a frame in every tick."""

    @property
    def cameras(self) -> list[str]:
        """The names, in the order of the files."""
        return list(self._captures)

    @property
    def ticks(self) -> int:
        """Ticks until the longest file ends, as the headers say; 0 if none says."""
        frames = {name: capture.get(cv2.CAP_PROP_FRAME_COUNT) for name, capture in self._captures.items()}
        return max(0, *(round(n / self.frame_rates[name] * self.tick_rate) for name, n in frames.items()))

    def __iter__(self) -> Iterator[tuple[float, dict[str, np.ndarray]]]:
        """Yield (time in seconds from the start, frame uint8 BGR `[H, W, 3]` by camera), tick by tick.

        A slower file is left out of the ticks in which it has no new frame, one that has ended of all later.
        """
        read = dict.fromkeys(self._captures, 0)
        tick = 0
        while self._captures:
            time, frames = tick / self.tick_rate, {}
            for name, capture in list(self._captures.items()):
                if read[name] > time * self.frame_rates[name] + 1e-6:
                    continue  # its next frame is not due yet
                there, frame = capture.read()
                if there:
                    frames[name] = frame
                    read[name] += 1
                else:
                    self._captures.pop(name).release()
            if frames:
                yield time, frames
            tick += 1


def camera_names(paths: Sequence[str | Path]) -> list[str]:
    """File names without ending; a second `door.mp4` becomes door-2."""
    names: list[str] = []
    for path in paths:
        stem = Path(path).stem
        name, count = stem, 1
        while name in names:
            count += 1
            name = f"{stem}-{count}"
        names.append(name)
    return names


def _frame_rate(capture: cv2.VideoCapture) -> float:
    rate = capture.get(cv2.CAP_PROP_FPS)
    return rate if 1 <= rate <= 240 else 25.0  # some containers say 0, or nonsense
