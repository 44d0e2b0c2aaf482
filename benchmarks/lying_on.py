"""On whom of the truth the boxes lie."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment
from trackers.eval import box_iou

from sdk.tracking.evaluation import MIN_IOU, Box


def by_frame(boxes: Sequence[Box]) -> dict[tuple[str, int], list[Box]]:
    """The boxes of each frame that has any, by camera and number."""
    frames = defaultdict(list)
    for box in boxes:
        frames[box.camera, box.frame].append(box)
    return dict(frames)


def lying_on(true: Sequence[Box], frames: Sequence[tuple[str, int]], boxes: np.ndarray) -> list[Box | None]:
    """On whom each of `boxes` `[N, 4]` lies, one on one in a frame, by an IoU of at least `MIN_IOU`; None: on nobody.

    frames: camera and number of each.
    """
    people, rows = by_frame(true), defaultdict(list)
    for row, frame in enumerate(frames):
        rows[frame].append(row)
    on: list[Box | None] = [None] * len(frames)
    for frame, here in rows.items():
        there = people.get(frame, [])
        iou = box_iou(np.array([person.xyxy for person in there]).reshape(-1, 4), boxes[here].astype(float))
        for person, column in zip(*linear_sum_assignment(-iou), strict=True):
            if iou[person, column] >= MIN_IOU:
                on[here[column]] = there[person]
    return on
