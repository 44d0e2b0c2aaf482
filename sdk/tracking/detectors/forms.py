"""The forms in which detection models give boxes, told apart by their shapes, and how each is read.

All of one image. N boxes or queries, C classes; xyxy and cxcywh are corners, and centre with extent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

YOLO = "yolo"
"""`[1, 4 + C, N]` or `[1, N, 4 + C]`: cxcywh in input px, then class scores. YOLOv8, 9, 11, 12 as they are exported."""
YOLOV5 = "yolov5"
"""`[1, N, 5 + C]`: cxcywh in input px, objectness, class scores; three boxes a cell. YOLOv5, 7."""
YOLOX = "yolox"
"""The same, one box a cell; centres count in cells from their own, extents are logarithms. YOLOX as it is exported."""
YOLOX_DECODED = "yolox-decoded"
"""One box a cell, in input px. YOLOX exported with decoding in the graph."""
SORTED = "sorted"
"""`[1, N, 6]`: xyxy in input px, score, class, the doubles taken out already. YOLOv10, YOLO26, exports with NMS."""
NUMBERED = "numbered"
"""`[N, 7]`: image, xyxy in input px, class, score. YOLOv7 exported with NMS."""
DETR = "detr"
"""`[1, N, C]` logits, the last class being nothing (softmax), and cxcywh `[1, N, 4]` in [0, 1]. DETR, YOLOS."""
RT_DETR = "rt-detr"
"""`[1, N, C]` logits (sigmoid), and cxcywh in [0, 1]. RT-DETR, D-FINE, RF-DETR, Deformable and Conditional DETR."""
READY = "ready"
"""Classes `[1, N]`, xyxy `[1, N, 4]` in frame px, scores `[1, N]`. RT-DETR, D-FINE with their postprocessor."""

FORMS = (YOLO, YOLOV5, YOLOX, YOLOX_DECODED, SORTED, NUMBERED, DETR, RT_DETR, READY)

STRIDES = (8, 16, 32, 64)
"""Of the grids of cells over the input, px; most models have the first three."""

DETR_QUERIES = 100
"""Up to so many queries it is the first DETR's family, whose classes exclude each other."""
COCO_CATEGORIES = (91, 92)
"""Class counts of models that use COCO's category numbers, in which a person is 1, not 0."""


@dataclass(frozen=True)
class Form:
    """A form, and where in the outputs its parts are."""

    name: str
    classes: int
    """C; 0 where the outputs do not tell."""
    outputs: tuple[int, ...]
    """The numbers of the outputs that are read: one; or classes or logits, boxes, and, if `READY`, scores."""


