"""Does the picture inside a box change? A person's does; that of a chair which a detector takes for one does not."""

from collections import deque

import cv2
import numpy as np

WIDTH = 160
"""Pictures are compared at this width in px: blind to noise, quick."""
HEIGHT = 480
"""px to which a picture is reduced that is more than three times as high as wide."""
LAG = 8
"""Frames between the pictures that are compared: long enough for a slow step."""
DIFFERENCE = 12
"""Grey levels by which a pixel must differ to count as changed."""


class ChangeMeter:
    """Remembers the last frames of one camera and measures change inside boxes."""

    def __init__(self):
        self._history: deque[np.ndarray] = deque(maxlen=LAG + 1)
        self._changed = np.zeros((0, 0), np.float32)
        self._scale = 1.0

    def update(self, frame: np.ndarray) -> None:
        """Take the next frame, uint8 BGR `[H, W, 3]`. Forgets the past when the resolution changes."""
        height, width = frame.shape[:2]
        self._scale = min(WIDTH / width, HEIGHT / height)
        size = (max(1, round(width * self._scale)), max(1, round(height * self._scale)))
        small = cv2.GaussianBlur(
            cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY), (3, 3), 0
        )
        if self._history and self._history[0].shape != small.shape:
            self._history.clear()
        self._history.append(small)
        self._changed = cv2.absdiff(self._history[0], small) > DIFFERENCE

    def share(self, box: np.ndarray) -> float:
        """Share of the pixels inside `box` (xyxy px) that changed over the last frames, 0 to 1."""
        x0, y0, x1, y1 = np.round(np.asarray(box) * self._scale).astype(int)
        inside = self._changed[max(0, y0) : max(y0 + 1, y1), max(0, x0) : max(x0 + 1, x1)]
        return float(inside.mean()) if inside.size else 0.0
