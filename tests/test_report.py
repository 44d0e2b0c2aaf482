"""The report: what it reads out of a run's files, the pictures it cuts, and that it holds together as one file."""

import base64
import json
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest

from sdk import MultiCameraTracker, ReIdentifier
from sdk.errors import DataError
from sdk.report import build_report, read_record
from sdk.report.thumbnails import HEIGHT, cut_thumbnails, thumbnail
from sdk.report.transitions import transitions
from sdk.report.visits import Outage, Visit
from sdk.tracking.reason import Reason
from sdk.video.run import track_videos
from sdk.video.writer import VideoWriter
from tests.moving import BLUE, ColourEngine, World

COLOURS = {"ann": (200, 60, 40), "bob": (50, 180, 60)}


def line(time, camera, track, identity, box=(10, 20, 50, 120), confidence=0.9, frame=None):
    return {
        "time": time, "camera": camera, "frame": round(time * 10) if frame is None else frame, "track": track,
        "identity": identity, "box": list(box), "confidence": confidence,
    }  # fmt: skip


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def event(time, kind, camera=None, track=None, identity=None, **detail):
    return {"time": time, "kind": kind, "camera": camera, "track": track, "identity": identity, "detail": detail}


@pytest.fixture
def folder(tmp_path):
    """A run of two cameras: ann walks from the dock to the lobby and comes back, bob stays at the dock."""
    run = tmp_path / "run"
    run.mkdir()
    rows = []
    for tick in range(300):
        time = tick / 10
        if time < 4:
            rows.append(line(time, "dock", 1, "ann", (20, 20, 60 + (tick == 7) * 10, 100 + tick / 2)))
        if 2 <= time < 9:
            rows.append(line(time, "dock", 2, "bob", (150, 20, 190, 120)))
        if 7.5 <= time < 12:
            rows.append(line(time, "lobby", 1, "ann", (100, 20, 140, 120)))
        if 20 <= time < 25:
            rows.append(line(time, "dock", 3, "ann", (200, 20, 240, 120)))
        if time == 15:
            rows.append(line(time, "lobby", 2, None))
    write_lines(run / "tracks.jsonl", rows)
    for camera in ("dock", "lobby"):
        with VideoWriter(run / f"{camera}.mp4", 10) as video:
            for tick in range(300):
                frame = np.full((140, 260, 3), 110, np.uint8)
                for row in rows:
                    if row["camera"] == camera and row["frame"] == tick:
                        x0, y0, x1, y1 = (round(v) for v in row["box"])
                        frame[y0:y1, x0:x1] = COLOURS.get(row["identity"], (0, 0, 0))
                video.write(frame)
    return run


def stays(record):
    return [(v.identity, v.camera, v.first, v.last, v.tracks) for v in record.visits]


def test_visits_begin_and_end_where_a_person_came_and_left(folder):
    record = read_record(folder)
    assert stays(record) == [
        ("ann", "dock", 0, 3.9, [1]),
        ("bob", "dock", 2, 8.9, [2]),
        ("ann", "lobby", 7.5, 11.9, [1]),
        ("ann", "dock", 20, 24.9, [3]),
    ]
    assert record.cameras == ["dock", "lobby"]
    assert record.unnamed == 1
    assert record.span == (0, 24.9)
    assert record.visits[0].frames == 40


def test_the_best_view_is_the_large_the_sure_and_the_uncovered_one(tmp_path):
    small, covered = (10, 20, 40, 80), (100, 20, 160, 170)
    rows = [
        line(0.0, "dock", 1, "ann", small),
        line(0.1, "dock", 1, "ann", (10, 20, 60, 170), 0.4),
        line(0.2, "dock", 1, "ann", covered),
        line(0.2, "dock", 2, "bob", (105, 20, 165, 170)),
        line(0.3, "dock", 1, "ann", (10, 20, 60, 160), 0.8),
        line(0.4, "dock", 1, "ann", (0, 20, 50, 170), 0.9),
    ]
    write_lines(tmp_path / "tracks.jsonl", rows)
    ann = next(visit for visit in read_record(tmp_path).visits if visit.identity == "ann")
    assert ann.frame == 3


