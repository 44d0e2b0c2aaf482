"""The picture of an alignment: both crops, lines along the shortest path, and the matrix that it runs through."""

import numpy as np

from sdk.canvas import FAINT, INK, PAPER, Canvas
from sdk.preprocess import resize
from training.alignment.measure import Alignment

FARTHEST = float(np.tanh(np.sqrt(2) / 2))
"""Element distance of two orthogonal stripes, 0.61. Stripes are rectified and of unit length, so none lie farther."""

# The layout in pixels of the picture.
BODY = 512
"""Height of the crops and of the matrix."""
MARGIN, TOP = 36, 76
LINES = 220
"""Width of the room between the crops, where the lines are."""
NUMBERS = 28
"""Width of a column of stripe numbers."""
HEADER = 74
"""Width of the pieces of the first crop beside the matrix."""
FOOT = 118

# BGR.
PATH = (24, 108, 242)
NEAR_TO_FAR = np.array([[92, 46, 16], [156, 104, 30], [200, 176, 112], [236, 226, 206], [246, 244, 240]], np.float64)
"""Colours at equal spacing from distance 0 to `FARTHEST`."""


def colour_of(distance: np.ndarray) -> np.ndarray:
    """Element distances of any shape to colours: `[...]` → uint8 BGR `[..., 3]`, dark for near."""
    place = np.clip(np.asarray(distance, np.float64) / FARTHEST, 0, 1)
    spots = np.linspace(0, 1, len(NEAR_TO_FAR))
    return np.stack([np.interp(place, spots, channel) for channel in NEAR_TO_FAR.T], -1).round().astype(np.uint8)


def draw_alignment(
    alignment: Alignment,
    first: np.ndarray,
    second: np.ndarray,
    names: tuple[str, str],
    input_size: tuple[int, int],
) -> np.ndarray:
    """The picture, uint8 BGR `[706, W, 3]`; the width W follows from the crops' shape.

    first, second: the crops, uint8 BGR `[H, W, 3]`, shown in the proportions of `input_size` (height, width), as
    the network sees them. names: what to call them.
    """
    crops = [resize(crop, input_size) for crop in (first, second)]
    crop_width = BODY * input_size[1] / input_size[0]
    left = MARGIN + NUMBERS
    right = left + crop_width + LINES
    matrix = right + crop_width + NUMBERS + 60 + HEADER
    canvas = Canvas(TOP + BODY + FOOT, round(matrix + BODY + MARGIN))
    for x, crop, name, letter in zip((left, right), crops, names, "AB", strict=True):
        canvas.paste(x, TOP, crop_width, BODY, crop)
        canvas.text(x, TOP - 26, letter, 15)
        canvas.text(x + 24, TOP - 25, name, 11, FAINT, room=crop_width + LINES - 60)
    _draw_stripes(canvas, alignment, left, right, crop_width)
    _draw_matrix(canvas, alignment, crops, matrix)
    _draw_figures(canvas, alignment, left, matrix)
    return canvas.finished()


def _draw_stripes(canvas: Canvas, alignment: Alignment, left: float, right: float, crop_width: float) -> None:
    """The borders and numbers of the stripes, and a line between the two of every cell on the path."""
    count = len(alignment.element)
    height = BODY / count
    for x, number_x in ((left, left - 14), (right, right + crop_width + 14)):
        for i in range(count):
            canvas.text(number_x, TOP + (i + 0.5) * height, str(i + 1), 10, FAINT, anchor=0.5)
            if i:
                y = TOP + i * height
                canvas.line([(x, y), (x + crop_width, y)], PAPER, 1.4)
    middle = TOP + height / 2
    # The nearest last, so that they lie on top.
    for i, j in sorted(alignment.path.tolist(), key=lambda cell: -alignment.element[tuple(cell)]):
        distance = alignment.element[i, j]
        colour = tuple(map(int, colour_of(min(distance, 0.85 * FARTHEST))))  # on white the farthest would vanish
        ends = [(left + crop_width, middle + i * height), (right, middle + j * height)]
        canvas.line(ends, colour, 1.5 + 6.5 * max(0.0, 1 - distance / FARTHEST))
        for x, y in ends:
            canvas.dot(x, y, 4.5, colour)


