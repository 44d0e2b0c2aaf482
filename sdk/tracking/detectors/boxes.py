"""What all detectors hand over: `sv.Detections` with boxes inside the frame."""

from collections.abc import Callable

import numpy as np
import supervision as sv

from sdk.errors import DataError

Detector = Callable[[np.ndarray], sv.Detections]
"""frame uint8 BGR `[H, W, 3]` → detections with `xyxy` float32 px, inside the frame, `confidence` float32 in [0, 1]."""


LEAST_SIDE = 1.0
"""px of a box within the frame; smaller ones are nobody."""


def check_picture(frame: np.ndarray) -> None:
    """Raise `DataError` unless `frame` is uint8 BGR `[H, W, 3]` with a pixel in it."""
    if not isinstance(frame, np.ndarray) or frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        given = f"{frame.dtype} {list(frame.shape)}" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise DataError(f"a detector takes uint8 BGR [H, W, 3], got {given}; convert it with cv2.cvtColor")
    if frame.size == 0:
        raise DataError(f"a detector got an empty picture, {list(frame.shape)}")


def as_detections(boxes: np.ndarray, confidence: np.ndarray, frame: np.ndarray) -> sv.Detections:
    """People at `boxes` `[N, 4]` xyxy px in `frame`, cut off at its edges, with `confidence` `[N]`.

    Those of whom less than `LEAST_SIDE` px is in the frame, and those whose numbers are none, are left out.
    """
    height, width = frame.shape[:2]
    boxes = np.clip(np.asarray(boxes, np.float64).reshape(-1, 4), 0, [width, height, width, height])
    sound = np.isfinite(boxes).all(axis=1) & np.isfinite(confidence)
    sound &= (boxes[:, 2:] - boxes[:, :2] >= LEAST_SIDE).all(axis=1)
    boxes = boxes[sound].astype(np.float32)
    return sv.Detections(
        xyxy=boxes,
        confidence=np.clip(confidence[sound], 0, 1).astype(np.float32),
        class_id=np.zeros(len(boxes), int),
    )
