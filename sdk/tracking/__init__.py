"""People over time and over cameras: detectors, tracks of one camera, identities across cameras."""

from importlib import import_module

from sdk.errors import missing_package

try:
    for package in ("supervision", "trackers"):
        import_module(package)
except ImportError as error:
    raise missing_package(error.name or "trackers", "track", "tracking") from None

from sdk.tracking.config import TrackerConfig
from sdk.tracking.detectors import DETECTORS, HogDetector, MotionDetector
from sdk.tracking.multi_camera import MultiCameraTracker
from sdk.tracking.reason import Reason
from sdk.tracking.travel import TravelTimes

__all__ = ["DETECTORS", "HogDetector", "MotionDetector", "MultiCameraTracker", "Reason", "TrackerConfig", "TravelTimes"]
