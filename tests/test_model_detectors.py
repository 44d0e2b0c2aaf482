"""Detectors from files: every form is told by its shapes and read right, with the picture that its models have learnt.

One real model is looked at where it is at hand. The graphs give known boxes in the form of each family; some hand a
pixel of their input through as a score, which shows what they were given.
"""

import json
import sys

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sdk import MultiCameraTracker, ReIdentifier
from sdk.errors import DataError, EngineError
from sdk.tracking.detectors import detector_maker
from sdk.tracking.detectors.forms import FORMS, cells
from sdk.tracking.detectors.model_file import ModelDetector, open_detector
from sdk.tracking.detectors.sessions import open_session
from tests.conftest import SHARED
from tests.fake_cuda import FakeDriver, fake_tensorrt, plan_bytes
from tests.moving import ColourEngine
from tests.test_cuda import install

SIZE = (160, 128)
"""Of the models' input: height and width, px."""
FRAME = (240, 400)
SCALE = 128 / 400
TOP = (160 - 77) // 2
"""Of the frame within the input, where it is in the middle."""
ANN, BOB = (100, 60, 160, 200), (300, 40, 350, 180)
"""Two people in the frame, xyxy px."""
COUNT = cells(SIZE)


def write_model(
    path, outputs, shape=(1, 3, *SIZE), kind=TensorProto.FLOAT, others=(), names=None, probe=None, said=None
):
    """A model with constant `outputs` by name; probe: (output, index in it, index in the input) hands a pixel on.

    names, said: metadata."""
    inputs = [helper.make_tensor_value_info("images", kind, shape)]
    inputs += [helper.make_tensor_value_info(*other) for other in others]
    nodes = [helper.make_node("Cast", ["images"], ["image"], to=TensorProto.FLOAT)]
    constants = []
    for name, array in outputs.items():
        constants.append(numpy_helper.from_array(array, f"{name}_known"))
        if probe and probe[0] == name:
            where = np.zeros_like(array)
            where[probe[1]] = 1
            constants += [
                numpy_helper.from_array(np.array(probe[2], np.int64), "pixel"),
                numpy_helper.from_array(where, "where"),
            ]
            nodes += [
                helper.make_node("GatherND", ["image", "pixel"], ["value"]),
                helper.make_node("Mul", ["where", "value"], ["there"]),
                helper.make_node("Add", [f"{name}_known", "there"], [name]),
            ]
        else:
            nodes.append(helper.make_node("Identity", [f"{name}_known"], [name]))
    types = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), None) for n, a in outputs.items()
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "detector", inputs, types, constants),
        opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
    )  # fmt: skip
    for key, value in ((said or {}) | ({} if names is None else {"names": names})).items():
        model.metadata_props.add(key=key, value=str(value))
    onnx.save(model, path)
    return path


def in_input(box, middle=True):
    """cxcywh in input px of a box in the frame that was scaled as a whole."""
    x1, y1, x2, y2 = np.array(box) * SCALE + (np.array([0, TOP, 0, TOP]) if middle else 0)
    return np.array([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], np.float32)


def corners(box):
    return np.r_[box[:2] - box[2:] / 2, box[:2] + box[2:] / 2]


def in_shares(box):
    """cxcywh in [0, 1]."""
    x1, y1, x2, y2 = np.array(box) / (FRAME[1], FRAME[0], FRAME[1], FRAME[0])
    return np.array([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], np.float32)


def yolo(person=0, classes=3):
    out = np.zeros((1, 4 + classes, COUNT), np.float32)
    for column, (box, score) in {7: (ANN, 0.9), 8: (ANN, 0.7), 50: (BOB, 0.4), 60: (BOB, 0.05)}.items():
        out[0, :4, column], out[0, 4 + person, column] = in_input(box), score
    out[0, :4, 90], out[0, 4 + (person + 1) % classes, 90] = in_input((10, 10, 60, 60)), 0.95  # a dog
    return {"output0": out}


def yolov5(count=3 * COUNT, middle=True):
    out = np.zeros((1, count, 8), np.float32)
    out[0, :, :2], out[0, -1, :2] = 5, (125, 155)
    for row, (box, objectness, score) in {7: (ANN, 1, 0.9), 8: (ANN, 0.9, 0.8), 50: (BOB, 0.5, 0.8)}.items():
        out[0, row, :6] = [*in_input(box, middle), objectness, score]
    out[0, 90, :7] = [*in_input((10, 10, 60, 60), middle), 0.9, 0, 0.9]
    return {"output": out}


