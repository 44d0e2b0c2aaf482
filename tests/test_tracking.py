"""Identities over time and cameras: given from several crops, kept, never shared by two people seen at once."""

import json
from dataclasses import replace

import numpy as np
import pytest
import supervision as sv
from trackers import ByteTrackTracker

from sdk import Gallery, MultiCameraTracker, ReIdentifier
from sdk.distances import local_distance_gathered
from sdk.errors import DataError, GalleryError
from sdk.tracking.association import Identities, is_ready
from sdk.tracking.config import TrackerConfig
from sdk.tracking.people import PAST, Person
from sdk.tracking.reason import Thresholds
from sdk.tracking.rescoring import aligned_stripes, local_differences
from sdk.tracking.site import SiteModel, SitePrior
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
    """Figures a camera at tick 0, each moving 4 px right a tick; the identities last seen, by camera.

    No times are given: the frames are as far apart as the tracker's frame rate says.
    """
    seen = {}
    for tick in range(ticks):
        frames = {
            name: world.frame(*((colour, x + 4 * tick, y) for colour, x, y in figures))
            for name, figures in cameras.items()
        }
        for camera, detections in tracker.update(frames).items():
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
        for other in range(others):
            tracker.update({}, time=(tick - 1 + other / others) / 6)
        detections = tracker.update({"dock": world.frame((colour, 10 + 4 * tick, 50))}, time=tick / 6)["dock"]
        names += detections.data["identity"].tolist()
    assert set(names[10:]) == {"person-1"}


def leaves_as_another_enters(colour):
    """Figures by tick: somebody in blue walks out to the right; where they were last seen, another walks in."""
    return [(BLUE, 150 + 8 * tick, 50) for tick in range(20)] + [(colour, 300 - 8 * tick, 50) for tick in range(25)]


def test_a_track_that_passes_to_another_person_becomes_another_track(tracker, world):
    seen = []
    for tick, figure in enumerate(leaves_as_another_enters(RED)):
        detections = tracker.update({"dock": world.frame(figure)}, time=tick / 6)["dock"]
        seen += zip(detections.tracker_id.tolist(), detections.data["identity"].tolist(), strict=True)
    assert {name for _, name in seen[:19]} == {None, "person-1"}
    assert seen[-1] == (2, "person-2")
    assert len(set(detections.tracker_id)) == 1
    first, second = (tracker._identities.tracklets["dock", track] for track in (1, 2))
    assert first.together(second) == 0
    (found,) = tracker.reid.gallery.search(np.float32([1, 0, 0]), k=2)  # blue was not mixed into red's exemplars
    assert [c.identity for c in found] == ["person-1", "person-2"]
    assert found[1].distance > 0.9


def test_who_comes_back_at_once_keeps_track_and_identity(tracker, world):
    for tick, figure in enumerate(leaves_as_another_enters(BLUE)):
        detections = tracker.update({"dock": world.frame(figure)}, time=tick / 6)["dock"]
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
        detections = tracker.update({"dock": world.frame((BLUE, 10 + 4 * tick, 50))}, time=tick / 6)["dock"]
        names += detections.data["identity"].tolist()
    assert names[: GROUP - 1] == [None] * (GROUP - 1)
    assert names[-1] == "person-1"


def test_a_thing_that_never_moves_is_nobody(tracker, world):
    for tick in range(40):
        detections = tracker.update({"dock": world.frame((RED, 100, 80))}, time=tick / 6)["dock"]
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
        tracker.update({"dock": world.frame((BLUE, x, 50))}, time=tick / 6)
    assert sum(engine.batches) < 80
    assert len(tracker.reid.gallery) <= 8


def test_exemplars_say_where_and_when(tracker, world):
    for tick in range(15):
        tracker.update({"dock": world.frame((BLUE, 10 + 4 * tick, 50))}, time=1000 + tick / 6)
    (candidates,) = tracker.reid.gallery.search(np.float32([1, 0, 0]), k=1)
    assert candidates[0].camera == "dock"
    assert 1000 < candidates[0].time < 1003


