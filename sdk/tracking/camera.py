"""One camera: its detector, its tracks, and what it sees in a frame."""

import statistics
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import supervision as sv

from sdk.cutting import corners
from sdk.preprocess import MIN_SIDE
from sdk.tracking.change import ChangeMeter
from sdk.tracking.clock import USUAL_STEP
from sdk.tracking.detectors import Detector
from sdk.tracking.follower import Follower, LibraryTracks
from sdk.tracking.tracklet import at_side, beside_another, crop_quality

GAPS = 9
"""Between the last frames, whose median is how long a frame lasts."""
SHORTEST = 1e-3
"""Seconds that a frame lasts at the least."""


@dataclass(eq=False)
class Sight:
    """The boxes of one frame, before all of them are tracks."""

    detections: sv.Detections
    numbers: np.ndarray
    """int `[N]`: the tracks as far as position tells them; −1 elsewhere."""
    doubtful: np.ndarray
    """bool `[N]`: whose look must tell."""
    quality: np.ndarray
    """float `[N]` in [0, 1]: `crop_quality`."""
    beside: np.ndarray
    """bool `[N]`: beside another, or at the frame's side."""
    corners: np.ndarray
    """int `[N, 4]`: x0, y0, x1, y1 of the crops."""
    large: np.ndarray
    """bool `[N]`: whether the crop is large enough to be embedded."""
    embedding: dict[int, np.ndarray] = field(default_factory=dict)
    """Of the rows that were embedded."""
    stripes: dict[int, np.ndarray] = field(default_factory=dict)
    """Of those, where the model gives stripes and they are used."""


class Camera:
    """What is kept for one camera."""

    def __init__(
        self,
        detector: Detector | None,
        tracks: Follower | LibraryTracks,
        change: Callable[[], ChangeMeter],
        patience: float,
        frame_rate: float | None = None,
    ):
        """detector: None: boxes come from elsewhere. change: makes the meter. patience: seconds without a frame after
        which the past is past. frame_rate: frames a second, as far as it is known before there are any."""
        self.detector = detector
        self.tracks = tracks
        self.change = change()
        self.last_frame = float("-inf")
        """When the last frame was, s on the tracker's clock."""
        self._make_change, self._patience = change, patience
        self._gaps: deque[float] = deque(maxlen=GAPS)
        self._first_guess = 1 / frame_rate if frame_rate else USUAL_STEP

    @property
    def frame(self) -> float:
        """How long a frame lasts, s."""
        return max(SHORTEST, statistics.median(self._gaps)) if self._gaps else self._first_guess

    def look(self, frame: np.ndarray, now: float, given: sv.Detections | None = None) -> Sight:
        """Find the people in a frame, uint8 BGR `[H, W, 3]`, and the tracks of those where position is enough.

        now: seconds on the tracker's clock, later than the last frame's. given: who is there; None: the detector looks.
        """
        gap = now - self.last_frame
        if gap > self._patience:
            self.change = self._make_change()  # what has changed in a long time tells nothing of who lives
        if self.last_frame >= 0:
            self._gaps.append(gap)
        self.change.update(frame)
        detections = self.detector(frame) if given is None else given
        boxes = np.asarray(detections.xyxy, np.float32).reshape(-1, 4)
        confidence = np.ones(len(boxes)) if detections.confidence is None else np.asarray(detections.confidence)
        height, width = frame.shape[:2]
        shown = corners(boxes, frame.shape)
        numbers, doubtful = self.tracks.begin(boxes, confidence, now)
        return Sight(
            detections,
            numbers,
            doubtful,
            crop_quality(boxes, confidence, (height, width)),
            beside_another(boxes) | at_side(boxes, width),
            shown,
            (shown[:, 2:] - shown[:, :2] >= MIN_SIDE).all(axis=1),
        )

    def follow(self, sight: Sight) -> sv.Detections:
        """The tracked of the boxes, with `tracker_id`, and their rows in `data["row"]`."""
        count = len(sight.detections)
        seen = np.zeros(count, bool)
        embedding = None
        if sight.embedding:
            rows = list(sight.embedding)
            embedding = np.zeros((count, len(sight.embedding[rows[0]])), np.float32)
            embedding[rows] = list(sight.embedding.values())
            seen[rows] = True
        numbers = self.tracks.end(embedding, seen, sight.quality)
        rows = np.flatnonzero(numbers >= 0)
        detections = sight.detections[rows] if count else sv.Detections.empty()
        detections.tracker_id = numbers[rows]
        detections.data = {**detections.data, "row": rows}
        return detections