def test_ways_are_between_different_cameras_and_as_long_as_nobody_saw_them():
    visits = [
        Visit("ann", "dock", 0, 10), Visit("bob", "lobby", 1, 3), Visit("ann", "lobby", 15, 20),
        Visit("ann", "lobby", 40, 50), Visit("ann", "dock", 45, 60), Visit("bob", "lobby", 70, 71),
    ]  # fmt: skip
    found = [(w.identity, w.origin, w.destination, w.time, w.seconds) for w in transitions(visits)]
    assert found == [("ann", "dock", "lobby", 15, 5), ("ann", "lobby", "dock", 45, 0)]


def test_events_tell_of_cameras_reasons_and_merges(folder):
    write_lines(
        folder / "events.jsonl",
        [
            event(1.0, "identified", "dock", 1, "ann", distance=0.2, margin=0.1),
            event(3.0, "camera_lost", "lobby", reason="timeout"),
            event(4.0, "camera_lost", "lobby", reason="again"),
            event(5.0, "camera_back", "lobby", seconds=2),
            event(9.0, "camera_frozen", "dock", seconds=4),
            event(10.0, "merged", identity="ann", other="person-3"),
            event(11.0, "camera_lost", "gate", reason="never there"),
            event(12.0, "camera_lost", None, reason="of no camera, so nobody's"),
            event(30.0, "left", "dock", 3, "ann"),
        ],
    )
    record = read_record(folder)
    assert record.outages == [
        Outage("lobby", "lost", 3, 5, "timeout"),
        Outage("dock", "frozen", 5, 30),
        Outage("gate", "lost", 11, 30, "never there"),
    ]
    assert [e["kind"] for e in record.events] == ["merged"]
    assert record.reasons["dock", 1]["distance"] == 0.2
    assert record.cameras == ["dock", "lobby", "gate"]


def test_who_turned_out_to_be_one_person_has_one_name(folder):
    write_lines(
        folder / "events.jsonl",
        [
            event(14.0, "merged", identity="ann", other="bob"),
            event(15.0, "merged", identity="eve", other="ann"),
            event(24.9, "camera_ended", "dock", reason="the file has ended"),
        ],
    )
    record = read_record(folder)
    assert stays(record) == [
        ("eve", "dock", 0, 8.9, [1, 2]),
        ("eve", "lobby", 7.5, 11.9, [1]),
        ("ann", "dock", 20, 24.9, [3]),
    ], "who has the name after that is somebody else"
    assert record.visits[0].frames == 110
    assert record.outages == []
    assert sorted(cut_thumbnails(record.visits, folder)) == [0, 1, 2]


def test_a_killed_run_has_a_report_and_a_wrong_file_is_named(folder, tmp_path):
    tracks = folder / "tracks.jsonl"
    whole = stays(read_record(folder))
    with tracks.open("a") as file:
        file.write('{"time": 31.0, "cam')
    assert stays(read_record(folder)) == whole
    tracks.write_text('{"time": 1}\n')
    with pytest.raises(DataError, match=r"tracks\.jsonl: line 1 has no camera, frame"):
        read_record(folder)
    tracks.write_text("ann\n")
    with pytest.raises(DataError, match="line 1 is not JSON"):
        read_record(folder)
    for text in ("3\n", "[]\n", "null\n"):
        tracks.write_text(text)
        with pytest.raises(DataError, match="line 1"):
            read_record(folder)
    for wrong in ({"box": [1, 2, 3]}, {"box": ["a", 2, 3, 4]}, {"time": "noon"}, {"identity": 3}, {"track": None}):
        write_lines(tracks, [line(0.0, "dock", 1, "ann"), line(0.1, "dock", 1, "ann") | wrong])
        with pytest.raises(DataError, match=f"line 2 has a wrong {next(iter(wrong))}"):
            read_record(folder)
    write_lines(tracks, [line(float("nan"), "dock", 1, "ann", frame=0)])
    with pytest.raises(DataError, match="line 1 is not JSON"):
        read_record(folder)
    with pytest.raises(DataError, match="reid track"):
        read_record(tmp_path / "absent")


