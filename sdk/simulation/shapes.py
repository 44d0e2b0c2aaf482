"""The two shapes that figures are made of: elliptic columns wrapped in a texture, and limbs cut from a picture.

Body coordinates: x to the right of the picture, y down from the crown, in body heights.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

HEADROOM = 0.035
"""Free space above the crown, for hats, and below the feet, as a share of the body height."""


_UNCOVERED = np.float32([[0, 0, 0, -1 / 255, 1]] * 4)
"""From a patch's pixel to the share of what lies beneath that it leaves, once for each channel."""


@dataclass(frozen=True)
class Texture:
    """What is wrapped around a column: float32 BGRA, colours multiplied by alpha.

    `image` goes once and a half round the body, from τ = −3π/2 to 3π/2; τ = 0 is the front, π/2 the person's left.
    """

    image: np.ndarray
    top: float
    bottom: float

    @classmethod
    def wrap(cls, image: np.ndarray, top: float, bottom: float) -> "Texture":
        """Of a picture that goes once round, from τ = −π (left edge) to π."""
        quarter = image.shape[1] // 4
        return cls(np.hstack([image[:, -quarter:], image, image[:, :quarter]]), top, bottom)


@dataclass(frozen=True)
class Limb:
    """A tapered piece of arm or leg, drawn upright: float32 BGRA, colours multiplied by alpha."""

    image: np.ndarray
    scale: float
    """px per body height, across."""
    start: float
    end: float
    """Rows where the joints are."""


def _rows(values: np.ndarray) -> np.ndarray:
    """One value a row, to be combined with pixels: float32 `[rows, 1]`."""
    return values.astype(np.float32)[:, None]


