"""People by their motion before a fixed camera."""

import cv2
import numpy as np
import supervision as sv

from sdk.tracking.detectors.boxes import as_detections


class MotionDetector:
    """What moves before a fixed camera and has about the shape of a person (OpenCV's MOG2 background subtraction).

    It learns the background, so every camera needs its own, and the first second should be without people.
    Quick, and independent of pose; but people who walk close together come out as one.
    """

    WARM_UP = 10
    """Frames without detections while the background is learnt."""
    SCALE = 320
    """Width in px at which the background is modelled; less is quicker and less noisy."""
    MIN_HEIGHT = 0.1
    """Of a person, as a share of the frame's height."""
    ASPECT = (1.2, 5.0)
    """Height over width of a person, least and most."""
    MIN_FILL = 0.25
    """Share of its box that a person fills, in mid-stride."""
    MAX_CHANGED = 0.5
    """Share of the frame: where more changes, the light or the camera did, not the people."""

    def __init__(self):
        self._background = cv2.createBackgroundSubtractorMOG2(history=500, varThreshold=20, detectShadows=True)
        # Only mild darkening is a shadow: at OpenCV's 0.5 grey trousers on a brighter floor are one too.
        self._background.setShadowThreshold(0.7)
        self._frames = 0
        self._shape = (0, 0, 0)

    def __call__(self, frame: np.ndarray) -> sv.Detections:
        scale = self.SCALE / frame.shape[1]
        small = cv2.GaussianBlur(cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), (3, 3), 0)
        if small.shape != self._shape:  # another resolution: another background
            self._shape, self._frames = small.shape, 0
        self._frames += 1
        # While warming up it learns fast; afterwards slowly, so that people who stand still stay foreground.
        mask = self._background.apply(small, learningRate=0.1 if self._frames <= self.WARM_UP else 0.001)
        mask = (mask == 255).astype(np.uint8)  # 127 is shadow
        if self._frames <= self.WARM_UP or mask.mean() > self.MAX_CHANGED:
            return as_detections(np.empty((0, 4)), np.empty(0), frame)
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
        # Tall closing joins head, trunk and legs, which clothes of the background's colour tear apart.
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((13, 5), np.uint8))
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        x, y, w, h, area = stats[1:].T.astype(float)  # row 0 is the background
        person = (h >= self.MIN_HEIGHT * small.shape[0]) & (h >= self.ASPECT[0] * w) & (h <= self.ASPECT[1] * w)
        person &= area > self.MIN_FILL * w * h
        boxes = np.stack([x, y, x + w, y + h], axis=1)[person] / scale
        return as_detections(boxes, (area / (w * h))[person] + 0.4, frame)
