"""A detector of people that looks at the truth instead of the picture, with a detector's faults.

It stands in for the detector that a user brings, so that tracking and re-identification can be tried and measured
apart from how well people are found.
"""

import numpy as np

from sdk.simulation.faults import USUAL, Faults
from sdk.simulation.site.truth import Truth

LEAST_VISIBILITY = 0.3
"""Of a body; who shows less is not found."""


def detect(
    truth: Truth, size: tuple[int, int], rng: np.random.Generator, misalignment: float = USUAL
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes float32 `[N, 4]` xyxy px, inside the frame of `size = (height, width)`, and confidences float32 `[N]`.

    misalignment from 0, all are found and boxes are exact, to 1, severe: boxes are shifted and too large, or cut off
    the legs, and one in five people is missed. Raises `DataError` for another misalignment.
    """
    faults = Faults.at(misalignment)
    found = (truth.visibility >= LEAST_VISIBILITY) & (rng.random(len(truth.visibility)) >= faults.missed)
    boxes = truth.boxes[found].astype(float)
    count = len(boxes)
    extent = boxes[:, 2:] - boxes[:, :2]
    shift = extent * rng.normal(0, 1, (count, 2)) * (faults.shift_across, faults.shift_along)
    # An even mix of tight and loose boxes; crops, which fill a fixed frame, are as loose on average.
    grown = extent * rng.uniform(0, faults.loose / 2, (count, 2))
    boxes[:, :2] += shift - grown / 2
    boxes[:, 2:] += shift + grown / 2
    cut = rng.random(count) < faults.cut
    boxes[cut, 3] -= extent[cut, 1] * (1 - 1 / rng.uniform(faults.cut_least, faults.cut_most, cut.sum()))
    height, width = size
    boxes = np.clip(boxes, 0, (width, height, width, height)).astype(np.float32)
    whole = ((boxes[:, 2:] - boxes[:, :2]) >= 2).all(axis=1)
    confidence = np.clip(0.5 + 0.5 * truth.visibility[found] - np.abs(rng.normal(0, 0.05, count)), 0.05, 1)
    return boxes[whole], confidence[whole].astype(np.float32)
