"""Forms of detection models that shapes alone do not tell: by what the file says, and by what its numbers can mean.

Small graphs of the shapes that public exports have, not the exports themselves.
"""

import numpy as np
import pytest
from onnx import TensorProto

from sdk.errors import EngineError
from sdk.tracking.detectors.facts import Facts
from sdk.tracking.detectors.forms import cells
from sdk.tracking.detectors.model_file import PROOF, ModelDetector, open_detector
from sdk.tracking.detectors.sessions import Input
from tests.test_model_detectors import (
    ANN,
    BOB,
    COUNT,
    FRAME,
    SIZE,
    corners,
    detr,
    end_to_end,
    in_input,
    in_shares,
    ready,
    rt_detr,
    run,
    write_model,
    yolo,
    yolov5,
)

COCO = {0: "person", 1: "bicycle", 2: "car"}
DOG = (10, 10, 60, 60)
BLACK = np.zeros((*FRAME, 3), np.uint8)


def listed(columns=6, count=300):
    """Ann, a thing of class 2 and Bob at the head of a list; what comes after column 6 is no box."""
    rows = np.zeros((1, count, columns), np.float32)
    rows[0, :3, :6] = end_to_end()["output0"][0, :3]
    rows[0, :3, 6:] = np.linspace(-3, 120, columns - 6)
    return rows


def separate(names, boxes, first=0, count=None, kind=np.float32):
    """Count, boxes, scores, classes; beyond the count there is rubbish."""
    numbers = np.full((1, 100, 4), 7, np.float32)
    numbers[0, :3] = boxes
    scores, classes = np.full((1, 100), 0.99, np.float32), np.full((1, 100), first, kind)
    scores[0, :3], classes[0, :3] = (0.9, 0.8, 0.4), (first, first + 2, first)
    parts = (np.array([[3]] if count is None else [count], kind), numbers, scores, classes)
    return dict(zip(names, parts, strict=True))


def in_pixels():
    return [corners(in_input(box)) for box in (ANN, DOG, BOB)]


def nas():
    boxes, scores = np.zeros((1, COUNT, 4), np.float32), np.full((1, COUNT, 3), 0.001, np.float32)
    boxes[0] = (40, 60, 60, 90)
    for row, (box, person, score) in {3: (ANN, 0, 0.9), 4: (ANN, 0, 0.8), 5: (DOG, 2, 0.8), 6: (BOB, 0, 0.4)}.items():
        boxes[0, row], scores[0, row, person] = corners(in_input(box)), score
    return {"boxes": boxes, "scores": scores}


def numbered_nas():
    rows = end_to_end()["output0"][0, :3]
    return {"graph2_flat_predictions": np.column_stack([np.zeros(3), rows]).astype(np.float32)}


def query_rows():
    rows = np.full((1, 300, 7), 0.01, np.float32)
    rows[0, :, :4] = 0.5
    for row, (box, score) in {3: (ANN, 0.9), 4: (BOB, 0.4)}.items():
        rows[0, row, :5] = [*in_shares(box), score]
    return {"output0": rows}


