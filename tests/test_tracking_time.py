"""Time in the tracker is seconds of the frames, not calls: gaps, clocks that go back, and no times at all."""

import itertools

import numpy as np
import pytest
from trackers import ByteTrackTracker

from sdk import MultiCameraTracker, ReIdentifier
from sdk.errors import DataError
from sdk.tracking import clock
from sdk.tracking.apart import Apart
from sdk.tracking.multi_camera import CROPS_PER_SECOND, CropBudget
from sdk.tracking.tracklet import CHECK_INTERVALS, ENOUGH, MIN_QUALITY, Tracklet
from tests.moving import BLUE, RED, ColourEngine, World

START = 1.7e9


@pytest.fixture
def world():
    return World()


def tracker_of(world, **options):
    return MultiCameraTracker(ReIdentifier(ColourEngine()), world, **options)


@pytest.mark.parametrize("library", [False, True])
@pytest.mark.parametrize(("gap", "tracks"), [(0.1, {1}), (1.0, {1}), (60.0, {2})])
def test_a_gap_longer_than_a_tracks_patience_ends_it(world, library, gap, tracks):
    """As a camera makes it that records where something moves: the next frame shows somebody else at that place."""
    events = []
    options = {"tracker": lambda: ByteTrackTracker(frame_rate=10)} if library else {}
    tracker = tracker_of(world, on_event=events.append, **options)
    for frame in range(40):
        tracker.update({"dock": world.frame((BLUE, 10 + 4 * frame, 50))}, START + frame / 10)
    for frame in range(40):
        colour = RED if gap > 2 else BLUE
        time = START + 3.9 + gap + frame / 10
        found = tracker.update({"dock": world.frame((colour, 170 - 4 * frame, 50))}, time)["dock"]
    assert set(found.tracker_id.tolist()) == tracks
    assert found.data["identity"].tolist() == ["person-2" if gap > 2 else "person-1"]
    left = [(event.identity, event.detail["last"]) for event in events if event.kind == "left"]
    assert left == ([("person-1", START + 3.9)] if gap > 2 else [])


def test_who_was_in_doubt_before_a_gap_is_decided_after_it_and_can_be_asked_for(world):
    """Records wait for it."""
    reid = ReIdentifier(ColourEngine())
    reid.tracklet_threshold = 0.3  # ann is at 0.28: near enough, but not surely
    reid.gallery.add(np.float32([1, 0, 0]), identity="ann")
    tracker = MultiCameraTracker(reid, world)
    for frame in range(9):
        tracker.update({"dock": world.frame((BLUE, 10 + 4 * frame, 50))}, frame / 6)
    assert tracker.identity_of("dock", 1) is None
    tracker.update({"dock": world.frame()}, 600.0)
    assert tracker.identity_of("dock", 1) == "ann"
    tracker.update({"dock": world.frame()}, 600.1)
    assert tracker.identity_of("dock", 1) is None, "and is then forgotten"


def test_after_a_gap_the_picture_is_not_held_against_the_one_before_it(world):
    """The light has changed: a thing that stands there is nobody all the same."""
    tracker = tracker_of(world)
    for frame in range(20):
        tracker.update({"dock": world.frame((RED, 100, 80))}, frame / 10)
    for frame in range(20):
        dusk = world.frame((BLUE, 100, 80))
        tracker.update({"dock": dusk}, 600 + frame / 10)
    tracker.finish()
    assert tracker.reid.gallery.identities() == []


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), "7", [1.0], 1.7e12])
def test_a_time_that_is_none_is_named_and_changes_nothing(world, bad):
    tracker = tracker_of(world)
    for frame in range(15):
        tracker.update({"dock": world.frame((BLUE, 10 + 4 * frame, 50))}, frame / 10)
    with pytest.raises(DataError, match="the time is"):
        tracker.update({"dock": world.frame((BLUE, 70, 50))}, bad)
    found = tracker.update({"dock": world.frame((BLUE, 70, 50))}, 1.5)["dock"]
    assert found.data["identity"].tolist() == ["person-1"]
    assert found.tracker_id.tolist() == [1]


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(world, rate):
    with pytest.raises(DataError, match="the frame rate is"):
        tracker_of(world, frame_rate=rate)


