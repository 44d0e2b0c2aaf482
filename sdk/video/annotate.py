"""Annotated videos: a box and a name for everybody, in the identity's own colour."""

import re
from pathlib import Path

import numpy as np
import supervision as sv

from sdk.video.writer import VideoWriter

UNKNOWN = "?"
"""The label of a track without an identity yet."""


class AnnotatedVideo:
    """Writes one camera's frames with what was tracked in them. A context manager."""

    def __init__(self, path: str | Path, frame_rate: float):
        self._file = VideoWriter(path, frame_rate)
        self._box = sv.BoxAnnotator(color_lookup=sv.ColorLookup.INDEX)
        self._label = sv.LabelAnnotator(color_lookup=sv.ColorLookup.INDEX, text_scale=0.5)

    def __enter__(self) -> "AnnotatedVideo":
        return self

    def __exit__(self, *exception) -> None:
        self._file.__exit__(*exception)

    def write(self, frame: np.ndarray, detections: sv.Detections) -> None:
        """Add a frame uint8 BGR `[H, W, 3]`. Raises `DataError` if the file cannot be written."""
        self._file.write(self.annotate(frame, detections))

    def annotate(self, frame: np.ndarray, detections: sv.Detections) -> np.ndarray:
        """A copy of the frame with boxes and names."""
        names = [name or UNKNOWN for name in detections.data.get("identity", [])]
        colours = np.array([colour_number(name) for name in names], int)
        scene = self._box.annotate(frame.copy(), detections, custom_color_lookup=colours)
        return self._label.annotate(scene, detections, labels=names, custom_color_lookup=colours)


def colour_number(name: str) -> int:
    """An index into the palette that is the same wherever the name is seen: its number if it has one."""
    number = re.search(r"\d+$", name)
    return int(number.group()) if number else sum(name.encode())