def nanodet(classes=3):
    """Distances to the sides in eight bins, by the cell whose upper left corner is nearest to the middle."""
    rows = np.full((1, cells(SIZE, 4), classes + 32), 0.01, np.float32)
    for box, score, start, step in ((ANN, 0.9, 0, 8), (BOB, 0.4, 320, 16)):
        shares = np.array(box) / (FRAME[1], FRAME[0], FRAME[1], FRAME[0])
        x1, y1, x2, y2 = shares * (SIZE[1], SIZE[0], SIZE[1], SIZE[0])
        x, y = (int(middle // step) for middle in ((x1 + x2) / 2, (y1 + y2) / 2))
        row = start + y * (SIZE[1] // step) + x
        rows[0, row, 0] = score
        logits = np.full((4, 8), -40.0)
        for side, distance in enumerate((x * step - x1, y * step - y1, x2 - x * step, y2 - y * step)):
            below = int(distance / step)
            share = distance / step - below
            logits[side, below : below + 2] = np.log([1 - share + 1e-9, share + 1e-9])
        rows[0, row, classes:] = logits.ravel()
    return {"output": rows}


def tensorflow():
    boxes = [np.array(box)[[1, 0, 3, 2]] / (FRAME[0], FRAME[1], FRAME[0], FRAME[1]) for box in (ANN, DOG, BOB)]
    names = ("num_detections", "detection_boxes", "detection_scores", "detection_classes")
    return separate(names, boxes, first=1, count=3.0)


def certain():
    """YOLOv6: one box a cell, and 1 in the place of the objectness."""
    rows = yolov5(COUNT)["output"]
    rows[0, :, 5:] *= rows[0, :, 4:5]
    rows[0, :, 4] = 1
    return {"outputs": rows}


def streamed(count=COUNT, corner=False):
    """DeepStream-Yolo: the doubles still in."""
    rows = np.zeros((1, count, 6), np.float32)
    for row, (box, score, kind) in {3: (ANN, 0.9, 0), 4: (ANN, 0.8, 0), 5: (DOG, 0.8, 2), 6: (BOB, 0.4, 0)}.items():
        rows[0, row] = [*corners(in_input(box, middle=not corner)), score, kind]
    return {"output": rows}


def three_streams(centred=False):
    rows = streamed()["output"]
    if centred:
        rows[..., :4] = np.concatenate([(rows[..., :2] + rows[..., 2:4]) / 2, rows[..., 2:4] - rows[..., :2]], axis=2)
    return {"boxes": rows[..., :4], "scores": rows[..., 4:5], "classes": rows[..., 5:]}


MASKS = np.zeros((1, 32, SIZE[0] // 4, SIZE[1] // 4), np.float32)
YOLOV7, SUPER_GRADIENTS = (
    ("num_dets", "det_boxes", "det_scores", "det_classes"),
    ("num_predictions", "pred_boxes", "pred_scores", "pred_classes"),
)
POSE = np.concatenate([yolo(classes=1)["output0"], np.full((1, 51, COUNT), 80, np.float32)], axis=1)
POSE[0, 4, 90] = 0  # the dog

CASES = {
    "yolo, pose": ({"output0": POSE}, {"names": {0: "person"}, "said": {"task": "pose"}}),
    "yolo, masks": ({"o": np.concatenate([yolo()["output0"], MASKS[:, :, 0, 0][..., None] + np.ones(COUNT, np.float32)],
                                         axis=1), "masks": MASKS}, {}),
    "yolov5, YOLOv6": (certain(), {}),
    "yolov5, masks": ({"o": np.concatenate([yolov5()["output"], np.full((1, 3 * COUNT, 32), 9, np.float32)], axis=2),
                       "masks": MASKS}, {}),
    "sorted, pose": ({"output0": listed(57)}, {"said": {"task": "pose", "end2end": "True"}}),
    "sorted, masks": ({"output0": listed(38), "output1": MASKS}, {"names": COCO, "said": {"task": "segment"}}),
    "sorted, masks, nothing said": ({"output0": listed(38), "output1": MASKS}, {}),
    "sorted, five rows": ({"output0": listed(count=5)}, {"names": COCO}),
    "sorted, as many rows as cells": ({"output0": listed(count=COUNT)}, {"said": {"args": "{'nms': True}"}}),
    "efficient-nms": (separate(YOLOV7, in_pixels(), kind=np.int32), {}),
    "efficient-nms, of super-gradients": (separate(SUPER_GRADIENTS, in_pixels(), kind=np.int64), {}),
    "yolo-nas": (nas(), {"names": COCO}),
    "yolo-nas-flat": (numbered_nas(), {}),
    "yolo-nas-flat, by its numbers": ({"output": numbered_nas()["graph2_flat_predictions"]}, {}),
    "rf-detr, four columns": ({"dets": detr(classes=4, person=0)["pred_boxes"],
                               "labels": rt_detr(4, 0)["logits"][:, :100]}, {}),
    "rt-detr-rows": (query_rows(), {"names": COCO}),
    "nanodet": (nanodet(), {}),
    "tensorflow": (tensorflow(), {"kind": TensorProto.UINT8, "shape": (1, *SIZE, 3)}),
    "deepstream, three boxes a cell": (streamed(3 * COUNT), {}),
}  # fmt: skip


def assert_found(detector, options=""):
    found = detector(BLACK)
    order = np.argsort(-found.confidence)
    np.testing.assert_allclose(found.xyxy[order], [ANN, BOB], atol=1.5)
    np.testing.assert_allclose(found.confidence[order], [0.9, 0.4], atol=1e-3)


@pytest.mark.parametrize("case", CASES)
def test_each_form_is_told_and_read(tmp_path, case):
    outputs, options = CASES[case]
    detector = open_detector(write_model(tmp_path / "model.onnx", outputs, **options))
    assert detector.form.name == case.split(",")[0]
    assert_found(detector)


@pytest.mark.parametrize(
    ("outputs", "form", "choices"),
    [
        (streamed(), "deepstream", ["deepstream", "deepstream-yolox", "deepstream-detr"]),
        (three_streams(), "deepstream", ["deepstream", "deepstream-yolox", "deepstream-detr"]),
        (three_streams(centred=True), "deepstream-centred", ["deepstream-centred", "deepstream-yolox-centred"]),
        (streamed(corner=True), "deepstream-yolox", ["deepstream-yolox"]),
        ({k: v for k, v in separate(YOLOV7, in_pixels()).items() if k != "num_dets"}, "efficient-nms", ["ready"]),
    ],
    ids=["rows", "three outputs", "three outputs, centred", "YOLOX's picture", "no count"],
)
def test_where_several_forms_fit_the_choice_is_asked_for(tmp_path, outputs, form, choices):
    for name, array in outputs.items():
        if name == "det_scores":
            array[0, 3:] = 0
    path = write_model(tmp_path / "model.onnx", outputs)
    with pytest.raises(EngineError, match=r"model.onnx: of its outputs .* say it after the file's name: ") as refused:
        open_detector(path)
    assert all(f"#form={choice} (" in str(refused.value) for choice in choices)
    assert_found(open_detector(path, f"form={form}"))


def test_a_list_that_is_not_sorted_is_a_transformer_s(tmp_path):
    """DeepStream-Yolo's RT-DETR and YOLOv10 have one shape; the latter's scores fall from row to row."""
    rows = end_to_end()
    assert open_detector(write_model(tmp_path / "sorted.onnx", rows)).form.name == "sorted"
    rows["output0"] = rows["output0"][:, ::-1].copy()
    assert open_detector(write_model(tmp_path / "queries.onnx", rows)).form.name == "deepstream-detr"


def test_the_pictures_of_the_new_forms(tmp_path):
    """What is given to the model for one colour: the form's probe hands a pixel of the input on as a score."""
    frame = np.full((*FRAME, 3), (50, 100, 200), np.uint8)
    mean, deviation = np.array([0.406, 0.456, 0.485]), np.array([0.225, 0.224, 0.229])
    bytes_shape, floats = (1, *SIZE, 3), (1, 3, *SIZE)
    for outputs, where, kind, shape, expected in (
        (nanodet(), (0, 400, 2), TensorProto.FLOAT, floats, (np.array([50, 100, 200]) / 255 - mean) / deviation),
        (tensorflow(), (0, 90), TensorProto.UINT8, bytes_shape, [200, 100, 50]),
        (separate(YOLOV7, in_pixels()), (0, 90), TensorProto.FLOAT, floats, np.array([200, 100, 50]) / 255),
        (nas(), (0, 90, 1), TensorProto.FLOAT, floats, np.array([200, 100, 50]) / 255),
        (query_rows(), (0, 90, 6), TensorProto.FLOAT, floats, np.array([200, 100, 50]) / 255),
    ):
        name = next((n for n in outputs if "score" in n), next(iter(outputs)))
        for channel in range(3):
            pixel = (0, 80, 60, channel) if shape is bytes_shape else (0, channel, 80, 60)
            path = write_model(tmp_path / "m.onnx", outputs, shape, kind, probe=(name, where, pixel))
            detector = ModelDetector(open_detector(path)._session)
            detector._proven = PROOF  # the pixel would be no score
            given = run(detector, frame)[list(outputs).index(name)][where] - outputs[name][where]
            assert given == pytest.approx(expected[channel], abs=1e-3), (name, channel)


def test_names_that_are_people():
    for names, people in (
        ("{0: 'car', 1: 'Pedestrians'}", (1,)),
        ("['Head', ' PEOPLE ']", (1,)),
        ("{0: 'pedestrian', 1: 'people', 2: 'bicycle'}", (0, 1)),
        ("{'3': 'person'}", (3,)),
        ("{0: 'worker'}", (0,)),
        ("{0: 'dog', 1: 'salesperson-sign'}", ()),
        ("{'a': 'person'}", ()),
        ("open('x')", ()),
    ):
        assert Facts.of({"names": names}).people == people


def test_two_classes_may_be_people(tmp_path):
    outputs = yolo()
    outputs["output0"][0, 5, 50], outputs["output0"][0, 4, 50] = 0.6, 0
    path = write_model(tmp_path / "m.onnx", outputs, names={0: "pedestrian", 1: "people", 2: "van"})
    assert len(open_detector(path)(BLACK)) == 3, "Ann, Bob, and what was a dog to others"


def test_what_a_file_says_of_itself(tmp_path):
    free = (1, 3, "height", "width")
    said = {"task": "detect", "imgsz": "[160, 128]", "stride": "32", "batch": "1"}
    assert_found(open_detector(write_model(tmp_path / "m.onnx", yolo(), free, names=COCO, said=said)))
    with pytest.raises(EngineError, match=r"m.onnx: the sides of its input must be multiples of 32, not 100x160"):
        open_detector(tmp_path / "m.onnx", "size=100x160")
    said = {"task": "?", "imgsz": "large", "stride": "[8, 16]", "args": "{", "end2end": "perhaps"}
    assert Facts.of(said) == Facts(task="?")
    assert Facts.of({"end2end": "False", "args": "{'nms': False}"}).doubles is True
    assert Facts.of({"args": "{'nms': False}"}).doubles is None, "YOLOv10 says this, and has no doubles"


@pytest.mark.parametrize(
    ("outputs", "options", "message"),
    [
        ({"o": np.zeros((1, 20, COUNT), np.float32)}, {"said": {"task": "obb"}}, "task 'obb'; export one that detects"),
        ({"o": np.zeros((1, 1000), np.float32)}, {}, "what a classifier gives"),
        ({"o": np.zeros((1, 3, 20, 16, 85), np.float32)}, {}, "raw maps of its heads"),
        ({"dets": np.zeros((1, 100, 5), np.float32), "labels": np.zeros((1, 100), np.int64)}, {}, "MMDetection's"),
        (yolo(), {"shape": (4, 3, *SIZE)}, r"takes 4 pictures at a time; export it for one \(batch=1\)"),
        (yolo(), {"shape": (1, 1, *SIZE)}, "its image has 1 channels"),
        (yolo(), {"names": {0: "cat", 1: "dog", 2: "cow"}}, r"none of its classes is a person .*#person=0"),
    ],
    ids=["obb", "classifier", "raw heads", "MMDetection", "batch", "grey", "animals"],
)
def test_what_is_no_detector_of_people_is_refused_with_what_to_do(tmp_path, outputs, options, message):
    with pytest.raises(EngineError, match=f"model.onnx: .*{message}"):
        open_detector(write_model(tmp_path / "model.onnx", outputs, **options))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1234\n",
            "a git-lfs pointer.* git lfs pull",
        ),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"", "is empty"),
    ],
)
def test_files_that_are_no_models_are_named(tmp_path, content, message):
    (tmp_path / "people.onnx").write_bytes(content)
    with pytest.raises(EngineError, match=f"people.onnx: .*{message}"):
        open_detector(tmp_path / "people.onnx")


class Script:
    """A session that gives `outputs`, which may be changed between frames."""

    def __init__(self, outputs, facts=None, shape=(1, 3, *SIZE)):
        self.path, self.facts = "script.onnx", facts or Facts()
        self.inputs = [Input("images", shape, np.dtype(np.float32))]
        self.outputs, self.given = list(outputs), list(outputs.values())

    def run(self, feed):
        return self.given


def nothing(outputs):
    return {name: np.zeros_like(array) for name, array in outputs.items()}


def other_order(outputs):
    """Class before score, as PaddleDetection has them."""
    return [outputs["output0"][:, :, [5, 4, 0, 1, 2, 3]]]


def test_the_first_frame_that_contradicts_the_form_says_so():
    """Nothing is found in the picture by which the form is chosen: only a real frame tells."""
    session = Script(nothing(end_to_end()))
    detector = ModelDetector(session)
    assert detector.form.name == "sorted"
    assert len(detector(BLACK)) == 0
    for given, why in (
        (other_order(end_to_end()), "the right or lower edges|its scores go from|its classes have numbers"),
        ([np.where(np.arange(6) < 4, end_to_end()["output0"] / 160, end_to_end()["output0"])], "all lie within 0..1"),
        ([end_to_end()["output0"] * (40, 40, 40, 40, 1, 1)], "are not within the 128×160 px"),
        ([end_to_end()["output0"] * (1, 1, 1, 1, 50, 1)], "its scores go from 20 to 45, not from 0 to 1"),
        ([end_to_end()["output0"] + (0, 0, 0, 0, 0, 0.3)], "classes have numbers such as 0.3"),
        ([end_to_end()["output0"] * np.where(np.arange(6) < 4, np.nan, 1)], "not finite numbers"),
    ):
        session.given = given
        with pytest.raises(
            EngineError, match=rf"script.onnx: read as 'sorted' .*({why}).*#form=rt-detr-rows .* callable"
        ):
            detector(BLACK)


def test_a_detector_that_has_proven_itself_survives_an_odd_frame():
    session = Script(end_to_end())
    detector, good = ModelDetector(session), list(end_to_end().values())
    for _ in range(PROOF):
        detector(BLACK)
    session.given = other_order(end_to_end())
    assert len(detector(BLACK)) == 0
    session.given = [good[0].copy()]
    session.given[0][0, 0, :4] = np.inf
    assert len(detector(BLACK)) == 1, "Bob"


def test_a_class_beyond_those_that_are_named_contradicts_the_form():
    """Of two classes there is no third."""
    rows = {"output0": listed(count=20)}
    rows["output0"][0, :3, 5] = 2
    with pytest.raises(EngineError, match="its classes have numbers such as 2, but there are 2"):
        ModelDetector(Script(rows, Facts(names={0: "person", 1: "dog"})))


def test_a_ready_form_without_the_frame_s_size_is_not_guessed(tmp_path):
    with pytest.raises(EngineError, match=r"#form=efficient-nms .*#form=ready"):
        open_detector(write_model(tmp_path / "m.onnx", nothing(ready())))
    assert_found(open_detector(write_model(tmp_path / "m.onnx", ready()), "form=ready"))
