"""Pictures of people are kept where it was asked for alone, few of a track, and erased with whoever is forgotten."""

import stat

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from sdk import MultiCameraTracker, ReIdentifier
from sdk.cli import build_app
from sdk.errors import DataError
from sdk.serve import LiveSite
from sdk.video.crop_store import NAME, PER_TRACK, CropStore, discard_crops, read_crops
from sdk.video.recorder import Recorder
from sdk.video.run import run
from sdk.video.run_folder import RunFolder
from tests.moving import BLUE, RED, ColourEngine, World

SHIRTS = {"blue": BLUE, "red": RED}


class Engine(ColourEngine):
    """Sees the shirt alone, so that everybody looks the same in every crop."""

    def run(self, crops):
        return super().run(crops[:, 8:9, 8:9])


def record(folder, at=lambda live: None, last=lambda live: None):
    """Blue and red pass the dock for 20 s each; `at` is called between them, `last` at the end."""
    world = World()
    tracker = MultiCameraTracker(ReIdentifier(Engine()), detector=world, frame_rate=6)
    live = LiveSite(tracker, ["dock"])

    def ticks():
        for place, colour in enumerate((BLUE, RED)):
            for step in range(120):
                yield 100 * place + step / 6, {"dock": world.frame((colour, 10 + step, 50))}
            if not place:
                at(live)
        last(live)

    with (
        RunFolder(folder, "test") as opened,
        Recorder(opened, tracker, video=False) as recorder,
        CropStore(opened, tracker) as store,
    ):
        for listener in (recorder.listen, live.listen):
            tracker.add_listener(listener)
        run(ticks(), tracker, [recorder, live])
    return store


def shown(folder):
    """The shirts in the crops of a run, by the colour that most of a crop is nearest to."""
    found = []
    for crop in read_crops(folder):
        image = cv2.imdecode(np.frombuffer(crop.jpeg, np.uint8), cv2.IMREAD_COLOR)
        colour = image[4:-4, 4:-4].reshape(-1, 3).mean(axis=0)
        found.append(min(SHIRTS, key=lambda name: np.abs(colour - SHIRTS[name]).sum()))
    return found


def test_a_few_crops_of_each_track_are_kept_for_their_owner_alone(tmp_path):
    record(tmp_path / "run")
    crops = read_crops(tmp_path / "run")
    assert 6 <= len(crops) <= 2 * PER_TRACK
    assert {(crop.camera, crop.track) for crop in crops} == {("dock", 1), ("dock", 2)}
    times = [crop.time for crop in crops if crop.track == 1]
    assert min(np.diff(times)) >= 1
    assert shown(tmp_path / "run").count("blue") == len(times)
    assert stat.S_IMODE((tmp_path / "run" / NAME).stat().st_mode) == 0o600
    assert b"person-1" not in (tmp_path / "run" / NAME).read_bytes()


def test_who_is_forgotten_on_the_page_is_in_no_crop_and_gets_none(tmp_path):
    before = []

    def forget_blue(live):
        before.append(set(shown(tmp_path / "run")))
        live.rename("person-1", "ann")
        live.forget("ann")
        assert shown(tmp_path / "run") == []

    record(tmp_path / "run", at=forget_blue)
    assert before == [{"blue"}]
    assert set(shown(tmp_path / "run")) == {"red"}


def test_who_is_forgotten_after_the_run_too(tmp_path):
    store = record(tmp_path / "run")
    assert store.forget("person-1") == 1
    assert store.forget("nobody") == 0
    assert set(shown(tmp_path / "run")) == {"red"}


def test_the_command_erases_crops_and_all_can_be_discarded(tmp_path):
    record(tmp_path / "run")
    result = CliRunner().invoke(build_app(), ["forget", "person-1", "--run", str(tmp_path / "run")])
    assert result.exit_code == 0, result.exception
    assert "erased the crops of 1 tracks" in " ".join(result.stderr.split())
    assert set(shown(tmp_path / "run")) == {"red"}
    assert discard_crops(tmp_path / "run") is True
    assert discard_crops(tmp_path / "run") is False
    assert not (tmp_path / "run" / NAME).exists()
    with pytest.raises(DataError, match=r"crops.bin: no such file; the run kept no crops: .*--store-crops"):
        read_crops(tmp_path / "run")


def test_an_adaptation_reads_tracks_times_and_what_a_human_said(tmp_path):
    reading = pytest.importorskip("training.adaptation.reading")

    def last(live):
        live.merge("person-2", into="person-1")

    record(tmp_path / "run", last=last)
    crops = reading.read_crops([tmp_path / "run"])
    assert reading.is_run(tmp_path / "run")
    assert {(crop.camera, crop.track) for crop in crops.items} == {("dock", 1), ("dock", 2)}
    assert len(crops.must) == 1
    assert {crops.items[row].track for row in crops.must[0]} == {1, 2}
    assert crops.read(0).shape[2] == 3
    stored = read_crops(tmp_path / "run")
    pictures = {(crop.track, crop.jpeg): crop.time for crop in stored}
    assert len(crops) == len(pictures) < len(stored), "the same picture once more tells nothing"
    assert [crop.until for crop in crops.items] == [*pictures.values()]
    assert [*crops.thrown_away.values()] == [len(stored) - len(crops)]
    twice = reading.read_crops([tmp_path / "run", tmp_path / "run"])
    assert len({(crop.camera, crop.sequence, crop.track) for crop in twice.items}) == 4, "tracks of two runs are others"
    assert len(twice.must) == 2


def test_tracks_that_are_seen_at_once_are_two_people(tmp_path):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    from training.adaptation.crops import Crop, Crops
    from training.adaptation.tracklets import find_tracklets

    def seen(track, *times):
        return [Crop(tmp_path, "dock", "", track, time) for time in times]

    still = seen(5, 30)[0]._replace(until=35)
    crops = Crops((*seen(1, 0, 4), *seen(2, 3, 9), *seen(3, 5, 6), *seen(4, 20, 31), still, *seen(6, 34)), "made up")
    tracklets = find_tracklets(crops, np.eye(10, dtype=np.float32))
    assert tracklets.cannot.tolist() == [[0, 1], [1, 2], [3, 4], [4, 5]]
    assert tracklets.place.tolist() == [0, 1] * 4 + [0, 0]
