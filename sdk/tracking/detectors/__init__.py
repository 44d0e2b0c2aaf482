"""Detectors of people: callables `frame uint8 BGR [H, W, 3]` → `sv.Detections`; two that need no file, and any file.

Detections carry `xyxy` float32 px, inside the frame, and `confidence` float32 in [0, 1].
"""

from collections.abc import Callable
from pathlib import Path

from sdk.detector_files import DEFAULT, PUBLISHED, require, state
from sdk.errors import DataError
from sdk.terminal import notes
from sdk.tracking.detectors.boxes import Detector, as_detections
from sdk.tracking.detectors.hog import HogDetector
from sdk.tracking.detectors.motion import MotionDetector
from sdk.tracking.detectors.sessions import PLANS

__all__ = [
    "DETECTORS",
    "Detector",
    "HogDetector",
    "MotionDetector",
    "as_detections",
    "default_detector",
    "detector_maker",
]

DETECTORS: dict[str, Callable[[], Detector]] = {"hog": HogDetector, "motion": MotionDetector}
"""By the names that `MultiCameraTracker` and `reid track --detector` take."""


def default_detector() -> str:
    """The detector where none is named: `yolox-nano` if it is here, else "hog", which is told in one line."""
    found = state(PUBLISHED[DEFAULT])
    if found.sound:
        return DEFAULT
    why = f"which misses many people, since {DEFAULT} {found.trouble}; mend it: reid detector get {DEFAULT}"
    notes.print(f"detector: hog, {why}", soft_wrap=True)
    return "hog"


def detector_maker(name: str) -> Callable[[], Detector]:
    """What makes a camera's detector, of a name in `DETECTORS`, of a published one, `yolox-nano`, or of a file,
    `model.onnx`; the last two may have options, `NAME[#OPTION&OPTION]`.

    A file, `.onnx` or TensorRT's `.engine`, is loaded once and serves all cameras; options: `model_file.OPTIONS`.
    Raises `DataError` for an unknown name, or a published one that is not here or is damaged, and `EngineError` for a
    file that is missing or no detector.
    """
    if name in DETECTORS:
        return DETECTORS[name]
    path, _, options = name.partition("#")
    if path in PUBLISHED:
        path = require(path)
    if Path(path).suffix.lower() in (".onnx", *PLANS):
        from sdk.tracking.detectors.model_file import open_detector

        loaded = open_detector(path, options)
        return lambda: loaded
    raise DataError(
        f"detector '{name}' is unknown; choose of {', '.join((*DETECTORS, *PUBLISHED))}, or name an .onnx or .engine "
        "file (in Python, any callable)"
    )
