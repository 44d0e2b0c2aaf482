"""Detectors of people that need no model file: callables `frame uint8 BGR [H, W, 3]` → `sv.Detections`.

Detections carry `xyxy` float32 px, inside the frame, and `confidence` float32 in [0, 1].
"""

from collections.abc import Callable

import cv2
import numpy as np
import supervision as sv

Detector = Callable[[np.ndarray], sv.Detections]


class HogDetector:
    """OpenCV's HOG people detector (Dalal and Triggs, 2005): upright people, walking or standing.

    It finds people of a fifth of the frame's height or more (in small frames: of 96 px or more). It keeps no
    state, so one may serve several cameras. It is slow: a few frames a second on one core.
    """

    MAX_HEIGHT = 480
    """Larger frames are reduced to this height in px; the time grows with the area."""

    BORDER = 0.12
    """Share of the frame's height that is added around it, so that people at the edge fill the window."""
    MARGIN = (0.2, 0.1)
    """Share of HOG's 64×128 window that is not the person, on each side across and along."""
    FULL_SCORE = 1.5
    """SVM score that counts as confidence 1; people in plain view score 1 to 3, furniture 0 to 1."""

    def __init__(self):
        self._hog = cv2.HOGDescriptor()
        self._hog.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())

    def __call__(self, frame: np.ndarray) -> sv.Detections:
        scale = min(1.0, self.MAX_HEIGHT / frame.shape[0])
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else frame
        border = round(self.BORDER * small.shape[0])
        padded = cv2.copyMakeBorder(small, border, border, border, border, cv2.BORDER_REPLICATE)
        # groupThreshold=0 gives every window that fires: OpenCV's own grouping forgets the scores.
        windows, scores = self._hog.detectMultiScale(padded, winStride=(8, 8), scale=1.05, groupThreshold=0)
        if len(windows) == 0:
            return _detections(np.empty((0, 4)), np.empty(0), frame)
        x, y, w, h = np.asarray(windows, np.float64).T
        across, along = self.MARGIN
        boxes = np.stack([x + across * w, y + along * h, x + (1 - across) * w, y + (1 - along) * h], axis=1) - border
        boxes, scores = _merge(boxes / scale, np.maximum(np.ravel(scores), 1e-6))
        return _detections(boxes, scores / self.FULL_SCORE, frame)


def _merge(boxes: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One box a person: the mean, weighted by score, of the windows that lie upon the best one; its best score."""
    merged, best = [], []
    left = np.argsort(-scores)
    while len(left):
        first = boxes[left[0]]
        overlap = _intersection(first, boxes[left])
        area, first_area = _area(boxes[left]), _area(first[None])[0]
        # Also windows inside one another: legs alone, or a body and its surroundings.
        together = (overlap / (area + first_area - overlap) > 0.4) | (overlap / np.minimum(area, first_area) > 0.7)
        merged.append(np.average(boxes[left[together]], axis=0, weights=scores[left[together]]))
        best.append(scores[left[0]])
        left = left[~together]
    return np.array(merged), np.array(best)


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _intersection(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    return np.clip(sides, 0, None).prod(axis=1)


def _detections(boxes: np.ndarray, confidence: np.ndarray, frame: np.ndarray) -> sv.Detections:
    height, width = frame.shape[:2]
    boxes = np.clip(boxes, 0, [width, height, width, height]).astype(np.float32).reshape(-1, 4)
    return sv.Detections(
        xyxy=boxes,
        confidence=np.clip(confidence, 0, 1).astype(np.float32),
        class_id=np.zeros(len(boxes), int),
    )


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

    def __call__(self, frame: np.ndarray) -> sv.Detections:
        scale = self.SCALE / frame.shape[1]
        small = cv2.GaussianBlur(cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), (3, 3), 0)
        self._frames += 1
        # While warming up it learns fast; afterwards slowly, so that people who stand still stay foreground.
        mask = self._background.apply(small, learningRate=0.1 if self._frames <= self.WARM_UP else 0.001)
        mask = (mask == 255).astype(np.uint8)  # 127 is shadow
        if self._frames <= self.WARM_UP or mask.mean() > self.MAX_CHANGED:
            return _detections(np.empty((0, 4)), np.empty(0), frame)
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
        # Tall closing joins head, trunk and legs, which clothes of the background's colour tear apart.
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((13, 5), np.uint8))
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        x, y, w, h, area = stats[1:].T.astype(float)  # row 0 is the background
        person = (h >= self.MIN_HEIGHT * small.shape[0]) & (h >= self.ASPECT[0] * w) & (h <= self.ASPECT[1] * w)
        person &= area > self.MIN_FILL * w * h
        boxes = np.stack([x, y, x + w, y + h], axis=1)[person] / scale
        return _detections(boxes, (area / (w * h))[person] + 0.4, frame)


DETECTORS: dict[str, Callable[[], Detector]] = {"hog": HogDetector, "motion": MotionDetector}
"""By the names that `MultiCameraTracker` and `reid track --detector` take."""
