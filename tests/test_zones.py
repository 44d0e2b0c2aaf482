"""Zones and lines: what a file says, and what people do in them."""

import base64

import cv2
import numpy as np
import pytest
import supervision as sv

from sdk.errors import DataError
from sdk.event_sinks import Choice
from sdk.events import Event, listening
from sdk.report import build_report
from sdk.serve import serve
from sdk.serve.metrics import render_metrics
from sdk.serve.zones import ZoneBook
from sdk.video.final_names import apply_names
from sdk.video.latest_pictures import LatestPictures
from sdk.video.recorder import Recorder
from sdk.video.run_folder import RunFolder
from sdk.zones import Zones, ZoneWatch, read_zones
from sdk.zones.ledger import KINDS, Ledger
from sdk.zones.shapes import read_camera
from sdk.zones.states import CameraStates
from tests.moving import BLUE
from tests.stage import Stage
from tests.test_serve import request, secret

SQUARE = [[10, 10], [110, 10], [110, 110], [10, 110]]


def test_a_file_is_read_and_written(tmp_path):
    path = tmp_path / "zones.yaml"
    path.write_text(
        "cameras:\n  dock:\n    zones:\n      gate: [[10, 10], [110, 10], [110, 110.5]]\n"
        "    lines:\n      door: [[0.5, 0], [0.5, 1]]\n  lobby:\n"
    )
    zones = read_zones(path)
    assert list(zones) == ["dock", "lobby"]
    (gate,), (door,) = zones.of("dock").zones, zones.of("dock").lines
    assert gate.pixels(640, 480).tolist() == [[10, 10], [110, 10], [110, 110.5]]
    assert door.pixels(640, 480).tolist() == [[320, 0], [320, 480]], "all between 0 and 1: shares of the picture"
    zones.save(path)
    assert read_zones(path).of("dock") == zones.of("dock")
    assert read_zones(path).of("elsewhere").zones == ()


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ({"zones": {"gate": SQUARE[:2]}}, "camera 'dock', zone 'gate': 2 points; a zone has 3"),
        ({"zones": {"gate": [SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3]]}}, "gate': its sides cross"),
        ({"zones": {"gate": [[0, 0], [5, 0], [9, 0]]}}, "gate': it has no area"),
        ({"zones": {"gate": [[0, 0], [5, "x"], [9, 9]]}}, r"gate': its points are no list of \[x, y\]"),
        ({"zones": {"gate": [[0, 0], [5, -1], [9, 9]]}}, "gate': its points are no list"),
        ({"zones": {1: SQUARE}}, "in quotes"),
        ({"zones": {"a\nb": SQUARE}}, "line break"),
        ({"zones": [SQUARE]}, "have no names"),
        ({"lines": {"door": [[1, 1], [1, 1]]}}, "camera 'dock', line 'door': 2 points; a line has two, which differ"),
        ({"zones": {"door": SQUARE}, "lines": {"door": [[1, 1], [2, 1]]}}, "another name"),
        ({"zone": {}}, "'zone' is unknown; write 'zones' or 'lines'"),
        ("gate", "write 'zones:'"),
    ],
)
def test_what_is_no_zone_is_named(own, says):
    with pytest.raises(DataError, match=says):
        Zones.from_mapping({"dock": own})


def test_what_is_no_file_of_zones_is_named(tmp_path):
    path = tmp_path / "zones.yaml"
    for text in ("dock: {}", "[1]", "cameras: ["):
        path.write_text(text)
        with pytest.raises(DataError, match=r"zones\.yaml: (holds no zones|cannot be read)"):
            read_zones(path)
    with pytest.raises(DataError, match=r"nowhere\.yaml: .*No such file"):
        read_zones(tmp_path / "nowhere.yaml")
    with pytest.raises(DataError, match=r"'dock', which is not here; there are lobby"):
        Zones.from_mapping({"dock": {"zones": {"gate": SQUARE}}}).check_cameras(["lobby"])


def walk(states, feet, step=0.1, track=1, start=0.0, size=(200, 200)):
    """Events of one track whose foot is at these (x, y), a frame each; None: not seen."""
    told = []
    for number, foot in enumerate(feet):
        boxes = [] if foot is None else [[foot[0] - 5, foot[1] - 40, foot[0] + 5, foot[1]]]
        told += states.take(start + number * step, size, np.array(boxes, float), [track] * len(boxes))
    return told


def states(**shapes):
    return CameraStates(read_camera("dock", shapes))


def test_who_comes_and_goes_is_told_once_with_the_time_of_the_edge():
    gate = states(zones={"gate": SQUARE})
    told = walk(gate, [(x, 50) for x in range(-40, 200, 5)])
    assert [(e.kind, round(e.time, 1)) for e in told] == [("entered", 1.0), ("left_zone", 3.0)]
    assert told[1].detail == {"zone": "gate", "seconds": 2.0, "first": 1.0}
    assert gate.end() == []


