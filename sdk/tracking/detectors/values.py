"""Do a model's numbers mean what its form says? What cannot be boxes, scores or classes is another form's."""

import numpy as np

from sdk.tracking.detectors.rows import Rows

MOST = 0.5
"""Share of the boxes that must be in order: a model may err now and then, a wrong form errs throughout."""
SLACK = 0.01
"""By which a score may leave 0..1, in half precision."""
TINY = 2.0
"""px; no model's largest box ends there, but those in shares of the input do."""


def contradiction(rows: Rows, area: tuple[int, int], classes: int = 0) -> str:
    """What is wrong with `rows` as boxes in an `area` (height, width) px, in words; "" if nothing is.

    classes: how many there are; 0 if it is not known. Rows of zeros fill up a list, and tell nothing.
    """
    used = rows.boxes.any(axis=1)
    boxes = rows.boxes[used]
    if not len(boxes):
        return ""
    sound = np.isfinite(boxes).all(axis=1)
    if sound.mean() < MOST:
        return "its boxes are not finite numbers"
    return (
        _of_scores(rows.scores[used])
        or _of_scores(rows.objectness[used] if rows.objectness is not None else np.zeros(0))
        or _of_classes(rows.classes[used] if rows.classes is not None else np.zeros(0), classes)
        or _of_boxes(boxes[sound], area)
    )


def _of_scores(scores: np.ndarray) -> str:
    scores = scores[np.isfinite(scores)]
    if scores.size and (scores.min() < -SLACK or scores.max() > 1 + SLACK):
        return f"its scores go from {scores.min():.3g} to {scores.max():.3g}, not from 0 to 1"
    return ""


def _of_classes(classes: np.ndarray, count: int) -> str:
    classes = classes[np.isfinite(classes)]
    broken = classes[classes != np.round(classes)]
    if broken.size > (1 - MOST) * classes.size:
        return f"its classes have numbers such as {broken[0]:.3g}, which is not a whole one"
    if (unknown := classes[(classes < 0) | (classes >= (count or np.inf))]).size > (1 - MOST) * classes.size:
        return f"its classes have numbers such as {unknown[0]:.0f}" + (f", but there are {count}" if count else "")
    return ""


def _of_boxes(boxes: np.ndarray, area: tuple[int, int]) -> str:
    if ((boxes[:, 2:] >= boxes[:, :2]).all(axis=1)).mean() < MOST:
        return "the right or lower edges of its boxes come before the left or upper ones"
    if np.abs(boxes).max() <= TINY:
        return "its boxes all lie within 0..1"
    height, width = area
    sides = np.float32([width, height, width, height])
    if ((boxes >= -sides) & (boxes <= 2 * sides)).all(axis=1).mean() < MOST:
        return f"its boxes are not within the {width}×{height} px of the picture, but go to {np.abs(boxes).max():.0f}"
    return ""
