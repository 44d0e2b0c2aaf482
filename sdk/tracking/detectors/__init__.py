"""Detectors of people: callables `frame uint8 BGR [H, W, 3]` → `sv.Detections`; two that need no file, and any file.

Detections carry `xyxy` float32 px, inside the frame, and `confidence` float32 in [0, 1].
"""

from collections.abc import Callable
from pathlib import Path

from sdk.errors import DataError
from sdk.tracking.detectors.boxes import Detector, as_detections
from sdk.tracking.detectors.hog import HogDetector
from sdk.tracking.detectors.motion import MotionDetector
from sdk.tracking.detectors.sessions import PLANS

__all__ = ["DETECTORS", "Detector", "HogDetector", "MotionDetector", "as_detections", "detector_maker"]

DETECTORS: dict[str, Callable[[], Detector]] = {"hog": HogDetector, "motion": MotionDetector}
"""By the names that `MultiCameraTracker` and `reid track --detector` take."""


def detector_maker(name: str) -> Callable[[], Detector]:
    """What makes a camera's detector, of a name in `DETECTORS` or of a file, `model.onnx[#OPTION&OPTION]`.

    A file, `.onnx` or TensorRT's `.engine`, is loaded once and serves all cameras; options: `model_file.OPTIONS`.
    Raises `DataError` for an unknown name, and `EngineError` for a file that is missing or no detector.
    """
    if name in DETECTORS:
        return DETECTORS[name]
    path, _, options = name.partition("#")
    if Path(path).suffix.lower() in (".onnx", *PLANS):
        from sdk.tracking.detectors.model_file import open_detector

        loaded = open_detector(path, options)
        return lambda: loaded
    raise DataError(
        f"detector '{name}' is unknown; choose of {', '.join(DETECTORS)}, or name an .onnx or .engine file "
        "(in Python, any callable)"
    )
