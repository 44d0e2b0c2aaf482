"""Person detectors from model files: whatever was exported, in the forms of `forms.py`."""

import re
from pathlib import Path

import cv2
import numpy as np
import supervision as sv

from sdk.errors import EngineError
from sdk.tracking.detectors.boxes import as_detections, check_picture
from sdk.tracking.detectors.forms import COCO_CATEGORIES, FORMS, READY, Form
from sdk.tracking.detectors.picture import GREY
from sdk.tracking.detectors.recognise import UnknownForm, recognise
from sdk.tracking.detectors.rows import Rows, read_rows
from sdk.tracking.detectors.sessions import Session, open_session
from sdk.tracking.detectors.values import contradiction

USUAL_SIZE = 640
"""Side of the input in px, where the model takes any and the file does not say."""
LEAST_SCORE = 0.1
"""Doubtful boxes help a tracker over a moment's occlusion; it starts no track with them."""
MOST_OVERLAP = 0.65
"""Intersection over union of two boxes from which they are one person, in forms that leave the doubles in."""
PROOF = 20
"""Frames with something in them whose numbers must be right before a form is beyond doubt."""

TASKS = ("", "detect", "segment", "pose")
"""Ultralytics' words for models that give upright boxes."""

OPTIONS = {
    "form": rf"({'|'.join(FORMS)})",
    "person": r"\d+",
    "score": r"0?\.\d+|0|1",
    "size": r"[1-9]\d{0,3}(x[1-9]\d{0,3})?",
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
    """Finds people with a detection model. One serves all cameras, in any thread.

    The form is chosen when the file is opened, by an even grey picture in which hardly anything is found. So the
    numbers are looked at again in the first `PROOF` frames with something in them: a frame that contradicts the form
    then raises `EngineError`. After that an odd box is left out, and ends nothing.
    """

    def __init__(
        self,
        session: Session,
        form: str | None = None,
        person: int | None = None,
        least_score: float = LEAST_SCORE,
        size: tuple[int, int] | None = None,
    ):
        """session: of `open_session`. form: one of `forms.FORMS`; None: as the file and its outputs tell. person: the
        number of that class; None: those that the names in the file tell (Ultralytics writes them), else 0, or 1 where
        the classes are COCO's categories. size: (height, width) px of the input where the model takes any; None: what
        the file says, else 640×640.

        Raises `EngineError` if it cannot be run, its outputs are in no known form or in one of several, or it knows no
        people.
        """
        self._session, path, facts = session, session.path, session.facts
        self._least = least_score
        self._proven = 0
        if facts.task not in TASKS:
            raise EngineError(f"{path}: is a model for the task '{facts.task}'; export one that detects (task=detect)")
        self._take_input(size)
        outputs = dict(zip(session.outputs, self._run(self._blank(), self._size), strict=True))
        try:
            takes_size = any("size" in node.name for node in self._others)
            found, self._alternatives = recognise(outputs, self._size, facts, takes_size, form)
        except UnknownForm as unknown:
            shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in outputs.items())
            raise EngineError(_refusal(path, shapes, form, unknown)) from None
        self.form: Form = found
        self.people = self._people() if person is None else (person,)
        """The numbers of the classes that are people."""
        scores = read_rows(self.form, list(outputs.values()), self._size).scores
        count = scores.shape[1] if scores.ndim == 2 else self.form.classes
        if count and max(self.people) >= count:
            raise EngineError(f"{path}: class {max(self.people)} is to be the person, but there are {count} classes")

    @property
    def person(self) -> int:
        """The number of the class person, the first if there are several."""
        return self.people[0]

    def __call__(self, frame: np.ndarray) -> sv.Detections:
        """Raises `DataError` for what is no picture, and `EngineError` for numbers that contradict the form."""
        check_picture(frame)
        kind = self.form.kind
        picture, (scale_x, scale_y), (left, top) = kind.picture.fit(frame, self._size)
        outputs = self._run(self._batch(kind.picture.colours(picture, self._type)), frame.shape[:2])
        rows = read_rows(self.form, outputs, self._size)
        self._check(rows, frame.shape[:2] if self.form.name == READY else self._size)
        scores = rows.of(self.people)
        kept = (scores >= self._least) & np.isfinite(rows.boxes).all(axis=1)
        boxes, scores = rows.boxes[kept].astype(np.float64), scores[kept]
        if self.form.name != READY:
            boxes = (boxes - (left, top, left, top)) / (scale_x, scale_y, scale_x, scale_y)
        if kind.doubles and len(boxes):
            corner_and_extent = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])
            kept = cv2.dnn.NMSBoxes(corner_and_extent.tolist(), scores.tolist(), self._least, MOST_OVERLAP)
            boxes, scores = boxes[np.asarray(kept, int)], scores[np.asarray(kept, int)]
        return as_detections(boxes, scores, frame)

    def _check(self, rows: Rows, area: tuple[int, int]) -> None:
        """Raise `EngineError` if the numbers contradict the form, as long as it is not beyond doubt."""
        if self._proven >= PROOF:
            return
        found = rows.best() >= self._least
        if not found.any():
            return
        if why := contradiction(rows.pick(found), area, len(self._session.facts.names)):
            choices = _choices(self._alternatives)
            raise EngineError(
                f"{self._session.path}: read as '{self.form.name}' ({self.form.kind.makers}), {why}; "
                + (f"if it is another form, say which after the file's name: {choices}; or " if choices else "")
                + "pass a callable as detector"
            )
        self._proven += 1

    def _take_input(self, size: tuple[int, int] | None) -> None:
        """Find the image among the inputs, its layout, type and size."""
        path, inputs, facts = self._session.path, self._session.inputs, self._session.facts
        images = [node for node in inputs if len(node.shape) == 4]
        if len(images) != 1:
            given = ", ".join(f"{node.name} {list(node.shape)}" for node in inputs)
            raise EngineError(f"{path}: expected one input that is an image [1, 3, H, W], got {given}")
        self._image = images[0]
        self._others = [node for node in inputs if node is not self._image]
        self._channels_last = self._image.shape[3] == 3
        self._type = self._image.dtype
        if self._type not in (np.float32, np.float16, np.uint8):
            raise EngineError(f"{path}: its image is {self._type}; expected float32, float16 or uint8")
        batch, *own = self._image.shape
        channels = own.pop(2 if self._channels_last else 0)
        if isinstance(batch, int) and batch > 1:
            raise EngineError(f"{path}: takes {batch} pictures at a time; export it for one (batch=1)")
        if isinstance(channels, int) and channels != 3:
            raise EngineError(f"{path}: its image has {channels} channels; expected the three of a colour picture")
        usual = size or facts.size or (USUAL_SIZE, USUAL_SIZE)
        self._size = tuple(d if isinstance(d, int) and d > 0 else u for d, u in zip(own, usual, strict=True))
        height, width = self._size
        if tuple(own) != self._size and (height % facts.stride or width % facts.stride):
            raise EngineError(
                f"{path}: the sides of its input must be multiples of {facts.stride}, not {width}x{height}"
            )

    def _people(self) -> tuple[int, ...]:
        facts = self._session.facts
        if not facts.names:
            return (1 if self.form.classes in COCO_CATEGORIES else 0,)
        if not facts.people:
            names = ", ".join(facts.names.values())[:200]
            raise EngineError(
                f"{self._session.path}: none of its classes is a person ({names}); if one is, say its number: #person=0"
            )
        return facts.people

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


def _refusal(path: Path, shapes: str, wanted: str | None, unknown: UnknownForm) -> str:
    why = f": {unknown}" if str(unknown) else ""
    if unknown.choices and not wanted:
        return (
            f"{path}: of its outputs ({shapes}) it cannot be told what they mean{why}; say it after the file's name: "
            f"{_choices(unknown.choices)}; or pass a callable as detector"
        )
    return (
        f"{path}: the outputs ({shapes}) are in no form known here{f' as {wanted}' if wanted else ''}{why}; "
        f"export it as one of {', '.join(FORMS)}, or pass a callable as detector"
    )


def _choices(names) -> str:
    return ", ".join(f"#form={name} ({FORMS[name].makers})" for name in names)
