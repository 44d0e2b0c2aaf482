"""A picture to draw on: images, lines and text with smooth edges."""

from dataclasses import dataclass, field

import cv2
import numpy as np

SHARPNESS = 3
"""Everything is drawn so many times larger and then shrunk: smooth edges, and letters of even weight."""

# BGR.
PAPER, INK, FAINT = (255, 255, 255), (52, 40, 32), (140, 128, 120)


@dataclass
class Canvas:
    """A white picture that is drawn on in its own pixels, `SHARPNESS` times enlarged."""

    height: int
    width: int
    image: np.ndarray = field(init=False)

    def __post_init__(self):
        self.image = np.full((self.height * SHARPNESS, self.width * SHARPNESS, 3), PAPER, np.uint8)

    def paste(self, x: float, y: float, width: float, height: float, image: np.ndarray) -> None:
        """Put `image` over the rectangle that begins at (x, y), resized to fill it."""
        left, top, right, bottom = (round(v * SHARPNESS) for v in (x, y, x + width, y + height))
        size = (right - left, bottom - top)
        self.image[top:bottom, left:right] = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)

    def rectangle(self, x: float, y: float, width: float, height: float, colour, thickness: float = 0) -> None:
        """thickness 0: filled."""
        a, b = self._point(x, y), self._point(x + width, y + height)
        cv2.rectangle(self.image, a, b, colour, self._thick(thickness) if thickness else -1, cv2.LINE_AA)

    def line(self, points, colour, thickness: float) -> None:
        """Through `points`, `[N, 2]` as (x, y)."""
        path = np.array([self._point(x, y) for x, y in points], np.int32)
        cv2.polylines(self.image, [path], False, colour, self._thick(thickness), cv2.LINE_AA)

    def dot(self, x: float, y: float, radius: float, colour) -> None:
        cv2.circle(self.image, self._point(x, y), round(radius * SHARPNESS), colour, -1, cv2.LINE_AA)

    def text(self, x: float, y: float, text: str, size: float, colour=INK, anchor: float = 0, room: float = 0) -> None:
        """One line whose capitals are `size` px high, vertically centred on y.

        anchor: how much of the line lies left of x, 0 to 1. room: cut the line to this width (px); 0: never.
        The font has the letters of ASCII only; others become question marks.
        """
        text = text.encode("ascii", "replace").decode()
        if room and text_width(text, size) > room:
            while text and text_width(text + "...", size) > room:
                text = text[:-1]
            text += "..."
        scale, thickness = size * SHARPNESS / 21, max(1, round(size * SHARPNESS / 12))
        left = x * SHARPNESS - anchor * text_width(text, size) * SHARPNESS
        corner = (round(left), round((y + size / 2) * SHARPNESS))
        cv2.putText(self.image, text, corner, FONT, scale, colour, thickness, cv2.LINE_AA)

    def finished(self) -> np.ndarray:
        """uint8 BGR `[height, width, 3]`."""
        return cv2.resize(self.image, (self.width, self.height), interpolation=cv2.INTER_AREA)

    def _point(self, x: float, y: float) -> tuple[int, int]:
        return round(x * SHARPNESS), round(y * SHARPNESS)

    def _thick(self, thickness: float) -> int:
        return max(1, round(thickness * SHARPNESS))


FONT = cv2.FONT_HERSHEY_SIMPLEX
"""OpenCV's strokes; its capitals are 21 px high at scale 1."""


def text_width(text: str, size: float) -> float:
    """Of a line whose capitals are `size` px high, in px."""
    (width, _), _ = cv2.getTextSize(text, FONT, size * SHARPNESS / 21, max(1, round(size * SHARPNESS / 12)))
    return width / SHARPNESS
