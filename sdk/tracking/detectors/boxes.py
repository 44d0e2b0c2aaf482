"""What all detectors hand over: `sv.Detections` with boxes inside the frame."""

from collections.abc import Callable

import numpy as np
import supervision as sv

from sdk.errors import DataError, ReIDError

Detector = Callable[[np.ndarray], sv.Detections]
"""frame uint8 BGR `[H, W, 3]` → detections with `xyxy` float32 px, inside the frame, `confidence` float32 in [0, 1]."""

LEAST_SIDE = 1.0
"""px of a box within the frame; smaller ones are nobody."""
LEAST_INSIDE = 0.05
"""Share of a box that is within the frame; with less it is no box, and would cover everybody else."""
REMEDY = "; sdk.tracking.detectors.as_detections makes an answer of any boxes and leaves out the broken ones"


def check_picture(frame: np.ndarray) -> None:
    """Raise `DataError` unless `frame` is uint8 BGR `[H, W, 3]` with a pixel in it."""
    if not isinstance(frame, np.ndarray) or frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        given = f"{frame.dtype} {list(frame.shape)}" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise DataError(f"a detector takes uint8 BGR [H, W, 3], got {given}; convert it with cv2.cvtColor")
    if frame.size == 0:
        raise DataError(f"a detector got an empty picture, {list(frame.shape)}")


def as_detections(boxes: np.ndarray, confidence: np.ndarray, frame: np.ndarray) -> sv.Detections:
    """People at `boxes` `[N, 4]` xyxy px in `frame`, cut off at its edges, with `confidence` `[N]`.

    Left out are the rows whose numbers are not finite, whose box is no area, and those almost wholly outside the frame.
    """
    boxes, confidence = np.asarray(boxes, np.float64).reshape(-1, 4), np.asarray(confidence, np.float64).reshape(-1)
    height, width = frame.shape[:2]
    sound = _are_sound(boxes, (height, width)) & np.isfinite(confidence)
    boxes = np.clip(boxes[sound], 0, [width, height, width, height]).astype(np.float32)
    return sv.Detections(
        xyxy=boxes,
        confidence=np.clip(confidence[sound], 0, 1).astype(np.float32),
        class_id=np.zeros(len(boxes), int),
    )


def checked(detector: Detector, camera: str) -> Detector:
    """`detector`, whose every answer for `camera` is looked at before it enters the tracker.

    Left out are the rows whose box or confidence is not finite, whose box is no area, or of which next to nothing is
    in the frame; all others stay as they are, with confidence cut to [0, 1]. Raises `DataError` naming the camera if
    the detector fails or its answer is no `sv.Detections`.
    """

    def look(frame: np.ndarray) -> sv.Detections:
        try:
            found = detector(frame)
        except ReIDError:
            raise
        except Exception as error:  # of whatever the user's callable runs
            raise DataError(
                f"camera '{camera}': its detector failed, {type(error).__name__}: {error}{REMEDY}"
            ) from error
        return checked_boxes(found, camera, frame)

    return look


def checked_boxes(
    found: sv.Detections, camera: str, frame: np.ndarray, whose: str = "its detector returned"
) -> sv.Detections:
    """`found` in a frame of `camera`, without what is no box, as `checked` has it. whose: how the message begins.

    Raises `DataError` naming the camera if that is no `sv.Detections`.
    """
    if not isinstance(found, sv.Detections):
        raise DataError(f"camera '{camera}': {whose} {type(found).__name__}; expected supervision.Detections{REMEDY}")
    return _sound(found, frame.shape[:2])


def _sound(found: sv.Detections, size: tuple[int, int]) -> sv.Detections:
    """The rows of `found` that are boxes in a frame of `size` (height, width) px."""
    sound = _are_sound(np.asarray(found.xyxy, np.float64).reshape(-1, 4), size)
    if found.confidence is not None:
        sound &= np.isfinite(found.confidence)
    if not sound.all():
        found = found[sound]
    if found.confidence is not None and ((found.confidence < 0) | (found.confidence > 1)).any():
        found = found[np.ones(len(found), bool)]  # the user's own stays as it is
        found.confidence = np.clip(found.confidence, 0, 1)
    return found


def _are_sound(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Which of `boxes` `[N, 4]` are boxes in a frame of `size` (height, width) px, bool `[N]`."""
    height, width = size
    finite = np.isfinite(boxes).all(axis=1)
    boxes = np.where(finite[:, None], boxes, 0)
    sides = boxes[:, 2:] - boxes[:, :2]
    inside = np.clip(boxes, 0, [width, height, width, height])
    inside = inside[:, 2:] - inside[:, :2]
    least = LEAST_INSIDE * sides.prod(axis=1)
    return finite & (sides > 0).all(axis=1) & (inside >= LEAST_SIDE).all(axis=1) & (inside.prod(axis=1) >= least)
