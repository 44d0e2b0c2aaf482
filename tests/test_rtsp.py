"""Real RTSP servers that die, come back, stand still and change: the run goes on and says what happened."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import supervision as sv

from sdk import MultiCameraTracker, ReIdentifier
from sdk.video.run import track_videos
from sdk.video.sources import Patience, Sources, trouble_table
from tests.moving import ColourEngine

SERVER = Path(__file__).with_name("rtsp_server.py")
SYSTEM_PYTHON = "/usr/bin/python3"
"""Debian's GObject bindings are for Debian's own Python."""
PACKAGES = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-{base,good,bad,ugly}"
QUICK = Patience(silence=1.2, frozen=1.5, first_retry=0.1, longest_retry=0.4)


class Camera:
    """One server process on a port of its own, which it keeps when it is started again."""

    def __init__(self, size=(320, 240)):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"rtsp://viewer:secret@127.0.0.1:{self.port}/camera"
        self.start(size)

    def start(self, size=(320, 240)):
        self.process = subprocess.Popen(
            [SYSTEM_PYTHON, SERVER, str(self.port), *map(str, size)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        assert self.process.stdout.readline() == "ready\n"

    def say(self, command):
        self.process.stdin.write(command + "\n")

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def rtsp():
    """Skips where there is no RTSP server."""
    code = (
        "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0')\n"
        "from gi.repository import Gst, GstRtspServer; Gst.init(None)\n"
        "assert all(map(Gst.ElementFactory.find, ('videotestsrc', 'x264enc', 'rtph264pay', 'udpsink')))"
    )
    if not Path(SYSTEM_PYTHON).exists() or subprocess.run([SYSTEM_PYTHON, "-c", code], capture_output=True).returncode:
        pytest.skip(f"no RTSP server here: apt-get install {PACKAGES}")


@pytest.fixture
def cameras(rtsp):
    with contextlib.ExitStack() as stack:

        def make(*sizes):
            made = [Camera(size) for size in sizes]
            for camera in made:
                stack.callback(camera.kill)
            return made

        yield make


def nobody(frame):
    return sv.Detections.empty()


def wait_for(condition, seconds=30):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


def test_a_run_outlives_its_cameras_troubles_and_reports_them(cameras, tmp_path):
    dock, lobby, gate = cameras((320, 240), (320, 240), (320, 240))
    site = Sources([f"dock={dock.url}", f"lobby={lobby.url}", f"gate={gate.url}"], rate=10, patience=QUICK)
    tracker = MultiCameraTracker(ReIdentifier(ColourEngine()), detector=nobody, frame_rate=site.tick_rate)
    events = []

    def count(camera, kind):
        return sum(event.camera == camera and event.kind == kind for event in events)

    def frames(camera):
        return next(report.frames for report in site.reports if report.camera == camera)

    failed = []

    def happen():
        try:
            wait_for(lambda: all(report.frames > 5 for report in site.reports))
            lobby.say("still")
            for times in (1, 2):
                lost, back = count("dock", "camera_lost"), count("dock", "camera_back")
                dock.kill()
                wait_for(lambda lost=lost: count("dock", "camera_lost") > lost)
                before = frames("gate")
                wait_for(lambda before=before: frames("gate") > before + 3)
                if times == 1:
                    gate.kill()
                    gate.start((400, 304))
                dock.start()
                wait_for(lambda back=back: count("dock", "camera_back") > back)
                wait_for(lambda: count("gate", "camera_changed") >= 1)
            wait_for(lambda: count("lobby", "camera_frozen") >= 1)
            lobby.say("moving")
            wait_for(lambda: count("lobby", "camera_back") >= 1)
        except BaseException as error:
            failed.append(error)
        finally:
            site.stop()

    world = threading.Thread(target=happen)
    world.start()
    track_videos(site, tracker, tmp_path, site.frame_rates, listeners=[events.append], segment=60)
    world.join()
    assert not failed, failed

    reports = {report.camera: report for report in site.reports}
    assert reports["dock"].losses >= 2
    assert reports["gate"].sizes == [(240, 320), (304, 400)]
    assert reports["lobby"].freezes >= 1
    text = "".join(str(cell) for column in trouble_table(site.reports).columns for cell in column.cells)
    for said in (f"lost {reports['dock'].losses} times", "frozen", "320×240 → 400×304"):
        assert said in text
    assert "secret" not in text

    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [json.loads(event.to_json()) for event in events]
    assert "secret" not in "".join(lines)
    times = [event.time for event in events]
    assert times == sorted(times)
    assert abs(times[-1] - time.time()) < 60, "the time is the system's"
    for report in site.reports:
        parts = sorted(tmp_path.glob(f"{report.camera}*.mp4"))
        assert len(parts) == len(report.sizes)
        assert sum(count_frames(part) for part in parts) == report.frames
    away = [event.detail["seconds"] for event in events if event.kind == "camera_back" and event.camera == "dock"]
    assert sum(away) == pytest.approx(reports["dock"].away, abs=0.2)


def count_frames(path):
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    return count


def test_sigterm_ends_a_run_within_two_seconds_even_when_a_camera_hangs(cameras, tmp_path):
    (hanging,) = cameras((320, 240))
    walk = tmp_path / "walk.mp4"
    writer = cv2.VideoWriter(str(walk), cv2.VideoWriter_fourcc(*"mp4v"), 10, (320, 240))
    for number in range(300):
        frame = np.full((240, 320, 3), 90, np.uint8)
        frame[60:200, number : number + 45] = (40, 200, 220)
        writer.write(frame)
    writer.release()
    output = tmp_path / "out"
    command = "import sys; from sdk.cli import main; sys.argv[0] = 'reid'; main()"
    sources = [f"dock={hanging.url}", f"lobby={walk}#live"]
    run = subprocess.Popen(
        [sys.executable, "-c", command, "track", *sources, "-o", output, "--detector", "motion", "--video"],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    try:
        videos = [output / "dock.mp4", output / "lobby.mp4"]
        wait_for(lambda: all(path.exists() and path.stat().st_size for path in videos), 40)
        wait_for(lambda: (output / "tracks.jsonl").stat().st_size > 0, 40)
        os.kill(hanging.process.pid, signal.SIGSTOP)  # it keeps the connection and says no more
        time.sleep(0.5)
        asked = time.monotonic()
        run.send_signal(signal.SIGTERM)
        out, err = run.communicate(timeout=20)
        took = time.monotonic() - asked
    finally:
        run.kill()
        os.kill(hanging.process.pid, signal.SIGCONT)
    assert run.returncode == 0, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert "secret" not in out + err
    assert "person-1" in out
    for line in (output / "tracks.jsonl").read_text().splitlines():
        json.loads(line)
    assert all(count_frames(video) > 0 for video in videos)
    assert took < 2 * patience_of_this_machine(), f"it took {took:.1f} s"


def patience_of_this_machine() -> float:
    """How many times slower than a quiet machine this one is just now, at starting Python; 1 at least."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", "import cv2"], check=True)
    return max(1.0, (time.monotonic() - started) / 0.3)


def test_a_pipeline_gives_its_pictures(tmp_path):
    if shutil.which("gst-launch-1.0") is None:
        pytest.skip("GStreamer is not here: apt-get install gstreamer1.0-tools gstreamer1.0-plugins-{base,good}")
    moving = "videotestsrc pattern=ball is-live=true ! video/x-raw,width=320,height=240,framerate=10/1 ! autovideosink"
    broken = "gst:videotestsrc ! nosuchelement"
    hanging = "gst:appsrc ! video/x-raw,format=I420,width=320,height=240,framerate=10/1"
    events = []
    sources = [f"gate={moving}", f"dead={broken}", f"mute={hanging}"]
    site = Sources(sources, rate=10, seconds=3, patience=replace(QUICK, silence=10), on_event=events.append)
    shapes = {(name, frame.shape) for _, frames in site for name, frame in frames.items()}
    assert shapes == {("gate", (240, 320, 3))}
    lost = [event for event in events if event.kind == "camera_lost"]
    assert [event.camera for event in lost] == ["dead"]
    assert 'no element "nosuchelement"' in lost[0].detail["reason"]
    assert not any(feed.reader.alive for feed in site._feeds.values()), "nor is GStreamer left behind that never began"
