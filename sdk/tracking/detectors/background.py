"""What stands out from the background of a fixed camera."""

from collections import deque

import cv2
import numpy as np

from sdk.tracking.change import DIFFERENCE, LAG

WARM_UP = 10
"""Frames in which the background is learnt; nothing stands out meanwhile."""
RATE = 0.02
"""Of learning where nobody is: light that changes within half a minute is followed."""
WHOLE = 20
"""Frames after which one is learnt as it is, people too: what stays for minutes becomes background in the end."""
MAX_CHANGED = 0.5
"""Share of the picture: where more changes, the light or the camera did, not the people."""

STILL, LEAST_CHANGED = 50, 0.05
"""What stands out and has not changed in so many frames, but for this share of its pixels, is a thing, not a person:
where somebody stood while the background was learnt, or what was put down. It is background at once."""


class Background:
    """A model of one camera's background: OpenCV's MOG2, which learns only where nothing stands out.

    With one rate for all it would either learn people who stand still, or fall behind the light.
    """

    def __init__(self):
        self._model = cv2.createBackgroundSubtractorMOG2(history=500, varThreshold=20, detectShadows=True)
        # Only mild darkening is a shadow: at OpenCV's 0.5 grey trousers on a brighter floor are one too.
        self._model.setShadowThreshold(0.7)
        self._shape: tuple[int, ...] = ()

    def update(self, picture: np.ndarray) -> np.ndarray | None:
        """The next picture, uint8 BGR `[H, W, 3]` → uint8 `[H, W]`: 255 what stands out, 0 background, 127 shadow.

        None while the background is learnt, at the start and after the whole picture has changed.
        """
        if picture.shape != self._shape:  # another resolution: another background
            self._shape, self._frames = picture.shape, 0
            self._greys: deque[np.ndarray] = deque(maxlen=LAG + 1)
            self._still = np.zeros(picture.shape[:2], int)
        self._frames += 1
        self._see_change(picture)
        if self._frames <= WARM_UP:
            self._model.apply(picture, learningRate=0.1)
            return None
        mask = self._model.apply(picture, learningRate=0)
        if (mask == 255).mean() > MAX_CHANGED:
            self._model.apply(picture, learningRate=0.1)
            return None
        things = self._things(mask)
        if things.any():
            mask[things] = 0
            self._model.apply(self._without(~things, picture), learningRate=0.5)
        if self._frames % WHOLE:
            picture = self._without(cv2.dilate(mask, np.ones((5, 5), np.uint8)) > 0, picture)
        self._model.apply(picture, learningRate=RATE)
        return mask

    @property
    def changed(self) -> np.ndarray:
        """Which pixels have changed in the last `LAG` frames, bool `[H, W]`."""
        return self._still == 0

    def _see_change(self, picture: np.ndarray) -> None:
        self._greys.append(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))
        same = cv2.absdiff(self._greys[0], self._greys[-1]) <= DIFFERENCE
        self._still = np.where(same, self._still + 1, 0)

    def _things(self, mask: np.ndarray) -> np.ndarray:
        """Which pixels are of a part that stands out and keeps still, bool `[H, W]`."""
        number, parts = cv2.connectedComponents((mask == 255).astype(np.uint8))
        size = np.bincount(parts.ravel(), minlength=number)
        lively = np.bincount(parts[self._still < STILL], minlength=number)
        thing = lively < LEAST_CHANGED * size
        thing[0] = False  # the background
        return thing[parts]

    def _without(self, where: np.ndarray, picture: np.ndarray) -> np.ndarray:
        """The picture with the background in place of what is there."""
        return np.where(where[..., None], self._model.getBackgroundImage(), picture)
