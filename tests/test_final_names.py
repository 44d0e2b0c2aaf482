"""Final names: all files of a run's folder agree on them, whatever happens while they are written."""

import itertools
import json
import os
import shutil
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
import supervision as sv

from sdk import __version__
from sdk.commands.report import report as report_command
from sdk.confidential import Confidential
from sdk.drawing import draw_people
from sdk.errors import DataError
from sdk.events import Event
from sdk.report import build_report, read_record
from sdk.video import final_names, redraw
from sdk.video.final_names import apply_names
from sdk.video.origin import remember_origin
from sdk.video.recorder import Recorder
from sdk.video.records import RecordWriter
from sdk.video.run_folder import RunFolder, read_manifest
from sdk.video.sources import Sources
from sdk.video.summary import Sighting, read_sightings
from sdk.video.writer import VideoWriter
from tests.test_run_folder import manifest_of

RATE, FRAMES = 10, 40
SIZE = (120, 160)
OLD = {("dock", 1): "ann", ("dock", 2): "bob", ("lobby", 1): "person-3", ("lobby", 2): None, ("yard", 1): "ann"}
NEW = {("dock", 1): "ann", ("dock", 2): "ann", ("lobby", 1): "bob", ("lobby", 2): "cleo", ("yard", 1): "ann"}
SPANS = {
    ("dock", 1): (0, 10),
    ("dock", 2): (20, 40),
    ("lobby", 1): (0, 15),
    ("lobby", 2): (15, 30),
    ("yard", 1): (5, 9),
}


class Named:
    """Stands for a tracker: it knows the names and nothing else."""

    def __init__(self, names):
        self.names = names

    def identity_of(self, camera, track):
        return self.names[camera, track]


def box_of(track, number):
    return [10.0 + 60 * (track - 1) + number, 20.0, 40.0 + 60 * (track - 1) + number, 100.0]


def detections(camera, number, names):
    there = [track for (name, track), (first, end) in SPANS.items() if name == camera and first <= number < end]
    return sv.Detections(
        np.array([box_of(track, number) for track in there], np.float32).reshape(-1, 4),
        confidence=np.full(len(there), 0.9, np.float32),
        tracker_id=np.array(there, int),
        data={"identity": np.array([names[camera, track] for track in there], dtype=object)},
    )


def ground(camera, number):
    return np.full((*SIZE, 3), 40 + 20 * ("dock", "lobby", "yard").index(camera) + number, np.uint8)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The recordings of three cameras; of the dock a folder of images, of which two frames are looked at a tick."""
    folder = tmp_path_factory.mktemp("recordings")
    (folder / "dock").mkdir()
    for number in range(FRAMES):
        cv2.imwrite(str(folder / "dock" / f"{number}.png"), ground("dock", number))
    for camera in ("lobby", "yard"):
        with VideoWriter(folder / f"{camera}.mp4", RATE) as video:
            for number in range(FRAMES):
                video.write(ground(camera, number))
    return [f"dock={folder / 'dock'}#fps={RATE}", str(folder / "lobby.mp4"), str(folder / "yard.mp4")]


def record(path, sources, names=OLD, events=(), *, video=True, segment=None, origin=True, most=FRAMES):
    """A run: what a recorder makes of `sources` under `names`."""
    with (
        Sources(sources) as site,
        RunFolder(path, "reid track") as folder,
        Recorder(folder, Named(names), site.frame_rates, video=video, segment=segment) as recorder,
    ):
        if origin:
            remember_origin(folder, site, segment=segment, model="model.onnx", detector="motion")
        for number, (time, frames) in enumerate(itertools.islice(site, most)):
            tracks = {camera: detections(camera, number, names) for camera in frames}
            recorder.take(time, frames, tracks, 0.0)
        for (camera, track), name in names.items():
            if name is not None:
                recorder.listen(Event(1.0, "identified", camera, track, name, {"distance": 0.25}))
        for event in events:
            recorder.listen(event)
        recorder.end("the sources have ended")
    return path


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def frames_of(path):
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(read[1])
    return frames


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def names_in(folder):
    return {(row["camera"], row["track"]): row["identity"] for row in lines(folder / "tracks.jsonl")}


def shows_new(frame, camera, number):
    """Whether a video's frame shows the new names rather than the old ones."""
    far = []
    for names in (NEW, OLD):
        people = detections(camera, number, names)
        drawn = draw_people(ground(camera, number), zip(people.xyxy, people.data["identity"], strict=True))
        far.append(np.abs(frame.astype(int) - drawn).mean())
    return far[0] < far[1]


