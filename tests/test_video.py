"""Videos in, annotated videos and records out: complete, in order, valid when interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
import supervision as sv

from sdk import MultiCameraTracker, ReIdentifier
from sdk.errors import DataError
from sdk.events import Event, Listeners
from sdk.video.annotate import AnnotatedVideo
from sdk.video.observer import ENDED, INTERRUPTED
from sdk.video.records import HOLD_SECONDS, RecordWriter
from sdk.video.run import run, track_videos
from sdk.video.sources import VideoFiles, camera_names
from sdk.video.summary import Sighting, read_sightings
from tests.moving import BLUE, RED, ColourEngine, World

RATES = {"dock": 6.0, "lobby": 6.0}


def write_video(path, frames, rate=10.0):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), rate, (64, 48))
    for value in range(frames):
        writer.write(np.full((48, 64, 3), 10 * value, np.uint8))
    writer.release()
    return path


def count_frames(path):
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    return count


def test_videos_are_read_in_step_and_the_longer_goes_on(tmp_path):
    source = VideoFiles([write_video(tmp_path / "dock.mp4", 3), write_video(tmp_path / "lobby.mp4", 6)])
    assert source.cameras == ["dock", "lobby"]
    assert source.tick_rate == pytest.approx(10)
    assert source.ticks == 6
    ticks = list(source)
    assert [sorted(frames) for _, frames in ticks] == [["dock", "lobby"]] * 3 + [["lobby"]] * 3
    assert [time for time, _ in ticks] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert abs(int(ticks[2][1]["lobby"].mean()) - 20) < 6


def test_a_slower_camera_keeps_its_time(tmp_path):
    fast, slow = write_video(tmp_path / "fast.mp4", 12, rate=30), write_video(tmp_path / "slow.mp4", 4, rate=10)
    source = VideoFiles([fast, slow])
    assert source.ticks == 12
    slow_times = [round(time, 2) for time, frames in source if "slow" in frames]
    assert slow_times == [0, 0.1, 0.2, 0.3]


def test_cameras_of_one_name_are_told_apart():
    assert camera_names(["a/door.mp4", "b/door.mp4", "c/door.avi", "hall.mp4"]) == ["door", "door-2", "door-3", "hall"]


def test_a_file_that_is_no_video_is_named(tmp_path):
    good = write_video(tmp_path / "good.mp4", 2)
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    for paths in ([good, tmp_path / "bad.mp4"], [tmp_path / "absent.mp4"]):
        with pytest.raises(DataError, match=r"(bad|absent)\.mp4"):
            VideoFiles(paths)
    with pytest.raises(DataError, match="at least one"):
        VideoFiles([])


def detections(track, x=10, confidence=0.9):
    return sv.Detections(
        xyxy=np.float32([[x, 20, x + 40, 120]]), confidence=np.float32([confidence]), tracker_id=np.array([track])
    )


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_beginning_of_a_track_bears_the_name_that_came_later(tmp_path):
    known = {}
    with RecordWriter(tmp_path, lambda camera, track: known.get((camera, track))) as records:
        for frame in range(5):
            records.write(frame / 10, "dock", frame, detections(7, x=frame))
        assert (tmp_path / "tracks.jsonl").read_text() == ""
        known["dock", 7] = "ann"
        records.write(0.5, "dock", 5, detections(7, x=5))
    lines = read_lines(tmp_path / "tracks.jsonl")
    assert [line["identity"] for line in lines] == ["ann"] * 6
    assert lines[3] == {
        "time": 0.3, "camera": "dock", "frame": 3, "track": 7, "identity": "ann",
        "box": [3.0, 20.0, 43.0, 120.0], "confidence": 0.9,
    }  # fmt: skip
    mot = (tmp_path / "dock.txt").read_text().splitlines()
    assert mot[3] == "4,1,3.00,20.00,40.00,100.00,0.9000,-1,-1,-1"


def test_records_wait_no_longer_than_they_must(tmp_path):
    with RecordWriter(tmp_path, lambda camera, track: {1: "ann"}.get(track)) as records:
        records.write(0.0, "dock", 0, detections(2))
        records.write(0.1, "dock", 1, detections(1))
        records.write(HOLD_SECONDS + 0.05, "dock", 99, detections(1))
        records._json.flush()
        assert [line["identity"] for line in read_lines(tmp_path / "tracks.jsonl")] == [None, "ann", "ann"]
    assert len((tmp_path / "dock.txt").read_text().splitlines()) == 2, "MOTChallenge rows have an identity"


def test_one_number_stands_for_one_identity_in_all_cameras(tmp_path):
    names = {("dock", 1): "ann", ("lobby", 1): "bob", ("lobby", 2): "ann"}
    with RecordWriter(tmp_path, lambda *key: names[key]) as records:
        records.write(0, "dock", 0, detections(1))
        records.write(0, "lobby", 0, detections(1))
        records.write(0, "lobby", 0, detections(2))
        records.write(0, "gate", 0, sv.Detections.empty())
    assert (tmp_path / "gate.txt").read_text() == "", "a camera that saw nobody has a file too"
    numbers = {path: [row.split(",")[1] for row in (tmp_path / path).open()] for path in ("dock.txt", "lobby.txt")}
    assert numbers == {"dock.txt": ["1"], "lobby.txt": ["2", "1"]}


def test_the_annotation_draws_box_and_name(tmp_path):
    frame = np.full((160, 200, 3), 90, np.uint8)
    found = detections(1, x=80)
    found.data["identity"] = np.array(["ann"], dtype=object)
    with AnnotatedVideo(tmp_path / "a.mp4", 10) as video:
        drawn = video.annotate(frame, found)
        video.write(frame, found)
        video.write(frame, found)
    assert (frame == 90).all(), "the frame itself is left alone"
    changed = (drawn != 90).any(axis=2)
    assert changed[118:122, 82:118].any(), "the box's lower edge"
    assert changed[0:20, 80:110].mean() > 0.3, "the label"
    assert not changed[130:, :60].any()
    assert count_frames(tmp_path / "a.mp4") == 2


@pytest.fixture
def world():
    return World()


@pytest.fixture
def tracker(world):
    return MultiCameraTracker(ReIdentifier(ColourEngine()), detector=world, frame_rate=6)


def ticks(world, count=30, stop_after=None):
    """A blue figure walks through dock and then through lobby, where a red one walks too."""
    for tick in range(count):
        if tick == stop_after:
            raise KeyboardInterrupt
        dock = [(BLUE, 10 + 8 * tick, 50)] if tick < 15 else []
        lobby = [(BLUE, 10 + 8 * (tick - 15), 50), (RED, 200 - 8 * (tick - 15), 120)] if tick >= 15 else []
        yield tick / 6, {"dock": world.frame(*dock), "lobby": world.frame(*lobby)}


def test_a_run_writes_videos_records_and_a_summary(tmp_path, world, tracker):
    sightings = track_videos(ticks(world), tracker, tmp_path / "out", frame_rates=RATES, total=30)
    assert [(s.identity, s.camera, s.tracks) for s in sightings] == [
        ("person-1", "dock", 1), ("person-1", "lobby", 1), ("person-2", "lobby", 1),
    ]  # fmt: skip
    assert sightings[0].first < 0.5
    assert sightings[0].last == pytest.approx(14 / 6, abs=0.01)
    assert sightings[0].frames >= 13
    for camera in ("dock", "lobby"):
        assert count_frames(tmp_path / "out" / f"{camera}.mp4") == 30
    times = [line["time"] for line in read_lines(tmp_path / "out" / "tracks.jsonl")]
    assert times == sorted(times)


def test_an_interrupted_run_leaves_valid_files(tmp_path, world, tracker):
    sightings = track_videos(ticks(world, stop_after=12), tracker, tmp_path, frame_rates=RATES)
    assert [(s.identity, s.camera) for s in sightings] == [("person-1", "dock")]
    assert count_frames(tmp_path / "dock.mp4") == 12
    assert len(read_lines(tmp_path / "tracks.jsonl")) >= 10


class Site:
    """Ticks that tell events, as `Sources` do."""

    def __init__(self, ticks, event_at=3):
        self._listeners, self._ticks, self._event_at, self.closed = Listeners(), ticks, event_at, False
        self.add_listener, self.remove_listener = self._listeners.add, self._listeners.remove

    def __iter__(self):
        for number, (moment, frames) in enumerate(self._ticks):
            if number == self._event_at:
                self._listeners(Event(moment, "camera_frozen", "lobby", detail={"seconds": 20.0}))
            yield moment, frames

    def close(self):
        self.closed = True


def test_events_of_cameras_and_tracker_reach_every_listener_and_the_file_once(tmp_path, world):
    """Whoever listened before goes on listening, during the run and after it."""
    before, heard = [], []
    tracker = MultiCameraTracker(ReIdentifier(ColourEngine()), detector=world, frame_rate=6, on_event=before.append)
    tracker.add_listener(heard.append)
    source = Site(ticks(world))
    track_videos(source, tracker, tmp_path, frame_rates=RATES, listeners=[heard.append], video=False)
    kinds = [event.kind for event in heard]
    assert kinds.count("camera_frozen") == 1
    assert kinds.count("identified") == 3
    assert kinds.count("left") == 3
    assert [event.kind for event in before] == [kind for kind in kinds if not kind.startswith("camera")]
    assert source.closed
    assert read_lines(tmp_path / "events.jsonl") == [json.loads(event.to_json()) for event in heard]
    assert not list(tmp_path.glob("*.mp4"))
    tracker.merge("person-2", into="person-1")
    assert heard[-1].kind == "merged", "a listener of before the run is one after it"
    assert len(read_lines(tmp_path / "events.jsonl")) == len(heard) - 1, "the file is closed"


def test_a_run_refuses_what_it_did_not_make_and_replaces_its_own_when_it_is_told(tmp_path, world, tracker):
    (tmp_path / "dock.mp4").write_bytes(b"a recording")
    with pytest.raises(DataError, match=r"not empty.*dock\.mp4"):
        track_videos(ticks(world), tracker, tmp_path, frame_rates=RATES, video=False)
    assert [path.name for path in tmp_path.iterdir()] == ["dock.mp4"]
    out = tmp_path / "out"
    track_videos(ticks(world), tracker, out, frame_rates=RATES, video=False)
    (out / "notes.txt").write_text("mine")
    before = (out / "tracks.jsonl").read_bytes()
    with pytest.raises(DataError, match="--overwrite"):
        track_videos(ticks(world), tracker, out, frame_rates=RATES, video=False)
    assert (out / "tracks.jsonl").read_bytes() == before
    track_videos(ticks(world, 6), tracker, out, frame_rates=RATES, video=False, overwrite=True)
    assert (out / "tracks.jsonl").read_bytes() != before
    assert (out / "notes.txt").read_text() == "mine"
    assert json.loads((out / "run.json").read_text())["state"] == "finished"


def test_who_observes_a_run_is_told_its_end_though_another_fails(world, tracker):
    class Witness:
        def __init__(self, fails):
            self.fails, self.seen, self.reasons = fails, 0, []

        def take(self, time, frames, tracks, seconds):
            self.seen += 1
            if self.fails and self.seen == 5:
                raise DataError("the disk is full")

        def end(self, reason):
            self.reasons.append(reason)
            if self.fails:
                raise OSError("and cannot be closed")

    bad, good = Witness(True), Witness(False)
    with pytest.raises(OSError, match="cannot be closed"):
        run(ticks(world), tracker, [bad, good])
    assert bad.reasons == good.reasons == ["tracking has stopped: the disk is full"]
    assert run(ticks(world, 6), tracker, [good]) == ENDED
    assert run(ticks(world, 6, stop_after=3), tracker, [good]) == INTERRUPTED
    seen = good.seen
    assert run(ticks(world, 6), tracker, [good], stopped=lambda: good.seen >= seen + 2) == INTERRUPTED
    assert good.seen == seen + 2
    assert good.reasons[1:] == [ENDED, INTERRUPTED, INTERRUPTED]


def test_a_video_goes_on_in_another_file_when_the_resolution_changes_or_it_is_long(tmp_path):
    sizes = [(48, 64)] * 5 + [(60, 80)] * 4
    with AnnotatedVideo(tmp_path / "dock.mp4", 10, segment=0.3) as video:
        for size in sizes:
            video.write(np.full((*size, 3), 90, np.uint8), sv.Detections.empty())
    lengths = {path.name: count_frames(path) for path in tmp_path.iterdir()}
    assert lengths == {"dock.mp4": 3, "dock.from-3.mp4": 2, "dock.from-5.mp4": 3, "dock.from-8.mp4": 1}


def test_a_run_outlives_a_change_of_resolution(tmp_path, world, tracker):
    def changing():
        for tick in range(20):
            frame = world.frame((BLUE, 10 + 8 * tick, 50))
            if tick >= 12:
                boxes = world.boxes[id(frame)]
                frame = cv2.resize(frame, None, fx=2, fy=2)
                world.boxes[id(frame)] = [tuple(2 * v for v in box) for box in boxes]
                world._kept = frame
            yield tick / 6, {"dock": frame}

    sightings = track_videos(changing(), tracker, tmp_path, frame_rates=RATES)
    assert sightings[0].frames >= 15
    assert {path.name: count_frames(path) for path in tmp_path.glob("*.mp4")} == {
        "dock.mp4": 12, "dock.from-12.mp4": 8,
    }  # fmt: skip


def test_records_are_on_disk_within_a_second(tmp_path):
    with RecordWriter(tmp_path, lambda camera, track: "ann") as records:
        for frame in range(12):
            records.write(frame / 10, "dock", frame, detections(1))
        assert len(read_lines(tmp_path / "tracks.jsonl")) >= 10
        assert len((tmp_path / "dock.txt").read_text().splitlines()) >= 10


def test_a_full_disk_is_named(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    (tmp_path / "tracks.jsonl").symlink_to("/dev/full")
    records = RecordWriter(tmp_path, lambda camera, track: "ann")
    with pytest.raises(DataError, match=r"records cannot be written \(No space left on device\)"):
        records.write(0.0, "dock", 0, detections(1))


def test_every_day_of_a_clock_has_files_of_its_own(tmp_path):
    midnight = datetime(2026, 11, 25).timestamp()
    with RecordWriter(tmp_path, lambda camera, track: "ann") as records:
        for number, time_ in enumerate([midnight - 90000, midnight - 2, midnight - 1, midnight + 1]):
            records.write(time_, "dock", number, detections(1))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "dock.2026-11-23.txt", "dock.2026-11-24.txt", "dock.txt",
        "tracks.2026-11-23.jsonl", "tracks.2026-11-24.jsonl", "tracks.jsonl",
    ]  # fmt: skip
    assert [line["frame"] for line in read_lines(tmp_path / "tracks.2026-11-24.jsonl")] == [1, 2]
    assert [line["frame"] for line in read_lines(tmp_path / "tracks.jsonl")] == [3]
    assert (tmp_path / "dock.txt").read_text().startswith("4,1,")
    assert records.sightings[0].frames == 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_after_its_tick_and_a_tick_that_hangs_at_once(number):
    from sdk.video import stopping

    before = signal.getsignal(number)
    asked = []
    with stopping.stop_on_signals(lambda: asked.append(True)):
        os.kill(os.getpid(), number)
        assert asked == [True]
        with pytest.raises(KeyboardInterrupt):
            time.sleep(20)  # a tick without end
    assert signal.getsignal(number) is before
    with stopping.stop_on_signals(lambda: asked.append(True)):
        os.kill(os.getpid(), number)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)  # asked twice
    assert asked == [True, True]


def test_a_signal_after_the_run_is_not_lost_and_breaks_nothing_off():
    from sdk.video import stopping

    before, asked = signal.getsignal(signal.SIGTERM), []
    with stopping.noted_signals() as wait:
        with stopping.stop_on_signals(lambda: asked.append(True)):
            signal.raise_signal(signal.SIGTERM)
        assert asked == [True], "the run's own"
        signal.raise_signal(signal.SIGTERM)
        wait()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert asked == [True]
    assert signal.getsignal(signal.SIGTERM) is before


def test_reid_track_takes_names_folders_and_a_detectors_file(tmp_path):
    """And a broken camera beside them: it is reported at the end, and everything is written."""
    from tests.test_model_detectors import write_model, yolo

    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(12):
        cv2.imwrite(str(frames / f"{number}.png"), np.full((240, 400, 3), 60 + 12 * number, np.uint8))
    (frames / "3.png").write_bytes(b"cut")
    (frames / "4.png").write_bytes(b"cut")
    model = write_model(tmp_path / "people.onnx", yolo())
    command = "import sys; from sdk.cli import main; sys.argv[0] = 'reid'; main()"
    result = subprocess.run(
        [sys.executable, "-c", command, "track", f"gate={frames}#fps=5", "-o", tmp_path / "out", "--detector", model],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "1 of 1 cameras had trouble" in result.stdout
    assert "2 frames could not be decoded" in " ".join(result.stdout.replace("│", " ").split())
    assert count_frames(tmp_path / "out" / "gate.mp4") == 10
    assert {line["camera"] for line in read_lines(tmp_path / "out" / "tracks.jsonl")} == {"gate"}
    kinds = {line["kind"] for line in read_lines(tmp_path / "out" / "events.jsonl")}
    assert kinds >= {"camera_ended", "left"}, "of the cameras and of the tracker"


def test_an_output_that_cannot_be_made_is_named(tmp_path, tracker):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="file"):
        track_videos([], tracker, tmp_path / "file", frame_rates=RATES)


def test_the_summary_leaves_out_who_has_no_name(tmp_path):
    rows = [
        {"identity": "ann", "camera": "dock", "time": 1.0, "track": 1},
        {"identity": None, "camera": "dock", "time": 1.0, "track": 2},
        {"identity": "ann", "camera": "dock", "time": 3.0, "track": 4},
    ]
    (tmp_path / "tracks.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert read_sightings(tmp_path / "tracks.jsonl") == [Sighting("ann", "dock", 1.0, 3.0, 2, 2)]
