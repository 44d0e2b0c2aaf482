"""The connected parts of what stands out: often one person each, of whom nothing need be guessed."""

from dataclasses import dataclass

import cv2
import numpy as np

MIN_HEIGHT = 0.1
"""Of a person, as a share of the picture's height."""
ASPECT = (1.2, 5.0)
"""Height over width of a person, least and most."""
ALONE = 1.8
"""Height over width from which it is no two people side by side."""
MIN_FILL = 0.25
"""Share of the box that a person fills, in mid-stride."""


@dataclass(frozen=True)
class Silhouettes:
    """N connected parts of a picture."""

    boxes: np.ndarray
    """int `[N, 4]`, xyxy px."""
    fill: np.ndarray
    """float `[N]`: the share of the box that is filled."""
    of_pixel: np.ndarray
    """int `[H, W]`: which one each pixel is of; −1 none."""

    @classmethod
    def of(cls, mask: np.ndarray) -> "Silhouettes":
        """mask: uint8 `[H, W]`, 0 where nothing stands out."""
        _, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
        x, y, width, height, area = stats[1:].T  # row 0 is the background
        return cls(np.stack([x, y, x + width, y + height], axis=1), area / (width * height), labels - 1)

    def like_a_person(self, least_aspect: float = ASPECT[0]) -> np.ndarray:
        """Which are about as large, as slender and as solid as a person, bool `[N]`."""
        width, height = (self.boxes[:, 2:] - self.boxes[:, :2]).T
        slender = (height >= least_aspect * width) & (height <= ASPECT[1] * width)
        return slender & (height >= MIN_HEIGHT * len(self.of_pixel)) & (self.fill > MIN_FILL)

    def whole(self) -> np.ndarray:
        """Which do not touch the picture's edge, bool `[N]`."""
        rows, columns = self.of_pixel.shape
        return (self.boxes[:, :2] > 0).all(axis=1) & (self.boxes[:, 2] < columns) & (self.boxes[:, 3] < rows)