@pytest.mark.parametrize(
    "bad", [None, np.zeros((240, 320), np.uint8), np.zeros((240, 320, 3), np.float32), np.zeros((0, 320, 3), np.uint8)]
)
def test_a_bad_frame_names_its_camera_and_changes_nothing(tracker, world, bad):
    walk(tracker, world, 15, dock=[(BLUE, 10, 50)])
    with pytest.raises(DataError, match="'lobby'"):
        tracker.update({"dock": world.frame((BLUE, 74, 50)), "lobby": bad})
    with pytest.raises(DataError, match="pass one frame of each camera"):
        tracker.update(bad)
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


def tracklet(camera, track, colours, first=0, last=10, crops=GROUP):
    t = Tracklet(camera, track, first, last, seen=10, changed=10)
    for i in range(crops):
        t.add(1.0, np.float32(colours) / np.linalg.norm(colours), now=i)
    return t


def decide(undecided, gallery, thresholds=None, bearers=(), gone=False, **options):
    """Ask once for the identities of `undecided`, with `bearers` of identities about; gone: nothing more will come."""
    thresholds = thresholds or Thresholds(0.3, 0.3)
    identities = Identities(gallery, site=SiteModel(SitePrior.at(thresholds.tracklet)), **options)
    for t in (*undecided, *bearers):
        identities.tracklets[t.camera, t.track] = t
    for t in bearers:
        identities.people[t.identity] = Person(t.identity, 0, known=True, members={(t.camera, t.track): t})
    lost = 1000 if gone else -1
    identities.decide(60, 0.0, thresholds, lost, lost)
    return identities


def test_the_assignment_is_joint_not_greedy():
    """The first tracklet is nearest to ann, but the second can only be ann: together they are bob and ann."""
    gallery = Gallery()
    gallery.add(np.float32([1, 0, 0]), identity="ann")
    gallery.add(np.float32([0.6, 0.8, 0]), identity="bob")
    first = tracklet("dock", 1, [0.93, 0.37, 0])
    second = tracklet("dock", 2, [0.97, 0, 0.24])
    decide([first, second], gallery, gone=True)
    assert (first.identity, second.identity) == ("bob", "ann")


def test_to_be_somebody_new_may_be_the_better_explanation():
    """Both want ann. Not the most matches count but the least distance: the second is nobody known."""
    gallery = Gallery()
    gallery.add(np.float32([1, 0, 0]), identity="ann")
    gallery.add(np.float32([0.6, 0.8, 0]), identity="bob")
    first, second = tracklet("dock", 1, [0.995, 0.05, 0]), tracklet("dock", 2, [0.8, 0, 0.6])
    decide([first, second], gallery, Thresholds(0.38, 0.38), gone=True)
    assert (first.identity, second.identity) == ("ann", "person-1")


DOUBTFUL = [0.54, 0.8416650165, 0]
"""At distance 0.46 from ann."""


def test_a_doubtful_tracklet_waits_for_more_crops_and_says_why():
    gallery = Gallery()
    gallery.add(np.float32([1, 0, 0]), identity="ann")
    doubtful = tracklet("dock", 1, DOUBTFUL)
    thresholds = Thresholds(0.5, 0.5)
    reason = decide([doubtful], gallery, thresholds).explain("dock", 1)
    assert doubtful.identity is None
    assert (reason.nearest, reason.identity, reason.runner_up, reason.margin) == ("ann", None, None, None)
    assert reason.distance == pytest.approx(0.46)
    assert reason.limit == pytest.approx(0.5)
    for i in range(GROUP * (PATIENCE - 1)):
        doubtful.add(1.0, np.float32(DOUBTFUL), now=i)
    decide([doubtful], gallery, thresholds)
    assert doubtful.identity == "ann"


def test_a_close_runner_up_makes_a_case_doubtful():
    gallery = Gallery()
    gallery.add(np.float32([1, 0, 0]), identity="ann")
    gallery.add(np.float32([0.9, 0.43588989, 0]), identity="bob")
    between = tracklet("dock", 1, [0.99, 0.14, 0])
    reason = decide([between], gallery).explain("dock", 1)
    assert between.identity is None
    assert (reason.nearest, reason.runner_up) == ("ann", "bob")
    assert 0 < reason.margin < 0.05
    alone = tracklet("dock", 1, [0.99, 0, 0.14])
    decide([alone], gallery)
    assert alone.identity == "ann"


