"""Names of people and cameras are data: shown as they are, whatever they look like; some are refused."""

import json
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import supervision as sv
from rich.console import Console
from typer.testing import CliRunner

from sdk import Gallery, MultiCameraTracker, ReIdentifier
from sdk.cli import build_app, run_app
from sdk.errors import DataError, GalleryError, ReIDError
from sdk.events import Event
from sdk.gallery import gallery as gallery_module
from sdk.names import LONGEST, MOST_BYTES, camera_name, checked_name, distinct, visible, wrong_with_camera
from sdk.report import build_report
from sdk.serve import site as site_module
from sdk.terminal import notes, results
from sdk.video.records import RecordWriter
from sdk.video.sources import CameraReport, camera_names, parse_address, trouble_table
from sdk.video.sources.address import parse_addresses
from sdk.video.summary import Sighting, sightings_table
from tests.galleries import features_of
from tests.moving import BLUE, ColourEngine, World
from tests.stage import Stage, make_busy

PLAIN = ["ann [dock]", "[/ann]", "[bold]x", "back\\", ":smile:", "[link=file:///x]y", "入口の人", "عَلِي", "<b>z</b>"]
HOSTILE = {
    "ann\x1b[2J": r"ann\u001b[2J",
    "a\nb": r"a\u000ab",
    "c\x9b31m": r"c\u009b31m",
    "eve\u202etxt": r"eve\u202etxt",
    "\u2066x\u2069": r"\u2066x\u2069",
    "l\u2028m": r"l\u2028m",
    "o\u200fp": r"o\u200fp",
    "\x7f": r"\u007f",
}
"""Names that an old gallery may hold, and how they are shown."""


@pytest.fixture(scope="module")
def busy():
    return make_busy(Stage())


@pytest.fixture
def old_rules(monkeypatch):
    """As if names were still taken as they come."""
    with monkeypatch.context() as patch:
        for module in (gallery_module, site_module):
            patch.setattr(module, "checked_name", lambda name, what="": name)
        yield patch


@pytest.fixture
def wide(monkeypatch):
    """A terminal whose lines hold every table."""
    monkeypatch.setattr(results, "width", 200)


@pytest.mark.parametrize("name", PLAIN)
def test_a_name_may_look_like_anything(name):
    assert checked_name(name) == name
    assert visible(name) == name