def test_a_clock_that_is_set_back_is_told_once_and_survived(world):
    events = []
    tracker = tracker_of(world, on_event=events.append)
    for frame in range(60):
        back = 3600 * (frame // 20)  # an hour, twice
        found = tracker.update({"dock": world.frame((BLUE, 10 + 4 * frame, 50))}, START + frame / 10 - back)["dock"]
    assert found.tracker_id.tolist() == [1]
    assert found.data["identity"].tolist() == ["person-1"]
    told = [event for event in events if event.kind == "camera_clock"]
    assert [event.detail["what"] for event in told] == [
        "the time of the frames is set back by 3599.9 s; tracking goes on"
    ]
    assert told[0].camera is None


def test_frames_a_little_out_of_order_are_no_clock_that_was_set(world):
    """Two cameras that are given by turns, each with a clock of its own: none runs faster for that."""
    events = []
    tracker = tracker_of(world, on_event=events.append)
    for frame in range(60):
        for camera, late in (("dock", 0.0), ("lobby", -0.03)):
            tracker.update({camera: world.frame((BLUE, 10 + 4 * frame, 50))}, frame / 10 + late)
    assert not [event for event in events if event.kind == "camera_clock"]
    spans = [tracklet.last - tracklet.first for tracklet in tracker._identities.tracklets.values()]
    assert spans == pytest.approx([5.8, 5.8], abs=0.1)


def test_times_that_stand_still_are_survived(world):
    tracker = tracker_of(world, frame_rate=10)
    for frame in range(40):
        found = tracker.update({"dock": world.frame((BLUE, 10 + 4 * frame, 50))}, 5.0)["dock"]
    assert found.tracker_id.tolist() == [1]
    assert found.data["identity"].tolist() == ["person-1"]


def test_without_times_frames_are_as_far_apart_as_the_rate_says(world):
    tracker = tracker_of(world, frame_rate=10)
    for frame in range(31):
        tracker.update({"dock": world.frame((BLUE, 10 + 4 * frame, 50))})
    (tracklet,) = tracker._identities.tracklets.values()
    assert tracklet.last - tracklet.first == pytest.approx(2.9)
    assert tracklet.last_time - tracklet.first_time == pytest.approx(2.9)
    (candidates,) = tracker.reid.gallery.search(np.float32([1, 0, 0]), k=1)
    assert candidates[0].time == pytest.approx(clock.system.time(), abs=60), "of today, for what is kept for a time"


def test_without_a_rate_the_system_is_asked_and_may_be_set(monkeypatch):
    class System:
        now, steady = START, 50.0

        def time(self):
            return self.now

        def monotonic(self):
            return self.steady

    system = System()
    monkeypatch.setattr(clock, "system", system)
    live = clock.Clock()
    assert live.advance(None) is None
    for step in range(1, 4):
        system.steady += 0.1
        system.now = START + [0, 7200, -7200, 86400][step]
        assert live.advance(None, again=True) is None
        assert (live.time, live.now) == (pytest.approx(START + step / 10), pytest.approx(step / 10))


def test_the_clock_never_goes_back_and_goes_on_for_a_camera_that_had_a_frame():
    moments = clock.Clock(10)
    seen = []
    for time in (100.0, 100.1, 100.1, 100.15, 40.0, 40.1, 3.0, 9000.0):
        moments.advance(time, again=True)
        seen.append(moments.now)
    assert all(one < other for one, other in itertools.pairwise(seen))
    assert seen[-1] - seen[-2] == pytest.approx(8997), "a jump forward is time that has passed"
    assert moments.time == 9000.0
    moments.advance(9000.0)
    assert moments.now == seen[-1], "another camera, at the same moment"


@pytest.mark.parametrize("rate", [5, 6, 8, 10, 12, 15, 20, 24, 25, 29.97, 30, 50, 60])
@pytest.mark.parametrize("start", [0.0, 1e6])
def test_crops_are_taken_every_so_many_frames(rate, start):
    """Always the same number of them: those nearest to six a second; later one in six of those."""
    every = max(1, round(rate / CROPS_PER_SECOND))
    tracklet = Tracklet("dock", 1, start, start, frame=1 / rate)
    taken = []
    for frame in range(every * (ENOUGH + 6 * CHECK_INTERVALS)):
        if tracklet.wants(MIN_QUALITY, start + frame / rate, 1 / CROPS_PER_SECOND):
            tracklet.add(1.0, np.float32([1, 0]), start + frame / rate)
            taken.append(frame)
    assert set(np.diff(taken[:ENOUGH])) == {every}
    if every > 1:
        assert set(np.diff(taken[ENOUGH - 1 :])) == {every * CHECK_INTERVALS}


def test_who_were_seen_together_in_one_frame_were_seen_together():
    one, other, later = (Tracklet("dock", n, *span, frame=0.1) for n, span in enumerate([(0, 5.0), (5.0, 9), (5.1, 9)]))
    assert one.together(other) == pytest.approx(0.1)
    assert one.together(later) == 0
    other.camera = "lobby"
    assert one.together(other) == 0
    apart = Apart(tolerance=0.0).matrix(
        [[("dock", t.span)] for t in (one, Tracklet("dock", 4, 5.0, 9, frame=0.1), later)]
    )
    assert apart.tolist() == [[False, True, False], [True, False, True], [False, True, False]]


def test_a_budget_is_of_seconds():
    for rate in (5, 10, 30):
        budget = CropBudget(12.0)
        taken = sum(budget.take(100, frame / rate) for frame in range(10 * rate + 1))
        assert 120 <= taken <= 126 + 1
    assert budget.take(100, 1000.0) == 6, "what was not used for long is lost"
    assert CropBudget(0.1).take(5, 0.0) == 1
