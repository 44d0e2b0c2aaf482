"""Frames of any size and kind, and answers of any detector: boxes, or a clear refusal; never a crash."""

import json

import numpy as np
import pytest
import supervision as sv

from benchmarks.fuzz_frames import HARD, fuzz, work
from sdk import MultiCameraTracker, ReIdentifier
from sdk.errors import DataError
from sdk.tracking import HogDetector, MotionDetector
from sdk.tracking.change import ChangeMeter
from sdk.tracking.detectors.boxes import as_detections, checked
from sdk.tracking.detectors.model_file import ModelDetector
from tests.moving import BLUE, RED, SIZE, ColourEngine, World
from tests.test_detector_forms import Script
from tests.test_model_detectors import end_to_end

NAN, INF = np.nan, np.inf


def frames_of_every_size(detector):
    for height, width in HARD:
        assert detector(np.full((height, width, 3), 90, np.uint8)).xyxy.shape[1] == 4


def test_the_motion_detector_takes_every_size_and_a_strip_stays_small():
    frames_of_every_size(MotionDetector())
    detector = MotionDetector()
    for step in range(25):
        strip = np.full((4000, 20, 3), 90, np.uint8)
        strip[100 * step : 100 * step + 300, 4:16] = 220
        found = detector(strip)
        assert (found.xyxy <= (20, 4000, 20, 4000)).all()
    assert detector._heights.picture_height < 1000


def test_a_model_file_takes_every_size():
    frames_of_every_size(ModelDetector(Script(end_to_end())))


def test_the_change_meter_takes_every_size():
    for height, width in HARD:
        meter = ChangeMeter()
        meter.update(np.full((height, width, 3), 90, np.uint8))
        meter.update(np.full((height, width, 3), 200, np.uint8))
        assert meter.share(np.array([0, 0, width, height])) == 1.0


def test_fuzzed_frames_do_not_crash_hog():
    """In a process of its own, for it once read beyond its memory. The script itself takes thousands."""
    found = fuzz("hog", frames=20, seed=1, first=0, patience=120)
    assert (found["faults"], found["frames"]) == ([], 20)


def test_fuzzed_boxes_and_answers_are_tracked_or_refused(capsys):
    work("boxes", seed=1, first=len(HARD), frames=60)
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    outcomes = {line["outcome"] for line in said if "outcome" in line}
    assert {"nobody", "people", "refused: DataError"} == outcomes


@pytest.mark.parametrize("detector", [HogDetector(), MotionDetector(), ModelDetector(Script(end_to_end()))])
def test_what_is_no_picture_is_refused_by_every_detector(detector):
    colour = np.zeros((120, 160, 3), np.uint8)
    for frame in (None, colour[..., 0], colour.astype(np.uint16), colour / 255, np.dstack([colour, colour[..., :1]])):
        with pytest.raises(DataError, match="uint8 BGR"):
            detector(frame)
    with pytest.raises(DataError, match="empty picture"):
        detector(colour[:0])


def test_built_in_detectors_hand_over_only_boxes_in_the_frame():
    boxes = [
        [10, 10, 50, 90],
        [NAN, 0, 10, 10],
        [200, 10, 260, 90],
        [-500, 0, -400, 50],
        [30, 20, 30, 60],
        [-9, 5, 20, 80],
        [0, 0, INF, 90],
        [-1e6, -1e6, 1e6, 1e6],
    ]
    found = as_detections(boxes, [0.9, 0.9, 0.9, 0.9, 0.9, 2.0, 0.9, 0.9], np.zeros((100, 200, 3), np.uint8))
    assert found.xyxy.tolist() == [[10, 10, 50, 90], [0, 5, 20, 80]]
    assert found.confidence.tolist() == pytest.approx([0.9, 1.0])


class Beside:
    """A world's detector, and one more box beside its people."""

    def __init__(self, world, box=(0, 0, 0, 0), confidence=0.9):
        self.world, self.box, self.confidence = world, box, confidence

    def __call__(self, frame):
        people = self.world(frame)
        boxes = np.vstack([people.xyxy, np.zeros((1, 4), np.float32)])
        found = sv.Detections(boxes, confidence=np.append(people.confidence, np.float32(0.9)))
        found.xyxy[-1] = self.box  # older versions of supervision take anything from the start
        found.confidence[-1] = self.confidence
        if self.confidence is None:
            found.confidence = None
        return found


