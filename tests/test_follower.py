"""Tracks of one camera: by position where that is clear, by look where people cross, are hidden, and come back."""

from functools import partial

import numpy as np
import pytest
from trackers import ByteTrackTracker

from sdk.tracking.follower import Follower, LibraryTracks

ANN, BOB = np.float32([1, 0, 0]), np.float32([0, 1, 0])
WIDTH, HEIGHT = 40, 120


class Walk:
    """Feeds boxes of people by name to a `Follower`, 10 frames a second; which track each of them had."""

    def __init__(self, tracks, looks=None):
        self.tracks, self.looks = tracks, looks or {"ann": ANN, "bob": BOB}
        self.frame, self.asked, self.boxes = 0, 0, 0

    def step(self, confidence=0.9, **places):
        boxes = np.float32([[x, 50, x + WIDTH, 50 + HEIGHT] for x in places.values()]).reshape(-1, 4)
        self.frame += 1
        _, doubtful = self.tracks.begin(boxes, np.full(len(boxes), confidence), self.frame / 10)
        self.asked += doubtful.sum()
        self.boxes += len(boxes)
        seen = doubtful | (self.frame % 2 == 0)
        embedding = np.stack([self.looks[name] for name in places]) if places else None
        return dict(zip(places, self.tracks.end(embedding, seen, np.ones(len(boxes))).tolist(), strict=True))

    def crossing(self, hidden=0):
        """Ann goes right and Bob left, both 6 px a frame, through each other; while near, for `hidden` frames, only
        the one in front is found. The tracks before and after."""
        for i in range(20):
            before = self.step(ann=100 + 6 * i, bob=340 - 6 * i)
        for i in range(20, 20 + hidden):
            self.step(ann=100 + 6 * i)
        for i in range(20 + hidden, 40):
            after = self.step(ann=100 + 6 * i, bob=340 - 6 * i)
        return before, after


@pytest.mark.parametrize("hidden", [0, 5])
def test_who_cross_keep_their_tracks(hidden):
    before, after = Walk(Follower(0.6, 2.0)).crossing(hidden)
    assert sorted(before.values()) == [1, 2]
    assert after == before


def test_who_turn_round_where_they_meet_keep_their_tracks():
    """Position alone would have them pass through each other."""
    walk = Walk(Follower(0.6, 2.0))
    for i in range(20):
        before = walk.step(ann=100 + 6 * i, bob=340 - 6 * i)
    for i in range(20, -1, -1):
        after = walk.step(ann=100 + 6 * i, bob=340 - 6 * i)
    assert after == before


def test_a_look_is_asked_for_only_where_position_leaves_doubt():
    walk = Walk(Follower(0.6, 2.0))
    for i in range(60):
        walk.step(ann=100 + 4 * i, bob=600 - 2 * i)
    assert walk.asked <= 4
    near = Walk(Follower(0.6, 2.0))
    near.crossing()
    assert near.asked > 8


def test_who_comes_back_elsewhere_or_looking_different_is_another_track():
    walk = Walk(Follower(0.6, 2.0), {"ann": ANN, "bob": BOB})
    for i in range(10):
        first = walk.step(ann=100 + 4 * i)
    for _ in range(8):
        walk.step()
    assert walk.step(bob=150)["bob"] == -1, "one box is no track yet"
    assert walk.step(bob=152)["bob"] == 2, "where Ann was, but nothing like her"
    far = walk.step(bob=156, ann=500)
    assert far["ann"] == -1
    assert first["ann"] == 1


def test_who_is_hidden_for_a_second_keeps_the_track_and_for_long_does_not():
    for unseen, expected in ((10, 1), (25, 2)):
        walk = Walk(Follower(0.6, 2.0))
        for i in range(10):
            walk.step(ann=100 + 4 * i)
        for _ in range(unseen):
            walk.step()
        for i in range(4):
            found = walk.step(ann=140 + 4 * (unseen if unseen < 10 else 8) + 4 * i)
        assert found["ann"] == expected


def test_weak_boxes_carry_a_track_on_but_start_none():
    walk = Walk(Follower(0.6, 2.0))
    for i in range(5):
        assert walk.step(confidence=0.3, ann=100 + 4 * i)["ann"] == -1
    for i in range(5, 8):
        walk.step(ann=100 + 4 * i)
    assert walk.step(confidence=0.3, ann=132)["ann"] == 1


def test_a_slow_camera_needs_no_look_for_every_box():
    follower = Follower(0.6, 2.0)
    for i in range(12):
        _, doubtful = follower.begin(np.float32([[100 + i, 50, 140 + i, 170]]), np.float32([0.9]), i * 0.5)
        numbers = follower.end(None, np.zeros(1, bool), np.ones(1))
        assert not doubtful.any()
    assert numbers.tolist() == [1]


def test_without_looks_position_decides():
    """Where the budget has left nothing for a crop."""
    follower = Follower(0.6, 2.0)
    for i in range(10):
        follower.begin(np.float32([[100 + 4 * i, 50, 140 + 4 * i, 170], [150, 50, 190, 170]]), np.ones(2), i / 10)
        numbers = follower.end(None, np.zeros(2, bool), np.ones(2))
    assert numbers.tolist() == [1, 2]


def test_a_library_tracker_has_its_numbers_from_one():
    walk = Walk(LibraryTracks(partial(ByteTrackTracker, frame_rate=10, lost_track_buffer=30), 2.0))
    for i in range(12):
        found = walk.step(ann=100 + 4 * i, bob=500 - 4 * i)
    assert sorted(found.values()) == [1, 2]
    assert walk.asked == 0
    assert walk.tracks.renew(found["ann"]) == 3
    assert walk.step(ann=148, bob=452) == {"ann": 3, "bob": found["bob"]}
    assert walk.step() == {}


def test_tracks_and_numbers_of_the_past_are_dropped():
    library = Walk(LibraryTracks(partial(ByteTrackTracker, frame_rate=10, lost_track_buffer=30), 2.0))
    own = Walk(Follower(0.6, 2.0))
    for walk in (library, own):
        for visit in range(12):
            for i in range(4):
                walk.step(ann=100 + 50 * (visit % 8) + i)
            for _ in range(70):
                walk.step()
    assert len(library.tracks._numbers) <= 10
    assert own.tracks._tracks == []
