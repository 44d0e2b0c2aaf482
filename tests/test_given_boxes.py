"""Boxes from elsewhere: brought with the frames, or read from files."""

import json

import cv2
import numpy as np
import pytest
import supervision as sv
from typer.testing import CliRunner

from sdk import MultiCameraTracker, ReIdentifier
from sdk.cli import build_app
from sdk.errors import DataError
from sdk.video.given_boxes import GivenBoxes
from tests.moving import BLUE, RED, ColourEngine, World


def test_brought_boxes_make_the_tracks_that_a_detector_makes():
    world = World()
    detecting = MultiCameraTracker(ReIdentifier(ColourEngine()), detector=world, frame_rate=6)
    brought = MultiCameraTracker(ReIdentifier(ColourEngine()), detector={}, frame_rate=6)
    for tick in range(20):
        frames = {"dock": world.frame((BLUE, 10 + 4 * tick, 50), (RED, 150 + 4 * tick, 60)), "lobby": world.frame()}
        theirs = detecting.update(frames)
        ours = brought.update(frames, detections={"dock": world(frames["dock"])})  # nobody in the lobby
        assert ours["dock"].tracker_id.tolist() == theirs["dock"].tracker_id.tolist()
        assert ours["dock"].data["identity"].tolist() == theirs["dock"].data["identity"].tolist()
        assert len(ours["lobby"]) == 0
    assert set(ours["dock"].data["identity"]) == {"person-1", "person-2"}


def test_bad_detections_name_their_camera():
    tracker, frame = MultiCameraTracker(ReIdentifier(ColourEngine()), detector={}, frame_rate=6), World().frame()
    for detections, says in (
        ({"dock": [[1, 2, 3, 4]]}, "camera 'dock': its detections are a list; expected supervision"),
        ({"lobby": sv.Detections.empty()}, "camera 'lobby': there are detections and no frame"),
        (sv.Detections.empty(), "detections is a Detections"),
        (None, "no detector for camera 'dock'.*bring boxes"),
    ):
        with pytest.raises(DataError, match=says):
            tracker.update({"dock": frame}, detections=detections)
    broken = sv.Detections(np.array([[10, 10, 50, 110], [-90, -90, -50, -50], [9, 9, 3, 3]], np.float32))
    assert len(tracker.update({"dock": frame}, detections={"dock": broken})["dock"]) <= 1


def boxes_of(folder, text, name="dock.txt", rate=10.0):
    (folder / name).write_text(text)
    return GivenBoxes(folder, {"dock": rate})


def test_motchallenge_counts_from_one_and_a_missing_frame_has_no_boxes(tmp_path):
    boxes = boxes_of(tmp_path, "1,-1,10,20,30,40,0.5,-1,-1,-1\n3,-1,1,2,3,4\n1,-1,5,5,5,5,7.5\n")
    first, second, third, fourth = (boxes(tick / 10, ["dock"])["dock"] for tick in range(4))
    assert first.xyxy.tolist() == [[10, 20, 40, 60], [5, 5, 10, 10]]
    assert first.confidence.tolist() == [0.5, 1], "at most 1"
    assert (len(second), third.xyxy.tolist(), len(fourth)) == (0, [[1, 2, 4, 6]], 0)


def test_json_lines_go_by_frame_or_by_time(tmp_path):
    line = {"xyxy": [[1, 2, 3, 4]], "confidence": [0.5]}
    by_frame = boxes_of(
        tmp_path, json.dumps({"frame": 1} | line) + '\n{"frame": 1, "xyxy": [5, 6, 7, 8]}\n', "dock.jsonl"
    )
    found = [by_frame(0.0, ["dock"])["dock"] for _ in range(2)]
    assert [len(each) for each in found] == [0, 2]
    by_time = boxes_of(tmp_path, json.dumps({"time": 0.31} | line) + "\n", "dock.jsonl")
    assert [len(by_time(tick / 10, ["dock"])["dock"]) for tick in range(6)] == [0, 0, 0, 1, 0, 0]
    assert len(boxes_of(tmp_path, "", "dock.jsonl")(0.0, ["dock"])["dock"]) == 0


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("dock.txt", "1,-1,1,2,3,4,1\n0,-1,1,2,3,4,1\n", "dock.txt: line 2 is no box; write frame"),
        ("dock.txt", "1,-1,1,2,0,4,1\n", "line 1 is no box"),
        ("dock.txt", "1 -1 1 2 3 4\n", "line 1 is no box"),
        ("dock.txt", "1,-1,1,2,nan,4,1\n", "line 1 is no box"),
        ("dock.txt", "1,,1,2,3,4,1,9\n", "line 1 is no box"),  # and not shifted by one
        ("dock.jsonl", '{"frame": 0, "xyxy": []}\n{"frame": 1}\n', "dock.jsonl: line 2 is no frame with boxes"),
        ("dock.jsonl", '{"frame": 0, "xyxy": [[3, 2, 1, 4]]}', "line 1"),
        ("dock.jsonl", '{"frame": 0, "xyxy": [[1, 2, 3, 4]], "confidence": []}', "line 1"),
        ("dock.jsonl", '{"frame": 0, "xyxy": []}\n{"time": 1, "xyxy": []}', "some lines have a frame and some a time"),
        ("lobby.txt", "", "no boxes of the camera 'dock'; write them to dock.txt or dock/det/det.txt"),
    ],
)
def test_a_file_that_is_none_is_named_with_its_line(tmp_path, name, text, says):
    with pytest.raises(DataError, match=says):
        boxes_of(tmp_path, text, name)


def test_reid_track_takes_boxes_and_zones_from_files(tmp_path):
    """Drawn frames, their boxes in MOTChallenge text, a zone: no detector is asked."""
    world, frames, given = World(), tmp_path / "dock", tmp_path / "boxes"
    frames.mkdir()
    given.mkdir()
    lines = []
    for number in range(40):
        picture = world.frame((BLUE, 10 + 6 * number, 60))
        cv2.imwrite(str(frames / f"{number:03}.png"), picture)
        (x1, y1, x2, y2) = world.boxes[id(picture)][0]
        lines.append(f"{number + 1},-1,{x1},{y1},{x2 - x1},{y2 - y1},0.9,-1,-1,-1")
    (given / "dock.txt").write_text("\n".join(lines))
    (tmp_path / "zones.yaml").write_text("cameras: {dock: {zones: {gate: [[0.3, 0], [0.6, 0], [0.6, 1], [0.3, 1]]}}}")
    arguments = [
        "track",
        f"{frames}#fps=10",
        "-o",
        tmp_path / "out",
        "--detections",
        given,
        "--zones",
        tmp_path / "zones.yaml",
    ]

    def reid(*more):
        return CliRunner().invoke(build_app(), [*map(str, arguments), "--no-video", *more])

    refused = reid("--detector", "hog")
    assert "leave out --detector" in str(refused.exception)
    assert not (tmp_path / "out").exists()
    done = reid("--events", f"{tmp_path}/gate.jsonl#kind=entered,left_zone")
    assert done.exit_code == 0, done.output + str(done.exception)
    records = [json.loads(line) for line in (tmp_path / "out" / "tracks.jsonl").read_text().splitlines()]
    assert {record["frame"] for record in records} >= set(range(5, 40))
    table = (tmp_path / "out" / "zones.csv").read_text().splitlines()
    assert table[1].startswith("person-1,dock,gate,1,")
    told = [json.loads(line) for line in (tmp_path / "gate.jsonl").read_text().splitlines()]
    assert [(event["kind"], event["identity"]) for event in told] == [
        ("entered", "person-1"),
        ("left_zone", "person-1"),
    ]
