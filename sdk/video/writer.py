"""Writing video files."""

from pathlib import Path

import cv2
import numpy as np

from sdk.errors import DataError
from sdk.video.run_folder import PlainFolder, RunFolder


class VideoWriter:
    """One MP4 file, opened by its first frame. A context manager.

    folder: the run's folder that `path` lies in, if it does; a file in it that the run did not make is not touched.
    """

    def __init__(self, path: str | Path, frame_rate: float, folder: RunFolder | None = None):
        self.path = Path(path)
        self._folder = folder
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
            (self._folder or PlainFolder(self.path.parent)).claim(self.path.name)
            codec = cv2.VideoWriter_fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self.path), codec, self._frame_rate, (width, height))
            if not self._writer.isOpened():
                raise DataError(f"{self.path}: cannot be written")
        self._writer.write(frame)
