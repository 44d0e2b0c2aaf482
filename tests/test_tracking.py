"""Identities over time and cameras: given from several crops, kept, never shared by two people seen at once."""

import numpy as np
import pytest
import supervision as sv

from sdk import Gallery, MultiCameraTracker, ReIdentifier
from sdk.errors import DataError
from sdk.tracking.association import Identities, Thresholds, is_ready
from sdk.tracking.tracklet import GROUP, PATIENCE, Tracklet, at_side, beside_another, covered_share, crop_quality
from tests.moving import BLUE, GREEN, RED, YELLOW, ColourEngine, World


@pytest.fixture
def engine():
    return ColourEngine()


@pytest.fixture
def world():
    return World()


@pytest.fixture
def tracker(engine, world):
    return MultiCameraTracker(ReIdentifier(engine), detector=world, frame_rate=6)


def walk(tracker, world, ticks, **cameras):
    """Figures a camera at tick 0, each moving 4 px right a tick; the identities last seen, by camera."""
    seen = {}
    for tick in range(ticks):
        frames = {
            name: world.frame(*((colour, x + 4 * tick, y) for colour, x, y in figures))
            for name, figures in cameras.items()
        }
        for camera, detections in tracker.update(frames, time=float(tick)).items():
            seen[camera] = detections.data["identity"].tolist()
    return seen


def test_one_person_has_one_identity_in_both_cameras_and_another_person_another(tracker, world):
    walk(tracker, world, 15, dock=[(BLUE, 10, 50)])
    seen = walk(tracker, world, 15, dock=[], lobby=[(BLUE, 30, 100), (RED, 150, 100)])
    assert sorted(seen["lobby"]) == ["person-1", "person-2"]
    first = walk(tracker, world, 15, dock=[(BLUE, 100, 20)])
    assert first["dock"] == ["person-1"]


def test_two_who_look_alike_but_are_seen_at_once_are_two(tracker, world):
    seen = walk(tracker, world, 20, dock=[(BLUE, 10, 20), (BLUE, 150, 100)])
    assert sorted(seen["dock"]) == ["person-1", "person-2"]


def test_alike_people_in_two_cameras_at_once_may_be_one(tracker, world):
    """Cameras may overlap: only within one camera is it impossible."""
    walk(tracker, world, 12, dock=[(BLUE, 10, 50)])
    seen = walk(tracker, world, 12, dock=[(BLUE, 58, 50)], lobby=[(BLUE, 10, 50)])
    assert seen == {"dock": ["person-1"], "lobby": ["person-1"]}


@pytest.mark.parametrize("others", [0, 2])
def test_an_identity_stays_with_its_track(tracker, world, others):
    """Also in a camera that is slower than others are."""
    names = []
    for tick in range(30):
        colour = BLUE if tick < 15 else RED  # takes a red coat while in view
        for _ in range(others):
            tracker.update({})
        detections = tracker.update({"dock": world.frame((colour, 10 + 4 * tick, 50))}, time=tick)["dock"]
        names += detections.data["identity"].tolist()
    assert set(names[10:]) == {"person-1"}


def leaves_as_another_enters(colour):
    """Figures by tick: somebody in blue walks out to the right; where they were last seen, another walks in."""
    return [(BLUE, 150 + 8 * tick, 50) for tick in range(20)] + [(colour, 300 - 8 * tick, 50) for tick in range(25)]


def test_a_track_that_passes_to_another_person_becomes_another_track(tracker, world):
    seen = []
    for tick, figure in enumerate(leaves_as_another_enters(RED)):
        detections = tracker.update({"dock": world.frame(figure)}, time=tick)["dock"]
        seen += zip(detections.tracker_id.tolist(), detections.data["identity"].tolist(), strict=True)
    assert {name for _, name in seen[:19]} == {None, "person-1"}
    assert seen[-1] == (2, "person-2")
    assert len(set(detections.tracker_id)) == 1
    first, second = (tracker._tracklets["dock", track] for track in (1, 2))
    assert not first.overlaps(second)
    (found,) = tracker.reid.gallery.search(np.float32([1, 0, 0]), k=2)  # blue was not mixed into red's exemplars
    assert [c.identity for c in found] == ["person-1", "person-2"]
    assert found[1].distance > 0.9


