"""Person detectors from model files: whatever was exported, in the forms of `forms.py`."""

import re
from pathlib import Path

import cv2
import numpy as np
import supervision as sv

from sdk.errors import EngineError
from sdk.tracking.detectors import forms
from sdk.tracking.detectors.boxes import as_detections
from sdk.tracking.detectors.forms import DETR, FORMS, READY, RT_DETR, YOLO, YOLOV5, YOLOX, YOLOX_DECODED, Form
from sdk.tracking.detectors.sessions import Session, open_session

USUAL_SIZE = 640
"""Side of the input in px, where the model takes any."""
LEAST_SCORE = 0.1
"""Doubtful boxes help a tracker over a moment's occlusion; it starts no track with them."""
MOST_OVERLAP = 0.65
"""Intersection over union of two boxes from which they are one person, in forms that leave the doubles in."""
GREY = 114
"""Around a frame whose shape is not the input's; the models have learnt it."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's colours, red, green, blue, in [0, 1]."""

CORNERED = (YOLOX, YOLOX_DECODED)
"""These take the frame in the upper left corner, and colours as OpenCV has them, blue first, from 0 to 255."""
DOUBLES = (YOLO, YOLOV5, *CORNERED)
"""These give many boxes of one person."""

PEOPLE = ("person", "people", "pedestrian", "human")

OPTIONS = {
    "form": rf"({'|'.join(FORMS)})",
    "person": r"\d+",
    "score": r"0?\.\d+|0|1",
    "size": r"\d+(x\d+)?",
}
"""What may follow a file's name after a #, joined by &: the form, the number of the class person, the least score, and
the input's WIDTHxHEIGHT in px where the model takes any."""


def open_detector(path: str | Path, options: str = "") -> "ModelDetector":
    """Open `path` with options as in `OPTIONS`. Raises `EngineError` for a wrong option, or as `ModelDetector`."""
    given = dict(part.partition("=")[::2] for part in options.split("&") if part)
    for key, value in given.items():
        if key not in OPTIONS:
            raise EngineError(f"{path}: unknown option '{key}' of a detector; there are {', '.join(OPTIONS)}")
        if not re.fullmatch(OPTIONS[key], value):
            raise EngineError(f"{path}: '{key}={value}' is malformed; expected {OPTIONS[key]}")
    width, _, height = given.get("size", "").partition("x")
    return ModelDetector(
        open_session(path),
        form=given.get("form"),
        person=int(given["person"]) if "person" in given else None,
        least_score=float(given.get("score", LEAST_SCORE)),
        size=(int(height or width), int(width)) if width else None,
    )


