"""Which form a file has: by what it says of itself, by the shapes of its outputs, and by the numbers in them."""

from collections.abc import Mapping, Sequence

import numpy as np

from sdk.tracking.detectors import forms
from sdk.tracking.detectors.facts import Facts
from sdk.tracking.detectors.forms import BINS, COCO_CATEGORIES, Form, cells
from sdk.tracking.detectors.rows import read_rows
from sdk.tracking.detectors.values import contradiction

LISTED = 1000
"""Rows up to which they may be a list of what was found; a grid of cells has more, but for small inputs."""
WIDEST = 200
"""Columns up to which they may be what is said of a box; key points have 57, masks 38."""
ROUNDING = 0.001
"""Of scores in half precision that are meant to be equal."""
FIRST_DETR = 100
"""Queries up to which it may be the first DETR's family, whose classes exclude each other."""


class UnknownForm(Exception):
    """No form fits, or several do. `choices`: those that fit by the shapes."""

    def __init__(self, why: str, choices: Sequence[str] = ()):
        super().__init__(why)
        self.choices = tuple(choices)


def recognise(
    outputs: Mapping[str, np.ndarray],
    size: tuple[int, int],
    facts: Facts,
    takes_size: bool = False,
    wanted: str | None = None,
) -> tuple[Form, list[str]]:
    """The form of a model's `outputs`, by name, for an input of `size` (height, width) px; and what others it might be.

    The outputs must be real ones, of an even grey picture. takes_size: whether the frame's size is an input. wanted:
    the form where it is known: then only its places are looked for. Raises `UnknownForm`.
    """
    names, arrays = list(outputs), list(outputs.values())
    ranks = possible_forms(names, [array.shape for array in arrays], size, facts, takes_size)
    choices = list(dict.fromkeys(form.name for rank in ranks for form in rank))
    if wanted:
        ranks = [[form for form in rank if form.name == wanted] for rank in ranks]
    refused = []
    for rank in ranks:
        fitting = []
        for form in rank:
            why = _misfit(form, arrays, size, facts, wanted is not None)
            fitting += [] if why else [form]
            refused += [f"as {form.name} {why}"] if why else []
        if len(fitting) > 1:
            names = [form.name for form in fitting]
            raise UnknownForm("nothing in the file tells which of several forms it has", names)
        if fitting:
            return fitting[0], [name for name in choices if name != fitting[0].name]
    raise UnknownForm("; ".join(refused) or _hint([array.shape for array in arrays]), choices)


def _hint(shapes: Sequence[tuple[int, ...]]) -> str:
    """What outputs of these shapes are, where they are no form of ours."""
    if len(shapes) == 1 and len(shapes[0]) == 2 and shapes[0][0] == 1:
        return "one row of numbers is what a classifier gives"
    if all(len(shape) in (4, 5) for shape in shapes):
        return "these are the raw maps of its heads; export it with the decoding in the graph"
    if any(len(shape) == 3 and shape[2] == 5 for shape in shapes) and len(shapes) > 1:
        return "MMDetection's exports say nothing of the picture that they want"
    if any(len(shape) == 2 and shape[1] == 4 for shape in shapes) and len(shapes) > 2:
        return "torchvision's exports have no batch"
    return ""