def test_all_files_agree_on_the_final_names(tmp_path, sources):
    out = record(tmp_path / "out", sources)
    before = content(out)
    done = apply_names(out, NEW)
    again = record(tmp_path / "again", sources, NEW)  # the same run, had it known the names from the start
    for name in ("tracks.jsonl", "dock.txt", "lobby.txt", "yard.txt"):
        assert (out / name).read_bytes() == (again / name).read_bytes(), name
    for camera in ("dock", "lobby"):
        assert np.array_equal(frames_of(out / f"{camera}.mp4"), frames_of(again / f"{camera}.mp4"))
    assert (out / "yard.mp4").read_bytes() == before["yard.mp4"]
    assert done.drawn == ["dock", "lobby"]
    assert done.kept == {}
    assert done.changed == 3
    assert done.sightings == read_sightings(out) == read_sightings(again / "tracks.jsonl")
    assert Sighting("ann", "dock", 0.0, 3.9, 30, 2) in done.sightings
    assert (out / "events.jsonl").read_bytes().startswith(before["events.jsonl"])
    manifest = manifest_of(out)
    assert manifest["state"] == "finished"
    assert manifest["version"] == __version__
    assert sorted([*manifest["files"], "run.json"]) == sorted(os.listdir(out))
    assert [(visit.camera, visit.tracks, visit.identity) for visit in read_record(out).visits] == [
        ("dock", [1, 2], "ann"), ("lobby", [1], "bob"), ("yard", [1], "ann"), ("lobby", [2], "cleo"),
    ]  # fmt: skip


def test_the_video_shows_the_final_name(tmp_path, sources):
    out = record(tmp_path / "out", sources)
    assert not shows_new(frames_of(out / "dock.mp4")[30], "dock", 30)
    apply_names(out, NEW)
    assert shows_new(frames_of(out / "dock.mp4")[30], "dock", 30)


def test_events_tell_what_changed_and_are_told_once(tmp_path, sources):
    out = record(tmp_path / "out", sources, video=False)
    done = apply_names(out, NEW, {("lobby", 2): {"distance": 0.1, "new": True}})
    told = [(e["kind"], e["camera"], e["track"], e["identity"], e["detail"]) for e in lines(out / "events.jsonl")[-4:]]
    second = {"second_pass": True}
    assert sorted(told[:3], key=lambda event: event[1:3]) == [
        ("identified", "dock", 2, "ann", {"before": "bob", **second}),
        ("identified", "lobby", 1, "bob", {"before": "person-3", **second}),
        ("identified", "lobby", 2, "cleo", {"distance": 0.1, "new": True, "before": None, **second}),
    ]
    assert told[3] == ("associated", None, None, None, {"tracks": 5, "changed": 3, "people": 3})
    assert [json.loads(event.to_json()) for event in done.events] == lines(out / "events.jsonl")[-4:]
    assert lines(out / "events.jsonl")[-1]["time"] == pytest.approx(3.9)
    earlier = content(out)
    repeated = apply_names(out, NEW)
    assert (repeated.events, repeated.changed, repeated.drawn) == ([], 0, [])
    assert content(out) == earlier
    assert repeated.sightings == done.sightings


def test_a_whole_name_that_goes_into_another_is_merged(tmp_path, sources):
    out = record(tmp_path / "out", sources, video=False)
    done = apply_names(out, OLD | {("lobby", 1): "ann"})
    merged, associated = done.events
    assert (merged.kind, merged.identity, merged.detail) == (
        "merged",
        "ann",
        {"other": "person-3", "second_pass": True},
    )
    assert associated.detail["changed"] == 1
    assert apply_names(out, OLD | {("lobby", 1): "ann"}).events == []
    assert names_in(out)["lobby", 1] == "ann"


def test_a_name_can_be_taken_away(tmp_path, sources):
    out = record(tmp_path / "out", sources, video=False)
    done = apply_names(out, OLD | {("yard", 1): None})
    assert [(e.kind, e.camera, e.identity) for e in done.events] == [
        ("withdrawn", "yard", None),
        ("associated", None, None),
    ]
    assert (out / "yard.txt").read_text() == ""
    assert read_record(out).unnamed == 2
    assert ("yard", 1) not in read_record(out).reasons


def test_what_was_merged_too_early_is_two_people_again(tmp_path, sources):
    merge = Event(3.95, "merged", identity="ann", detail={"other": "bob"})
    out = record(tmp_path / "out", sources, events=[merge])
    assert {visit.identity for visit in read_record(out).visits} == {"ann", "person-3"}
    done = apply_names(out, {key: name for key, name in OLD.items() if name})
    assert {visit.identity for visit in read_record(out).visits} == {"ann", "bob", "person-3"}
    assert [event.kind for event in done.events] == ["identified", "associated"]
    assert done.drawn == ["dock"]  # its video showed ann for bob from then on
    assert apply_names(out, OLD).events == []