def test_the_more_people_are_known_the_nearer_one_must_be():
    thresholds = Thresholds(0.5, 0.5)
    limits = [thresholds.limit(known) for known in (0, 1, 10, 100, 10**9)]
    assert limits[:2] == [0.5, 0.5]
    assert limits[1] > limits[2] > limits[3] >= limits[4] > 0.15


def test_two_cameras_may_see_one_person_at_once():
    gallery = Gallery()
    gallery.add(np.float32([1, 0, 0]), identity="ann")
    for colour, name in (([1, 0, 0.05], "ann"), ([0, 1, 0], "person-1")):
        both = [tracklet("dock", 1, colour), tracklet("lobby", 2, colour)]
        decide(both, gallery)
        assert [t.identity for t in both] == [name, name]


def test_the_gallery_is_asked_once_a_group_of_crops(engine, world, monkeypatch):
    reid = ReIdentifier(engine)
    reid.tracklet_threshold = 0.3  # ann is at 0.28: near enough, but not surely
    reid.gallery.add(np.float32([1, 0, 0]), identity="ann")
    asked, search = [], reid.gallery.search
    monkeypatch.setattr(reid.gallery, "search", lambda *a, **k: asked.append(1) or search(*a, **k))
    walk(MultiCameraTracker(reid, detector=world, frame_rate=30), world, 60, dock=[(BLUE, 10, 50)])
    assert 1 <= len(asked) <= 3


def test_while_one_waits_a_better_one_takes_the_identity():
    gallery = Gallery()
    gallery.add(np.float32([1, 0, 0]), identity="ann")
    doubtful, ann = tracklet("dock", 1, DOUBTFUL), tracklet("dock", 2, [1, 0.1, 0], first=5)
    thresholds = Thresholds(0.5, 0.5)
    decide([doubtful], gallery, thresholds)
    identities = decide([doubtful, ann], gallery, thresholds)
    assert (doubtful.identity, ann.identity) == (None, "ann")
    identities.decide(61, 0.0, thresholds, 1000, 1000)
    assert doubtful.identity == "person-1"
    assert identities.explain("dock", 1).closed == ("ann",)


def test_who_is_far_from_everybody_is_new_at_once():
    gallery = Gallery()
    gallery.add(np.float32([1, 0, 0]), identity="ann")
    stranger = tracklet("dock", 1, [0.1, 1, 0])
    decide([stranger], gallery, Thresholds(0.5, 0.5))
    assert stranger.identity == "person-1"


def test_the_end_of_the_videos_decides_who_still_waits(engine, world):
    reid = ReIdentifier(engine)
    reid.tracklet_threshold = 0.3  # ann is at 0.28: near enough, but not surely
    tracker = MultiCameraTracker(reid, detector=world, frame_rate=6)
    reid.gallery.add(np.float32([1, 0, 0]), identity="ann")
    assert walk(tracker, world, 9, dock=[(BLUE, 10, 50)])["dock"] == [None]
    tracker.finish()
    assert tracker.identity_of("dock", 1) == "ann"


def test_a_lost_track_is_decided_with_the_crops_it_has(engine, world):
    reid = ReIdentifier(engine)
    reid.tracklet_threshold = 0.3
    tracker = MultiCameraTracker(reid, detector=world, frame_rate=6)
    reid.gallery.add(np.float32([1, 0, 0]), identity="ann")
    walk(tracker, world, 9, dock=[(BLUE, 10, 50)])
    walk(tracker, world, 14, dock=[])
    assert tracker.identity_of("dock", 1) == "ann"