def test_who_comes_back_at_once_keeps_track_and_identity(tracker, world):
    for tick, figure in enumerate(leaves_as_another_enters(BLUE)):
        detections = tracker.update({"dock": world.frame(figure)}, time=tick)["dock"]
    assert detections.tracker_id.tolist() == [1]
    assert detections.data["identity"].tolist() == ["person-1"]


def test_boxes_that_could_be_mixed_up():
    boxes = np.float32([[0, 0, 40, 100], [100, 0, 140, 100], [150, 0, 190, 100], [260, 0, 320, 100]])
    assert beside_another(boxes).tolist() == [False, True, True, False]
    assert at_side(boxes, 320).tolist() == [True, False, False, True]
    assert beside_another(boxes[:0]).tolist() == []


def test_nobody_is_named_before_enough_crops_were_seen(tracker, world):
    names = []
    for tick in range(12):
        detections = tracker.update({"dock": world.frame((BLUE, 10 + 4 * tick, 50))}, time=tick)["dock"]
        names += detections.data["identity"].tolist()
    assert names[: GROUP - 1] == [None] * (GROUP - 1)
    assert names[-1] == "person-1"


def test_a_thing_that_never_moves_is_nobody(tracker, world):
    for tick in range(40):
        detections = tracker.update({"dock": world.frame((RED, 100, 80))}, time=tick)["dock"]
    assert len(detections) == 1, "it is tracked"
    assert detections.data["identity"].tolist() == [None], "but has no identity"
    assert tracker.reid.gallery.identities() == []


def test_a_false_box_of_two_ticks_is_nobody(tracker, world):
    walk(tracker, world, 2, dock=[(RED, 100, 80)])
    walk(tracker, world, 5, dock=[])
    assert tracker.reid.gallery.identities() == []


def test_people_enrolled_by_name_are_recognised(tracker, world):
    frame = world.frame((GREEN, 50, 50))
    tracker.reid.enroll([frame[50:150, 50:90]], identity="ann")
    assert walk(tracker, world, 15, dock=[(GREEN, 10, 50)])["dock"] == ["ann"]


def test_crops_of_all_cameras_go_into_one_call(tracker, engine, world):
    walk(tracker, world, 4, dock=[(BLUE, 10, 50)], lobby=[(RED, 10, 50), (GREEN, 150, 50)])
    assert engine.batches[-1] == 3
    assert len(engine.batches) <= 4