def possible_forms(
    names: Sequence[str], shapes: Sequence[tuple[int, ...]], size: tuple[int, int], facts: Facts, takes_size: bool
) -> list[list[Form]]:
    """The forms that outputs of these names and shapes may have: the likeliest first, equally likely ones together."""
    boxes = _choose(names, [len(s) == 3 and s[0] == 1 and s[2] == 4 for s in shapes], ("box", "det"))
    if boxes is not None and (found := _beside_boxes(boxes, names, shapes, takes_size)):
        return found
    if len(shapes) == 1 and len(shapes[0]) == 2 and shapes[0][1] == 7:
        order = [forms.NUMBERED, forms.YOLO_NAS_FLAT]
        return [[Form(name, 0, (0,))] for name in (order[::-1] if "flat" in names[0].lower() else order)]
    singles = [i for i, s in enumerate(shapes) if len(s) == 3 and s[0] == 1 and (s[2] >= 6 or min(s[1:]) >= 5)]
    if not singles:
        return []
    index = singles[0]  # what exports append, masks and the like, comes later
    if any(s == shapes[index][:2] for s in shapes):  # beside scores or classes of their own, boxes are no whole rows
        return []
    masks = next((s[1] for s in shapes if len(s) == 4 and s[0] == 1 and s[2:] == (size[0] // 4, size[1] // 4)), 0)
    return _in_one(index, *shapes[index][1:], masks, size, facts)


def _in_one(index: int, rows: int, columns: int, masks: int, size: tuple[int, int], facts: Facts) -> list[list[Form]]:
    """The forms of one output `[1, rows, columns]`, of whose columns `masks` may be of no interest."""
    known = len(facts.names)
    one_a_cell = rows in (cells(size, 3), cells(size, 4))
    several_a_cell = any(rows == count * cells(size, levels) for count in range(2, 7) for levels in (3, 4))
    boxes_in_columns = rows < columns and (columns in (cells(size, 3), cells(size, 4)) or columns > WIDEST)

    def form(name: str, before: int, rest: int = columns, rows_first: bool = True) -> list[Form]:
        """With C classes after `before` columns, if so many can be in them."""
        room = rest - before
        count = known or room - masks
        fits = 0 < count <= room and (facts.task != "detect" or count == room)
        return [Form(name, count, (index,), rows_first)] if fits else []

    listed = [Form(forms.SORTED, known, (index,))] if columns == 6 or (columns > 6 and facts.task != "detect") else []
    if facts.doubles is False:
        return [listed]
    if boxes_in_columns:
        return [form(forms.YOLO, 4, rows, rows_first=False)]
    objects = form(forms.YOLOV5, 5)
    streams = (forms.DEEPSTREAM, forms.DEEPSTREAM_YOLOX, forms.DEEPSTREAM_DETR) if columns == 6 else ()
    streamed = [Form(name, known, (index,)) for name in streams]
    if several_a_cell:
        return [objects + streamed[:1]]
    if one_a_cell:
        scored = form(forms.YOLO, 4)
        objects += form(forms.YOLOX, 5) + form(forms.YOLOX_DECODED, 5)
        nano = form(forms.NANODET, 0, columns - 4 * BINS) if rows == cells(size, 4) else []
        if scored and (known or columns - masks == 84):  # no model has 79 classes, COCO's have 80
            return [scored + nano + streamed, objects]
        return [objects + nano + streamed, scored]
    if rows <= LISTED:
        return [listed, form(forms.DETR_ROWS, 4), streamed[2:]]
    return [objects]


def _beside_boxes(
    boxes: int, names: Sequence[str], shapes: Sequence[tuple[int, ...]], takes_size: bool
) -> list[list[Form]]:
    """The forms with a box output `[1, N, 4]` of their own, the number `boxes`."""
    count = shapes[boxes][1]
    flat = [i for i, s in enumerate(shapes) if s == (1, count)]
    narrow = [i for i, s in enumerate(shapes) if s == (1, count, 1)]
    total = [i for i, s in enumerate(shapes) if s in ((), (1,), (1, 1)) and i not in flat]
    for fitting in (flat, narrow):
        if len(fitting) < 2:
            continue
        scores = next((i for i in fitting if _has(names[i], "score", "conf")), fitting[-1])
        labels = _choose(names, [i in fitting and i != scores for i in range(len(names))], ("class", "label"))
        places = (boxes, scores, labels, *total[:1])
        if fitting is narrow:
            streams = [forms.DEEPSTREAM, forms.DEEPSTREAM_YOLOX, forms.DEEPSTREAM_DETR]
            streams += [forms.DEEPSTREAM_CENTRED, forms.DEEPSTREAM_YOLOX_CENTRED]
            return [[Form(name, 0, places[:3]) for name in streams]]
        ready = Form(forms.READY, 0, places[:3])
        if takes_size:
            return [[ready]]
        kinds = [Form(name, 0, places) for name in (forms.EFFICIENT_NMS, forms.TENSORFLOW)]
        if _has(names[boxes], "detection"):
            kinds.reverse()
        if not total:  # boxes of the frame, of the input, with which picture? Only who made it knows.
            return [[*kinds, ready]]
        return [[kind] for kind in (*kinds, ready)]
    fits = [i != boxes and len(s) == 3 and s[:2] == (1, count) for i, s in enumerate(shapes)]
    logits = _choose(names, fits, ("logit", "label", "score", "class"))
    if logits is None:
        return []
    columns, places = shapes[logits][2], (boxes, logits)
    stretched = forms.RT_DETR
    if columns in COCO_CATEGORIES or (_has(names[boxes], "dets") and _has(names[logits], "label")):
        stretched = forms.RF_DETR
    first = count <= FIRST_DETR or columns == COCO_CATEGORIES[1]
    order = [forms.DETR, stretched] if first and not _has(names[boxes], "dets") else [stretched, forms.DETR]
    others = [name for name in (forms.RT_DETR, forms.RF_DETR) if name != stretched]
    return [[Form(name, columns, places)] for name in (*order, forms.YOLO_NAS, *others)]


def _misfit(form: Form, arrays: Sequence[np.ndarray], size: tuple[int, int], facts: Facts, wanted: bool) -> str:
    """What in the numbers speaks against a form; "" if nothing does."""
    rows = read_rows(form, arrays, size)
    if form.name == forms.SORTED and not wanted and (np.diff(rows.scores) > ROUNDING).any():
        return "its scores do not fall from row to row"
    first = arrays[form.outputs[0]]
    if form.name in (forms.DETR, forms.RT_DETR, forms.RF_DETR):
        logits = arrays[form.outputs[1]]
        if logits.any() and logits.min() >= 0 and logits.max() <= 1:
            return "its logits are scores from 0 to 1"
    if form.name in (forms.YOLOX, forms.YOLOX_DECODED) and not wanted:
        in_cells = np.abs(first[0, :, :2]).max() < 0.3 * max(size)  # decoded, some centre is at the far corner
        if in_cells != (form.name == forms.YOLOX):
            return f"its boxes are {'not ' if form.name == forms.YOLOX else ''}in cells"
    one_a_cell = first.ndim == 3 and first.shape[1] in (cells(size, 3), cells(size, 4))
    if form.name in (forms.YOLOX_DECODED, forms.YOLOV5) and one_a_cell and not wanted:
        certain = bool((first[0, :, 4] == 1).all())  # YOLOv6 fills the place of the objectness
        if certain != (form.name == forms.YOLOV5):
            return "its objectness is 1 throughout" if certain else "its objectness is not 1 throughout"
    if rows.objectness is not None and rows.scores.shape[1] == 1 and not wanted:
        scores = rows.scores[rows.boxes.any(axis=1)]
        if scores.size and rows.objectness.any() and not scores.any():
            return "its only class has no score anywhere"
    area = size if form.name != forms.READY else (10**9, 10**9)  # in px of a frame that may be of any size
    return contradiction(rows, area, len(facts.names))


def _choose(names: Sequence[str], fits: Sequence[bool], words: Sequence[str]) -> int | None:
    """The output that fits, best one whose name has one of `words` in it."""
    fitting = [i for i, fit in enumerate(fits) if fit]
    named = [i for i in fitting if _has(names[i], *words)]
    return next(iter(named + fitting), None)


def _has(name: str, *words: str) -> bool:
    return any(word in name.lower() for word in words)
