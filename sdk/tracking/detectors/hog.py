"""OpenCV's people detector by histograms of oriented gradients."""

import cv2
import numpy as np
import supervision as sv

from sdk.tracking.detectors.boxes import as_detections, check_picture

WINDOW = (64, 128)
"""Width and height in px of what HOG looks at; in a smaller picture it reads memory that is not its own."""


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
        check_picture(frame)
        height, width = frame.shape[:2]
        scale = min(1.0, self.MAX_HEIGHT / height)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA) if scale < 1 else frame
        border = round(self.BORDER * size[1])
        across, along = (max(border, -(-(least - side) // 2)) for least, side in zip(WINDOW, size, strict=True))
        padded = cv2.copyMakeBorder(small, along, along, across, across, cv2.BORDER_REPLICATE)
        # groupThreshold=0 gives every window that fires: OpenCV's own grouping forgets the scores.
        windows, scores = self._hog.detectMultiScale(padded, winStride=(8, 8), scale=1.05, groupThreshold=0)
        if len(windows) == 0:
            return as_detections(np.empty((0, 4)), np.empty(0), frame)
        x, y, w, h = np.asarray(windows, np.float64).T
        side, end = self.MARGIN
        boxes = np.stack([x + side * w, y + end * h, x + (1 - side) * w, y + (1 - end) * h], axis=1)
        boxes = (boxes - (across, along, across, along)) / np.tile((size[0] / width, size[1] / height), 2)
        boxes, scores = _merge(boxes, np.maximum(np.ravel(scores), 1e-6))
        return as_detections(boxes, scores / self.FULL_SCORE, frame)


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