def test_a_person_in_view_for_long_is_not_embedded_for_ever(tracker, engine, world):
    for tick in range(200):
        x = 10 + 4 * (tick % 50 if tick // 50 % 2 == 0 else 50 - tick % 50)
        tracker.update({"dock": world.frame((BLUE, x, 50))}, time=tick)
    assert sum(engine.batches) < 80
    assert len(tracker.reid.gallery) <= 8


def test_exemplars_say_where_and_when(tracker, world):
    walk(tracker, world, 15, dock=[(BLUE, 10, 50)])
    (candidates,) = tracker.reid.gallery.search(np.float32([1, 0, 0]), k=1)
    assert candidates[0].camera == "dock"
    assert 0 < candidates[0].time < 15


@pytest.mark.parametrize(
    "bad", [None, np.zeros((240, 320), np.uint8), np.zeros((240, 320, 3), np.float32), np.zeros((0, 320, 3), np.uint8)]
)
def test_a_bad_frame_names_its_camera_and_changes_nothing(tracker, world, bad):
    walk(tracker, world, 15, dock=[(BLUE, 10, 50)])
    with pytest.raises(DataError, match="'lobby'"):
        tracker.update({"dock": world.frame((BLUE, 74, 50)), "lobby": bad})
    detections = tracker.update({"dock": world.frame((BLUE, 70, 50))})["dock"]
    assert detections.data["identity"].tolist() == ["person-1"]


def test_detectors_may_be_given_by_name_a_camera_or_not_at_all(engine, world):
    reid = ReIdentifier(engine)
    by_camera = MultiCameraTracker(reid, detector={"dock": world})
    by_camera.update({"dock": world.frame((BLUE, 10, 50))})
    with pytest.raises(DataError, match="'lobby'"):
        by_camera.update({"lobby": world.frame()})
    with pytest.raises(DataError, match="hog, motion"):
        MultiCameraTracker(reid, detector="yolo")
    empty = MultiCameraTracker(reid).update({"dock": world.frame()})["dock"]
    assert isinstance(empty, sv.Detections)
    assert len(empty) == 0
    assert empty.data["identity"].tolist() == []


def tracklet(camera, track, colours, first=0, last=10):
    t = Tracklet(camera, track, first, last, seen=10, changed=10)
    for i in range(GROUP):
        t.add(1.0, np.float32(colours) / np.linalg.norm(colours), tick=i)
    return t


def test_the_assignment_is_joint_not_greedy():
    """The first tracklet is nearest to ann, but the second can only be ann: together they are bob and ann."""
    gallery = Gallery()
    gallery.add(np.float32([1, 0, 0]), identity="ann")
    gallery.add(np.float32([0.6, 0.8, 0]), identity="bob")
    first = tracklet("dock", 1, [0.93, 0.37, 0])
    second = tracklet("dock", 2, [0.97, 0, 0.24])
    assign_identities([first, second], [first, second], gallery, Thresholds(0.3, 0.3), time=None)
    assert (first.identity, second.identity) == ("bob", "ann")


def test_to_be_somebody_new_may_be_the_better_explanation():
    """Both want ann. Not the most matches count but the least distance: the second is nobody known."""
    gallery = Gallery()
    gallery.add(np.float32([1, 0, 0]), identity="ann")
    gallery.add(np.float32([0.6, 0.8, 0]), identity="bob")
    first, second = tracklet("dock", 1, [0.995, 0.05, 0]), tracklet("dock", 2, [0.8, 0, 0.6])
    assign_identities([first, second], [first, second], gallery, Thresholds(0.38, 0.38), time=None, ended=True)
    assert (first.identity, second.identity) == ("ann", "person-1")


DOUBTFUL = [0.6, 0.8, 0]
"""At distance 0.4 from ann."""


def test_a_doubtful_tracklet_waits_for_more_crops():
    gallery = Gallery()
    gallery.add(np.float32([1, 0, 0]), identity="ann")
    doubtful = tracklet("dock", 1, DOUBTFUL)
    thresholds = Thresholds(sure=0.2, most=0.5)
    assign_identities([doubtful], [doubtful], gallery, thresholds, time=None)
    assert doubtful.identity is None
    for i in range(GROUP * (PATIENCE - 1)):
        doubtful.add(1.0, np.float32(DOUBTFUL), tick=i)
    assign_identities([doubtful], [doubtful], gallery, thresholds, time=None)
    assert doubtful.identity == "ann"


def test_two_cameras_may_see_one_person_at_once():
    gallery = Gallery()
    gallery.add(np.float32([1, 0, 0]), identity="ann")
    for colour, name in (([1, 0, 0.05], "ann"), ([0, 1, 0], "person-1")):
        both = [tracklet("dock", 1, colour), tracklet("lobby", 2, colour)]
        assign_identities(both, both, gallery, Thresholds(0.3, 0.3), time=None)
        assert [t.identity for t in both] == [name, name]


def test_the_gallery_is_asked_only_when_there_is_a_new_crop(engine, world, monkeypatch):
    reid = ReIdentifier(engine)
    reid.threshold, reid.tracklet_threshold = -1.0, 0.5
    reid.gallery.add(np.float32([1, 0, 0]), identity="ann")
    asked, search = [], reid.gallery.search
    monkeypatch.setattr(reid.gallery, "search", lambda *a, **k: asked.append(1) or search(*a, **k))
    walk(MultiCameraTracker(reid, detector=world, frame_rate=30), world, 60, dock=[(BLUE, 10, 50)])
    assert 1 <= len(asked) <= 12


def test_while_one_waits_a_better_one_takes_the_identity():
    gallery = Gallery()
    gallery.add(np.float32([1, 0, 0]), identity="ann")
    doubtful, ann = tracklet("dock", 1, DOUBTFUL), tracklet("dock", 2, [1, 0.1, 0], first=5)
    thresholds = Thresholds(sure=0.2, most=0.5)
    assign_identities([doubtful], [doubtful, ann], gallery, thresholds, time=None)
    assign_identities([doubtful, ann], [doubtful, ann], gallery, thresholds, time=None)
    assert (doubtful.identity, ann.identity) == (None, "ann")
    assign_identities([doubtful], [doubtful, ann], gallery, thresholds, time=None, ended=True)
    assert doubtful.identity == "person-1"


def test_who_is_far_from_everybody_is_new_at_once():
    gallery = Gallery()
    gallery.add(np.float32([1, 0, 0]), identity="ann")
    stranger = tracklet("dock", 1, [0.1, 1, 0])
    assign_identities([stranger], [stranger], gallery, Thresholds(sure=0.2, most=0.5), time=None)
    assert stranger.identity == "person-1"


def test_the_end_of_the_videos_decides_who_still_waits(engine, world):
    reid = ReIdentifier(engine)
    reid.threshold, reid.tracklet_threshold = -1.0, 0.5  # nothing is ever sure
    tracker = MultiCameraTracker(reid, detector=world, frame_rate=6)
    reid.gallery.add(np.float32([1, 0, 0]), identity="ann")
    assert walk(tracker, world, 9, dock=[(BLUE, 10, 50)])["dock"] == [None]
    tracker.finish()
    assert tracker.identity_of("dock", 1) == "ann"


def test_a_lost_track_is_decided_with_the_crops_it_has(engine, world):
    reid = ReIdentifier(engine)
    reid.threshold, reid.tracklet_threshold = -1.0, 0.5
    tracker = MultiCameraTracker(reid, detector=world, frame_rate=6)
    reid.gallery.add(np.float32([1, 0, 0]), identity="ann")
    walk(tracker, world, 9, dock=[(BLUE, 10, 50)])
    walk(tracker, world, 14, dock=[])
    assert tracker.identity_of("dock", 1) == "ann"


def test_an_identity_is_closed_to_who_was_seen_with_its_bearer():
    gallery = Gallery()
    gallery.add(np.float32([1, 0, 0]), identity="ann")
    bearer = Tracklet("dock", 1, 0, 50, identity="ann")
    at_once, later, elsewhere = (
        tracklet("dock", 2, [1, 0, 0], 40, 60),
        tracklet("dock", 3, [1, 0, 0], 51, 60),
        tracklet("lobby", 4, [1, 0, 0], 40, 60),
    )
    for newcomer in (at_once, later, elsewhere):
        assign_identities([newcomer], [bearer], gallery, Thresholds(0.3, 0.3), time=None)
    assert at_once.identity == "person-1"
    assert later.identity == elsewhere.identity == "ann"


def test_new_names_do_not_collide_with_enrolled_ones():
    gallery = Gallery()
    gallery.add(np.float32([0, 0, 1]), identity="person-1")
    stranger = tracklet("dock", 1, [1, 0, 0])
    assign_identities([stranger], [], gallery, Thresholds(0.3, 0.3), time=None)
    assert stranger.identity == "person-2"


def test_a_tracklet_is_ready_when_it_moved_and_has_its_crops():
    ready = tracklet("dock", 1, [1, 0, 0])
    assert is_ready(ready)
    ready.changed = 4
    assert not is_ready(ready), "its picture did not change"
    ready.changed = 10
    ready.crops.pop()
    assert not is_ready(ready), "a crop is missing"


def test_quality_falls_with_size_cover_edge_and_doubt():
    boxes = np.float32(
        [[100, 10, 140, 110], [100, 10, 116, 50], [280, 50, 320, 150], [10, 50, 50, 150], [30, 50, 70, 150]]
    )
    quality = crop_quality(boxes, np.float32([1, 1, 1, 1, 1]), (240, 320))
    alone = crop_quality(boxes[:1], np.float32([1]), (240, 320))[0]
    assert alone == 1
    assert quality[0] < alone, "another box lies on it"
    assert quality[1] == 0, "wholly covered"
    assert quality[2] == pytest.approx(0.6), "cut by the frame"
    assert quality[3] == quality[4] == pytest.approx(0.5), "half of each is covered"
    assert crop_quality(boxes[:1], np.float32([0.5]), (240, 320))[0] == 0.5
    assert covered_share(np.empty((0, 4))).tolist() == []


def test_the_mean_is_weighted_by_quality():
    t = Tracklet("dock", 1, 0, 0)
    t.add(3.0, np.float32([1, 0]), 0)
    t.add(1.0, np.float32([0, 1]), 1)
    np.testing.assert_allclose(t.embedding, np.float32([3, 1]) / np.sqrt(10), atol=1e-6)


def test_many_colours_many_people(tracker, world):
    seen = walk(tracker, world, 15, dock=[(BLUE, 10, 20), (GREEN, 80, 30)], lobby=[(RED, 10, 20), (YELLOW, 80, 30)])
    assert sorted(seen["dock"] + seen["lobby"]) == [f"person-{i}" for i in range(1, 5)]