def cells(size: tuple[int, int], levels: int = 3) -> int:
    """How many grid cells an input of `size` (height, width) px has."""
    return sum((size[0] // stride) * (size[1] // stride) for stride in STRIDES[:levels])


def read_form(
    outputs: Mapping[str, np.ndarray], size: tuple[int, int], classes: int | None = None, wanted: str | None = None
) -> Form | None:
    """The form of a model's `outputs`, by name, for an input of `size` (height, width) px; None if it is none of ours.

    classes: C where it is known. wanted: the form where it is known: then only the places are looked for. The outputs
    must be real ones: that of an even grey image shows whether YOLOX's boxes are decoded.
    """
    names, arrays = list(outputs), list(outputs.values())
    shapes = [array.shape for array in arrays]
    if wanted in (None, DETR, RT_DETR, READY) and (found := _read_transformer(names, shapes, wanted)):
        return found
    singles = [i for i, shape in enumerate(shapes) if len(shape) == 3 and shape[0] == 1 and min(shape[1:]) >= 5]
    if len(shapes) == 1 and len(shapes[0]) == 2 and shapes[0][1] == 7 and wanted in (None, NUMBERED):
        return Form(NUMBERED, 0, (0,))
    if not singles or wanted in (DETR, RT_DETR, READY, NUMBERED):
        return None
    index = singles[0]  # what exports append, masks and the like, comes later
    _, rows, columns = shapes[index]
    if wanted:
        few, extra = min(rows, columns), {YOLO: 4, YOLOV5: 5, YOLOX: 5, YOLOX_DECODED: 5}.get(wanted, 0)
        return Form(wanted, few - extra if extra else 0, (index,))
    if rows < columns:
        return Form(YOLO, rows - 4, (index,))
    anchored = rows in [count * cells(size, levels) for count in (1, 3) for levels in (3, 4)]
    if columns == 6 and not anchored:
        return Form(SORTED, 0, (index,))
    if classes == columns - 4:
        return Form(YOLO, columns - 4, (index,))
    if rows not in (cells(size, 3), cells(size, 4)):
        return Form(YOLOV5, columns - 5, (index,))
    raw = np.abs(arrays[index][0, :, :2]).max() < 0.3 * max(size)  # decoded, some centre is at the far corner
    return Form(YOLOX if raw else YOLOX_DECODED, columns - 5, (index,))


def _read_transformer(names: Sequence[str], shapes: Sequence[tuple[int, ...]], wanted: str | None) -> Form | None:
    boxes = _choose(names, [len(s) == 3 and s[0] == 1 and s[2] == 4 for s in shapes], ("box", "det"))
    if boxes is None:
        return None
    queries = shapes[boxes][1]
    flat = [i for i, s in enumerate(shapes) if s == (1, queries)]
    if len(flat) == 2 and wanted in (None, READY):
        scores = next((i for i in flat if "score" in names[i].lower()), flat[-1])
        labels = next(i for i in flat if i != scores)
        return Form(READY, 0, (labels, boxes, scores))
    fits = [i != boxes and len(s) == 3 and s[:2] == (1, queries) for i, s in enumerate(shapes)]
    logits = _choose(names, fits, ("logit", "label", "score", "class"))
    if logits is None or wanted == READY:
        return None
    columns = shapes[logits][2]
    name = wanted or (DETR if queries <= DETR_QUERIES or columns == 92 else RT_DETR)
    return Form(name, columns, (logits, boxes))


def _choose(names: Sequence[str], fits: Sequence[bool], words: Sequence[str]) -> int | None:
    """The output that fits, best one whose name has one of `words` in it."""
    fitting = [i for i, fit in enumerate(fits) if fit]
    named = [i for i in fitting if any(word in names[i].lower() for word in words)]
    return next(iter(named + fitting), None)


def read_boxes(
    form: Form, outputs: Sequence[np.ndarray], person: int, size: tuple[int, int], least: float
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes `[N, 4]` xyxy in input px (frame px if `READY`) and scores `[N]` of class `person`, those from `least` up.

    outputs: all of the model's, in order. size: the input's (height, width) px.
    """
    first, *others = [np.asarray(outputs[i], np.float32) for i in form.outputs]
    if form.name == READY:
        boxes, scores = others[0][0], np.where(first[0] == person, others[1][0], 0)
    elif form.name in (DETR, RT_DETR):
        logits = first[0]
        if form.name == DETR:
            odds = np.exp(logits - logits.max(axis=1, keepdims=True))
            scores = odds[:, person] / odds.sum(axis=1)
        else:
            scores = 1 / (1 + np.exp(-np.clip(logits[:, person], -50, 50)))
        height, width = size
        boxes = _corners(others[0][0] * (width, height, width, height))
    elif form.name == NUMBERED:
        boxes, scores = first[:, 1:5], np.where(first[:, 5] == person, first[:, 6], 0)
    elif form.name == SORTED:
        boxes, scores = first[0, :, :4], np.where(first[0, :, 5] == person, first[0, :, 4], 0)
    elif form.name == YOLO:
        rows = first[0] if first.shape[2] == form.classes + 4 and first.shape[1] > first.shape[2] else first[0].T
        boxes, scores = _corners(rows[:, :4]), rows[:, 4 + person]
    else:
        rows = first[0]
        boxes, scores = rows[:, :4], rows[:, 4] * rows[:, 5 + person]
        boxes = _corners(_decode(boxes, size) if form.name == YOLOX else boxes)
    kept = scores >= least
    return boxes[kept], scores[kept]


def _corners(boxes: np.ndarray) -> np.ndarray:
    """xyxy of cxcywh."""
    return np.hstack([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2])


def _decode(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """cxcywh in px of YOLOX's boxes in cells and logarithms, `[N, 4]`, a row a cell, by rows, the finest grid first."""
    levels = 3 if len(boxes) == cells(size, 3) else 4
    corner, stride = [], []
    for step in STRIDES[:levels]:
        y, x = np.mgrid[: size[0] // step, : size[1] // step]
        corner.append(np.stack([x, y], axis=2).reshape(-1, 2))
        stride.append(np.full((x.size, 1), step))
    corner, stride = np.concatenate(corner), np.concatenate(stride)
    return np.hstack([(boxes[:, :2] + corner) * stride, np.exp(np.minimum(boxes[:, 2:], 20)) * stride])
