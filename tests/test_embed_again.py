"""A recorded run is solved once more with another model: its features are made from the files that it read."""

import json
import shutil

import cv2
import numpy as np
import pytest
import supervision as sv
from typer.testing import CliRunner

from sdk import MultiCameraTracker, ReIdentifier
from sdk.cli import build_app
from sdk.engines import Metadata
from sdk.errors import DataError
from sdk.tracking import TrackerConfig
from sdk.video import associate as associate_module
from sdk.video.associate import associate, store_features
from sdk.video.features import NAME, read_features
from sdk.video.forget import forget
from sdk.video.origin import remember_origin
from sdk.video.recorder import Recorder
from sdk.video.run import run
from sdk.video.run_folder import RunFolder
from sdk.video.sources import Sources
from sdk.video.writer import VideoWriter
from tests.moving import BLUE, RED, ColourEngine, World

CAMERAS = ("dock", "lobby")


class OtherEngine(ColourEngine):
    """Sees other things: five numbers of a crop."""

    metadata = Metadata(
        "other", (32, 16), 5, "fp32", threshold={"value": 0.2, "tracklet_value": 0.2}, checkpoint_sha256="f" * 64
    )

    def run(self, crops):
        mean = crops.reshape(len(crops), -1, 3).mean(axis=1) - 110.0
        found = np.hstack([mean, mean[:, :1] - mean[:, 2:], mean[:, 1:2] * 0.5])
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32), None


def detector(frame):
    """Boxes of what is coloured."""
    coloured = (np.ptp(frame.astype(int), axis=2) > 60).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(cv2.dilate(coloured, np.ones((9, 9))))
    boxes = [(x, y, x + w, y + h) for x, y, w, h, area in stats[1:count] if area > 1500]
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return sv.Detections(boxes, confidence=np.full(len(boxes), 0.9, np.float32))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Two videos: blue and red pass the dock, then the lobby."""
    folder, world = tmp_path_factory.mktemp("recordings"), World()
    for start, camera in ((0, "dock"), (44, "lobby")):
        with VideoWriter(folder / f"{camera}.mp4", 10) as video:
            for tick in range(88):
                colour, step = (BLUE, tick - start) if tick < start + 22 else (RED, tick - start - 22)
                there = [(colour, 10 + 12 * step, 50)] if 0 <= step < 20 else []
                video.write(world.frame(*there))
    return folder


@pytest.fixture(scope="module")
def recorded(recordings):
    """A run over them, which kept its features."""
    with (
        Sources([str(recordings / f"{name}.mp4") for name in CAMERAS]) as site,
        RunFolder(recordings / "out", "test") as folder,
    ):
        tracker = MultiCameraTracker(ReIdentifier(ColourEngine()), detector, frame_rate=site.tick_rate)
        remember_origin(folder, site)
        with store_features(folder, tracker), Recorder(folder, tracker, video=False) as recorder:
            tracker.add_listener(recorder.listen)
            run(site, tracker, [recorder])
    return recordings


@pytest.fixture
def out(tmp_path, recorded):
    """A copy of both, to be changed."""
    shutil.copytree(recorded, tmp_path, dirs_exist_ok=True)
    with RunFolder.reopen(tmp_path / "out") as folder:
        sources = {name: str(tmp_path / f"{name}.mp4") for name in CAMERAS}
        folder.remember("origin", folder.fact("origin") | {"sources": sources})
    return tmp_path / "out"


def other():
    return ReIdentifier(OtherEngine())


def tracks_of(features):
    return sorted(zip(features.camera.tolist(), features.track.tolist(), strict=True))


@pytest.mark.parametrize("kept", [True, False])
def test_features_are_made_anew_of_the_same_tracks(out, kept):
    before = read_features(out)
    if not kept:
        with RunFolder.reopen(out) as folder:
            folder.remove(NAME)
    done = associate(out, other(), TrackerConfig(distance=0.3))
    assert len({s.identity for s in done.sightings}) == 2
    after = read_features(out)
    assert tracks_of(after) == tracks_of(before)
    assert after.fingerprint == "f" * 64
    assert after.embedding.shape == (len(before), 5)
    assert np.abs(np.linalg.norm(after.embedding.astype(float), axis=1) - 1).max() < 1e-2
    order = [list(zip(f.camera, f.track, strict=True)) for f in (before, after)]
    for place, track in enumerate(order[1]):
        then = order[0].index(track)
        assert abs(after.first[place] - before.first[then]) < 0.35
        assert abs(after.crops[place] - before.crops[then]) <= 3
        red = before.embedding[then][2] > 0.3
        assert (after.embedding[place][2] > 0.3) == red, "the same person's crops"
    (out.parent / "dock.mp4").unlink()
    assert associate(out, other(), TrackerConfig(distance=0.3)).changed == 0, "now they are kept"


def test_the_same_model_reads_no_video(out, monkeypatch):
    monkeypatch.setattr(associate_module, "embed_again", lambda *_: pytest.fail("it has the features"))
    associate(out, ReIdentifier(ColourEngine()))


@pytest.mark.parametrize("kept", [True, False])
def test_a_source_that_is_gone_is_named_and_nothing_changes(out, kept):
    if not kept:
        with RunFolder.reopen(out) as folder:
            folder.remove(NAME)
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    (out.parent / "lobby.mp4").unlink()
    remedy = "another model; name that one with --model" if kept else "kept no features; track it again"
    with pytest.raises(DataError, match=rf"{remedy}.*camera 'lobby': .*lobby.mp4 is no longer there"):
        associate(out, other())
    shutil.copy(out.parent / "dock.mp4", out.parent / "lobby.mp4")
    with pytest.raises(DataError, match="is no longer the recording that the run read"):
        associate(out, other())
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


def test_live_cameras_cannot_be_read_again(out):
    with RunFolder.reopen(out) as folder:
        folder.remember("origin", {})
    with pytest.raises(DataError, match="camera 'dock': its frames were not kept: they came from a live camera"):
        associate(out, other())


def test_ctrl_c_leaves_the_run_as_it_was(out, monkeypatch):
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    reid = other()
    calls = []

    def stop(crops, camera):
        calls.append(camera)
        raise KeyboardInterrupt

    monkeypatch.setattr(reid, "embed", stop)
    with pytest.raises(KeyboardInterrupt):
        associate(out, reid)
    assert calls
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


def test_who_was_forgotten_is_not_made_again(out):
    names = {row["identity"] for row in map(json.loads, (out / "tracks.jsonl").read_text().splitlines())}
    gone = sorted(name for name in names if name)[0]
    erased = forget(gone, None, [out]).tracks[out]
    assert erased > 0
    left = tracks_of(read_features(out))
    associate(out, other())
    assert tracks_of(read_features(out)) == left


def test_the_command_says_what_is_wrong(out):
    (out.parent / "dock.mp4").unlink()
    done = CliRunner().invoke(build_app(), ["associate", str(out)])
    assert done.exit_code != 0
    assert "dock.mp4 is no longer there" in str(done.exception)
