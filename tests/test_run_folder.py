"""A run's folder: what the run wrote is marked as its own, and nothing else is touched."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys
from datetime import datetime

import cv2
import numpy as np
import pytest
import supervision as sv
from typer.testing import CliRunner

from sdk import __version__
from sdk.cli import build_app
from sdk.errors import DataError, ReIDError
from sdk.report import PictureWriter
from sdk.video import run_folder
from sdk.video.annotate import AnnotatedVideo
from sdk.video.records import RecordWriter
from sdk.video.run_folder import PlainFolder, RunFolder, read_manifest


def manifest_of(folder):
    return json.loads((folder / "run.json").read_text())


@pytest.fixture
def used(tmp_path):
    """A folder with a finished run in it."""
    with RunFolder(tmp_path / "out", "reid track") as folder:
        folder.open("tracks.jsonl").close()
        with folder.open("dock.txt") as file:
            file.write("earlier")
    return folder.path


def test_run_marks_its_folder_from_the_start(tmp_path):
    with RunFolder(tmp_path / "a" / "out", "reid track") as folder:
        assert manifest_of(folder.path)["state"] == "running"
        with folder.open("tracks.jsonl") as file:
            file.write("größer\n")
        folder.claim("dock.mp4").write_bytes(b"video")
        assert manifest_of(folder.path)["files"] == ["dock.mp4", "tracks.jsonl"]
    written = manifest_of(folder.path)
    assert datetime.fromisoformat(written.pop("started")).tzinfo is not None
    assert written == {
        "format": 1,
        "command": "reid track",
        "version": __version__,
        "state": "finished",
        "files": ["dock.mp4", "tracks.jsonl"],
    }
    assert (folder.path / "tracks.jsonl").read_text(encoding="utf-8") == "größer\n"
    assert sorted(os.listdir(folder.path)) == ["dock.mp4", "run.json", "tracks.jsonl"]


def test_a_run_that_failed_before_it_wrote_anything_leaves_nothing(tmp_path):
    def fail(path, content):
        with RunFolder(path, "reid track") as folder:
            folder.open("tracks.jsonl").close()
            with folder.open("events.jsonl") as file:
                file.write(content)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail(tmp_path / "nothing", "")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ZeroDivisionError):
        fail(tmp_path / "something", "{}")
    assert manifest_of(tmp_path / "something")["state"] == "interrupted"
    (tmp_path / "theirs").mkdir()
    with pytest.raises(ZeroDivisionError):
        fail(tmp_path / "theirs", "")
    assert manifest_of(tmp_path / "theirs")["state"] == "interrupted", "a folder that was there stays"


def test_a_run_is_its_owners_alone(tmp_path):
    before = os.umask(0o022)
    try:
        with RunFolder(tmp_path / "run", "reid track") as folder:
            folder.open("tracks.jsonl").close()
        PlainFolder(tmp_path).claim("frame.mp4")
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "run").iterdir()}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "frame.mp4").stat().st_mode) == 0o600


@pytest.mark.parametrize("wrong", ["source", "detector"])
def test_a_command_that_fails_leaves_nothing_behind(tmp_path, wrong):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(2):
        cv2.imwrite(str(folder / f"{number}.png"), np.zeros((240, 320, 3), np.uint8))
    source = folder if wrong == "detector" else tmp_path / "missing.mp4"
    made = ["--gallery", tmp_path / "site.db", "--events", tmp_path / "events.jsonl", "-o", tmp_path / "out"]
    result = CliRunner().invoke(build_app(), list(map(str, ["track", source, "--detector", "no.onnx", *made])))
    assert isinstance(result.exception, ReIDError), result.output
    assert list(tmp_path.iterdir()) == [folder]


def test_run_that_ended_early_says_so(tmp_path):
    with RunFolder(tmp_path / "told", "reid track") as folder:
        folder.interrupted = True
    with pytest.raises(KeyboardInterrupt), RunFolder(tmp_path / "stopped", "reid track"):
        raise KeyboardInterrupt
    assert [manifest_of(tmp_path / name)["state"] for name in ("told", "stopped")] == ["interrupted"] * 2


def test_file_is_no_folder(tmp_path):
    file = tmp_path / "out"
    file.write_text("mine")
    for path in (file, file / "below"):
        with pytest.raises(DataError, match="out: is no folder"):
            RunFolder.check(path)
        with pytest.raises(DataError, match="out: is no folder"), RunFolder(path, "reid track"):
            pass
    assert file.read_text() == "mine"


def test_name_that_no_folder_can_have(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for name in ("x" * 300, "loop"):
        with pytest.raises(DataError, match=r"choose another|is no folder"):
            RunFolder.check(tmp_path / name)


@pytest.mark.parametrize("overwrite", [False, True])
def test_folder_that_no_run_made_is_refused(tmp_path, overwrite):
    (tmp_path / "dock.mp4").write_text("mine")
    with pytest.raises(DataError, match=r"is not empty, and no run made it \(dock.mp4 is in it\); choose a new folder"):
        RunFolder.check(tmp_path, overwrite=overwrite)
    with pytest.raises(DataError, match="is not empty"), RunFolder(tmp_path, "reid track", overwrite):
        pass
    assert os.listdir(tmp_path) == ["dock.mp4"]


def test_check_changes_nothing(tmp_path, used):
    RunFolder.check(tmp_path / "new" / "out")
    RunFolder.check(used, overwrite=True)
    assert os.listdir(tmp_path) == ["out"]
    assert (used / "dock.txt").read_text() == "earlier"


def test_used_folder_is_refused(used):
    when = manifest_of(used)["started"][:16].replace("T", " ")
    for tried in (lambda: RunFolder.check(used), lambda: RunFolder(used, "reid track").__enter__()):
        with pytest.raises(DataError, match=f"holds the run of {when}; choose another folder, or --overwrite"):
            tried()
    assert (used / "dock.txt").read_text() == "earlier"


def test_overwrite_deletes_the_earlier_runs_files_alone(used):
    (used / "notes.txt").write_text("mine")
    with RunFolder(used, "reid serve", overwrite=True) as folder:
        assert sorted(os.listdir(used)) == ["notes.txt", "run.json"]
        folder.open("lobby.txt").close()
    assert manifest_of(used)["files"] == ["lobby.txt"]
    assert (used / "notes.txt").read_text() == "mine"


def test_overwrite_of_a_killed_run(used):
    manifest = manifest_of(used) | {"state": "running"}
    (used / "run.json").write_text(json.dumps(manifest | {"files": [*manifest["files"], "never-made.mp4"]}))
    RunFolder.check(used, overwrite=True)
    with RunFolder(used, "reid track", overwrite=True):
        assert os.listdir(used) == ["run.json"]


def test_source_among_what_would_be_replaced(tmp_path, used):
    link, twin = tmp_path / "link.txt", tmp_path / "twin.txt"
    link.symlink_to(used / "dock.txt")
    twin.hardlink_to(used / "dock.txt")
    for source in (used / "dock.txt", link, twin, used):
        with pytest.raises(DataError, match=r"--overwrite would delete .*; choose another folder"):
            RunFolder.check(used, sources=[source], overwrite=True)
        with pytest.raises(DataError, match="is in use"):
            RunFolder.check(used, others=[source], overwrite=True)
    (used / "mine.mp4").write_text("mine")
    RunFolder.check(used, [used / "mine.mp4", tmp_path, tmp_path / "missing.mp4", tmp_path / "\0"], overwrite=True)


@pytest.mark.parametrize(
    "change",
    [
        "no JSON",
        "[]",
        "[" * 100_000,
        {"format": 2},
        {"state": "dancing"},
        {"started": "yesterday"},
        {"files": "dock.txt"},
        {"files": ["../mine.txt"]},
        {"files": ["/etc/passwd"]},
        {"files": [".."]},
        {"files": ["below/mine.txt"]},
        {"files": [""]},
        {"files": ["run.json"]},
        {"files": [3]},
        {"files": ["\ud800"]},
    ],
    ids=str,
)
def test_manifest_that_cannot_be_trusted(tmp_path, used, change):
    text = change if isinstance(change, str) else json.dumps(manifest_of(used) | change)
    (used / "run.json").write_text(text)
    (tmp_path / "mine.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(DataError, match=r"run.json: cannot be trusted \(.*\); choose a new folder"):
            RunFolder.check(used, overwrite=overwrite)
        with pytest.raises(DataError, match="cannot be trusted"), RunFolder(used, "reid track", overwrite):
            pass
    assert (used / "dock.txt").read_text() == "earlier"
    assert (tmp_path / "mine.txt").exists()


def test_manifest_without_a_field_or_a_link_is_not_trusted(tmp_path, used):
    manifest = manifest_of(used)
    del manifest["files"]
    (used / "run.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="has no 'files'"):
        read_manifest(used)
    (used / "run.json").rename(tmp_path / "elsewhere.json")
    (used / "run.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(DataError, match="no ordinary file"):
        RunFolder.check(used, overwrite=True)


def test_links_and_folders_in_a_files_place_stay(tmp_path, used):
    (tmp_path / "archive.txt").write_text("mine")
    (used / "dock.txt").unlink()
    (used / "dock.txt").symlink_to(tmp_path / "archive.txt")
    with pytest.raises(DataError, match=r"dock.txt: is no longer the file that the run wrote; move it away"):
        RunFolder.check(used, overwrite=True)
    assert (used / "dock.txt").is_symlink()


def test_files_of_others_are_not_touched(tmp_path):
    with RunFolder(tmp_path / "out", "reid track") as folder:
        (folder.path / "dock.txt").write_text("mine")
        (folder.path / "lobby.txt").symlink_to(tmp_path / "made-through-a-link")
        for name in ("dock.txt", "lobby.txt"):
            for touch in (folder.open, folder.claim, lambda name: folder.open(name, "ab")):
                with pytest.raises(DataError, match=f"{name}: is there, and this run did not make it"):
                    touch(name)
        folder.open("tracks.jsonl").close()
        with pytest.raises(DataError, match=r"dock.txt: is there"):
            folder.rename("tracks.jsonl", "dock.txt")
        for name in ("../away.txt", "a/b.txt", "run.json", "", ".."):
            with pytest.raises(DataError, match="no name for a file of a run"):
                folder.claim(name)
        with pytest.raises(DataError, match="no file of this run"):
            folder.rename("dock.txt", "yard.txt")
        assert manifest_of(folder.path)["files"] == ["tracks.jsonl"]
    assert (folder.path / "dock.txt").read_text() == "mine"
    assert not (tmp_path / "made-through-a-link").exists()


def test_own_files_are_opened_again_and_renamed(tmp_path):
    with RunFolder(tmp_path, "reid track") as folder:
        folder.open("tracks.jsonl").close()
        with folder.open("tracks.jsonl", "a", buffering=1) as file:
            file.write("monday")
        moved = folder.rename("tracks.jsonl", "tracks.2026-11-24.jsonl")
        with folder.open("tracks.jsonl") as file:
            file.write("tuesday")
        with pytest.raises(DataError, match="did not make it"):
            folder.rename("tracks.jsonl", "tracks.2026-11-24.jsonl")
    assert moved.read_text() == "monday"
    assert (tmp_path / "tracks.jsonl").read_text() == "tuesday"
    assert manifest_of(tmp_path)["files"] == ["tracks.2026-11-24.jsonl", "tracks.jsonl"]


def test_two_runs_never_share_a_folder(tmp_path):
    with RunFolder(tmp_path, "reid track"):
        for overwrite in (False, True):
            with pytest.raises(DataError, match="a run is writing into it now"):
                RunFolder.check(tmp_path, overwrite=overwrite)
            with pytest.raises(DataError, match="a run is writing"), RunFolder(tmp_path, "reid track", overwrite):
                pass
        assert manifest_of(tmp_path)["state"] == "running"
    RunFolder.check(tmp_path, overwrite=True)


def test_killed_runs_folder_is_not_locked(tmp_path):
    code = (
        "import sys, time; from sdk.video.run_folder import RunFolder\n"
        "with RunFolder(sys.argv[1], 'reid track') as folder:\n"
        "    folder.open('dock.txt').close(); print('ready', flush=True); time.sleep(60)"
    )
    run = subprocess.Popen([sys.executable, "-c", code, tmp_path / "out"], stdout=subprocess.PIPE, text=True)
    try:
        assert run.stdout.readline() == "ready\n"
        with pytest.raises(DataError, match="a run is writing into it now"):
            RunFolder.check(tmp_path / "out", overwrite=True)
        run.send_signal(signal.SIGKILL)
    finally:
        run.kill()
        run.communicate()
    assert manifest_of(tmp_path / "out")["state"] == "running"
    with RunFolder(tmp_path / "out", "reid track", overwrite=True):
        assert os.listdir(tmp_path / "out") == ["run.json"]


def test_full_disk_leaves_the_manifest_and_the_run(tmp_path, monkeypatch, capsys):
    def full(path, content):
        raise DataError(f"{path}: cannot be written (No space left on device)")

    with RunFolder(tmp_path, "reid track") as folder:
        folder.open("dock.txt").close()
        with monkeypatch.context() as patch:
            patch.setattr(run_folder, "write_whole", full)
            with folder.open("lobby.txt") as file:
                file.write("kept")
            assert manifest_of(tmp_path)["files"] == ["dock.txt"]
    assert "No space left on device" in capsys.readouterr().err
    assert manifest_of(tmp_path)["files"] == ["dock.txt", "lobby.txt"]
    assert (tmp_path / "lobby.txt").read_text() == "kept"


def test_nothing_is_deleted_where_nothing_can_be_written(used, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = (used / "run.json").read_text()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DataError, match=r"run.json: cannot be written"), RunFolder(used, "reid track", True):
            pass
    assert (used / "run.json").read_text() == before
    assert (used / "dock.txt").read_text() == "earlier"
    RunFolder.check(used, overwrite=True)  # and it is not locked


def seen():
    return sv.Detections(
        xyxy=np.float32([[20, 10, 40, 60]]),
        confidence=np.float32([0.9]),
        tracker_id=np.array([1]),
        data={"identity": np.array(["ann"], dtype=object)},
    )


def test_records_pictures_and_videos_belong_to_the_run(tmp_path):
    midnight = datetime(2026, 11, 25).timestamp()
    frame = np.full((96, 128, 3), 90, np.uint8)
    with RunFolder(tmp_path, "reid track") as folder:
        with (
            RecordWriter(folder, lambda *_: "ann") as records,
            PictureWriter(folder) as pictures,
            AnnotatedVideo(folder.path / "dock.mp4", 10, segment=0.1, folder=folder) as video,
        ):
            for number in range(2):
                records.write(midnight - 1 + number, "dock", number, seen())
                pictures.write(midnight - 1 + number, "dock", frame, seen())
                video.write(frame, seen())
        files = manifest_of(tmp_path)["files"]
    assert files == [
        "dock.2026-11-24.txt", "dock.from-1.mp4", "dock.mp4", "dock.txt",
        "pictures.jsonl", "tracks.2026-11-24.jsonl", "tracks.jsonl",
    ]  # fmt: skip
    assert sorted([*files, "run.json"]) == sorted(os.listdir(tmp_path))
    assert all((tmp_path / name).stat().st_size for name in files)


def test_writers_touch_no_file_that_the_run_did_not_make(tmp_path):
    with RunFolder(tmp_path, "reid track") as folder:
        for name in ("tracks.jsonl", "pictures.jsonl", "dock.mp4"):
            (tmp_path / name).write_text("mine")
        with pytest.raises(DataError, match=r"tracks.jsonl: is there"):
            RecordWriter(folder, lambda *_: "ann")
        with pytest.raises(DataError, match=r"pictures.jsonl: is there"):
            PictureWriter(folder)
        video = AnnotatedVideo(tmp_path / "dock.mp4", 10, folder=folder)
        with pytest.raises(DataError, match=r"dock.mp4: is there"), video:
            video.write(np.zeros((96, 128, 3), np.uint8), seen())
    assert {(tmp_path / name).read_text() for name in ("tracks.jsonl", "pictures.jsonl", "dock.mp4")} == {"mine"}