def test_a_run_of_several_days_is_read_as_one_or_day_by_day(tmp_path):
    midnight = 1.7e9
    night = [line(midnight - 2 + i / 10, "dock", 1, "ann", frame=i) for i in range(40)]
    write_lines(tmp_path / "tracks.2026-11-23.jsonl", [line(midnight - 86500, "dock", 1, "bob", frame=0)])
    write_lines(tmp_path / "tracks.2026-11-24.jsonl", night[:20])
    write_lines(tmp_path / "tracks.jsonl", night[20:])
    lost = event(midnight + 1, "camera_lost", "dock", reason="x"), event(midnight + 2, "camera_back", "dock", seconds=1)
    write_lines(tmp_path / "events.jsonl", [event(midnight - 86500, "merged", identity="bob", other="x"), *lost])
    whole = read_record(tmp_path)
    assert [(v.identity, v.frames) for v in whole.visits] == [("bob", 1), ("ann", 40)], "over midnight it is one visit"
    assert (len(whole.outages), len(whole.events)) == (1, 1)
    counts = {day: len(read_record(tmp_path, day).visits) for day in ("2026-11-23", "2026-11-24", "today")}
    assert counts == {"2026-11-23": 1, "2026-11-24": 1, "today": 1}
    assert [len(read_record(tmp_path, day).outages) for day in ("2026-11-24", "today")] == [0, 1]
    with pytest.raises(DataError, match=r"no records of '2026-11-25'; there are 2026-11-23, 2026-11-24, today"):
        read_record(tmp_path, "2026-11-25")


def mean_colour(jpeg):
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).mean(axis=(0, 1))


def test_every_visit_has_a_picture_of_its_person(folder):
    record = read_record(folder)
    pictures = cut_thumbnails(record.visits, folder)
    assert sorted(pictures) == [0, 1, 2, 3]
    for index, visit in enumerate(record.visits):
        np.testing.assert_allclose(mean_colour(pictures[index]), COLOURS[visit.identity], atol=12)
    assert sorted(cut_thumbnails(record.visits, folder, most=2)) == [1, 3], "the longest visits"
    for camera in ("dock", "lobby"):  # as a run writes them that goes on for days
        whole, frames = cv2.VideoCapture(str(folder / f"{camera}.mp4")), []
        while (read := whole.read())[0]:
            frames.append(read[1])
        for name, part in ((f"{camera}.mp4", frames[:60]), (f"{camera}.from-60.mp4", frames[60:])):
            with VideoWriter(folder / name, 10) as video:
                for frame in part:
                    video.write(frame)
    pieces = cut_thumbnails(record.visits, folder)
    assert sorted(pieces) == [0, 1, 2, 3]
    for index, visit in enumerate(record.visits):
        np.testing.assert_allclose(mean_colour(pieces[index]), COLOURS[visit.identity], atol=12)
    (folder / "lobby.mp4").unlink()
    (folder / "lobby.from-60.mp4").unlink()
    assert sorted(cut_thumbnails(record.visits, folder)) == [0, 1, 3]