@pytest.mark.parametrize(("tolerance", "overlapping"), [(0, "person-1"), (11, "ann")])
def test_an_identity_is_closed_to_who_was_seen_with_its_bearer(tolerance, overlapping):
    """But for as long as a track that is about to be lost may have lain on somebody else."""
    gallery = Gallery()
    gallery.add(np.float32([1, 0, 0]), identity="ann")
    for newcomer, name in (
        (tracklet("dock", 2, [1, 0, 0], 40, 60), overlapping),
        (tracklet("dock", 3, [1, 0, 0], 51, 60), "ann"),
        (tracklet("lobby", 4, [1, 0, 0], 40, 60), "ann"),
    ):
        bearer = tracklet("dock", 1, [1, 0, 0], 0, 50)
        bearer.identity = "ann"
        decide([newcomer], gallery, bearers=[bearer], tolerance=tolerance, gone=True)
        assert newcomer.identity == name
        gallery = Gallery()
        gallery.add(np.float32([1, 0, 0]), identity="ann")
    now = tracklet("dock", 5, [1, 0, 0], 45, 50)
    decide([now], gallery, bearers=[bearer], tolerance=tolerance, gone=True)
    assert now.identity == "person-1", "one camera sees both at this moment"


def test_new_names_do_not_collide_with_enrolled_ones():
    gallery = Gallery()
    gallery.add(np.float32([0, 0, 1]), identity="person-1")
    stranger = tracklet("dock", 1, [1, 0, 0])
    decide([stranger], gallery)
    assert stranger.identity == "person-2"


def test_two_names_of_one_person_are_merged_as_their_pictures_grow_alike():
    """Seen from two sides first; then each track sees both."""
    events = []
    front, back = np.float32([1, 0, 0]), np.float32([0, 1, 0])
    one, other = tracklet("dock", 1, front, 0, 20), tracklet("lobby", 1, back, 30, 60)
    identities = decide([one, other], Gallery(), on_event=events.append)
    assert (one.identity, other.identity) == ("person-1", "person-2")
    for t in (one, other):
        for i in range(4 * GROUP):
            t.add(1.0, back if t is one else front, now=20 + i)
            t.add(1.0, front if t is one else back, now=20 + i)
    identities.decide(90, 3.0, Thresholds(0.3, 0.3), -1, -1)
    assert (one.identity, other.identity) == ("person-1", "person-1")
    assert identities.gallery.identities() == ["person-1"]
    assert [e.kind for e in events] == ["identified", "identified", "merged"]
    assert (events[-1].identity, events[-1].detail["other"]) == ("person-1", "person-2")
    apart = tracklet("dock", 2, front + back, 5, 30)
    one.identity, apart.identity = "ann", "bob"
    one.asked = apart.asked = 0
    identities = decide([], Gallery(), Thresholds(2.0, 2.0), bearers=[one, apart])
    assert len(identities.people) == 2, "one camera saw both at a time"
    apart.camera, apart.asked = "hall", 0
    identities = decide([], Gallery(), Thresholds(2.0, 2.0), bearers=[one, apart])
    assert len(identities.people) == 2, "both are known by name"
    apart.asked, identities.people["bob"].known = 0, False
    identities.decide(92, 3.0, Thresholds(2.0, 2.0), -1, -1)
    assert set(identities.people) == {"ann"}


def test_a_tracklet_taken_for_somebody_else_is_moved_when_more_is_seen():
    gallery = Gallery()
    bob = tracklet("lobby", 9, [0, 0, 1], crops=30)
    bob.identity = "bob"
    ann = tracklet("lobby", 8, [1, 0, 0], crops=40)
    ann.identity = "ann"
    doubtful = tracklet("dock", 1, [0.95, 0, 0.3])
    events = []
    identities = decide([doubtful], gallery, bearers=[ann, bob], gone=True, on_event=events.append)
    assert doubtful.identity == "ann"
    for i in range(4 * GROUP):
        doubtful.add(1.0, np.float32([0.2, 0, 0.98]), now=i)
    identities.decide(90, 1.0, Thresholds(0.3, 0.3), -1, -1)
    assert doubtful.identity == "bob"
    assert [e.identity for e in events if e.kind == "identified"] == ["ann", "bob"]
    assert ("dock", 1) not in identities.people["ann"].members


