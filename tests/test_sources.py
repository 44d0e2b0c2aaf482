"""Sources of frames: what a string means, every frame of files, the newest of cameras, and what is reported of them."""

import contextlib
import itertools
import struct
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from sdk.errors import DataError
from sdk.events import Event
from sdk.video.listeners import Listeners, print_trouble
from sdk.video.sources import Patience, Sources, parse_address, trouble_table
from sdk.video.sources import reader as reading
from sdk.video.sources.address import FILE, IMAGES, PIPELINE, STREAM, USB, hide_password, parse_addresses
from sdk.video.sources.capture import open_capture
from sdk.video.sources.network import check_reachable
from sdk.video.sources.pipeline import without_sink

QUICK = Patience(silence=0.3, frozen=0.4, first_retry=0.05, longest_retry=0.1, hung=0.5, closing=0.5)


def write_video(path, frames, rate=10.0, size=(64, 48)):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), rate, size)
    for value in range(frames):
        writer.write(np.full((size[1], size[0], 3), 10 * value % 256, np.uint8))
    writer.release()
    return path


def write_uneven_video(path, times):
    """An .mp4 whose frames are at `times`, s: the table of its frames' durations, one entry long, is made longer."""
    data = write_video(path, len(times)).read_bytes()
    table = data.index(b"stts") - 4
    (old,) = struct.unpack_from(">I", data, table)
    (scale,) = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)
    gaps = [round((after - before) * scale) for before, after in itertools.pairwise(times)] + [scale // 10]
    entries = b"".join(struct.pack(">II", 1, gap) for gap in gaps)
    new = struct.pack(">I4sII", 16 + len(entries), b"stts", 0, len(gaps)) + entries
    changed = bytearray(data[:table] + new + data[table + old :])
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        place = changed.index(box) - 4
        struct.pack_into(">I", changed, place, struct.unpack_from(">I", changed, place)[0] + len(new) - old)
    path.write_bytes(bytes(changed).replace(b"edts", b"free"))  # an edit list would end it early
    return path


def write_broken_video(path, frames, broken):
    """A motion-JPEG .avi of 10 frames/s, the JPEGs numbered `broken` overwritten with noughts."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (64, 48))
    for value in range(frames):
        writer.write(np.full((48, 64, 3), 10 * value, np.uint8))
    writer.release()
    data, place = bytearray(path.read_bytes()), 0
    for number in range(frames):
        place = data.index(b"\xff\xd8\xff", place + 1)
        if number in broken:
            (size,) = struct.unpack_from("<I", data, place - 4)
            data[place : place + size] = bytes(size)
    path.write_bytes(data)
    return path


# What a string means


@pytest.mark.parametrize(
    ("text", "kind", "location", "name", "options"),
    [
        ("rtsp://u:p@10.0.0.7:554/live/1?x=1", STREAM, "rtsp://u:p@10.0.0.7:554/live/1?x=1", "10.0.0.7-live-1", {}),
        ("dock=rtsp://10.0.0.7/a=b", STREAM, "rtsp://10.0.0.7/a=b", "dock", {}),
        ("HTTP://cam/stream.mjpg", STREAM, "HTTP://cam/stream.mjpg", "cam-stream.mjpg", {}),
        ("0", USB, "0", "usb-0", {}),
        ("usb:12#fps=15&size=640x480", USB, "12", "usb-12", {"fps": "15", "size": "640x480"}),
        ("gate=/dev/video3", USB, "/dev/video3", "gate", {}),
        ("videotestsrc pattern=ball ! fakesink", PIPELINE, "videotestsrc pattern=ball ! fakesink", "pipeline", {}),
        ("gst:v4l2src", PIPELINE, "v4l2src", "pipeline", {}),
    ],
)
def test_an_address_says_what_it_is(text, kind, location, name, options):
    address = parse_address(text)
    whole = address.location.reveal() if kind in (STREAM, PIPELINE) else address.location
    assert (address.kind, whole, address.name, address.options) == (kind, location, name, options)
    assert address.live


def test_a_jetsons_camera_is_a_pipeline_in_its_memory():
    address = parse_address("door=csi:1#size=1920x1080&fps=20")
    assert address.kind == PIPELINE
    assert "nvarguscamerasrc sensor-id=1 !" in address.location.reveal()
    assert "(memory:NVMM),width=1920,height=1080,framerate=20/1" in address.location.reveal()
    assert address.shown == "csi:1"


def test_what_exists_is_a_file_whatever_its_name(tmp_path):
    for name in ("a=b.mp4", "c#live", "0"):
        path = write_video(tmp_path / "v.mp4", 1).rename(tmp_path / name)
        assert parse_address(path).kind == FILE
    (tmp_path / "dock frames").mkdir()
    folder = parse_address(f"{tmp_path / 'dock frames'}#fps=12.5")
    assert (folder.kind, folder.name, folder.frame_rate, folder.live) == (IMAGES, "dock-frames", 12.5, False)
    assert parse_address(f"hall={tmp_path / 'a=b.mp4'}#live").live


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("absent.mp4", r"absent\.mp4: no such video file; expected"),
        ("ftp://u:secret@host/x.mp4", "unknown scheme 'ftp'"),
        ("dock.mp4#speed=2", "unknown option 'speed' after the #; there are fps, size, live, loop"),
        ("rtsp://u:p@host/x#secret=2", "rtsp://host/x: unknown option after the #"),
        ("usb:0#fps=900", "'fps' is malformed"),
        ("usb:0#loop=0", "'loop' is malformed"),
        ("usb:0#size=large", "'size' is malformed"),
        ("usb:0#size=" + "9" * 5001 + "x480", "'size' is malformed"),
        ("usb:0#fps=" + "9" * 5001, "'fps' is malformed"),
    ],
)
def test_what_cannot_be_meant_is_refused_without_its_password(text, message):
    with pytest.raises(DataError, match=message) as error:
        Sources([text])
    assert "secret" not in str(error.value)


def test_a_file_of_addresses_keeps_passwords_out_of_the_process_list(tmp_path):
    (tmp_path / "cameras.txt").write_text("# the yard\ndock=rtsp://u:p@10.0.0.7/1\n\n  gate=usb:0#fps=5\n")
    addresses = parse_addresses([f"@{tmp_path / 'cameras.txt'}", "gate=usb:1"])
    assert [address.name for address in addresses] == ["dock", "gate", "gate-2"]
    assert addresses[1].frame_rate == 5
    for content in (None, b"\xff\xfe", b"# nothing\n"):
        (tmp_path / "bad.txt").write_bytes(content) if content else None
        with pytest.raises(DataError, match=r"bad\.txt: no readable|no video sources"):
            parse_addresses([f"@{tmp_path / 'bad.txt'}"])


def test_passwords_are_hidden_and_sinks_taken_off():
    assert hide_password('rtspsrc location="rtsp://u:p@h/1" ! x') == 'rtspsrc location="rtsp://h/1" ! x'
    assert without_sink("a ! b ! appsink drop=true max-buffers=1") == "a ! b"
    assert without_sink("filesrc ! sinkhole ! b") == "filesrc ! sinkhole ! b"


# Files: every frame, in its turn


def test_images_are_read_in_the_order_of_their_numbers_and_a_damaged_one_is_missed(tmp_path):
    for number in (1, 2, 9, 10, 11):
        cv2.imwrite(str(tmp_path / f"f{number}.png"), np.full((48, 64, 3), 20 * number, np.uint8))
    (tmp_path / "f2.png").write_bytes(b"cut")
    (tmp_path / "notes.txt").write_text("no image")
    events = []
    site = Sources([f"door={tmp_path}#fps=5"], on_event=events.append)
    assert site.tick_rate == 5
    assert site.ticks == 5
    seen = [(time, int(frames["door"][0, 0, 0])) for time, frames in site]
    assert seen == [(0, 20), (pytest.approx(0.4), 180), (pytest.approx(0.6), 200), (pytest.approx(0.8), 220)]
    assert [event.kind for event in events] == ["camera_ended"]
    assert events[0].time == pytest.approx(1.0)


def test_files_and_folders_are_played_over_and_their_clock_goes_on(tmp_path):
    video = write_video(tmp_path / "dock.mp4", 4)
    (tmp_path / "hall").mkdir()
    for number, ending in enumerate((".png", ".bmp", ".webp")):
        cv2.imwrite(str(tmp_path / "hall" / f"{number}{ending}"), np.full((48, 64, 3), number, np.uint8))
    site = Sources([f"{video}#loop=3", f"{tmp_path / 'hall'}#loop=4&fps=10"])
    assert site.ticks == 12
    seen = [(time, *(int(frames[name].mean()) for name in ("dock", "hall"))) for time, frames in site]
    assert [time for time, *_ in seen] == pytest.approx([0.1 * tick for tick in range(12)])
    assert [round(dock, -1) for _, dock, _ in seen] == [0, 10, 20, 30] * 3
    assert [hall for *_, hall in seen] == [0, 1, 2] * 4


def test_a_folder_without_images_is_named(tmp_path):
    with pytest.raises(DataError, match="no images in this folder"):
        Sources([tmp_path])


def test_a_files_resolution_may_change_and_grey_is_made_colour(tmp_path):
    for number, size in enumerate([(48, 64, 3), (48, 64), (60, 80, 3)]):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full(size, 90, np.uint8))
    events = []
    site = Sources([tmp_path], on_event=events.append)
    assert [next(iter(frames.values())).shape for _, frames in site] == [(48, 64, 3), (48, 64, 3), (60, 80, 3)]
    change = {"before": [48, 64], "now": [60, 80]}
    assert events[0] == Event(pytest.approx(0.2), "camera_changed", events[0].camera, detail=change)


class Recorded:
    """A capture with given times and pictures; `None` among them is an error of the driver."""

    frames = 0

    def __init__(self, items, frame_rate=10.0):
        self._items, self.frame_rate, self.closed = iter(items), frame_rate, False

    def read(self):
        item = next(self._items, "end")
        if item is None:
            raise RuntimeError("driver says no")
        return None if item == "end" else item

    def close(self):
        self.closed = True


def picture(value=0, size=(48, 64)):
    return np.full((*size, 3), value % 256, np.uint8)


@pytest.mark.parametrize(
    ("stamps", "times"),
    [
        ([5.0, 5.1, 5.3, 5.4], [0, 0.1, 0.3, 0.4]),
        ([0.0, 0.0, 0.0, 0.0], [0, 0.1, 0.2, 0.3]),
        ([None] * 4, [0, 0.1, 0.2, 0.3]),
    ],
    ids=["begins late, with a gap", "always nought", "none"],
)
def test_a_file_tells_the_time_of_its_frames_unless_it_is_nonsense(stamps, times):
    reader = reading.FileReader(Recorded([(stamp, picture()) for stamp in stamps]))
    frames = list(iter(reader.next, None))
    assert [frame.time for frame in frames] == pytest.approx(times)


UNEVEN = [0, 1 / 30, 2 / 30, 1.5, 1.6, 1.7, 36000.0, 36000.5]


def test_a_file_goes_by_its_frames_own_times(tmp_path):
    """However uneven they are, and however long nothing was recorded: that takes no time."""
    events = []
    site = Sources([f"dock={write_uneven_video(tmp_path / 'dock.mp4', UNEVEN)}"], on_event=events.append)
    began = time.monotonic()
    assert [now for now, _ in site] == pytest.approx(UNEVEN, abs=1e-3)
    assert time.monotonic() - began < 30
    assert [event.kind for event in events] == ["camera_clock", "camera_ended"]
    assert events[0].detail == {"what": "nothing was recorded for 35998 s after 1.7 s"}
    assert events[1].detail == {"reason": "the file has ended"}, "that most of the time has no frames is no fault"
    assert site.reports[0].trouble == "nothing was recorded for 35998 s after 1.7 s"


def test_files_meet_at_the_times_of_their_frames(tmp_path):
    uneven = write_uneven_video(tmp_path / "uneven.mp4", [0, 0.1, 0.14, 2.0, 2.1])
    even = write_video(tmp_path / "even.mp4", 4)
    seen = [(round(now, 3), sorted(frames)) for now, frames in Sources([uneven, even])]
    both = ["even", "uneven"]
    uneven, even = ["uneven"], ["even"]
    assert seen == [(0, both), (0.1, both), (0.14, uneven), (0.2, even), (0.3, even), (2.0, uneven), (2.1, uneven)]


def test_files_of_other_rates_have_no_more_ticks_than_the_fastest_has_frames(tmp_path):
    fast, slow = write_video(tmp_path / "fast.mp4", 30, rate=30), write_video(tmp_path / "slow.mp4", 25, rate=25)
    seen = list(Sources([fast, slow]))
    assert len(seen) <= 31
    for name, rate, count in (("fast", 30, 30), ("slow", 25, 25)):
        own = [now for now, frames in seen if name in frames]
        assert own == pytest.approx(np.arange(count) / rate, abs=0.5 / 30)
    assert all(one < other for (one, _), (other, _) in itertools.pairwise(seen))


def test_a_frame_that_cannot_be_decoded_is_a_missing_one(tmp_path):
    path = write_broken_video(tmp_path / "dock.avi", 12, broken=(0, 4, 5))
    events = []
    site = Sources([path], on_event=events.append)
    seen = [(now, round(float(frames["dock"].mean()), -1)) for now, frames in site]
    there = [number for number in range(12) if number not in (0, 4, 5)]
    assert [now for now, _ in seen] == pytest.approx([number / 10 for number in there])
    assert [value for _, value in seen] == [10 * number for number in there]
    assert [event.kind for event in events] == ["camera_ended"]
    assert site.reports[0].trouble == "3 frames could not be decoded"


def test_a_file_of_which_nothing_can_be_decoded_says_so(tmp_path):
    events = []
    site = Sources([write_broken_video(tmp_path / "dock.avi", 5, broken=range(5))], on_event=events.append)
    assert list(site) == []
    assert events[0].detail == {"reason": "none of its frames can be decoded"}


def test_one_image_that_is_too_small_is_a_missing_frame(tmp_path):
    for number, side in enumerate((64, 8, 64)):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((side, side, 3), 90, np.uint8))
    site = Sources([tmp_path])
    assert [now for now, _ in site] == pytest.approx([0, 0.2])
    assert site.reports[0].trouble == "1 frame could not be decoded"
    for number in (0, 2):
        (tmp_path / f"{number}.png").unlink()
    site = Sources([tmp_path])
    assert list(site) == []
    assert "8×8 px, too small" in site.reports[0].reason


def test_files_play_at_their_own_speed_and_a_gap_is_cut_short(tmp_path, monkeypatch):
    monkeypatch.setattr("sdk.video.pace.LONGEST", 0.3)
    path = write_uneven_video(tmp_path / "dock.mp4", [0, 0.1, 0.2, 36000.2, 36000.3])
    began = time.monotonic()
    site = Sources([path], realtime=True)
    assert [now for now, _ in site] == pytest.approx([0, 0.1, 0.2, 36000.2, 36000.3], abs=1e-3)
    assert time.monotonic() - began >= 0.6
    events = []
    site = Sources([f"{path}#live"], rate=50, on_event=events.append)
    assert sum(len(frames) for _, frames in site) >= 1
    assert [event.kind for event in events] == ["camera_clock", "camera_ended"], "never lost"
    assert site.reports[0].clock == ["nothing was recorded for 36000 s after 0.2 s"]


@pytest.mark.parametrize("end", ["stop", "close"])
def test_a_pause_ends_with_the_run(tmp_path, end):
    site = Sources([write_uneven_video(tmp_path / "dock.mp4", [0, 0.1, 600.0])], realtime=True)
    seen = []
    for now, _ in site:
        seen.append(now)
        if len(seen) == 2:
            threading.Timer(0.1, getattr(site, end)).start()
    assert len(seen) == 2


def test_a_file_whose_decoder_fails_ends_alone(tmp_path, monkeypatch):
    good, bad = write_video(tmp_path / "good.mp4", 6), write_video(tmp_path / "bad.mp4", 6)
    real = reading.FileReader.__init__

    def broken(self, capture):
        real(self, Recorded([(0.0, picture()), None]) if capture.broken else capture)

    monkeypatch.setattr(reading.FileReader, "__init__", broken)
    events = []
    site = Sources([good, bad], on_event=events.append)
    for name, feed in site._feeds.items():
        feed._capture.broken = name == "bad"
    seen = [sorted(frames) for _, frames in site]
    assert seen == [["bad", "good"]] + [["good"]] * 5
    ended = {event.camera: event.detail["reason"] for event in events}
    assert ended == {"bad": "driver says no", "good": "the file has ended"}
    assert "driver says no" in site.reports[1].trouble
    assert site.reports[0].trouble == ""


# Live cameras


@pytest.fixture
def camera(monkeypatch):
    """A live camera that gives what the test says: a picture a call to `show`, silence, or an error."""

    class Stage:
        def __init__(self):
            self.picture, self.error, self.hang, self.opened = picture(), None, threading.Event(), 0
            self.hang.set()

        def open(self, address, patience, stopped):
            if self.error:
                raise DataError(self.error)
            self.opened += 1
            return self

        frame_rate, frames = 10.0, 0

        def read(self):
            self.hang.wait()
            time.sleep(0.01)
            return None if self.error or self.picture is None else (None, self.picture)

        def close(self):
            pass

    stage = Stage()
    monkeypatch.setattr(reading, "open_capture", stage.open)
    yield stage
    stage.hang.set()


def watch(camera, script, ticks=50):
    """Run over one live camera while `script(tick)` changes it; the events, which ticks had a frame, the site.

    A tick lasts 20 ms, on a busy machine longer.
    """
    events = []
    site = Sources(["dock=usb:0"], rate=50, patience=QUICK, on_event=events.append)
    there = []
    for tick, (_, frames) in enumerate(site):
        there.append("dock" in frames)
        script(tick)
        if len(there) == ticks:
            site.stop()
    return events, there, site


def test_a_camera_is_lost_and_comes_back(camera):
    def script(tick):
        camera.error = "unplugged" if 10 <= tick < 25 else None
        camera.picture = picture(tick)

    events, there, site = watch(camera, script)
    assert [event.kind for event in events] == ["camera_lost", "camera_back"]
    assert camera.opened == 2
    assert any(there[:10])
    assert any(there[-10:])
    assert not any(there[15:24])
    report = site.reports[0]
    assert (report.losses, report.out) == (1, False)
    assert 0.1 < report.away < 0.9
    assert report.frames == sum(there)


def test_a_camera_that_is_not_there_at_the_start_is_no_error(camera):
    camera.error = "no such camera"

    def script(tick):
        camera.picture = picture(10 * tick)
        if tick == 20:
            camera.error = None

    events, there, _ = watch(camera, script)
    assert [event.kind for event in events] == ["camera_lost", "camera_back"]
    assert events[0].detail == {"reason": "no such camera"}
    assert any(there)
    events, there, site = watch(camera, lambda tick: setattr(camera, "error", "gone"), ticks=20)
    assert site.reports[0].out
    assert "still out at the end" in site.reports[0].trouble


def test_a_picture_that_stands_still_is_withheld_and_reported_once(camera):
    def script(tick):
        noise = 3 * (tick % 2)  # compression's, not the sensor's
        camera.picture = picture(10 * tick if tick < 10 else 100 + noise if tick < 45 else 200)

    events, there, site = watch(camera, script, ticks=55)
    assert [event.kind for event in events] == ["camera_frozen", "camera_back"]
    assert events[0].detail["seconds"] >= 0.4
    assert not any(there[40:44])
    assert any(there[46:]), "one change is enough"
    assert site.reports[0].freezes == 1
    assert site.reports[0].losses == 0


def test_a_driver_that_never_comes_back_is_given_up_and_tried_anew(camera):
    old, new = camera.hang, threading.Event()
    new.set()

    def script(tick):
        camera.picture = picture(10 * tick)
        if tick == 10:
            old.clear()  # whoever reads now, reads for ever
        if tick == 15:
            camera.hang = new

    events, there, _ = watch(camera, script, ticks=80)
    old.set()
    assert [event.kind for event in events] == ["camera_lost", "camera_back"]
    assert camera.opened == 2
    assert any(there[-10:])


def test_only_the_newest_frame_of_a_live_camera_counts(camera):
    site = Sources(["dock=usb:0"], rate=50, patience=QUICK)
    ticks = iter(site)
    for number in (1, 2, 3):
        camera.picture = picture(10 * number)
        time.sleep(0.1)
    frame = None
    while frame is None:
        frame = next(ticks)[1].get("dock")
    camera.picture = picture(200)
    time.sleep(0.2)
    _, frames = next(ticks)
    assert frames["dock"][0, 0, 0] == 200
    ticks.close()
    assert site.reports[0].passed_over > 5


def test_pictures_that_are_none_lose_the_camera_and_not_the_run(camera):
    def script(tick):
        camera.picture = picture(tick) if tick < 10 else picture(tick, (8, 8))

    events, _, site = watch(camera, script)
    assert events[0].kind == "camera_lost"
    assert "8×8 px, too small" in site.reports[0].reason


def test_a_changed_resolution_is_told(camera):
    events, _, site = watch(camera, lambda tick: setattr(camera, "picture", picture(tick, (48 + 16 * (tick > 20), 64))))
    assert [event.kind for event in events] == ["camera_changed"]
    assert events[0].detail == {"before": [48, 64], "now": [64, 64]}
    assert "64×48 → 64×64" in trouble_table(site.reports).columns[2]._cells[0]


def test_files_beside_live_cameras_keep_every_frame(tmp_path, camera):
    events = []
    paths = [write_video(tmp_path / "walk.mp4", 8, rate=20), f"{write_video(tmp_path / 'loop.mp4', 4, rate=20)}#live"]
    real, stage = reading.open_capture, camera
    from sdk.video.sources import capture

    def choose(address, patience, stopped):
        return capture.open_capture(address, patience) if address.ends else stage.open(address, patience, stopped)

    reading.open_capture = choose
    try:
        site = Sources(["dock=usb:0", *paths], patience=QUICK, seconds=1.5, on_event=events.append)
        assert site.tick_rate == 20, "the file's, which is more than the usual ten"
        seen = dict.fromkeys(site.cameras, 0)
        began = time.time()
        stamps = []
        for now, frames in site:
            stamps.append(now)
            for name in frames:
                seen[name] += 1
    finally:
        reading.open_capture = real
    assert seen["walk"] == 8
    assert seen["dock"] > 5
    assert 1 <= seen["loop"] <= 4
    assert {event.camera for event in events if event.kind == "camera_ended"} == {"walk", "loop"}
    assert abs(stamps[0] - began) < 5
    assert stamps == sorted(stamps)


def test_stopping_ends_the_ticks(camera):
    site = Sources(["dock=usb:0"], patience=QUICK)
    threading.Timer(0.2, site.stop).start()
    assert len(list(site)) < 60


def test_an_impossible_rate_is_refused(camera):
    with pytest.raises(DataError, match="0 ticks a second"):
        Sources(["usb:0"], rate=0)


def test_no_usb_camera_here_is_a_lost_one():
    site = Sources(["usb:97"], seconds=0.5, patience=replace(QUICK, silence=2))
    assert not any(frames for _, frames in site)
    assert "no such camera" in site.reports[0].trouble


def test_a_network_camera_is_asked_before_opencv_is(tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(DataError, match=f"127.0.0.1 port {port} does not answer") as error:
            check_reachable(f"rtsp://u:secret@127.0.0.1:{port}/x", 0.2)
        assert "secret" not in str(error.value)
        check_reachable(f"http://127.0.0.1:{port}/x", 0.2)
    with pytest.raises(DataError, match=rf"port {port}: Connection refused"):
        check_reachable(f"rtsp://127.0.0.1:{port}/x", 0.2)
    check_reachable("udp://239.0.0.1:1234", 0.2)


@contextlib.contextmanager
def motion_jpeg_camera(port=0, broken=0):
    """A network camera that sends JPEGs over HTTP, one after the other, for as long as the context lasts.

    broken: how many of them come before one that is broken, each time; 0: none is.
    """
    going = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=part")
            self.end_headers()
            for number in itertools.count():
                if going.is_set():
                    return
                jpeg = cv2.imencode(".jpg", picture(20 * number, (120, 160)))[1].tobytes()
                if broken and number % (broken + 1) == broken:
                    jpeg = bytes(len(jpeg))
                head = f"--part\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                with contextlib.suppress(OSError):
                    self.wfile.write(head.encode() + jpeg + b"\r\n")
                time.sleep(0.04)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        going.set()
        server.shutdown()
        server.server_close()


def test_a_network_camera_is_read_and_found_again():
    events, shapes, off = [], set(), False
    with contextlib.ExitStack() as server, contextlib.ExitStack() as again:
        port = server.enter_context(motion_jpeg_camera())
        address = f"yard=http://u:secret@127.0.0.1:{port}/video.mjpg"
        site = Sources([address], rate=20, seconds=20, patience=replace(QUICK, silence=2), on_event=events.append)
        for _, frames in site:
            shapes |= {frame.shape for frame in frames.values()}
            kinds = [event.kind for event in events]
            if shapes and not off:
                server.close()
                off = True
            elif kinds == ["camera_lost"] and off != "back":
                again.enter_context(motion_jpeg_camera(port))
                off = "back"
            elif "camera_back" in kinds:
                site.stop()
    assert shapes == {(120, 160, 3)}
    assert [event.kind for event in events] == ["camera_lost", "camera_back"]
    assert "secret" not in "".join(event.to_json() for event in events)


def test_a_broken_picture_of_a_network_camera_is_passed_by():
    with motion_jpeg_camera(broken=5) as port:
        capture = open_capture(parse_address(f"http://127.0.0.1:{port}/video.mjpg"), replace(QUICK, silence=2))
        got = [capture.read() for _ in range(20)]
        capture.close()
    assert None not in got, "the camera is there"
    assert 1 <= sum(picture is None for _, picture in got) <= 5


# Who is told


def test_a_listener_that_fails_is_dropped_and_the_others_hear_on(capsys):
    heard = []

    def deaf(event):
        raise OSError("no broker")

    listeners = Listeners([deaf, heard.append])
    listeners.add(heard.append)
    listeners(Event(1.0, "camera_lost", "dock", detail={"reason": "unplugged"}))
    listeners(Event(2.0, "camera_back", "dock", detail={"seconds": 1.0}))
    assert [event.kind for event in heard] == ["camera_lost", "camera_back"]
    assert capsys.readouterr().err.count("no broker") == 1


def test_troubles_are_noted_on_the_terminal(capsys):
    for kind, detail in {
        "camera_lost": {"reason": "unplugged [now]"},
        "camera_back": {"seconds": 2.5},
        "camera_frozen": {"seconds": 20.2},
        "camera_changed": {"before": [480, 640], "now": [720, 1280]},
        "camera_ended": {"reason": "the file has ended"},
    }.items():
        print_trouble(Event(1.0, kind, "dock", detail=detail))
    said = capsys.readouterr().err
    for part in ("lost: unplugged [now]", "back after 2.5 s", "still since 20 s", "640×480 to 1280×720"):
        assert part in said
    assert "ended" not in said