def test_a_box_that_flickers_at_the_edge_makes_one_visit():
    gate = states(zones={"gate": SQUARE})
    feet = [(112 - 4 * (n % 2), 50) for n in range(40)]
    assert walk(gate, feet) == [], "never inside for half a second"
    told = walk(gate, [(100, 50)] * 10 + feet + [None] * 3 + [(100, 50)] * 2, start=4.0)
    assert [e.kind for e in told] == ["entered"]


def test_a_track_that_ends_in_a_zone_leaves_it_when_it_was_seen_last():
    gate = states(zones={"gate": SQUARE})
    told = walk(gate, [(50, 50)] * 11 + [None] * 30)
    assert [(e.kind, round(e.time, 1)) for e in told] == [("entered", 0.0), ("left_zone", 1.0)]
    walk(gate, [(50, 50)] * 11, track=2, start=10.0)
    assert [(e.kind, e.track, round(e.time, 1)) for e in gate.end()] == [("left_zone", 2, 11.0)]


@pytest.mark.parametrize("points", [[[100, 20], [100, 180]], [[100, 180], [100, 20]]])
def test_a_line_is_crossed_in_the_direction_that_supervision_has(points):
    door = states(lines={"door": points})
    feet = [(x, 100) for x in range(60, 140, 4)] + [(140, 100)] * 6
    feet += feet[::-1] + [(60, 100)] * 6
    line = sv.LineZone(*(sv.Point(*p) for p in points), triggering_anchors=[sv.Position.BOTTOM_CENTER])
    theirs = []
    for x, y in feet:
        seen = sv.Detections(np.array([[x - 5, y - 40, x + 5, y]], float), tracker_id=np.array([1]))
        theirs += [name for name, way in zip(("in", "out"), line.trigger(seen), strict=True) if way.any()]
    told = walk(door, feet)
    assert [e.detail["direction"] for e in told] == theirs
    assert len(theirs) == 2
    assert told[0].time == pytest.approx(1.0, abs=0.15), "told with its own time"


def test_who_steps_back_or_passes_beside_a_line_has_not_crossed_it():
    door = states(lines={"door": [[100, 80], [100, 120]]})
    assert walk(door, [(98 + 4 * (n % 2), 100) for n in range(40)] + [(98, 100)] * 9) == []
    assert walk(door, [(x, 150) for x in range(60, 140, 4)] + [(140, 150)] * 9, track=2, start=9.0) == []
    gap = walk(door, [(80, 100), None, None, None, (120, 100)] + [(130, 100)] * 9, track=3, start=20.0)
    assert [e.kind for e in gap] == ["crossed"], "a detector that misses a few frames hides no crossing"


def said(ledger, *events):
    for time, kind, track, identity, detail in events:
        ledger.listen(Event(time, kind, "dock" if track else None, track, identity, detail))
    return ledger


def rows(ledger, now=100.0):
    return [(row.identity, row.zone, row.visits, row.seconds, row.here) for row in ledger.rows(now)]


@pytest.fixture
def ledger():
    """Track 1 breaks off in the gate and goes on as track 2; track 3 has no name yet and is still there."""
    gate = {"zone": "gate"}
    return said(
        Ledger(),
        (0, "identified", 1, "person-1", {}),
        (1, "entered", 1, "person-1", gate), (4, "left_zone", 1, "person-1", gate),
        (5, "identified", 2, "person-2", {}),
        (5, "entered", 2, "person-2", gate), (9, "left_zone", 2, "person-2", gate),
        (50, "entered", 3, None, gate),
    )  # fmt: skip


def test_a_person_is_counted_once_not_a_track(ledger):
    assert rows(ledger) == [
        ("person-1", "gate", 1, 3, 0), ("person-2", "gate", 1, 4, 0), (None, "gate", 1, 50, 1),
    ]  # fmt: skip
    said(ledger, (60, "merged", None, "person-1", {"other": "person-2"}), (61, "identified", 3, "person-1", {}))
    assert rows(ledger) == [("person-1", "gate", 2, 8 + 50, 1)], "one visit, though two tracks made it"
    said(ledger, (62, "withdrawn", 3, None, {}), (63, "renamed", None, "ann", {"other": "person-1"}))
    assert rows(ledger) == [("ann", "gate", 1, 8, 0), (None, "gate", 1, 50, 1)]
    ledger.forget("ann")
    assert [row[0] for row in rows(ledger)] == [None]


def test_the_books_of_a_site_that_runs_for_long_are_bounded():
    ledger = Ledger(10)
    for track in range(1, 101):
        said(ledger, (track, "entered", track, "ann", {"zone": "gate"}))
        said(ledger, (track + 0.5, "left_zone", track, "ann", {"zone": "gate"}))
        said(ledger, (track, "crossed", track, "ann", {"line": "door", "direction": "in"}))
    assert len(ledger._deeds) == 10
    door, gate = ledger.rows()
    assert (door.crossed_in, gate.first, gate.last) == (100, 1, 100.5)
    said(ledger, (200, "renamed", None, "eve", {"other": "ann"}))
    assert {row.identity for row in ledger.rows()} == {"eve"}


@pytest.fixture
def stage():
    return Stage()