class ModelDetector:
    """Finds people with a detection model. Keeps no state: one serves all cameras, in any thread."""

    def __init__(
        self,
        session: Session,
        form: str | None = None,
        person: int | None = None,
        least_score: float = LEAST_SCORE,
        size: tuple[int, int] | None = None,
    ):
        """session: of `open_session`. form: one of `forms.FORMS`; None: as the shapes of its outputs tell. person: the
        number of that class; None: as the names in the file tell (Ultralytics writes them), else 0, or 1 where the
        classes are COCO's categories. size: (height, width) px of the input where the model takes any; None: 640×640.

        Raises `EngineError` if it cannot be run, its outputs are in no known form, or it knows no people.
        """
        self._session, path = session, session.path
        self._least = least_score
        self._take_input(size)
        names = session.class_names
        outputs = dict(zip(session.outputs, self._run(self._blank(), self._size), strict=True))
        found = forms.read_form(outputs, self._size, len(names) or None, form)
        if found is None:
            shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in outputs.items())
            raise EngineError(
                f"{path}: the outputs ({shapes}) are in no form known here{f' as {form}' if form else ''}; "
                f"export it as one of {', '.join(FORMS)}, or pass a callable as detector"
            )
        self.form: Form = found
        self.person = self._person(names) if person is None else person
        if found.classes and self.person >= found.classes:
            raise EngineError(f"{path}: class {self.person} is to be the person, but there are {found.classes} classes")

    def __call__(self, frame: np.ndarray) -> sv.Detections:
        picture, (scale_x, scale_y), (left, top) = self._fit(frame)
        outputs = self._run(self._prepare(picture), frame.shape[:2])
        boxes, scores = forms.read_boxes(self.form, outputs, self.person, self._size, self._least)
        sound = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
        boxes, scores = boxes[sound].astype(np.float64), scores[sound]
        if self.form.name != READY:
            boxes = (boxes - (left, top, left, top)) / (scale_x, scale_y, scale_x, scale_y)
        if self.form.name in DOUBLES and len(boxes):
            corner_and_extent = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])
            kept = cv2.dnn.NMSBoxes(corner_and_extent.tolist(), scores.tolist(), self._least, MOST_OVERLAP)
            boxes, scores = boxes[np.asarray(kept, int)], scores[np.asarray(kept, int)]
        found = as_detections(boxes, scores, frame)
        return found[((found.xyxy[:, 2:] - found.xyxy[:, :2]) >= 1).all(axis=1)]  # none outside the frame

    def _take_input(self, size: tuple[int, int] | None) -> None:
        """Find the image among the inputs, its layout, type and size."""
        inputs = self._session.inputs
        images = [node for node in inputs if len(node.shape) == 4]
        if len(images) != 1:
            given = ", ".join(f"{node.name} {list(node.shape)}" for node in inputs)
            raise EngineError(f"{self._session.path}: expected one input that is an image [1, 3, H, W], got {given}")
        self._image = images[0]
        self._others = [node for node in inputs if node is not self._image]
        self._channels_last = self._image.shape[3] == 3
        self._type = self._image.dtype
        if self._type not in (np.float32, np.float16, np.uint8):
            raise EngineError(f"{self._session.path}: its image is {self._type}; expected float32, float16 or uint8")
        own = self._image.shape[1:3] if self._channels_last else self._image.shape[2:]
        usual = size or (USUAL_SIZE, USUAL_SIZE)
        self._size = tuple(d if isinstance(d, int) and d > 0 else u for d, u in zip(own, usual, strict=True))

    def _person(self, names: dict[int, str]) -> int:
        if not names:
            return 1 if self.form.classes in forms.COCO_CATEGORIES else 0
        for number, name in names.items():
            if str(name).lower() in PEOPLE:
                return int(number)
        if len(names) == 1:
            return 0
        raise EngineError(
            f"{self._session.path}: none of its classes is a person ({', '.join(map(str, names.values()))[:200]})"
        )

    def _fit(self, frame: np.ndarray) -> tuple[np.ndarray, tuple[float, float], tuple[int, int]]:
        """The frame at the input's size; by what it was scaled, across and along; and the border, left and top, px."""
        height, width = self._size
        own_height, own_width = frame.shape[:2]
        if self.form.name in (DETR, RT_DETR, READY):
            picture = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
            return picture, (width / own_width, height / own_height), (0, 0)
        scale = min(width / own_width, height / own_height)
        inner = (max(1, round(own_width * scale)), max(1, round(own_height * scale)))
        picture = np.full((height, width, 3), GREY, np.uint8)
        left, top = (0, 0) if self.form.name in CORNERED else ((width - inner[0]) // 2, (height - inner[1]) // 2)
        resized = cv2.resize(frame, inner, interpolation=cv2.INTER_LINEAR)
        picture[top : top + inner[1], left : left + inner[0]] = resized
        return picture, (inner[0] / own_width, inner[1] / own_height), (left, top)

    def _prepare(self, picture: np.ndarray) -> np.ndarray:
        """uint8 BGR `[H, W, 3]` at the input's size → what the model takes."""
        if self.form.name not in CORNERED:
            picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        if self._type != np.uint8 and self.form.name not in CORNERED:
            picture = picture.astype(np.float32) / 255
            # RF-DETR, told by COCO's categories, takes colours as the first DETR does; RT-DETR and its kin plain.
            if self.form.name == DETR or (self.form.name == RT_DETR and self.form.classes in forms.COCO_CATEGORIES):
                picture = (picture - np.float32(MEAN)) / np.float32(DEVIATION)
        return self._batch(picture)

    def _blank(self) -> np.ndarray:
        """An even grey picture, to see the form of the outputs by."""
        return self._batch(np.full((*self._size, 3), 0.5 if self._type != np.uint8 else GREY, np.float32))

    def _batch(self, picture: np.ndarray) -> np.ndarray:
        batch = picture[None] if self._channels_last else picture.transpose(2, 0, 1)[None]
        return np.ascontiguousarray(batch, self._type)

    def _run(self, batch: np.ndarray, frame_size: tuple[int, int]) -> list[np.ndarray]:
        feed = {self._image.name: batch}
        for node in self._others:
            if "mask" in node.name:  # DETR's: which part of the picture is no border
                shape = [d if isinstance(d, int) else own for d, own in zip(node.shape[1:], self._size, strict=True)]
                feed[node.name] = np.ones((1, *shape), node.dtype or np.int64)
            elif "size" in node.name:
                feed[node.name] = np.array([frame_size[::-1]], node.dtype or np.int64)
            else:
                raise EngineError(
                    f"{self._session.path}: the input '{node.name}' is unknown; export it with the image alone"
                )
        return self._session.run(feed)
