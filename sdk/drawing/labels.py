"""Where a name stands: at its box, and always within the picture."""

from dataclasses import dataclass

import numpy as np

from sdk.drawing.lettering import draw_word, word_height

LETTERS = (13, 40)
"""Size in px at least and at most; between them a fortieth of the picture's height."""


@dataclass(frozen=True)
class Label:
    """A name and the rectangle that it fills, px of the picture."""

    left: int
    top: int
    width: int
    height: int
    ink: np.ndarray
    """uint8 `[h, w]`, 0 to 255: the letters, in the middle of the rectangle."""


def place_label(name: str, box: tuple[int, int, int, int], height: int, width: int) -> Label | None:
    """The label of a box (xyxy px) in a picture: above it, where that is no room below it, else inside it.

    A name that is wider than the picture is cut short with an ellipsis. None where not even that fits.
    """
    size = int(np.clip(height / 40, *LETTERS))
    across, along = size // 4, size // 10
    size = min(size, int((height - 2 * along) / 1.3))
    ink = None if size < 4 else _fitting(name, size, width - 2 * across)
    if ink is None:
        return None
    own_height, own_width = word_height(size) + 2 * along, ink.shape[1] + 2 * across
    left, upper, _, lower = box
    if upper - own_height >= 0:
        top = min(upper, height) - own_height
    elif 0 <= lower <= height - own_height:
        top = lower
    else:
        top = max(0, min(upper, height - own_height))
    return Label(max(0, min(left, width - own_width)), top, own_width, own_height, ink)


def _fitting(name: str, size: int, room: int) -> np.ndarray | None:
    """The name, or as much of its beginning as there is room for, px."""
    ink = draw_word(name, size)
    if ink.shape[1] <= room:
        return ink
    shown, cut = 0, len(name)  # the first fits with its ellipsis, the second does not
    while cut - shown > 1:
        middle = (shown + cut) // 2
        if draw_word(name[:middle].rstrip() + "…", size).shape[1] <= room:
            shown = middle
        else:
            cut = middle
    ink = draw_word(name[:shown].rstrip() + "…", size)
    return ink if ink.shape[1] <= room else None
