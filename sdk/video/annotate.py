"""Annotated videos: a box and a name for everybody, in the identity's own colour."""

from pathlib import Path

import numpy as np
import supervision as sv

from sdk.colours import colour_number
from sdk.drawing import draw_people
from sdk.video.run_folder import RunFolder
from sdk.video.writer import VideoWriter

__all__ = ["AnnotatedVideo", "colour_number"]


class AnnotatedVideo:
    """Writes one camera's frames with what was tracked in them. A context manager.

    A video file has one resolution. So when the camera's changes, and after every `segment` seconds of frames, another
    file is begun: `dock.mp4`, then `dock.from-6000.mp4`, whose first frame is the camera's frame 6000, counted from 0.
    Unfinished MP4 files cannot be played; finished ones are safe whatever happens to the machine.
    """

    def __init__(
        self, path: str | Path, frame_rate: float, segment: float | None = None, folder: RunFolder | None = None
    ):
        """folder: as of `VideoWriter`."""
        self._path = Path(path)
        self._folder = folder
        self._frame_rate = frame_rate
        self._most = None if segment is None else max(1, round(segment * frame_rate))
        self._file = VideoWriter(path, frame_rate, folder)
        self._size: tuple[int, int] | None = None
        self._count = self._begun = 0

    def __enter__(self) -> "AnnotatedVideo":
        return self

    def __exit__(self, *exception) -> None:
        self._file.__exit__(*exception)

    def write(self, frame: np.ndarray, detections: sv.Detections) -> None:
        """Add a frame uint8 BGR `[H, W, 3]`. Raises `DataError` if the file cannot be written."""
        size = frame.shape[:2]
        if self._count and (size != self._size or self._count - self._begun == self._most):
            self._file.__exit__(None, None, None)
            path = self._path.with_suffix(f".from-{self._count}.mp4")
            self._file = VideoWriter(path, self._frame_rate, self._folder)
            self._begun = self._count
        self._size = size
        self._count += 1
        self._file.write(self.annotate(frame, detections))

    def annotate(self, frame: np.ndarray, detections: sv.Detections) -> np.ndarray:
        """A copy of the frame with boxes and names."""
        names = detections.data.get("identity", [None] * len(detections))
        return draw_people(frame, zip(detections.xyxy, names, strict=True))