GATE = {
    "dock": {
        "zones": {"gate": [[0.3, 0.0], [0.7, 0.0], [0.7, 1.0], [0.3, 1.0]]},
        "lines": {"door": [[160, 0], [160, 240]]},
    }
}


def watched(stage, path=None):
    watch = ZoneWatch(Zones.from_mapping(GATE), stage.tracker)
    stage.site.zones = ZoneBook(watch, path)
    return watch


def test_a_run_tells_records_and_counts_who_was_in_a_zone(stage, tmp_path):
    """Somebody blue walks through; their track and names are those of the tracker."""
    watch, told = watched(stage), []
    with RunFolder(tmp_path / "out", "reid track") as folder, Recorder(folder, stage.tracker, video=False) as recorder:
        listeners = [told.append, watch.ledger.listen, recorder.listen, stage.site.listen]
        with listening([stage.tracker, watch], listeners):
            stage.act((60, {"dock": [(BLUE, 10)]}), observers=[watch, recorder])
    zones = [event for event in told if event.kind in KINDS]
    assert [(e.kind, e.camera, e.identity) for e in zones] == [
        ("entered", "dock", "person-1"), ("crossed", "dock", "person-1"), ("left_zone", "dock", "person-1"),
    ]  # fmt: skip
    entered, crossed, left = zones
    assert entered.time < crossed.time < left.time
    assert left.detail["seconds"] == pytest.approx(left.time - entered.time, abs=0.002)
    lines = (tmp_path / "out" / "zones.csv").read_text().splitlines()
    assert lines[0] == "person,camera,zone,visits,dwell_seconds,crossed_in,crossed_out,first,last"
    assert [line.split(",")[:4] for line in lines[1:]] == [
        ["person-1", "dock", "door", ""],
        ["person-1", "dock", "gate", "1"],
    ]
    assert [line["kind"] for line in stage.site.state()["lately"]][:2] == ["left_zone", "crossed"]

    metrics = render_metrics(stage.site)
    assert 'reid_zone_people{camera="dock",zone="gate"} 1\n' in metrics
    assert 'reid_zone_occupancy{camera="dock",zone="gate"} 0\n' in metrics
    assert 'reid_line_crossings{camera="dock",line="door",direction="in"} 1\n' in metrics

    apply_names(tmp_path / "out", {("dock", 1): "ann"})
    names = [line.split(",")[0] for line in (tmp_path / "out" / "zones.csv").read_text().splitlines()]
    assert names == ["person", "ann", "ann"], "the table has the final names"
    record = build_report(tmp_path / "out", tmp_path / "report.html")
    assert [(row.identity, row.zone) for row in record.zones] == [("ann", "door"), ("ann", "gate")]
    assert '"zone": "gate", "is_line": false, "visits": 1' in (tmp_path / "report.html").read_text()

    stage.tracker.forget("person-1")
    assert [row.identity for row in watch.ledger.rows()] == [None, None]


def test_the_page_draws_a_zone_that_is_watched_and_written(stage, tmp_path):
    path = tmp_path / "zones.yaml"
    watch = watched(stage, path)
    stage.act((2, {"dock": [], "lobby": []}), observers=[watch])
    triangle = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]
    with serve(stage.site) as address:
        body = {"camera": 1, "kind": "zones", "name": "desk", "points": triangle}
        assert request(address, "POST", "/api/zone", body)[0] == 403, "not our page"
        key = {"X-Reid-Secret": secret(address)}
        assert request(address, "POST", "/api/zone", body, **key)[0] == 200
        assert read_zones(path).of("lobby").zones[0].name == "desk"
        assert watch.zones == read_zones(path)
        assert stage.site.state()["zones"][1] == [{"name": "desk", "kind": "zones", "points": triangle, "here": 0}]
        for wrong, status in (
            ({"points": triangle[:2]}, 409),
            ({"camera": 7}, 404),
            ({"name": 1}, 400),
            ({"kind": "x"}, 409),
        ):
            assert request(address, "POST", "/api/zone", body | wrong, **key)[0] == status
        assert request(address, "POST", "/api/zone", body | {"points": []}, **key)[0] == 200
        assert "lobby" not in read_zones(path).cameras
        assert read_zones(path).of("dock").to_mapping() == Zones.from_mapping(GATE).of("dock").to_mapping()


def test_an_event_may_have_a_picture_of_the_person_until_they_are_forgotten(stage):
    watch, pictures, told = watched(stage), LatestPictures(stage.tracker), []
    with listening([watch], [lambda event: told.append(Choice(picture=True).of(event, pictures.of))]):
        stage.act((60, {"dock": [(BLUE, 10)]}), observers=[pictures, watch])
    jpegs = [base64.b64decode(event.detail["picture"]) for event in told]
    assert [event.kind for event in told] == ["entered", "crossed", "left_zone"]
    shown = cv2.imdecode(np.frombuffer(jpegs[0], np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape[0] == 160
    assert np.abs(np.median(shown.reshape(-1, 3), axis=0) - BLUE).max() < 12, "of the person, not of the floor"
    assert pictures.of(told[0]) is not None
    stage.tracker.forget("person-1")
    assert pictures.of(told[0]) is None
