"""Writing video files."""

from pathlib import Path

import cv2
import numpy as np

from sdk.errors import DataError


class VideoWriter:
    """One MP4 file, opened by its first frame. A context manager."""

    def __init__(self, path: str | Path, frame_rate: float):
        self.path = Path(path)
        self._frame_rate = frame_rate
        self._writer: cv2.VideoWriter | None = None

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, *_) -> None:
        if self._writer is not None:
            self._writer.release()

    def write(self, frame: np.ndarray) -> None:
        """Add a frame uint8 BGR `[H, W, 3]`. Raises `DataError` if the file cannot be written."""
        if self._writer is None:
            height, width = frame.shape[:2]
            codec = cv2.VideoWriter_fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self.path), codec, self._frame_rate, (width, height))
            if not self._writer.isOpened():
                raise DataError(f"{self.path}: cannot be written")
        self._writer.write(frame)
