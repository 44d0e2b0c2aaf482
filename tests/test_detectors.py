"""The detectors that need no model file."""

import cv2
import numpy as np
import pytest

from sdk.simulation.site import Site
from sdk.tracking import HogDetector, MotionDetector
from sdk.tracking.change import ChangeMeter
from sdk.tracking.detectors.hog import _merge
from tests.conftest import SHARED


def iou(a, b):
    sides = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return sides / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - sides)


def test_the_motion_detector_finds_walkers_before_a_fixed_camera():
    site = Site(seed=0, cameras=2, people=1, seconds=25)
    detectors = {"camera-1": MotionDetector(), "camera-2": MotionDetector()}
    found = wanted = false = total = 0
    for _, frames, truth in site:
        for camera, frame in frames.items():
            boxes = detectors[camera](frame).xyxy
            total += len(boxes)
            inside = truth[camera].boxes[truth[camera].visibility > 0.95]
            wanted += len(inside)
            found += sum(max((iou(b, d) for d in boxes), default=0) > 0.5 for b in inside)
            false += sum(max((iou(b, d) for b in truth[camera].boxes), default=0) < 0.2 for d in boxes)
    assert wanted > 60
    assert found / wanted > 0.75
    assert false / total < 0.1


def walker(x, light=1.0):
    rng = np.random.default_rng(0)
    frame = rng.integers(80, 120, (240, 320, 3)).astype(np.float32)
    frame[60:200, x : x + 45] = (40, 200, 220)
    return np.clip(frame * light, 0, 255).astype(np.uint8)


def test_motion_of_the_whole_picture_is_no_person():
    detector = MotionDetector()
    for _ in range(20):
        detector(walker(400))
    assert len(detector(walker(100))) == 1
    assert len(detector(walker(100, light=2.0))) == 0, "the light was switched on"


def test_detections_keep_their_form():
    detector = MotionDetector()
    for _ in range(20):
        empty = detector(walker(400))
    assert empty.xyxy.shape == (0, 4)
    detections = detector(walker(290))  # cut by the frame's edge
    assert detections.xyxy.dtype == np.float32
    assert detections.xyxy[:, [0, 2]].max() <= 320
    assert ((detections.confidence >= 0) & (detections.confidence <= 1)).all()


def test_hog_ignores_an_empty_room_and_keeps_its_form():
    detections = HogDetector()(np.full((240, 320, 3), 128, np.uint8))
    assert detections.xyxy.shape == (0, 4)
    assert len(detections.confidence) == 0


def test_windows_upon_one_person_become_one_box():
    windows = np.array([[100, 50, 150, 200], [104, 54, 154, 204], [110, 120, 145, 200], [300, 50, 350, 200]], float)
    boxes, scores = _merge(windows, np.array([1.0, 3.0, 0.5, 2.0]))
    assert scores.tolist() == [3.0, 2.0]
    assert boxes[0].tolist() == pytest.approx(np.average(windows[:3], axis=0, weights=[1, 3, 0.5]).tolist())
    assert boxes[1].tolist() == windows[3].tolist()


def test_hog_finds_real_people():
    video = SHARED / "video" / "lab-a.mp4"
    if not video.is_file():
        pytest.skip(f"real video is not here ({video})")
    capture = cv2.VideoCapture(str(video))
    detector, found, frames = HogDetector(), 0, 0
    for number in range(120):
        _, frame = capture.read()
        if number % 10 == 5:
            frames += 1
            confident = detector(frame)
            confident = confident[confident.confidence > 0.5]
            found += len(confident) > 0
            assert len(confident) <= 2
    assert found >= 0.8 * frames


def test_change_is_seen_where_it_happens():
    meter = ChangeMeter()
    for step in range(12):
        frame = np.full((240, 320, 3), 100, np.uint8)
        frame[50:150, 40 + 6 * step : 80 + 6 * step] = 220  # walks
        frame[50:150, 250:290] = 30  # stands
        meter.update(frame)
    assert meter.share(np.array([100, 50, 150, 150])) > 0.5
    assert meter.share(np.array([250, 50, 290, 150])) == 0
    meter.update(np.zeros((500, 640, 3), np.uint8))  # another shape: no memory, no change, no error
    assert meter.share(np.array([0, 0, 640, 500])) == 0
    assert meter.share(np.array([700, 10, 720, 30])) == 0