def test_two_who_bear_each_others_names_are_swapped():
    """Neither can be moved alone, for one camera sees both."""
    ann, bob = tracklet("lobby", 8, [1, 0, 0], crops=30), tracklet("lobby", 9, [0, 0, 1], crops=30)
    ann.identity, bob.identity = "ann", "bob"
    like_bob, like_ann = tracklet("dock", 1, [0.2, 0, 0.98]), tracklet("dock", 2, [0.98, 0, 0.2])
    events = []
    identities = decide([], Gallery(), bearers=[ann, bob], on_event=events.append)
    for t, name in ((like_bob, "ann"), (like_ann, "bob")):
        identities.tracklets["dock", t.track] = t
        identities.people[name].members["dock", t.track] = t
        t.identity = name
    identities.decide(65, 1.0, Thresholds(0.3, 0.3), -1, -1)
    assert (like_bob.identity, like_ann.identity) == ("bob", "ann")
    assert identities.explain("dock", 1).runner_up == "ann"
    assert identities.explain("dock", 1).margin > 0
    assert [e.identity for e in events if e.kind == "identified"] == ["bob", "ann"]
    identities.decide(70, 1.0, Thresholds(0.3, 0.3), -1, -1)
    assert (like_bob.identity, like_ann.identity) == ("bob", "ann"), "and not back again"


def test_what_a_human_has_merged_stays_together_though_a_camera_saw_both():
    one, other = tracklet("dock", 1, [1, 0, 0], 0, 60), tracklet("dock", 2, [0, 0, 1], 0, 60)
    identities = decide([one, other], Gallery())
    assert (one.identity, other.identity) == ("person-1", "person-2")
    identities.merge("person-2", into="person-1")
    for now in (70, 80):
        identities.decide(now, 1.0, Thresholds(0.3, 0.3), -1, -1)
    assert (one.identity, other.identity) == ("person-1", "person-1")


@pytest.mark.parametrize(("crowded", "moved"), [(300, "bob"), (1, "ann")])
def test_a_crowded_site_is_reviewed_less_often(crowded, moved, monkeypatch):
    """Three tracklets where one is a crowd: nine times as long until the next review."""
    monkeypatch.setattr("sdk.tracking.association.CROWDED", crowded)
    ann, bob = tracklet("lobby", 8, [1, 0, 0], crops=60), tracklet("lobby", 9, [0, 0, 1], crops=60)
    ann.identity, bob.identity = "ann", "bob"
    doubtful = tracklet("dock", 1, [0.95, 0, 0.3])
    identities = decide([doubtful], Gallery(), bearers=[ann, bob], gone=True)
    for i in range(5 * GROUP):
        doubtful.add(1.0, np.float32([0.2, 0, 0.98]), now=i)
    identities.decide(66, 1.0, Thresholds(0.3, 0.3), -1, -1)
    assert doubtful.identity == moved
    identities.decide(60 + 5 * 9, 1.0, Thresholds(0.3, 0.3), -1, -1)
    assert doubtful.identity == "bob"


def test_who_turns_up_in_two_cameras_at_once_is_one_person_and_the_reason_has_the_distance(engine):
    worlds = {"dock": World(), "lobby": World()}
    tracker = MultiCameraTracker(ReIdentifier(engine), detector=worlds)
    for tick in range(12):
        frames = {camera: world.frame((BLUE, 10 + 8 * tick, 50)) for camera, world in worlds.items()}
        tracker.update(frames, time=tick / 6)
    first, second = (tracker.explain(camera, 1) for camera in worlds)
    assert {first.identity, second.identity} == {"person-1"}
    assert (first.new, second.new) == (True, False)
    assert second.nearest == "person-1"
    assert 0 <= second.distance < 0.01


