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
        self.frame_rate: float = max(_frame_rate(capture) for capture in self._captures.values())
        """Frames a second, of the fastest: that many ticks are a second."""

    @property
    def cameras(self) -> list[str]:
        """The names, in the order of the files."""
        return list(self._captures)

    @property
    def ticks(self) -> int:
        """Frames of the longest file, as its header says; 0 if none says."""
        return max(0, *(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) for capture in self._captures.values()))

    def __iter__(self) -> Iterator[tuple[float, dict[str, np.ndarray]]]:
        """Yield (time in seconds from the start, frame uint8 BGR `[H, W, 3]` by camera), frame by frame.

        A file that has ended is left out while the longer ones go on.
        """
        tick = 0
        while self._captures:
            frames = {}
            for name, capture in list(self._captures.items()):
                there, frame = capture.read()
                if there:
                    frames[name] = frame
                else:
                    self._captures.pop(name).release()
            if frames:
                yield tick / self.frame_rate, frames
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
