"""What a model's distances mean at a site: thresholds with their error rates, strangers, cameras that differ."""

from sdk.calibration.cameras import CameraStatistics
from sdk.calibration.intervals import Interval, threshold_intervals
from sdk.calibration.open_set import OpenSet, evaluate_open_set
from sdk.calibration.pairs import Pairs, pair_distances
from sdk.calibration.threshold import Threshold, calibrate_threshold, tracklet_means

__all__ = [
    "CameraStatistics",
    "Interval",
    "OpenSet",
    "Pairs",
    "Threshold",
    "calibrate_threshold",
    "evaluate_open_set",
    "pair_distances",
    "threshold_intervals",
    "tracklet_means",
]