def tracks(detector, world, ticks=20):
    tracker = MultiCameraTracker(ReIdentifier(ColourEngine()), detector=detector, frame_rate=6)
    for tick in range(ticks):
        frame = world.frame((BLUE, 20 + 4 * tick, 60), (RED, 200 - 4 * tick, 120))
        found = tracker.update({"dock": frame}, time=tick / 6)["dock"]
    return found


BROKEN = {
    "no number": ((NAN, NAN, NAN, NAN), 0.9),
    "one of them none": ((10, 10, NAN, 50), 0.9),
    "without end": ((10, 10, INF, 200), 0.9),
    "wrong way round": ((300, 200, 250, 150), 0.9),
    "a point": ((100, 100, 100, 100), 0.9),
    "a line": ((100, 100, 150, 100), 0.9),
    "outside": ((SIZE[1] + 10, 10, SIZE[1] + 60, 90), 0.9),
    "before the frame": ((-50, -80, -10, -5), 0.9),
    "of a size without sense": ((-1e6, -1e6, 1e6, 1e6), 0.9),
    "confidence no number": ((120, 40, 160, 140), NAN),
    "confidence without end": ((120, 40, 160, 140), INF),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_box_becomes_no_track_and_costs_nobody_their_name(broken):
    world = World()
    found = tracks(Beside(world, *BROKEN[broken]), world)
    assert len(found) == 2
    assert sorted(found.data["identity"].tolist()) == ["person-1", "person-2"]


def test_a_box_partly_outside_stays_as_it_was_given():
    given = sv.Detections(np.float32([[-30, 40, 30, 140], [300, 100, 340, 300]]), confidence=np.float32([0.9, 0.8]))
    found = checked(lambda frame: given, "dock")(np.zeros((*SIZE, 3), np.uint8))
    assert found.xyxy.tolist() == given.xyxy.tolist()


def test_confidence_may_be_missing_or_in_per_cent():
    world = World()
    assert len(tracks(lambda frame: sv.Detections(world(frame).xyxy), world)) == 2
    found = tracks(lambda frame: sv.Detections(world(frame).xyxy, confidence=np.array([95.0, 90.0])), world)
    assert found.confidence.tolist() == [1, 1]


def test_a_detector_may_leave_broken_boxes_to_the_helper():
    """What newer versions of supervision refuse before the tracker sees it."""
    world = World()

    def look(frame):
        boxes = np.vstack([world(frame).xyxy, [[NAN, 10, 20, 90], [0, 0, INF, 200]]])
        return as_detections(boxes, np.full(len(boxes), 0.9), frame)

    assert sorted(tracks(look, world).data["identity"].tolist()) == ["person-1", "person-2"]


@pytest.mark.parametrize("answer", [None, [], np.zeros((1, 4)), {"boxes": []}], ids=["None", "list", "array", "dict"])
def test_an_answer_of_another_type_is_refused_naming_the_camera(answer):
    world = World()
    with pytest.raises(DataError, match=rf"camera 'dock': its detector returned {type(answer).__name__}; expected sup"):
        tracks(lambda frame: answer, world)


def test_a_detector_that_fails_is_named_with_its_camera():
    world = World()
    with pytest.raises(
        DataError, match=r"camera 'dock': its detector failed, ZeroDivisionError: division by zero; .*as_d"
    ):
        tracks(lambda frame: 1 / 0, world)


def test_frames_that_are_no_colour_pictures_are_refused_by_the_tracker():
    tracker = MultiCameraTracker(ReIdentifier(ColourEngine()), detector=lambda frame: sv.Detections.empty())
    colour = np.zeros((120, 160, 3), np.uint8)
    odd = (None, "a", colour[..., 0], colour[..., :1], colour.astype(np.uint16), colour / 255, colour[:8], colour[None])
    for frame in (*odd, np.dstack([colour, colour[..., :1]])):
        with pytest.raises(DataError, match="camera 'dock': the frame is"):
            tracker.update({"dock": frame})
    for frame in (colour[::2, ::2], colour[:, ::-1, ::-1], np.asfortranarray(colour)):
        assert len(tracker.update({"dock": frame})["dock"]) == 0