def test_who_is_not_named_keeps_the_last_name(tmp_path, sources):
    merge = Event(3.95, "merged", identity="ann", detail={"other": "bob"})
    out = record(tmp_path / "out", sources, events=[merge], video=False)
    rows = lines(out / "tracks.jsonl")
    for row in rows[:10]:
        row["identity"] = None  # as where a name comes after more than ten seconds
    (out / "tracks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    apply_names(out, {("lobby", 2): "dora"})
    assert names_in(out) == {**OLD, ("dock", 2): "ann", ("lobby", 2): "dora"}
    assert all(row["identity"] for row in lines(out / "tracks.jsonl"))
    assert {visit.identity for visit in read_record(out).visits} == {"ann", "person-3", "dora"}


def test_a_video_that_showed_another_name_for_a_moment_is_drawn_again(tmp_path, sources):
    told = Event(0.5, "identified", "yard", 1, "eve", {}), Event(0.8, "identified", "yard", 1, "ann", {})
    out = record(tmp_path / "out", sources, events=told)
    assert apply_names(out, OLD).drawn == ["yard"]
    assert apply_names(out, OLD).drawn == []


def test_pictures_go_by_tracks(tmp_path, sources):
    out = record(tmp_path / "out", sources, video=False)
    before = (out / "pictures.jsonl").read_bytes()
    apply_names(out, NEW)
    assert (out / "pictures.jsonl").read_bytes() == before
    build_report(out, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    people = json.loads(page.split('id="data">', 1)[1].split("</script>", 1)[0])["people"]
    assert {p["name"]: [bool(v["picture"]) for v in p["visits"]] for p in people} == {
        "ann": [True, True], "bob": [True], "cleo": [True],
    }  # fmt: skip
    assert people[1]["visits"][0]["reason"]["before"] == "person-3"


def test_reid_report_takes_the_folder(tmp_path, sources):
    out = record(tmp_path / "out", sources)
    apply_names(out, NEW)
    report_command(out, tmp_path / "report.html")
    assert '"cleo"' in (tmp_path / "report.html").read_text()


@pytest.fixture(scope="module")
def broken_off(sources, tmp_path_factory):
    """A run that ended before its sources did; and the same with its final names."""
    folder = tmp_path_factory.mktemp("broken-off")
    fresh = shutil.copytree(record(folder / "run", sources, most=35), folder / "fresh")
    apply_names(fresh, NEW)
    return folder / "run", fresh


@pytest.mark.parametrize("rename", range(1, 9))
def test_killed_in_the_middle_and_repeated(tmp_path, broken_off, monkeypatch, rename):
    """At every file that takes its place, in turn."""
    out, fresh = shutil.copytree(broken_off[0], tmp_path / "out"), broken_off[1]
    before = content(out)
    calls = itertools.count(1)
    replace = os.replace

    def killed(source, to):
        if not str(to).endswith("run.json") and next(calls) == rename:
            raise KeyboardInterrupt
        replace(source, to)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        try:
            apply_names(out, NEW)
            broken = False
        except KeyboardInterrupt:
            broken = True
    assert broken == (rename <= 7)  # three texts, records, events, two videos
    assert set(os.listdir(out)) == set(before)
    assert manifest_of(out)["state"] == "finished"
    between = content(out)
    apply_names(out, NEW)
    after = content(out)
    for name in before.keys() - {"run.json"}:
        assert between[name] in (before[name], after[name]), name
    assert {n: c for n, c in after.items() if n[-3:] != "mp4"} == {
        n: (fresh / n).read_bytes() if n != "run.json" else after[n] for n in after if n[-3:] != "mp4"
    }
    assert len(frames_of(out / "lobby.mp4")) == 35
    assert shows_new(frames_of(out / "lobby.mp4")[20], "lobby", 20)
    assert "behind" not in manifest_of(out)["facts"]["videos"].values()


def test_killed_process_leaves_the_former_state_and_no_litter(tmp_path, sources):
    out = record(tmp_path / "out", sources)
    folder = RunFolder.reopen(out)
    folder.__enter__()
    folder.claim(".redraw-dock.mp4").write_text("half")
    (out / ".tracks.jsonl.0123abcd.part").write_text("half")
    (out / ".tracks.jsonl.of-mine.part").write_text("mine")
    folder._held.close()  # what the system does when a process is killed
    assert (manifest_of(out)["state"], manifest_of(out)["former"]) == ("running", "finished")
    apply_names(out, NEW)
    assert manifest_of(out)["state"] == "finished"
    assert "former" not in manifest_of(out)
    assert sorted(name for name in os.listdir(out) if name[0] == ".") == [".tracks.jsonl.of-mine.part"]


def test_at_the_end_of_the_run_itself(tmp_path, sources):
    with (
        Sources(sources) as site,
        RunFolder(tmp_path / "out", "reid track") as folder,
        Recorder(folder, Named(OLD), site.frame_rates) as recorder,
    ):
        remember_origin(folder, site)
        for number, (time, frames) in enumerate(site):
            recorder.take(time, frames, {camera: detections(camera, number, OLD) for camera in frames}, 0.0)
        recorder.end("the sources have ended")
        assert apply_names(folder, NEW).drawn == ["dock", "lobby"]
        assert manifest_of(folder.path)["state"] == "running"
    assert manifest_of(folder.path)["state"] == "finished"
    assert names_in(folder.path) == NEW


def test_segments_are_drawn_again_as_segments(tmp_path, sources):
    out = record(tmp_path / "out", sources, segment=1.5)
    counts = {path.name: len(frames_of(path)) for path in out.glob("*.mp4")}
    assert counts["dock.from-15.mp4"] == 15
    apply_names(out, NEW)
    assert {path.name: len(frames_of(path)) for path in out.glob("*.mp4")} == counts
    assert shows_new(frames_of(out / "dock.from-30.mp4")[5], "dock", 35)


def test_a_run_that_was_broken_off_keeps_its_length(tmp_path, sources):
    out = record(tmp_path / "out", sources, most=30)
    apply_names(out, NEW)
    assert len(frames_of(out / "dock.mp4")) == 30


def test_sources_that_are_gone_or_others_leave_the_videos_as_they_are(tmp_path, sources, capsys):
    moved = tmp_path / "lobby.mp4"
    moved.write_bytes(Path(sources[1]).read_bytes())
    out = record(tmp_path / "out", [sources[0], str(moved)])
    before = (out / "lobby.mp4").read_bytes()
    recording = moved.read_bytes()
    moved.write_bytes(recording + b"more")
    done = apply_names(out, NEW)
    assert done.drawn == ["dock"]
    assert done.kept == {"lobby": f"{moved} is no longer the recording that the run read"}
    moved.unlink()
    assert "no longer there" in apply_names(out, NEW).kept["lobby"]
    assert "lobby: its video keeps the earlier names" in capsys.readouterr().err
    assert (out / "lobby.mp4").read_bytes() == before
    assert names_in(out)["lobby", 2] == "cleo"
    moved.write_bytes(recording)
    assert apply_names(out, NEW).drawn == ["lobby"]
    assert apply_names(out, NEW).kept == {}


def test_nothing_of_live_cameras_is_written_down(tmp_path, sources):
    out = record(tmp_path / "out", sources)
    secret = "hunter2-of-nobody"
    site = Sources([f"dock=rtsp://ann:{secret}@127.0.0.1:1/one", sources[1]])
    with RunFolder(tmp_path / "live", "reid track") as folder, site:
        remember_origin(folder, site, model=f"https://ann:{secret}@host/model.onnx")
    text = (tmp_path / "live" / "run.json").read_text()
    assert secret not in text
    assert "lobby.mp4" not in text  # beside a live camera it is played, not read frame by frame
    assert isinstance(site.addresses[0].location, Confidential)
    manifest = manifest_of(out)
    manifest["facts"]["origin"] = json.loads(text)["facts"]["origin"]
    (out / "run.json").write_text(json.dumps(manifest))
    done = apply_names(out, NEW)
    assert done.drawn == []
    assert all("live camera" in why for why in done.kept.values())
    assert done.kept.keys() == {"dock", "lobby"}


def test_a_manifest_of_an_earlier_release(tmp_path, sources):
    out = record(tmp_path / "out", sources, origin=False)
    manifest = manifest_of(out)
    assert manifest.keys() == {"format", "command", "started", "version", "state", "files"}
    (out / "run.json").write_text(json.dumps(manifest | {"version": "0.1", "command": "reid serve"}))
    done = apply_names(out, NEW)
    assert done.kept.keys() == {"dock", "lobby"}
    assert names_in(out) == NEW
    assert (read_manifest(out).version, read_manifest(out).command) == ("0.1", "reid serve")


def test_days_have_their_files(tmp_path):
    midnight = datetime(2026, 11, 25).timestamp()
    with RunFolder(tmp_path / "out", "reid track") as folder:
        with RecordWriter(folder, Named(OLD).identity_of) as records:
            for number in range(FRAMES):
                for camera in ("dock", "lobby", "yard"):
                    records.write(midnight + 10 * (number - 20), camera, number, detections(camera, number, OLD))
        folder.claim("events.jsonl").write_text("")
    names = {path.name for path in folder.path.glob("tracks*")}
    done = apply_names(folder.path, NEW)
    assert {path.name for path in folder.path.glob("tracks*")} == names
    assert len(names) == 2
    texts = [(path.name, path.read_text().splitlines()) for path in sorted(folder.path.glob("*.txt"))]
    assert {name: {row.split(",")[1] for row in rows} for name, rows in texts if rows} == {
        "dock.2026-11-24.txt": {"1"}, "dock.txt": {"1"},
        "lobby.2026-11-24.txt": {"2", "3"}, "lobby.txt": {"3"}, "yard.2026-11-24.txt": {"1"},
    }  # fmt: skip
    assert done.sightings == read_sightings(folder.path)
    assert read_record(folder.path, "2026-11-24").reasons["lobby", 1]["before"] is None


@pytest.mark.parametrize("torn", ["tracks.jsonl", "events.jsonl"])
def test_a_killed_run_can_be_named(tmp_path, sources, torn):
    out = record(tmp_path / "out", sources, video=False)
    manifest = manifest_of(out)
    (out / "run.json").write_text(json.dumps(manifest | {"state": "running"}))
    with (out / torn).open("a") as file:
        file.write('{"time": 4.0, "cam')
    apply_names(out, NEW)
    assert names_in(out) == NEW
    assert lines(out / "events.jsonl")[-1]["kind"] == "associated"
    assert manifest_of(out)["state"] == "running"


def test_what_is_refused(tmp_path, sources):
    out = record(tmp_path / "out", sources, video=False)
    before = content(out)
    with pytest.raises(DataError, match="none of the named tracks is in its records"):
        apply_names(out, {("gate", 1): "ann"})
    with pytest.raises(DataError, match=r"the name of track \('dock', 1\) is 3"):
        apply_names(out, {("dock", 1): 3})
    assert {n: c for n, c in content(out).items() if n != "run.json"} == {
        n: c for n, c in before.items() if n != "run.json"
    }
    with pytest.raises(DataError, match="missing: no such folder"):
        apply_names(tmp_path / "missing", NEW)
    (tmp_path / "mine").mkdir()
    with pytest.raises(DataError, match=r"no run made it \(there is no run.json\)"):
        apply_names(tmp_path / "mine", NEW)
    with RunFolder(tmp_path / "running", "reid track"), pytest.raises(DataError, match="a run is writing into it now"):
        apply_names(tmp_path / "running", NEW)
    with pytest.raises(DataError, match="its run has no records"):
        apply_names(tmp_path / "running", NEW)
    (out / "tracks.jsonl").rename(tmp_path / "elsewhere.jsonl")
    (out / "tracks.jsonl").symlink_to(tmp_path / "elsewhere.jsonl")
    with pytest.raises(DataError, match="is no longer the file that the run wrote"):
        apply_names(out, NEW)


def test_where_nothing_locks_a_running_run_is_refused(tmp_path, sources, monkeypatch):
    out = record(tmp_path / "out", sources, video=False)
    monkeypatch.setattr("sdk.video.run_folder.fcntl", None)
    apply_names(out, NEW)
    (out / "run.json").write_text(json.dumps(manifest_of(out) | {"state": "running"}))
    with pytest.raises(DataError, match="nothing tells whether its run still goes on"):
        apply_names(out, OLD)


def test_a_full_disk_leaves_the_files_as_they_were(tmp_path, sources, monkeypatch):
    out = record(tmp_path / "out", sources)
    before = content(out)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(final_names.Page, "write", full)
        with pytest.raises(DataError, match="No space left on device"):
            apply_names(out, NEW)
    assert {n: c for n, c in content(out).items() if n != "run.json"} == {
        n: c for n, c in before.items() if n != "run.json"
    }
    with monkeypatch.context() as patch:
        patch.setattr(redraw.AnnotatedVideo, "write", lambda *_: None)  # OpenCV says nothing of a full disk
        assert "make room on the disk" in apply_names(out, NEW).kept["dock"]
    assert (out / "dock.mp4").read_bytes() == before["dock.mp4"]
    assert apply_names(out, NEW).drawn == ["dock", "lobby"]
