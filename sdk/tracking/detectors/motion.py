"""People by their motion before a fixed camera."""

import cv2
import numpy as np
import supervision as sv

from sdk.tracking.detectors.background import Background
from sdk.tracking.detectors.bodies import TRUNK, Person, body_boxes, find_people, span
from sdk.tracking.detectors.boxes import as_detections, check_picture
from sdk.tracking.detectors.heights import Heights
from sdk.tracking.detectors.silhouettes import ALONE, MIN_HEIGHT, Silhouettes

WIDTH = 320
"""px at which people are looked for; less is quicker and less noisy."""
HEIGHT = 960
"""px to which a picture is reduced that is more than three times as high as wide."""
WALKING = 0.15
"""Share of the box of somebody walking that changes in a moment."""


class MotionDetector:
    """People who move before a fixed camera: what stands out from the background, taken apart into bodies.

    It learns the background, so every camera needs its own, and the first second should be without people. It also
    learns how tall people are in each part of the picture, from those who walk alone; until it has seen some, people
    who walk close together come out as one box or none. Quick, and independent of pose.

    Boxes are of whole bodies, hidden parts too; confidence is the share of the body that shows, once heights are known.
    """

    def __init__(self):
        self._background = Background()
        self._heights = Heights(0)

    def __call__(self, frame: np.ndarray) -> sv.Detections:
        check_picture(frame)
        height, width = frame.shape[:2]
        scale = min(WIDTH / width, HEIGHT / height)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.GaussianBlur(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), (3, 3), 0)
        scales = np.tile((size[0] / width, size[1] / height), 2)
        if self._heights.picture_height != len(small):
            self._heights = Heights(len(small))
        mask = self._background.update(small)
        if mask is None:
            return as_detections(np.empty((0, 4)), np.empty(0), frame)
        foreground = cv2.morphologyEx((mask == 255).astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
        # Tall closing joins head, trunk and legs, which clothes of the background's colour tear apart.
        silhouettes = Silhouettes.of(cv2.morphologyEx(foreground, cv2.MORPH_CLOSE, np.ones((13, 5), np.uint8)))
        self._learn_heights(silhouettes)
        if not self._heights.known:
            people = silhouettes.like_a_person()
            return as_detections(silhouettes.boxes[people] / scales, silhouettes.fill[people] + 0.4, frame)
        foreground = cv2.morphologyEx(foreground, cv2.MORPH_CLOSE, np.ones((9, 3), np.uint8)) > 0
        people, showing = find_people(foreground, (mask == 0) & ~foreground, self._heights, MIN_HEIGHT * len(small))
        boxes = body_boxes(people, foreground)
        for person, silhouette in _alone(people, silhouettes).items():
            boxes[person] = silhouettes.boxes[silhouette]
        return as_detections(boxes / scales, showing, frame)

    def _learn_heights(self, silhouettes: Silhouettes) -> None:
        for x0, y0, x1, y1 in silhouettes.boxes[silhouettes.like_a_person(ALONE) & silhouettes.whole()]:
            if self._background.changed[y0:y1, x0:x1].mean() > WALKING:
                self._heights.add(y1, y1 - y0)


def _alone(people: list[Person], silhouettes: Silhouettes) -> dict[int, int]:
    """The people with a silhouette of their own, by number, and which it is."""
    owners: dict[int, list[int]] = {}
    for number, person in enumerate(people):
        trunk = silhouettes.of_pixel[span(person, TRUNK, silhouettes.of_pixel.shape)]
        if (trunk >= 0).any():
            owners.setdefault(int(np.bincount(trunk[trunk >= 0]).argmax()), []).append(number)
    slender = silhouettes.like_a_person()
    return {who[0]: silhouette for silhouette, who in owners.items() if len(who) == 1 and slender[silhouette]}
