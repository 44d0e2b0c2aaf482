"""What a model's outputs say: boxes, scores, classes, whatever their form is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sdk.tracking.detectors import forms
from sdk.tracking.detectors.forms import BINS, Form, cells, grids


@dataclass(frozen=True)
class Rows:
    """N boxes of any class, as a model gave them: nothing is checked yet."""

    boxes: np.ndarray
    """xyxy px of the input (of the frame, if the form is `READY`), float32 `[N, 4]`."""
    scores: np.ndarray
    """float32 `[N, C]`, a column a class; `[N]` where `classes` says of which."""
    classes: np.ndarray | None = None
    """`[N]`, as the model numbers them from 0."""
    objectness: np.ndarray | None = None
    """`[N]`: what the scores are yet to be multiplied by."""

    def of(self, people: Sequence[int]) -> np.ndarray:
        """The scores of the classes `people`, the best of them, `[N]`."""
        if self.classes is not None:
            return np.where(np.isin(self.classes, people), self.scores, 0)
        best = self.scores[:, list(people)].max(axis=1)
        return best if self.objectness is None else best * self.objectness

    def best(self) -> np.ndarray:
        """The best score of any class, `[N]`."""
        if self.classes is not None:
            return self.scores
        best = self.scores.max(axis=1, initial=0)
        return best if self.objectness is None else best * self.objectness

    def pick(self, rows: np.ndarray) -> "Rows":
        parts = {name: getattr(self, name) for name in ("boxes", "scores", "classes", "objectness")}
        return replace(self, **{name: part[rows] for name, part in parts.items() if part is not None})


def read_rows(form: Form, outputs: Sequence[np.ndarray], size: tuple[int, int]) -> Rows:
    """Read all of a model's `outputs`, in order, for an input of `size` (height, width) px."""
    parts = [np.asarray(outputs[i], np.float32) for i in form.outputs]
    return _READERS[form.name](form, parts, size)


def _yolo(form: Form, parts: Sequence[np.ndarray], size) -> Rows:
    rows = parts[0][0] if form.rows_first else parts[0][0].T
    return Rows(_corners(rows[:, :4]), rows[:, 4 : 4 + form.classes])


def _objects(form: Form, parts: Sequence[np.ndarray], size) -> Rows:
    rows = parts[0][0]
    boxes = _from_cells(rows[:, :4], size) if form.name == forms.YOLOX else rows[:, :4]
    return Rows(_corners(boxes), rows[:, 5 : 5 + form.classes], objectness=rows[:, 4])


def _listed(form: Form, parts: Sequence[np.ndarray], size) -> Rows:
    if len(parts) == 1:
        rows = parts[0][0]
        return Rows(rows[:, :4], rows[:, 4], rows[:, 5])
    boxes = parts[0][0]
    centred = form.name in (forms.DEEPSTREAM_CENTRED, forms.DEEPSTREAM_YOLOX_CENTRED)
    return Rows(_corners(boxes) if centred else boxes, parts[1].reshape(-1), parts[2].reshape(-1))


def _numbered(form: Form, parts: Sequence[np.ndarray], size) -> Rows:
    rows = parts[0]
    if form.name == forms.NUMBERED:
        return Rows(rows[:, 1:5], rows[:, 6], rows[:, 5])
    return Rows(rows[:, 1:5], rows[:, 5], rows[:, 6])


def _queries(form: Form, parts: Sequence[np.ndarray], size) -> Rows:
    boxes, logits = parts[0][0], parts[1][0]
    if form.name == forms.DETR:
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores = (odds / odds.sum(axis=1, keepdims=True))[:, :-1]
    else:
        scores = 1 / (1 + np.exp(-np.clip(logits, -50, 50)))
    return Rows(_corners(boxes * _sides(size)), scores)


def _query_rows(form: Form, parts: Sequence[np.ndarray], size) -> Rows:
    rows = parts[0][0]
    return Rows(_corners(rows[:, :4] * _sides(size)), rows[:, 4 : 4 + form.classes])


def _separate(form: Form, parts: Sequence[np.ndarray], size) -> Rows:
    boxes, scores = parts[0][0], parts[1].reshape(-1)
    count = len(boxes)
    if len(parts) > 3:
        count = int(np.clip(np.nan_to_num(parts[3]).reshape(-1)[0], 0, count))
    classes = parts[2].reshape(-1)
    if form.name == forms.TENSORFLOW:
        boxes, classes = boxes[:, [1, 0, 3, 2]] * _sides(size), classes - 1
    return Rows(boxes[:count], scores[:count], classes[:count])


def _scored(form: Form, parts: Sequence[np.ndarray], size) -> Rows:
    return Rows(parts[0][0], parts[1][0])


def _distances(form: Form, parts: Sequence[np.ndarray], size) -> Rows:
    rows = parts[0][0]
    logits = rows[:, form.classes : form.classes + 4 * BINS].reshape(-1, 4, BINS)
    odds = np.exp(logits - logits.max(axis=2, keepdims=True))
    corner, stride = _grid(size, len(rows))
    left, top, right, bottom = (odds @ np.arange(BINS, dtype=np.float32) / odds.sum(axis=2) * stride).T
    x, y = (corner * stride).T
    return Rows(np.stack([x - left, y - top, x + right, y + bottom], axis=1), rows[:, : form.classes])


_READERS = {
    forms.YOLO: _yolo,
    forms.YOLOV5: _objects,
    forms.YOLOX: _objects,
    forms.YOLOX_DECODED: _objects,
    forms.SORTED: _listed,
    forms.NUMBERED: _numbered,
    forms.DETR: _queries,
    forms.RT_DETR: _queries,
    forms.RF_DETR: _queries,
    forms.DETR_ROWS: _query_rows,
    forms.READY: _separate,
    forms.EFFICIENT_NMS: _separate,
    forms.YOLO_NAS: _scored,
    forms.YOLO_NAS_FLAT: _numbered,
    forms.NANODET: _distances,
    forms.TENSORFLOW: _separate,
    forms.DEEPSTREAM: _listed,
    forms.DEEPSTREAM_YOLOX: _listed,
    forms.DEEPSTREAM_DETR: _listed,
    forms.DEEPSTREAM_CENTRED: _listed,
    forms.DEEPSTREAM_YOLOX_CENTRED: _listed,
}


def _sides(size: tuple[int, int]) -> np.ndarray:
    height, width = size
    return np.float32([width, height, width, height])


def _corners(boxes: np.ndarray) -> np.ndarray:
    """xyxy of cxcywh."""
    return np.hstack([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2])


def _from_cells(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """cxcywh in px of YOLOX's boxes in cells and logarithms, `[N, 4]`, a row a cell."""
    corner, stride = _grid(size, len(boxes))
    return np.hstack([(boxes[:, :2] + corner) * stride, np.exp(np.minimum(boxes[:, 2:], 20)) * stride])


def _grid(size: tuple[int, int], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Column and row `[N, 2]` and stride `[N, 1]` of the `count` cells, by rows, the finest grid first."""
    corner, stride = [], []
    for rows, columns, step in grids(size, 3 if count == cells(size, 3) else 4):
        y, x = np.mgrid[:rows, :columns]
        corner.append(np.stack([x, y], axis=2).reshape(-1, 2))
        stride.append(np.full((x.size, 1), step))
    return np.concatenate(corner).astype(np.float32), np.concatenate(stride).astype(np.float32)
