"""A box and a name for everybody, in their own colour."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from sdk.colours import INK, as_bgr, colour_of
from sdk.drawing.labels import Label, place_label

NAMELESS = "?"
"""The label of somebody without a name yet."""
LINES = (2, 5)
"""Width in px of a box's line at least and at most; `sdk.report.thumbnails` cuts off the half inside the box."""


def draw_people(frame: np.ndarray, people: Iterable[tuple[Sequence[float], str | None]]) -> np.ndarray:
    """A copy of a frame uint8 BGR `[H, W, 3]` with a box (xyxy px) and a name, or a question mark, for each.

    A box that is no rectangle of finite numbers is left out.
    """
    scene = frame.copy()
    height, width = scene.shape[:2]
    line = int(np.clip(round(width / 480), *LINES))
    labels = []
    for box, name in people:
        if not np.isfinite(box).all():
            continue
        # An edge far outside is as invisible as one a little outside, and fits OpenCV's integers.
        corners = np.clip(np.round(box), -2 * line, [width + 2 * line, height + 2 * line] * 2)
        x0, y0, x1, y1 = (int(v) for v in corners)
        colour = as_bgr(colour_of(name or None))
        cv2.rectangle(scene, (x0, y0), (x1, y1), colour, line)
        if (label := place_label(name or NAMELESS, (x0, y0, x1, y1), height, width)) is not None:
            labels.append((label, colour))
    for label, colour in labels:  # above all lines
        _write(scene, label, colour)
    return scene


def _write(scene: np.ndarray, label: Label, colour: tuple[int, int, int]) -> None:
    ground = scene[label.top : label.top + label.height, label.left : label.left + label.width]
    ground[...] = colour
    across, along = (label.width - label.ink.shape[1]) // 2, (label.height - label.ink.shape[0]) // 2
    text = ground[along : along + label.ink.shape[0], across : across + label.ink.shape[1]]
    ink = label.ink[..., None] / 255
    text[...] = np.round(text * (1 - ink) + np.array(as_bgr(INK)) * ink).astype(np.uint8)