def test_events_tell_who_came_and_left_and_a_split(engine, world):
    events = []
    tracker = MultiCameraTracker(ReIdentifier(engine), detector=world, frame_rate=6, on_event=events.append)
    for tick, figure in enumerate(leaves_as_another_enters(RED)):
        tracker.update({"dock": world.frame(figure)}, time=tick / 6)
    for tick in range(45, 65):
        tracker.update({"dock": world.frame()}, time=tick / 6)
    told = [(e.kind, e.track, e.identity) for e in events]
    assert told[0] == ("identified", 1, "person-1")
    assert ("identified", 2, "person-2") in told
    assert [t for t in told if t[0] == "left"] == [("left", 1, "person-1"), ("left", 2, "person-2")]
    left = events[-1]
    assert left.camera == "dock"
    assert left.detail["last"] == pytest.approx(44 / 6, abs=0.01)
    assert all(json.loads(e.to_json())["detail"] for e in events)
    assert events[0].detail["new"] is True


def test_a_track_of_a_library_that_passes_to_another_is_split(engine, world):
    """A tracker that goes by position alone cannot tell."""
    events = []
    tracker = MultiCameraTracker(
        ReIdentifier(engine), world, lambda: ByteTrackTracker(frame_rate=6), frame_rate=6, on_event=events.append
    )
    for tick, figure in enumerate(leaves_as_another_enters(RED)):
        detections = tracker.update({"dock": world.frame(figure)}, time=tick / 6)["dock"]
    assert detections.data["identity"].tolist() == ["person-2"]
    assert [(e.track, e.detail) for e in events if e.kind == "split"] == [(1, {"new_track": 2})]


def test_who_is_forgotten_is_somebody_new(tracker, world):
    walk(tracker, world, 15, dock=[(BLUE, 10, 50)], lobby=[(RED, 10, 50)])
    with pytest.raises(GalleryError, match="'nobody'"):
        tracker.forget("nobody")
    assert tracker.forget("person-1") > 0
    assert tracker.reid.gallery.identities() == ["person-2"]
    assert "person-1" not in tracker._identities.people
    seen = walk(tracker, world, 15, dock=[(BLUE, 70, 50)], lobby=[(RED, 70, 50)])
    assert seen == {"dock": ["person-3"], "lobby": ["person-2"]}, "no name is given twice"
    assert len(tracker.reid.gallery.search(np.float32([1, 0, 0]))[0]) == 2


def test_names_may_be_merged_by_hand(tracker, world):
    walk(tracker, world, 15, dock=[(BLUE, 10, 50)], lobby=[(RED, 10, 50)])
    tracker.merge("person-2", into="person-1")
    seen = walk(tracker, world, 3, dock=[(BLUE, 70, 50)], lobby=[(RED, 70, 50)])
    assert seen == {"dock": ["person-1"], "lobby": ["person-1"]}
    assert tracker.reid.gallery.identities() == ["person-1"]
    for identity, into, named in (("nobody", "person-1", "nobody"), ("person-1", "person-1", "itself")):
        with pytest.raises(GalleryError, match=named):
            tracker.merge(identity, into=into)


def test_who_is_renamed_is_known_by_the_new_name(tracker, world):
    walk(tracker, world, 15, dock=[(BLUE, 10, 50)], lobby=[(RED, 10, 50)])
    tracker.rename("person-1", "ann")
    seen = walk(tracker, world, 15, dock=[(BLUE, 70, 50)], lobby=[(RED, 70, 50), (BLUE, 150, 50)])
    assert seen == {"dock": ["ann"], "lobby": ["person-2", "ann"]}
    assert tracker.reid.gallery.identities() == ["ann", "person-2"]
    with pytest.raises(GalleryError, match="already"):
        tracker.rename("ann", "person-2")


def test_explaining_a_track_that_is_not_there(tracker, world):
    walk(tracker, world, 3, dock=[(BLUE, 10, 50)])
    assert tracker.explain("dock", 1).identity is None
    with pytest.raises(DataError, match="'dock' has no track 9"):
        tracker.explain("dock", 9)