def yolox():
    """By the cells: rows of 16 cells of 8 px, then of 8 of 16 px, then of 4 of 32 px."""
    out = np.zeros((1, COUNT, 8), np.float32)
    for box, score, start, across, step in ((ANN, 0.9, 0, 16, 8), (BOB, 0.4, 16 * 20, 8, 16)):
        x, y, w, h = in_input(box, middle=False)
        row = start + int(y // step) * across + int(x // step)
        out[0, row, :6] = [x / step - x // step, y / step - y // step, np.log(w / step), np.log(h / step), 1, score]
    return {"output": out}


def end_to_end():
    out = np.zeros((1, 300, 6), np.float32)
    out[0, 0] = [*corners(in_input(ANN)), 0.9, 0]
    out[0, 1] = [*corners(in_input((10, 10, 60, 60))), 0.8, 2]
    out[0, 2] = [*corners(in_input(BOB)), 0.4, 0]
    return {"output0": out}


def numbered():
    rows = end_to_end()["output0"][0, :3]
    return {"output": np.column_stack([np.zeros(3), rows[:, :4], rows[:, 5], rows[:, 4]]).astype(np.float32)}


def detr(queries=100, classes=92, person=1):
    logits = np.full((1, queries, classes), -3, np.float32)
    logits[0, :, -1] = 9
    boxes = np.full((1, queries, 4), 0.5, np.float32)
    for query, (box, score) in {3: (ANN, 0.9), 4: (BOB, 0.4)}.items():
        boxes[0, query], rest = in_shares(box), 1 - score
        logits[0, query] = -50
        logits[0, query, [person, -1]] = np.log([score, rest])
    return {"logits": logits, "pred_boxes": boxes}


def rt_detr(classes=80, person=0, names=("pred_boxes", "logits")):
    logits, boxes = np.full((1, 300, classes), -9, np.float32), np.full((1, 300, 4), 0.5, np.float32)
    for query, (box, score) in {3: (ANN, 0.9), 4: (BOB, 0.4)}.items():
        boxes[0, query], logits[0, query, person] = in_shares(box), np.log(score / (1 - score))
    return dict(zip(names, (boxes, logits), strict=True))


def ready():
    labels, scores = np.full((1, 300), 5, np.int64), np.full((1, 300), 0.01, np.float32)
    boxes = np.zeros((1, 300, 4), np.float32)
    for query, (box, score) in {3: (ANN, 0.9), 4: (BOB, 0.4)}.items():
        labels[0, query], boxes[0, query], scores[0, query] = 0, box, score
    return {"labels": labels, "boxes": boxes, "scores": scores}


CASES = {
    "yolo": (yolo(), {}),
    "yolo turned": ({"o": yolo()["output0"].transpose(0, 2, 1)}, {"names": {0: "person", 1: "dog", 2: "cat"}}),
    "yolo, person by name": (yolo(person=2), {"names": {0: "dog", 1: "cat", 2: "Person"}}),
    "yolov5": (yolov5(), {}),
    "yolox": (yolox(), {}),
    "yolox-decoded": (yolov5(COUNT, middle=False), {}),
    "sorted": (end_to_end(), {}),
    "numbered": (numbered(), {}),
    "detr": (detr(), {"others": [("pixel_mask", TensorProto.INT64, (1, 64, 64))]}),
    "detr of one's own": (detr(classes=3, person=0), {}),
    "rt-detr": (rt_detr(), {}),
    "rf-detr": (rt_detr(91, 1, ("dets", "labels")), {}),
    "ready": (ready(), {"others": [("orig_target_sizes", TensorProto.INT64, (1, 2))]}),
}


@pytest.mark.parametrize("case", CASES)
def test_every_form_is_told_by_its_shapes_and_read(tmp_path, case):
    outputs, options = CASES[case]
    detector = open_detector(write_model(tmp_path / "model.onnx", outputs, **options))
    assert detector.form.name == case.split(",")[0].split()[0]
    found = detector(np.zeros((*FRAME, 3), np.uint8))
    order = np.argsort(-found.confidence)
    np.testing.assert_allclose(found.xyxy[order], [ANN, BOB], atol=1.5)
    np.testing.assert_allclose(found.confidence[order], [0.9, 0.4], atol=1e-3)
    assert found.xyxy.dtype == found.confidence.dtype == np.float32


def run(detector, frame):
    """The model's outputs for a frame."""
    seen, session = [], detector._session
    run, session.run = session.run, lambda feed: seen.append(run(feed)) or seen[-1]
    detector(frame)
    return seen[-1]


RED, GREEN, BLUE = 200, 100, 50
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.mark.parametrize(
    ("outputs", "where", "expected"),
    [
        (yolo(), (0, 4, 120), [RED / 255, GREEN / 255, BLUE / 255]),
        (yolov5(), (0, 120, 5), [RED / 255, GREEN / 255, BLUE / 255]),
        (yolox(), (0, 120, 5), [BLUE, GREEN, RED]),
        (yolov5(COUNT, middle=False), (0, 120, 5), [BLUE, GREEN, RED]),
        (rt_detr(), (0, 120, 0), [RED / 255, GREEN / 255, BLUE / 255]),
        (detr(), (0, 20, 1), [(c / 255 - m) / d for c, m, d in zip((RED, GREEN, BLUE), MEAN, DEVIATION, strict=True)]),
    ],
    ids=["yolo", "yolov5", "yolox", "yolox-decoded", "rt-detr", "detr"],
)
@pytest.mark.parametrize("channel", [0, 1, 2])
def test_every_form_gets_the_colours_it_has_learnt(tmp_path, outputs, where, expected, channel):
    """The input's pixel in the middle is added to one output: the difference is what the model was given."""
    frame = np.full((*FRAME, 3), (BLUE, GREEN, RED), np.uint8)
    name = next(n for n, array in outputs.items() if array.ndim == 3 and array.shape[2] != 4)
    path = write_model(tmp_path / "m.onnx", outputs, probe=(name, where, (0, channel, SIZE[0] // 4 + 10, 60)))
    detector = open_detector(path)
    given = run(detector, frame)[list(outputs).index(name)][where] - outputs[name][where]
    assert given == pytest.approx(expected[channel], abs=1e-3)


def test_the_border_is_grey_and_where_each_family_has_it():
    frame = np.full((*FRAME, 3), 255, np.uint8)
    middle, _, (left, top) = FORMS["yolo"].picture.fit(frame, SIZE)
    assert (left, top) == (0, TOP)
    assert middle[[0, -1], 0, 0].tolist() == [114, 114]
    corner, _, offset = FORMS["yolox"].picture.fit(frame, SIZE)
    assert offset == (0, 0)
    assert corner[[0, -1], 0, 0].tolist() == [255, 114]


@pytest.mark.parametrize(
    ("kind", "shape", "value"),
    [
        (TensorProto.FLOAT16, (1, 3, *SIZE), 1.0),
        (TensorProto.UINT8, (1, *SIZE, 3), 255),
        (TensorProto.FLOAT, ("batch", 3, "height", "width"), 1.0),
    ],
    ids=["float16", "bytes, channels last", "any size"],
)
def test_types_layouts_and_free_sizes(tmp_path, kind, shape, value):
    pixel = (0, 80, 60, 0) if shape[-1] == 3 else (0, 0, 80, 60)
    outputs = yolo()
    path = write_model(tmp_path / "m.onnx", outputs, shape, kind, probe=("output0", (0, 6, 120), pixel))
    detector = open_detector(path, "size=128x160")
    frame = np.full((*FRAME, 3), 255, np.uint8)
    assert run(detector, frame)[0][0, 6, 120] == value
    assert len(detector(frame)) == 2


def test_options_after_the_name(tmp_path):
    path = write_model(tmp_path / "m.onnx", yolo())
    detector = detector_maker(f"{path}#person=1&score=0.5")()
    found = detector(np.zeros((*FRAME, 3), np.uint8))
    np.testing.assert_allclose(found.xyxy, [[10, 10, 60, 60]], atol=1.5)
    assert open_detector(write_model(tmp_path / "d.onnx", detr()), "form=rt-detr").form.name == "rt-detr"
    for options, message in (
        ("colour=red", "unknown option 'colour'"),
        ("score=2", "'score=2' is malformed"),
        ("person=3", "there are 3 classes"),
        ("form=detr", r"in no form known here as detr"),
    ):
        with pytest.raises(EngineError, match=message):
            open_detector(path, options)


def test_one_model_serves_all_cameras_and_the_tracker_takes_its_name(tmp_path):
    path = write_model(tmp_path / "m.onnx", yolo())
    make = detector_maker(str(path))
    assert make() is make()
    tracker = MultiCameraTracker(ReIdentifier(ColourEngine()), detector=str(path), frame_rate=6)
    frame = np.full((*FRAME, 3), 90, np.uint8)
    for tick in range(4):
        tracks = tracker.update({"dock": frame, "lobby": frame}, time=tick)
    assert {camera: len(found) for camera, found in tracks.items()} == {"dock": 1, "lobby": 1}, "0.4 starts no track"


def test_what_is_no_detector_is_named(tmp_path):
    from sdk.engines import DEFAULT_MODEL

    (tmp_path / "cut.onnx").write_bytes(b"cut short")
    write_model(tmp_path / "flat.onnx", {"scores": np.zeros((1, 1000), np.float32)})
    write_model(tmp_path / "animals.onnx", yolo(), names={0: "dog", 1: "cat", 2: "cow"})
    write_model(tmp_path / "depth.onnx", yolo(), others=[("depth", TensorProto.FLOAT, (1, 1))])
    for name, message in {
        "absent.onnx": "no such detector file",
        "cut.onnx": "cannot load it",
        "flat.onnx": r"the outputs \(scores \[1, 1000\]\) are in no form",
        "animals.onnx": "none of its classes is a person",
        "depth.onnx": "the input 'depth' is unknown",
    }.items():
        with pytest.raises(EngineError, match=f"{name}: .*{message}"):
            detector_maker(str(tmp_path / name))
    with pytest.raises(EngineError, match=r"default.onnx: "):
        detector_maker(str(DEFAULT_MODEL))
    with pytest.raises(DataError, match="detector 'magic' is unknown"):
        MultiCameraTracker(ReIdentifier(ColourEngine()), detector="magic")
    with pytest.raises(EngineError, match=r"yolo.engine: no such detector file"):
        detector_maker("yolo.engine")


def test_numbers_that_are_none_are_no_people(tmp_path):
    outputs = yolo()
    outputs["output0"][0, 0, 7] = np.nan
    outputs["output0"][0, :4, 50] = (-500, 60, 10, 20)  # outside the frame
    found = open_detector(write_model(tmp_path / "m.onnx", outputs))(np.zeros((*FRAME, 3), np.uint8))
    assert len(found) == 1, "the double of the broken one"
    assert found.confidence[0] == pytest.approx(0.7)
    assert json.dumps(found.xyxy.tolist())


def plan_session(monkeypatch, tmp_path, outputs, content=None, **changed):
    """The session of a plan that gives `outputs`, and the pixel in the middle as the score of row 120."""
    driver = install(monkeypatch, FakeDriver())
    tensors = {"images": ("input", np.float16, (1, 3, *SIZE), (1, 3, *SIZE), 1)}
    tensors |= {name: ("output", array.dtype, array.shape, None, None) for name, array in outputs.items()}
    seen = []

    def work(inputs):
        seen.append(inputs["images"])
        return outputs

    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt(driver, tensors | changed, work))
    path = tmp_path / "people.engine"
    path.write_bytes(content or plan_bytes(b"whole"))
    return open_session(path), seen


def test_a_tensorrt_plan_is_a_detector_too(monkeypatch, tmp_path):
    """With a stand-in for TensorRT and the driver: what is copied where, not what a GPU makes of it."""
    session, seen = plan_session(monkeypatch, tmp_path, yolo())
    detector = ModelDetector(session)
    assert detector.form.name == "yolo"
    found = detector(np.full((*FRAME, 3), 255, np.uint8))
    np.testing.assert_allclose(found.xyxy[np.argsort(-found.confidence)], [ANN, BOB], atol=1.5)
    assert seen[-1].dtype == np.float16
    assert seen[-1][0, :, SIZE[0] // 2, 60].tolist() == [1, 1, 1]
    with pytest.raises(EngineError, match=r"people.engine: takes or gives several sizes"):
        plan_session(monkeypatch, tmp_path, {}, images=("input", np.float16, (-1, 3, *SIZE), (4, 3, *SIZE), 1))
    with pytest.raises(EngineError, match=r"people.engine: has a header before the plan, .* trtexec"):
        plan_session(monkeypatch, tmp_path, {}, b'\x10\x00\x00\x00{"task": 1}ftrt')
    with pytest.raises(
        EngineError, match=r"people.engine: cannot be loaded .*; build it again on this machine: trtexec"
    ):
        plan_session(monkeypatch, tmp_path, {}, plan_bytes(b"torn"))


def test_a_published_detector_finds_the_people_of_real_video():
    """YOLOX-nano as its project exports it: one man in lab-a, two in lab-b."""
    model = SHARED / "models" / "yolox_nano.onnx"
    if not model.is_file():
        pytest.skip(f"the real detector is not here ({model})")
    detector = open_detector(model)
    assert (detector.form.name, detector.person) == ("yolox", 0)
    for video, people in (("lab-a", 1), ("lab-b", 2)):
        capture = cv2.VideoCapture(str(SHARED / "video" / f"{video}.mp4"))
        for number in range(80):
            _, frame = capture.read()
            if number % 16 == 8:
                found = detector(frame)
                assert (found.confidence > 0.5).sum() == people, (video, number)
                tall = found.xyxy[found.confidence > 0.5]
                assert (tall[:, 3] - tall[:, 1] > 1.2 * (tall[:, 2] - tall[:, 0])).all()
