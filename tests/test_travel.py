"""Travel times between cameras: who cannot have got there yet is somebody else."""

import json

import pytest

from sdk import MultiCameraTracker, ReIdentifier
from sdk.errors import DataError
from sdk.tracking import TravelTimes
from tests.moving import BLUE, ColourEngine, World


@pytest.mark.parametrize(("seconds", "expected"), [(None, "person-1"), (0.0, "person-1"), (60.0, "person-2")])
def test_who_cannot_have_got_there_yet_is_somebody_else(seconds, expected):
    """Two dressed alike: one leaves the dock as the other comes to the gate."""
    world = World()
    travel = None if seconds is None else TravelTimes({("gate", "dock"): seconds})
    tracker = MultiCameraTracker(ReIdentifier(ColourEngine()), world, frame_rate=6, travel=travel)
    for tick in range(30):
        figure = (BLUE, 10 + 4 * (tick % 15), 50)
        dock = world.frame(figure) if tick < 15 else world.frame()
        tracker.update({"dock": dock}, tick / 6)
        gate = world.frame(figure) if tick >= 15 else world.frame()
        tracker.update({"gate": gate}, tick / 6)
    tracker.finish()
    assert tracker.identity_of("dock", 1) == "person-1"
    assert tracker.identity_of("gate", 1) == expected
    assert tracker.explain("gate", 1).closed == (("person-1",) if seconds == 60 else ())


def test_times_are_learned_from_a_run(tmp_path):
    lines = []
    for person in range(40):
        start = 100.0 * person
        for camera, track, first, last in (("dock", 1, 0, 5), ("gate", 2, 25 + person % 10, 40), ("lobby", 3, 39, 50)):
            for time in (first, last):
                record = {"time": start + time, "camera": camera, "track": 3 * person + track, "identity": f"p{person}"}
                lines.append(json.dumps(record))
        lines.append(json.dumps({"time": start, "camera": "dock", "track": 0, "identity": None}))
    (tmp_path / "tracks.jsonl").write_text("\n".join(lines))
    travel = TravelTimes.learn(tmp_path / "tracks.jsonl")
    assert travel.least[frozenset(("dock", "gate"))] == pytest.approx(20)
    assert travel.least[frozenset(("gate", "lobby"))] == 0, "they see the same place"
    assert frozenset(("dock", "lobby")) not in travel.least, "nobody goes straight from one to the other"
    assert travel.forbid("gate", "dock", 5.0)
    assert not travel.forbid("dock", "gate", 21.0)
    assert not travel.forbid("gate", "lobby", -3.0)
    few = tmp_path / "few.jsonl"
    few.write_text("\n".join(lines[:70]))
    assert TravelTimes.learn(few).least == {}


def test_what_is_no_travel_time_is_refused(tmp_path):
    for pair, seconds in ((("dock", "dock"), 3.0), (("dock", "gate"), -1.0), (("dock", "gate"), float("nan"))):
        with pytest.raises(DataError, match="travel time"):
            TravelTimes({pair: seconds})
    (tmp_path / "tracks.jsonl").write_text("{}")
    for name in ("tracks.jsonl", "missing.jsonl"):
        with pytest.raises(DataError, match=name):
            TravelTimes.learn(tmp_path / name)
