"""What all detectors hand over: `sv.Detections` with boxes inside the frame."""

from collections.abc import Callable

import numpy as np
import supervision as sv

Detector = Callable[[np.ndarray], sv.Detections]
"""frame uint8 BGR `[H, W, 3]` → detections with `xyxy` float32 px, inside the frame, `confidence` float32 in [0, 1]."""


def as_detections(boxes: np.ndarray, confidence: np.ndarray, frame: np.ndarray) -> sv.Detections:
    """People at `boxes` `[N, 4]` xyxy px in `frame`, cut off at its edges, with `confidence` `[N]`."""
    height, width = frame.shape[:2]
    boxes = np.clip(boxes, 0, [width, height, width, height]).astype(np.float32).reshape(-1, 4)
    return sv.Detections(
        xyxy=boxes,
        confidence=np.clip(confidence, 0, 1).astype(np.float32),
        class_id=np.zeros(len(boxes), int),
    )