def test_a_budget_limits_the_crops_of_a_second(engine, world):
    people = {"dock": [(BLUE, 10, 20), (GREEN, 80, 30)], "lobby": [(RED, 10, 20), (YELLOW, 80, 30)]}
    embedded = {}
    for budget in (None, 6.0):
        engine.batches.clear()
        tracker = MultiCameraTracker(ReIdentifier(engine), world, frame_rate=6, crop_budget=budget)
        seen = walk(tracker, world, 48, **people)
        embedded[budget] = sum(engine.batches)
    assert embedded[6.0] <= 48 + 5 < embedded[None]
    assert sorted(seen["dock"] + seen["lobby"]) == [f"person-{i}" for i in range(1, 5)], "later, but all"
    with pytest.raises(DataError, match="budget is 0"):
        MultiCameraTracker(ReIdentifier(engine), world, crop_budget=0)


def stripes_of(*rows):
    return np.eye(4, dtype=np.float32)[list(rows)]


def test_close_calls_are_decided_stripe_by_stripe():
    """Both are as near by the whole; the path through the stripes tells them apart, though a box is shifted."""
    track = [(1.0, stripes_of(0, 1, 2))]
    same, other = [(0.9, stripes_of(0, 0, 1))], [(0.9, stripes_of(3, 2, 3))]
    local = local_differences(local_distance_gathered, track, [same, other])
    assert local[0] < 0 < local[1]
    assert local.sum() == pytest.approx(0)
    np.testing.assert_array_equal(local_differences(local_distance_gathered, track, [same, []]), [0, 0])
    assert aligned_stripes(track, same)[0] == (0, 0)
    assert aligned_stripes(track, same)[-1] == (2, 2)
    assert (1, 2) in aligned_stripes(track, same)
    assert aligned_stripes(track, []) is None


def test_stripes_are_used_only_when_asked_for(world):
    class StripedEngine(ColourEngine):
        metadata = replace(ColourEngine.metadata, stripes=3, stripe_dim=4)

        def run(self, crops):
            embedding, _ = super().run(crops)
            return embedding, np.stack([stripes_of(0, 1, 2)] * len(crops))

    with pytest.raises(DataError, match="no stripes"):
        MultiCameraTracker(ReIdentifier(ColourEngine()), world, rescore=True)
    for rescore in (False, True):
        reid = ReIdentifier(StripedEngine(), rescore=rescore)
        tracker = MultiCameraTracker(reid, world, frame_rate=6)
        walk(tracker, world, 12, dock=[(BLUE, 10, 50)])
        walk(tracker, world, 12, dock=[], lobby=[(BLUE, 10, 50)])
        aligned = tracker.explain("lobby", 1).aligned
        assert (aligned is not None) == rescore
        assert (reid.gallery.stripes_shape is not None) == rescore
        assert tracker.identity_of("lobby", 1) == "person-1"


def test_what_is_remembered_is_bounded(engine, world):
    """Days of somebody walking to and fro, and of others who come once."""
    config = TrackerConfig(memory_seconds=20, most_people=40)
    tracker = MultiCameraTracker(ReIdentifier(engine), detector=world, frame_rate=6, config=config)
    rng = np.random.default_rng(0)
    sizes = []
    for visit in range(60):
        colour = BLUE if visit % 2 else tuple(int(v) for v in rng.integers(0, 255, 3))
        for step in range(16):
            figures = [(colour, 10 + 4 * step, 50)] if step < 10 else []
            tracker.update({"dock": world.frame(*figures)}, time=(visit * 16 + step) / 6)
        sizes.append(len(tracker._identities.tracklets))
    assert max(sizes[30:]) <= max(sizes[:30])
    assert len(tracker._cameras["dock"].tracks._tracks) <= 3
    blue = max(tracker._identities.people.values(), key=lambda p: len(p.intervals))
    assert len(blue.past) <= PAST
    assert len(tracker._identities.people) <= 41
    assert len(tracker.reid.gallery) <= 32 * len(tracker.reid.gallery.identities())


def test_a_tracklet_is_ready_when_it_moved_and_has_its_crops():
    ready = tracklet("dock", 1, [1, 0, 0])
    assert is_ready(ready)
    ready.changed = 4
    assert not is_ready(ready), "its picture did not change"
    ready = tracklet("dock", 1, [1, 0, 0], crops=GROUP - 1)
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