def _draw_matrix(canvas: Canvas, alignment: Alignment, crops: list[np.ndarray], x: float) -> None:
    """The matrix with the stripes of A down its side and those of B along its top, the path, and the scale below."""
    count = len(alignment.element)
    cell = BODY / count
    piece = min(HEADER - 10, cell - 4)
    piece_height = piece * crops[0].shape[0] / count / crops[0].shape[1]
    for n in range(count):
        rows = slice(round(n * crops[0].shape[0] / count), round((n + 1) * crops[0].shape[0] / count))
        centre = (n + 0.5) * cell
        canvas.paste(x - 8 - piece, TOP + centre - piece_height / 2, piece, piece_height, crops[0][rows])
        canvas.paste(x + centre - piece / 2, TOP - 8 - piece_height, piece, piece_height, crops[1][rows])
        canvas.text(x - 8 - piece - 12, TOP + centre, str(n + 1), 10, FAINT, anchor=0.5)
        canvas.text(x + centre, TOP - 8 - piece_height - 12, str(n + 1), 10, FAINT, anchor=0.5)
    colours = colour_of(alignment.element)
    for i, j in np.ndindex(count, count):
        colour = tuple(map(int, colours[i, j]))
        canvas.rectangle(x + j * cell, TOP + i * cell, cell, cell, colour)
        canvas.rectangle(x + j * cell, TOP + i * cell, cell, cell, PAPER, 0.7)
    path = {tuple(spot) for spot in alignment.path.tolist()}
    for i, j in path:  # the outline of the path: those sides of its cells beyond which it does not go on
        (x0, y0), (x1, y1) = (x + j * cell, TOP + i * cell), (x + (j + 1) * cell, TOP + (i + 1) * cell)
        sides = {(i - 1, j): (x0, y0, x1, y0), (i + 1, j): (x0, y1, x1, y1)}
        sides |= {(i, j - 1): (x0, y0, x0, y1), (i, j + 1): (x1, y0, x1, y1)}
        for neighbour, (xa, ya, xb, yb) in sides.items():
            if neighbour not in path:
                canvas.line([(xa, ya), (xb, yb)], PATH, 3.6)
    for i, j in np.ndindex(count, count):
        text = f"{alignment.element[i, j]:.2f}".removeprefix("0")
        colour = INK if alignment.element[i, j] > FARTHEST / 2 else PAPER
        canvas.text(x + (j + 0.5) * cell, TOP + (i + 0.5) * cell, text, min(10, cell / 5.5), colour, anchor=0.5)


def _draw_figures(canvas: Canvas, alignment: Alignment, left: float, matrix: float) -> None:
    """The distances below the crops, and the scale of the colours below the matrix."""
    x, y = left, TOP + BODY + 36
    figures = (
        (f"{alignment.local:.2f}", f"local distance, {len(alignment.path)} steps"),
        (f"{alignment.local_step:.3f}", "local distance, a step"),
        (f"{alignment.straight_step:.3f}", "unaligned, a stripe"),
        (f"{alignment.cosine:.3f}", "global cosine distance"),
    )
    step = (matrix - HEADER - 60 - left) / len(figures)
    for n, (figure, label) in enumerate(figures):
        canvas.text(x + n * step, y, figure, 18)
        canvas.text(x + n * step, y + 32, label, 8.5, FAINT, room=step - 12)
    ramp = colour_of(np.linspace(0, FARTHEST, 256))[None]
    canvas.paste(matrix, y - 12, BODY, 14, ramp)
    canvas.text(matrix, y + 20, "0", 8.5, FAINT)
    canvas.text(
        matrix + BODY / 2, y + 20, "element distance d(i, j) of stripe i of A and j of B", 8.5, FAINT, anchor=0.5
    )
    canvas.text(matrix + BODY, y + 20, f"{FARTHEST:.2f}", 8.5, FAINT, anchor=1)
