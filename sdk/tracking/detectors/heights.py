"""How tall people are in a camera's picture, by where their feet are; learned from those who stand alone.

On a level floor a person's height in the picture grows linearly from the horizon down, by their height over the
camera's: h = (person / camera) × (feet − horizon), whatever the focal length (Hoiem et al., "Putting objects in
perspective", IJCV 2008).
"""

from collections import deque

import numpy as np

LEAST, AGREEING = 30, 0.4
"""People seen alone, over the frames, before heights are known, and the share that the line must be right about."""
SLOPE, SLOPE_SPREAD = 0.55, 0.2
"""Expected: 1.7 m before a camera 3 m up; 2 to 5 m are within the spread."""
BANDS, KEPT = 16, 100
"""Of feet over the picture's height, and the newest people kept in each: where many pass does not outvote the rest."""
FEW = 5
"""People of a band that are no reason to believe in it."""
DEVIATION = 0.06
"""Of people's heights, as a share; up to twice that is right."""
REFIT = 10
"""People after which the line is drawn anew."""


class Heights:
    """What was learned for one camera, in px of a picture of `picture_height`."""

    def __init__(self, picture_height: int):
        self.picture_height = picture_height
        self._bands = [deque(maxlen=KEPT) for _ in range(BANDS)]
        self._count = 0
        self._offset, self._slope = 0.0, SLOPE
        self.known = False
        """Whether there are enough people and a line for them."""

    def add(self, feet: float, height: float) -> None:
        """Somebody who stands alone, whole: y of the soles and height in px."""
        self._bands[min(int(BANDS * feet / self.picture_height), BANDS - 1)].append((feet, height))
        self._count += 1
        if self._count >= LEAST and self._count % REFIT == 0:
            self._fit()

    def at(self, feet: np.ndarray) -> np.ndarray:
        """The usual height in px of who stands at `feet`, y in px: float `[N]` → `[N]`."""
        return self._offset + self._slope * feet

    def _fit(self) -> None:
        """A line through most of them, by reweighted least squares: two people in one silhouette are outliers."""
        rows = np.array([(*row, 1 / (len(band) + FEW)) for band in self._bands for row in band])
        feet, height, share = rows.T
        design = np.stack([np.ones_like(feet), feet], axis=1) / height[:, None]
        spread = 10 * DEVIATION  # wide at first, for the line may be far from where it belongs
        for _ in range(12):
            deviation = (design @ (self._offset, self._slope) - 1) / spread
            weight = np.sqrt(share) / (1 + deviation**2) / DEVIATION
            left = np.vstack([design * weight[:, None], [0, 1 / SLOPE_SPREAD]])
            wanted = np.append(weight, SLOPE / SLOPE_SPREAD)
            self._offset, self._slope = np.linalg.lstsq(left, wanted, rcond=None)[0]
            spread = max(spread * 0.7, DEVIATION)
        right = np.abs(design @ (self._offset, self._slope) - 1) < 2 * DEVIATION
        self.known = bool(self._slope > 0 and np.average(right, weights=share) >= AGREEING)