def test_a_picture_is_no_wider_than_a_person_and_nothing_is_none():
    frame = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
    for box in ((10, 10, 290, 60), (-50, -50, 900, 900), (10, 10, 30, 190)):
        picture = cv2.imdecode(np.frombuffer(thumbnail(frame, box), np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape[0] == HEIGHT
        assert picture.shape[1] <= 0.75 * HEIGHT + 1
    for box in ((400, 10, 420, 50), (10, 10, 12, 100), (50, 50, 40, 40)):
        assert thumbnail(frame, box) is None


def content(page):
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def test_the_page_is_one_file_with_all_of_it(folder, tmp_path):
    path = tmp_path / "new" / "report.html"
    build_report(folder, path, title="North <site> & {{DATA}}")
    page = path.read_text(encoding="utf-8")
    data = content(page)
    assert data["cameras"] == ["dock", "lobby"]
    assert [(p["name"], len(p["visits"])) for p in data["people"]] == [("ann", 3), ("bob", 1)]
    assert data["ways"] == [[0, 0, 1, 7.5, 3.6], [0, 1, 0, 20, 8.1]]
    assert data["title"] == "North <site> & {{DATA}}"
    assert "<title>North &lt;site&gt; &amp; {{DATA}} –" in page
    np.testing.assert_allclose(
        mean_colour(base64.b64decode(data["people"][1]["visits"][0]["picture"])), COLOURS["bob"], atol=12
    )
    assert not re.search(
        r"""(src|href|action)\s*=\s*["'](?!data:|#)""", page.replace(re.findall("<script>.*", page, re.DOTALL)[0], "")
    )


def test_a_tracked_run_without_videos_has_pictures_and_reasons(tmp_path):
    world = World()
    tracker = MultiCameraTracker(ReIdentifier(ColourEngine()), detector=world, frame_rate=6)
    kept = []  # the stand-in world knows a frame by its id, so none may be given to another

    def ticks():
        for tick in range(30):
            kept.append(world.frame((BLUE, 10 + 4 * tick, 60)))
            yield tick / 6, {"dock": kept[-1]}

    track_videos(ticks(), tracker, tmp_path, {"dock": 6.0}, video=False)
    record = build_report(tmp_path, tmp_path / "report.html")
    (person,) = content((tmp_path / "report.html").read_text(encoding="utf-8"))["people"]
    (visit,) = person["visits"]
    np.testing.assert_allclose(mean_colour(base64.b64decode(visit["picture"])), BLUE, atol=15)
    assert visit["reason"]["new"] is True
    assert visit["evidence"] is None, "there was nobody to be taken for"
    assert record.visits[0].identity == "person-1"


def test_the_evidence_for_a_name_is_told_in_words(tmp_path):
    reason = Reason(
        "ann", 0.4123, "ann", None, None, 0.6, 12, 5, evidence=3.21, look=2.11, odds=1.1, stranger=0.953
    )  # fmt: skip
    details = {
        1: reason.to_dict(),
        2: {"distance": 0.3, "new": False},
        3: reason.to_dict() | {"evidence": "<b>", "look": [1]},
    }
    write_lines(tmp_path / "tracks.jsonl", [line(number, "dock", number, f"person-{number}") for number in details])
    write_lines(
        tmp_path / "events.jsonl",
        [event(0.5, "identified", "dock", track, "a", **detail) for track, detail in details.items()],
    )
    build_report(tmp_path, tmp_path / "report.html")
    people = content((tmp_path / "report.html").read_text(encoding="utf-8"))["people"]
    first, second, third = (person["visits"][0] for person in people)
    assert first["evidence"] == (
        "ann is at distance 0.41; strangers here are 0.95 apart; "
        "evidence for ann: +3.2 nats, +2.1 for the look, +1.1 for when, where, and how few are new (25 to 1 for)"
    )
    assert first["evidence"] in reason.words
    assert second["evidence"] is None, "an earlier release did not write it"
    assert third["evidence"] is None


def test_names_cannot_become_markup(tmp_path):
    evil = "</script><script>alert(1)</script><!--"
    write_lines(tmp_path / "tracks.jsonl", [line(0, evil, 1, evil), line(1, evil, 1, evil + "\u2028")])
    build_report(tmp_path, tmp_path / "report.html", title=evil)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "alert(1)</script>" not in page.replace("&lt;", "")
    assert {p["name"] for p in content(page)["people"]} == {evil, evil + "\u2028"}


def test_nobody_seen_is_a_report_too(tmp_path):
    (tmp_path / "tracks.jsonl").touch()
    record = build_report(tmp_path, tmp_path / "report.html")
    assert (record.visits, record.span) == ([], (0.0, 0.0))


def test_the_command_writes_it_and_says_what_is_wrong(folder, tmp_path):
    def reid(*arguments):
        command = [sys.executable, "-c", "from sdk.cli import main; main()", "report", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    written = reid(folder, "-o", tmp_path / "report.html")
    assert written.returncode == 0, written.stderr
    assert "2 people, 2 cameras" in written.stderr
    assert (tmp_path / "report.html").is_file()
    (tmp_path / "file").touch()
    for arguments in ((tmp_path / "absent",), (folder, "-o", tmp_path / "file" / "report.html")):
        refused = reid(*arguments)
        assert refused.returncode == 1
        assert refused.stderr.startswith("error: ")
        assert "Traceback" not in refused.stderr
