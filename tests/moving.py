"""A stand-in world for tracking tests: coloured rectangles that walk, their detector, and an engine for colours."""

import numpy as np
import supervision as sv

from sdk.engines import Metadata

SIZE = (240, 320)
BLUE, GREEN, RED, YELLOW = (200, 60, 40), (50, 180, 60), (40, 50, 210), (30, 200, 220)


class ColourEngine:
    """Embeds a crop as its mean colour about mid-grey, at unit length; counts its calls."""

    metadata = Metadata("colour", (32, 16), 3, "fp32", threshold={"value": 0.2, "tracklet_value": 0.2})

    def __init__(self):
        self.batches = []

    def run(self, crops):
        self.batches.append(len(crops))
        mean = crops.reshape(len(crops), -1, 3).mean(axis=1) - 110.0
        return (mean / np.linalg.norm(mean, axis=1, keepdims=True)).astype(np.float32), None


class World:
    """One camera's frames: grey floor, and figures given as (colour, x, y) of their top left corner."""

    def __init__(self):
        self.boxes = {}

    def frame(self, *figures):
        image = np.full((*SIZE, 3), 110, np.uint8)
        boxes = []
        for colour, x, y in figures:
            x, y = int(x), int(y)
            image[y : y + 100, x : x + 40] = colour
            image[y + 40 : y + 44, x : x + 40] = 110  # a belt
            boxes.append((x, y, x + 40, y + 100))
        self.boxes[id(image)] = boxes
        self._kept = image  # so that its id is not given to the next
        return image

    def __call__(self, frame):
        boxes = np.array(self.boxes[id(frame)], np.float32).reshape(-1, 4)
        return sv.Detections(xyxy=boxes, confidence=np.full(len(boxes), 0.9, np.float32))