class Canvas:
    """A picture in the making, float32 BGRA, colours multiplied by alpha."""

    def __init__(self, height: int, width: int):
        self.scale = height / (1 + 2 * HEADROOM)
        self.origin = (width / 2, HEADROOM * self.scale)
        self.image = np.zeros((height, width, 4), np.float32)

    def column(self, texture: Texture, profile: np.ndarray, view: float, centre=(0.0, 0.0), light: float = 0.0) -> None:
        """Draw an upright elliptic column seen from `view`, radians.

        profile: rows (y, half width, half depth). centre: x of the axis at the top and at the bottom of the profile.
        light: −1 from the left to 1 from the right.
        """
        height, width = self.image.shape[:2]
        (ox, oy), scale = self.origin, self.scale
        first = max(0, int(profile[0, 0] * scale + oy))
        last = min(height, int(np.ceil(profile[-1, 0] * scale + oy)))
        if first >= last:
            return
        # All per-pixel work is in float32 and in place: this is where drawing spends most of its time.
        y = (np.arange(first, last) + 0.5 - oy) / scale
        half_width, half_depth = (np.interp(y, profile[:, 0], profile[:, i]) for i in (1, 2))
        across, along = half_width * np.cos(view), half_depth * np.sin(view)
        half = np.maximum(np.hypot(across, along), 1e-3)
        turn = np.arctan2(along, across)
        middle = np.interp(y, profile[[0, -1], 0], centre)
        left = max(0, int((middle - half).min() * scale + ox) - 1)
        right = min(width, int((middle + half).max() * scale + ox) + 2)
        if left >= right:
            return
        x = (np.arange(left, right) + 0.5 - ox) / scale
        u = _rows(1 / half) * x.astype(np.float32)
        u -= _rows(middle / half)
        # Soft edges at the sides, and at the lower and upper end.
        cover = np.abs(u)
        cover *= _rows(-half * scale)
        cover += _rows(half * scale + 0.5)
        cv2.max(cv2.min(cover, 1.0, cover), 0.0, cover)
        cv2.max(cv2.min(u, 1.0, u), -1.0, u)
        columns, rows = texture.image.shape[1] / 1.5, texture.image.shape[0]
        map_x = np.arcsin(u)
        map_x *= np.float32(columns / (2 * np.pi))
        map_x -= _rows((turn - 1.5 * np.pi) * (columns / (2 * np.pi)) + 0.5)
        map_y = np.empty_like(map_x)
        map_y[:] = _rows((y - texture.top) * (rows / (texture.bottom - texture.top)) - 0.5)
        patch = cv2.remap(texture.image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        shade = u * np.float32(-0.34)
        shade += np.float32(0.16 * light)
        shade *= u
        shade += np.float32(1.04)
        shade *= cover
        patch *= cv2.merge([shade, shade, shade, cover])  # several times quicker than broadcasting over channels
        self._blend(patch, left, first)

    def limb(self, limb: Limb, a, b, shade: float = 1.0) -> None:
        """Draw a limb from the joint `a` to the joint `b`, points (x, y)."""
        (ox, oy), scale = self.origin, self.scale
        dx, dy = (b[0] - a[0]) * scale, (b[1] - a[1]) * scale
        length = math.hypot(dx, dy)
        if length < 0.02 * scale:  # pointing at the camera
            dx, dy, length = 0.0, 0.02 * scale, 0.02 * scale
        across = scale / limb.scale / length
        nx, ny = dy * across, -dx * across
        ux, uy = dx / (limb.end - limb.start), dy / (limb.end - limb.start)
        rows, columns = limb.image.shape[:2]
        x = a[0] * scale + ox - nx * (columns - 1) / 2 - ux * limb.start
        y = a[1] * scale + oy - ny * (columns - 1) / 2 - uy * limb.start
        height, width = self.image.shape[:2]
        left = max(0, int(x + min(0.0, nx * columns) + min(0.0, ux * rows)))
        top = max(0, int(y + min(0.0, ny * columns) + min(0.0, uy * rows)))
        right = min(width, int(x + max(0.0, nx * columns) + max(0.0, ux * rows)) + 2)
        bottom = min(height, int(y + max(0.0, ny * columns) + max(0.0, uy * rows)) + 2)
        if left >= right or top >= bottom:
            return
        matrix = np.array([[nx, ux, x - left], [ny, uy, y - top]])
        patch = cv2.warpAffine(limb.image, matrix, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
        if shade != 1:
            patch = cv2.transform(
                patch, np.float32([[shade, 0, 0, 0], [0, shade, 0, 0], [0, 0, shade, 0], [0, 0, 0, 1]])
            )
        self._blend(patch, left, top)

    def ellipse(self, centre, radii, colour, angle: float = 0.0) -> None:
        """A filled ellipse with soft edges; `centre` and `radii` in body heights, `angle` in degrees."""
        (ox, oy), scale = self.origin, self.scale
        height, width = self.image.shape[:2]
        x, y, reach = centre[0] * scale + ox, centre[1] * scale + oy, max(radii) * scale + 2
        left, top = max(0, int(x - reach)), max(0, int(y - reach))
        right, bottom = min(width, int(x + reach) + 1), min(height, int(y + reach) + 1)
        if left >= right or top >= bottom:
            return
        mask = np.zeros((bottom - top, right - left), np.uint8)
        axes = tuple(max(16, round(r * scale * 16)) for r in radii)
        cv2.ellipse(mask, (round((x - left) * 16), round((y - top) * 16)), axes, angle, 0, 360, 255, -1, cv2.LINE_AA, 4)
        self._blend(cv2.merge([mask * np.float32(c / 255) for c in (*colour, 255.0)]), left, top)

    def polygon(self, points, colour) -> None:
        cv2.fillPoly(self.image, [self._pixels(points)], (*colour, 255.0))

    def line(self, points, colour, thickness: float) -> None:
        """A line through `points`, `thickness` in body heights and at least 1 px."""
        pixels = max(1, round(thickness * self.scale))
        cv2.polylines(self.image, [self._pixels(points)], False, (*colour, 255.0), pixels)

    def _pixels(self, points) -> np.ndarray:
        return np.round(np.array(points) * self.scale + self.origin).astype(np.int32)

    def _blend(self, patch: np.ndarray, left: int, top: int) -> None:
        target = self.image[top : top + patch.shape[0], left : left + patch.shape[1]]
        target *= cv2.transform(patch, _UNCOVERED)
        target += patch