@pytest.mark.parametrize(
    "name", [*HOSTILE, "\ud800", "", " ", None, 3, "x" * (LONGEST + 1), "入" * (MOST_BYTES // 3 + 1)]
)
def test_a_name_that_does_something_is_refused_everywhere(name, busy, tmp_path):
    with Gallery() as gallery:
        gallery.add(features_of("ann"), identity="ann", camera="dock")
        for fails in (
            lambda: gallery.add(features_of("bob"), identity=name),
            lambda: gallery.add(features_of("bob"), identity="bob", camera="" if name is None else name),
            lambda: gallery.rename("ann", name),
        ):
            with pytest.raises(GalleryError, match="name") as error:
                fails()
            assert str(error.value).isprintable()
        assert gallery.identities() == ["ann"]
    if isinstance(name, str):
        with pytest.raises(GalleryError):
            busy.site.rename("person-1", name)
        tracker = MultiCameraTracker(ReIdentifier(ColourEngine()), detector=World())
        with pytest.raises(GalleryError, match="a camera's name"):
            tracker.update({name: np.zeros((64, 64, 3), np.uint8)})
        assert wrong_with_camera(name)
        with RecordWriter(tmp_path, lambda *_: None) as records, pytest.raises(DataError, match="a camera's name"):
            records.write(0.0, name, 0, sv.Detections.empty())


def test_names_of_an_old_gallery_are_read_shown_used_renamed_and_forgotten(old_rules, wide, tmp_path):
    path = str(tmp_path / "old.db")
    with Gallery(path) as gallery:
        for name in HOSTILE:
            gallery.add(features_of(name), identity=name, camera=name)
    old_rules.undo()
    with Gallery(path) as gallery:
        assert gallery.identities() == sorted(HOSTILE)
        for name in HOSTILE:
            gallery.add(features_of(name), identity=name, camera=name)  # the tracker goes on with them
    app, run = build_app(), CliRunner().invoke
    listed = run(app, ["gallery", "list", path]).stdout
    assert all(shown in listed for shown in HOSTILE.values())
    assert visible(listed, but="\n") == listed
    as_json = run(app, ["gallery", "list", path, "--json"]).stdout
    assert visible(as_json, but="\n") == as_json
    assert sorted(row["identity"] for row in json.loads(as_json)) == sorted(HOSTILE)
    esc, line, *_, last = HOSTILE.values()
    told = run(app, ["gallery", "rename", path, esc, "--to", "ann"])
    assert (told.exit_code, told.stderr) == (0, f"'{esc}' is now 'ann'\n")
    assert run(app, ["gallery", "forget", path, line]).exit_code == 0
    assert run(app, ["gallery", "merge", path, last, "--into", "ann"]).exit_code == 0
    assert isinstance(run(app, ["gallery", "rename", path, "ann", "--to", "x\x1b"]).exception, GalleryError)
    with Gallery(path, read_only=True) as gallery:
        assert gallery.identities() == ["ann", *sorted([*HOSTILE][2:-1])]


def test_what_is_printed_is_plain_text(wide, tmp_path, capsys):
    names = [*PLAIN, *HOSTILE]
    tables = (
        sightings_table([Sighting(name, name, 0, 1, 10, 1) for name in names]),
        trouble_table([CameraReport(name, losses=1, reason=name) for name in names]),
    )
    for table in tables:
        for console in (results, Console(width=200)):  # ours, and the one of somebody who has asked for the table
            console.print(table)
            output = capsys.readouterr().out
            assert all(visible(name) in output for name in names)
            assert visible(output, but="\n") == output
    with Gallery(tmp_path / "site.db") as gallery:
        for name in PLAIN:
            gallery.add(features_of(name), identity=name)
    listed = CliRunner().invoke(build_app(), ["gallery", "list", str(tmp_path / "site.db")])
    assert (listed.exit_code, [name in listed.stdout for name in PLAIN]) == (0, [True] * len(PLAIN))


@pytest.mark.parametrize("name", [*PLAIN, *HOSTILE])
def test_what_is_told_is_plain_text(name, capsys):
    def fails(**_):
        raise ReIDError(f"'{name}' is not here")

    notes.print(f"forgot '{name}'", soft_wrap=True)
    with pytest.raises(SystemExit):
        run_app(fails)
    shown = visible(name, but="\n")  # of a message a line break is one: ours may have several lines
    assert capsys.readouterr().err == f"forgot '{shown}'\nerror: '{shown}' is not here\n"


def test_what_the_system_refuses_is_told_in_a_line(capsys):
    with pytest.raises(SystemExit) as end:
        run_app(lambda **_: os.stat("x" * 5000))
    assert (end.value.code, capsys.readouterr().err) == (1, f"error: {'x' * 80}: File name too long\n")


def test_an_event_is_one_line_of_plain_text():
    for name in [*PLAIN, *HOSTILE]:
        line = Event(1.0, "left", camera="dock", identity=name).to_json()
        assert len(line.splitlines()) == 1
        assert visible(line) == line
        assert json.loads(line)["identity"] == name


def test_a_report_holds_no_name_that_does_something(tmp_path):
    names = [*PLAIN, *HOSTILE]
    with (tmp_path / "tracks.jsonl").open("w") as file:
        for number, name in enumerate(names):
            row = {"time": 0.0, "camera": name, "frame": 0, "track": number, "identity": name}
            file.write(json.dumps(row | {"box": [0, 0, 10, 20], "confidence": 1.0}) + "\n")
    record = build_report(tmp_path, tmp_path / "report.html", title="\x1b\u202e</title>")
    assert sorted({visit.identity for visit in record.visits}) == sorted(names)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert visible(page, but="\n\t") == page
    assert "<b>z" not in page


# Cameras


@pytest.mark.parametrize("name", ["入口", "вход-2", "कैमरा", "مدخل", "porte.d’entrée", "dock_1"])
def test_a_camera_is_called_in_any_script(name):
    assert parse_address(f"{name}=rtsp://10.0.0.7/1").name == unicodedata.normalize("NFC", name)
    assert parse_address(f"{unicodedata.normalize('NFD', name)}=usb:0").name == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize("name", [".dock", "..", "do\u202eck", "d\x1bock", "x" * 101, "入" * 67])
def test_a_camera_whose_name_no_file_should_have_is_refused(name):
    with pytest.raises(DataError, match=r"a camera's name '.*' (has|is)") as error:
        parse_address(f"{name}=usb:0")
    assert str(error.value).isprintable()


def test_a_name_with_a_slash_is_a_path():
    with pytest.raises(DataError, match="no such video file"):
        parse_address("../dock=usb:0")


def test_default_names_are_fit_for_files():
    assert camera_names(["कैमरा.mp4", "x/..mp4", "a b\x1b.mp4", "~.mp4"]) == ["कैमरा", "camera", "a-b", "camera-2"]
    for text in ("入" * 300, "x" * 300, "../" * 100 + "é" * 150, "-" * 300):
        name = camera_name(text)
        assert len(name) <= LONGEST
        assert len(name.encode()) <= MOST_BYTES
        assert not wrong_with_camera(name)


def test_cameras_that_a_file_system_takes_for_one_are_told_apart(tmp_path):
    decomposed = unicodedata.normalize("NFD", "é")
    wanted = ["Dock", "dock", "é", decomposed, "É", "dock-2", "ß", "ss", "x" * 100, "X" * 100]
    names = distinct(wanted)
    assert names[:8] == ["Dock", "dock-2", "é", f"{decomposed}-2", "É-3", "dock-2-2", "ß", "ss-2"]
    assert names[9] == "X" * 98 + "-2"
    folded = [unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()) for name in names]
    assert len(set(folded)) == len(names)
    (tmp_path / "cameras.txt").write_text("Dock=usb:0\ndock=usb:1\n", encoding="utf-8")
    assert [address.name for address in parse_addresses([f"@{tmp_path / 'cameras.txt'}"])] == ["Dock", "dock-2"]


def test_a_camera_of_any_script_has_its_files(tmp_path):
    stage = Stage()
    stage.walk(2, 入口=[(BLUE, 10)])
    with RecordWriter(tmp_path, stage.tracker.identity_of) as records:
        records.write(0.0, "入口", 0, sv.Detections.empty())
    assert Path(tmp_path / "入口.txt").is_file()
