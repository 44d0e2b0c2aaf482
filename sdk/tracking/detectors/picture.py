"""From a frame to the picture that a detection model has learnt: its shape, its colours and their numbers."""

from dataclasses import dataclass

import cv2
import numpy as np

GREY = 114
"""Around a frame whose shape is not the input's; the models have learnt it."""
MEAN, DEVIATION = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
"""Of ImageNet's colours, red, green, blue, in [0, 1]."""


@dataclass(frozen=True)
class Picture:
    """What the models of a form have learnt."""

    place: str
    """Of the frame in the input: "middle" or "corner" (the upper left), with a grey border; or "stretched"."""
    blue_first: bool = False
    numbers: str = "shares"
    """Of the colours: "shares" of 1, "bytes" to 255, or shares less the "mean" of ImageNet, over its deviation."""

    def fit(self, frame: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, tuple[float, float], tuple[int, int]]:
        """The frame, uint8 BGR `[H, W, 3]`, at the input's `size` (height, width) px; by what it was scaled, across
        and along; and the border, left and top, px."""
        height, width = size
        own_height, own_width = frame.shape[:2]
        if self.place == "stretched":
            picture = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
            return picture, (width / own_width, height / own_height), (0, 0)
        scale = min(width / own_width, height / own_height)
        inner = (max(1, round(own_width * scale)), max(1, round(own_height * scale)))
        picture = np.full((height, width, 3), GREY, np.uint8)
        left, top = (0, 0) if self.place == "corner" else ((width - inner[0]) // 2, (height - inner[1]) // 2)
        resized = cv2.resize(frame, inner, interpolation=cv2.INTER_LINEAR)
        picture[top : top + inner[1], left : left + inner[0]] = resized
        return picture, (inner[0] / own_width, inner[1] / own_height), (left, top)

    def colours(self, picture: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """uint8 BGR `[H, W, 3]` → the numbers that the model takes; those that take bytes scale them themselves."""
        if not self.blue_first:
            picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        if dtype == np.uint8 or self.numbers == "bytes":
            return picture
        shares = picture.astype(np.float32) / 255
        if self.numbers == "mean":
            mean, deviation = (MEAN[::-1], DEVIATION[::-1]) if self.blue_first else (MEAN, DEVIATION)
            shares = (shares - mean) / deviation
        return shares


BORDERED = Picture("middle")
CORNERED = Picture("corner", blue_first=True, numbers="bytes")
STRETCHED = Picture("stretched")
IMAGENET = Picture("stretched", numbers="mean")
NANO = Picture("stretched", blue_first=True, numbers="mean")
RGB_BYTES = Picture("stretched", numbers="bytes")
