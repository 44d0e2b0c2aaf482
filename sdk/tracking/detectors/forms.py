"""The forms in which detection models give boxes, and the picture that the models of each form have learnt.

All of one image. N boxes or queries, C classes; xyxy and cxcywh are corners, and centre with extent.
`recognise.py` tells which form a file has, `rows.py` reads it.
"""

from dataclasses import dataclass

from sdk.tracking.detectors.picture import BORDERED, CORNERED, IMAGENET, NANO, RGB_BYTES, STRETCHED, Picture


@dataclass(frozen=True)
class Kind:
    """What is known of a form."""

    makers: str
    """Whose exports have it, in words for a message."""
    picture: Picture
    doubles: bool = False
    """Whether there are many boxes of one person."""


YOLO = "yolo"
"""`[1, 4 + C, N]` or `[1, N, 4 + C]`: cxcywh in input px, then class scores; masks or key points may come after."""
YOLOV5 = "yolov5"
"""`[1, N, 5 + C]`: cxcywh in input px, objectness, class scores; three boxes a cell."""
YOLOX = "yolox"
"""The same, one box a cell; centres count in cells from their own, extents are logarithms."""
YOLOX_DECODED = "yolox-decoded"
"""One box a cell, in input px."""
SORTED = "sorted"
"""`[1, N, 6]`: xyxy in input px, score, class, the doubles taken out already; masks or key points may come after."""
NUMBERED = "numbered"
"""`[N, 7]`: image, xyxy in input px, class, score."""
DETR = "detr"
"""`[1, N, C]` logits, the last class being nothing (softmax), and cxcywh `[1, N, 4]` in [0, 1]."""
RT_DETR = "rt-detr"
"""`[1, N, C]` logits (sigmoid), and cxcywh in [0, 1]."""
RF_DETR = "rf-detr"
"""The same with another picture."""
DETR_ROWS = "rt-detr-rows"
"""`[1, N, 4 + C]`: cxcywh in [0, 1], then class scores."""
READY = "ready"
"""Classes `[1, N]`, xyxy `[1, N, 4]` in frame px, scores `[1, N]`; the frame's size is a second input."""
EFFICIENT_NMS = "efficient-nms"
"""A count, xyxy `[1, N, 4]` in input px, scores `[1, N]`, classes `[1, N]`."""
YOLO_NAS = "yolo-nas"
"""xyxy `[1, N, 4]` in input px, class scores `[1, N, C]`."""
YOLO_NAS_FLAT = "yolo-nas-flat"
"""`[N, 7]`: image, xyxy in input px, score, class."""
NANODET = "nanodet"
"""`[1, N, C + 32]`: class scores, then for left, top, right and bottom eight logits of the distance in cells."""
TENSORFLOW = "tensorflow"
"""yxyx `[1, N, 4]` in [0, 1], classes from 1 up and scores `[1, N]`, a count."""
DEEPSTREAM = "deepstream"
"""`[1, N, 6]`, or three outputs: xyxy in input px, score, class, the doubles still in."""
DEEPSTREAM_YOLOX = "deepstream-yolox"
DEEPSTREAM_DETR = "deepstream-detr"
"""The same with other pictures; the last has no doubles."""
DEEPSTREAM_CENTRED, DEEPSTREAM_YOLOX_CENTRED = "deepstream-centred", "deepstream-yolox-centred"
"""Three outputs, the boxes cxcywh: as it was exported at first."""

FORMS = {
    YOLO: Kind("Ultralytics YOLOv8, 9, 11, 12", BORDERED, doubles=True),
    YOLOV5: Kind("YOLOv5, 6, 7", BORDERED, doubles=True),
    YOLOX: Kind("YOLOX", CORNERED, doubles=True),
    YOLOX_DECODED: Kind("YOLOX with decoding in the graph", CORNERED, doubles=True),
    SORTED: Kind("YOLOv10, YOLO26, Ultralytics with nms=True", BORDERED),
    NUMBERED: Kind("YOLOv7 with NMS", BORDERED),
    DETR: Kind("DETR, YOLOS", IMAGENET),
    RT_DETR: Kind("RT-DETR, D-FINE", STRETCHED),
    RF_DETR: Kind("RF-DETR, Deformable and Conditional DETR", IMAGENET),
    DETR_ROWS: Kind("RT-DETR of Ultralytics", STRETCHED),
    READY: Kind("RT-DETR, D-FINE with their postprocessor", STRETCHED),
    EFFICIENT_NMS: Kind("YOLOv6, 7, 8, 9, YOLO-NAS with TensorRT's NMS", BORDERED),
    YOLO_NAS: Kind("YOLO-NAS", BORDERED, doubles=True),
    YOLO_NAS_FLAT: Kind("YOLO-NAS with NMS", BORDERED),
    NANODET: Kind("NanoDet-Plus", NANO, doubles=True),
    TENSORFLOW: Kind("TensorFlow's detection models", RGB_BYTES),
    DEEPSTREAM: Kind("DeepStream-Yolo's exports of YOLOv5 to 12 and YOLO-NAS", BORDERED, doubles=True),
    DEEPSTREAM_YOLOX: Kind("DeepStream-Yolo's of YOLOX", CORNERED, doubles=True),
    DEEPSTREAM_DETR: Kind("DeepStream-Yolo's of RT-DETR, D-FINE, PP-YOLOE", STRETCHED, doubles=True),
    DEEPSTREAM_CENTRED: Kind("DeepStream-Yolo's first exports of YOLOv5 to 8", BORDERED, doubles=True),
    DEEPSTREAM_YOLOX_CENTRED: Kind("DeepStream-Yolo's first exports of YOLOX", CORNERED, doubles=True),
}

STRIDES = (8, 16, 32, 64)
"""Of the grids of cells over the input, px; most models have the first three."""
BINS = 8
"""Logits of NanoDet-Plus for each of a box's four sides."""
COCO_CATEGORIES = (91, 92)
"""Class counts of models that use COCO's category numbers, in which a person is 1, not 0."""


@dataclass(frozen=True)
class Form:
    """A form, and where in the outputs its parts are."""

    name: str
    classes: int
    """C; 0 where the outputs do not tell."""
    outputs: tuple[int, ...]
    """The numbers of the outputs that are read: one; or boxes, then scores or logits, then classes, then the count."""
    rows_first: bool = True
    """Of `YOLO`: whether it is `[1, N, 4 + C]`."""

    @property
    def kind(self) -> Kind:
        return FORMS[self.name]


def grids(size: tuple[int, int], levels: int = 3) -> list[tuple[int, int, int]]:
    """Rows, columns and stride of the grids of cells over an input of `size` (height, width) px, the finest first."""
    return [(-(-size[0] // step), -(-size[1] // step), step) for step in STRIDES[:levels]]


def cells(size: tuple[int, int], levels: int = 3) -> int:
    """How many grid cells an input of `size` (height, width) px has."""
    return sum(rows * columns for rows, columns, _ in grids(size, levels))
