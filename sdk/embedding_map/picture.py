"""The map as a picture: small crops at their places, in frames of the colour of their identity or camera."""

from collections.abc import Sequence

import numpy as np

from sdk.canvas import FAINT, Canvas
from sdk.colours import PALETTE, as_bgr, colour_of
from sdk.embedding_map.points import Point

SIZE, MARGIN, FOOT = 1600, 50, 40
"""px."""
SMALLEST, LARGEST = 14, 56
"""Height of a crop, px; a third of the picture is covered where they are many."""
FRAME = 0.08
"""Of a crop's height."""
COLOUR_BY = ("identity", "camera")


def colours(points: Sequence[Point], colour_by: str) -> list[str]:
    """`#rrggbb` of each point, by its identity or camera; grey where that is not known."""
    return [colour_of(getattr(point, colour_by)) for point in points]


def draw_map(places: np.ndarray, points: Sequence[Point], colour_by: str = "identity") -> np.ndarray:
    """uint8 BGR `[H, W, 3]` of points at `places`, float `[N, 2]` from 0 to 1.

    colour_by: one of `COLOUR_BY`. A point without a crop is a dot. Raises `DataError` naming an image that cannot be
    read.
    """
    canvas = Canvas(SIZE + FOOT, SIZE)
    height = float(np.clip(np.sqrt(2 * SIZE * SIZE / 3 / max(1, len(points))), SMALLEST, LARGEST))
    width, frame = height / 2, max(1.5, FRAME * height)
    inner = SIZE - 2 * MARGIN
    for (x, y), point, colour in zip(places, points, colours(points, colour_by), strict=True):
        left, top = MARGIN + x * inner, MARGIN + (1 - y) * inner
        if point.crop is None:
            canvas.dot(left, top, height / 4, as_bgr(colour))
            continue
        left, top = left - width / 2, top - height / 2
        canvas.rectangle(left - frame, top - frame, width + 2 * frame, height + 2 * frame, as_bgr(colour))
        canvas.paste(left, top, width, height, point.crop())
    kinds = len({getattr(point, colour_by) for point in points})
    shared = ", which share a dozen colours" if kinds > len(PALETTE) else ""
    text = f"{len(points)} crops, coloured by {colour_by}: {kinds} of them{shared}"
    canvas.text(MARGIN, SIZE + FOOT / 2 - 8, text, 9, FAINT)
    return canvas.finished()
