"""Who is forgotten is in no byte of what a run has kept of people's looks: on the live page, and by command later."""

import numpy as np
import pytest
from typer.testing import CliRunner

from sdk import Gallery, MultiCameraTracker, ReIdentifier
from sdk.cli import build_app
from sdk.errors import DataError, GalleryError
from sdk.report.visits import read_record
from sdk.serve import LiveSite
from sdk.video.associate import associate, store_features
from sdk.video.features import NAME, read_features
from sdk.video.final_names import names_of
from sdk.video.forget import forget
from sdk.video.recorder import Recorder
from sdk.video.run import run
from sdk.video.run_folder import RunFolder
from tests.moving import BLUE, RED, ColourEngine, World

LOOKS = {
    name: ColourEngine().run(np.full((1, 8, 8, 3), colour, np.uint8))[0].astype("<f2").tobytes()
    for name, colour in (("blue", BLUE), ("red", RED))
}
SEVEN_MINUTES = 420


class Engine(ColourEngine):
    """Sees the shirt alone, so that everybody looks the same in every crop."""

    def run(self, crops):
        return super().run(crops[:, 8:9, 8:9])


def record(folder, gallery=None, between=lambda live: None, at=SEVEN_MINUTES, last=lambda live: None):
    """Blue and red pass the dock, and seven minutes later the lobby; `between` is called then, `last` at the end."""
    world = World()
    tracker = MultiCameraTracker(ReIdentifier(Engine(), gallery=gallery), detector=world, frame_rate=6)
    live = LiveSite(tracker, ["dock", "lobby"])

    def ticks():
        for start, camera in ((0, "dock"), (at, "lobby")):
            for place, colour in enumerate((BLUE, RED)):
                for step in range(20):
                    yield start + 10 * place + step / 6, {camera: world.frame((colour, 10 + 4 * step, 50))}
            for wait in (190, 200, 210):
                yield start + wait, {camera: world.frame()}
            if not start:
                between(live)
        last(live)

    with (
        RunFolder(folder, "test") as opened,
        Recorder(opened, tracker, video=False) as recorder,
        store_features(opened, tracker),
    ):
        for listener in (recorder.listen, live.listen):
            tracker.add_listener(listener)
        run(ticks(), tracker, [recorder, live])
    return tracker


def kept(folder):
    """Whose looks are in any file of a folder."""
    contents = [file.read_bytes() for file in folder.iterdir()]
    return {name for name, look in LOOKS.items() if any(look in content for content in contents)}


def test_forget_on_the_page_erases_the_features_of_the_run_that_goes_on(tmp_path):
    seen = []

    def forget_blue(live):
        seen.append(kept(tmp_path / "run"))
        live.rename("person-1", "ann")
        live.forget("ann")
        seen.append(kept(tmp_path / "run"))

    record(tmp_path / "run", between=forget_blue)
    assert seen == [{"blue", "red"}, {"red"}]
    features = read_features(tmp_path / "run")
    names = names_of(tmp_path / "run")
    assert ("dock", 1) not in zip(features.camera, features.track, strict=True)
    assert names["lobby", 1] not in ("ann", "person-1"), "who comes again is somebody new"
    assert associate(tmp_path / "run", ReIdentifier(Engine())).sightings, "the others are solved again as before"


def test_merged_people_are_forgotten_together_and_after_the_run_too(tmp_path):
    tracker = record(tmp_path / "run", last=lambda live: live.merge("person-1", "person-2"))
    assert kept(tmp_path / "run") == {"blue", "red"}
    tracker.forget("person-2")
    assert kept(tmp_path / "run") == set()
    assert len(read_features(tmp_path / "run")) == 0


def test_a_command_erases_somebody_from_a_gallery_and_runs(tmp_path):
    with Gallery(tmp_path / "site.db") as gallery:
        record(tmp_path / "one", gallery)
        record(tmp_path / "two", gallery)
        before = set(gallery.identities())
    assert before == {"person-1", "person-2"}
    runs = ["--run", str(tmp_path / "one"), "--run", str(tmp_path / "two")]
    done = CliRunner().invoke(build_app(), ["gallery", "forget", str(tmp_path / "site.db"), "person-1", *runs])
    assert done.exit_code == 0, done.output
    assert kept(tmp_path / "one") == kept(tmp_path / "two") == {"red"}
    with Gallery(tmp_path / "site.db", read_only=True) as gallery:
        assert gallery.identities() == ["person-2"]
    again = CliRunner().invoke(build_app(), ["forget", "person-1", *runs, "--gallery", str(tmp_path / "site.db")])
    assert again.exit_code == 0, "the runs know the name still"
    done = CliRunner().invoke(build_app(), ["forget", "person-2", *runs])
    assert done.exit_code == 0, done.output
    assert kept(tmp_path / "one") == kept(tmp_path / "two") == set()


def test_who_was_renamed_in_the_run_or_since_is_found_in_it(tmp_path):
    with Gallery(tmp_path / "site.db") as gallery:
        record(tmp_path / "run", gallery, last=lambda live: live.rename("person-1", "ann"))
        assert set(names_of(tmp_path / "run").values()) == {"ann", "person-2"}
        assert {visit.identity for visit in read_record(tmp_path / "run").visits} == {"ann", "person-2"}
        gallery.rename("person-2", "bob")
        done = forget("bob", gallery, [tmp_path / "run"])
        assert done.tracks == {tmp_path / "run": 2}
        assert kept(tmp_path / "run") == {"blue"}
        assert forget("ann", gallery, [tmp_path / "run"]).tracks == {tmp_path / "run": 2}
    assert kept(tmp_path / "run") == set()


def test_what_cannot_be_erased_is_told_and_nobody_is_half_forgotten(tmp_path):
    with Gallery(tmp_path / "site.db") as gallery:
        record(tmp_path / "run", gallery)
        with pytest.raises(GalleryError, match=r"identity 'eve' is not in the gallery nor in .*run"):
            forget("eve", gallery, [tmp_path / "run"])
        with pytest.raises(DataError, match="no run made it"):
            forget("person-1", gallery, [tmp_path])
        with RunFolder.reopen(tmp_path / "run"), pytest.raises(DataError, match="run"):
            forget("person-1", gallery, [tmp_path / "run"])
        features = tmp_path / "run" / NAME
        features.write_bytes(features.read_bytes()[:-40])
        with pytest.raises(DataError, match="is cut short"):
            forget("person-1", gallery, [tmp_path / "run"])
        assert "person-1" in gallery.identities()
    app = build_app()
    assert "say where" in str(CliRunner().invoke(app, ["forget", "ann"]).exception)
    missing = CliRunner().invoke(app, ["gallery", "forget", str(tmp_path / "no.db"), "ann"])
    assert "no such gallery" in str(missing.exception)
    assert not (tmp_path / "no.db").exists()
