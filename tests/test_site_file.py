"""One YAML for a site: `reid run site.yaml` calls `reid track` or `reid serve` with what it says."""

import functools
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from sdk.cli import build_app
from sdk.commands.serve import serve
from sdk.commands.track import track
from sdk.errors import DataError, MissingPackageError
from sdk.gallery import Gallery
from sdk.site_file import read_site
from sdk.site_file.options import options_of
from sdk.tracking import TrackerConfig
from sdk.zones import Zones

ROOT = Path(__file__).parents[1]
TRACKED = "output: out\ncameras:\n  dock: usb:0\n"
SERVED = "page: true\ncameras:\n  dock: usb:0\n"


@pytest.fixture
def read(tmp_path):
    def read(text, **environment):
        (tmp_path / "site.yaml").write_text(text)
        return read_site(tmp_path / "site.yaml", track, serve, environment)

    return read


@pytest.fixture
def faults(read):
    """What is wrong with a text, a line each, without the folder before `site.yaml`."""

    def faults(text, **environment):
        with pytest.raises(DataError) as error:
            read(text, **environment)
        return [line[line.index("site.yaml") :] for line in str(error.value).splitlines()]

    return faults


@pytest.mark.parametrize(("command", "base"), [("track", TRACKED), ("serve", SERVED)])
def test_every_option_of_track_and_serve_can_be_said(read, tmp_path, command, base):
    """Of the commands as they are on the command line: a new option is here by itself."""
    params = typer.main.get_command(build_app()).commands[command].params
    tracked = options_of(track)
    for param in params:
        long = [opt for opt in param.opts if opt.startswith("--")]
        if not long or long == ["--json"]:  # the argument, which is the cameras; `reid run` has a --json of its own
            continue
        key = long[0].removeprefix("--").replace("-", "_")
        option = {"track": tracked, "serve": options_of(serve)}[command][key]
        assert option.parameter == param.name
        (tmp_path / "there").write_text("")
        said = {bool: "true", int: "3", float: "2.5", str: "some", Path: "there"}[option.kind]
        if key in ("config", "zones"):
            (tmp_path / "there").write_text("" if key == "config" else "cameras: {}")
        value = f"[{said}]" if option.several else said
        if command == "serve" and key not in tracked:
            text = base.replace("page: true", f"page: {{{key}: {value}}}")
            text = text.partition("cameras:")[0] if key == "simulated" else text  # a drawn site has its own
        else:
            text = base.replace("output: out\n", "") if key != "output" and "output" not in base else base
            text = (
                text.replace("output: out", f"output: {value}")
                if "output: out" in text and key == "output"
                else (f"{text}{key}: {value}\n")
            )
        values = read(text).values
        found = values[param.name][0] if option.several else values[param.name]
        expected = {"true": True, "3": 3, "2.5": 2.5}.get(said)
        assert found == expected if expected is not None else Path(found).name == said


def test_what_a_site_says_is_what_the_command_is_called_with(read, tmp_path):
    for name in ("model.onnx", "token"):
        (tmp_path / name).write_text("x")
    (tmp_path / "yard").mkdir()
    found = read(
        "cameras:\n"
        "  dock: {source: 'rtsp://${USER}:${PASSWORD}@10.0.0.7/one', lines: {door: [[0, 0], [0.5, 1]]}}\n"
        "  yard: {source: yard, fps: 5, live: true, zones: {all: [[0, 0], [1, 0], [1, 1]]}}\n"
        "model: model.onnx\ngallery: site.db\nretention: 30d\nconfig: {lost_seconds: 3}\n"
        "events: [seen.jsonl, 'mqtt://broker/${TOPIC}', '-']\n"
        "page: {port: 0, token_file: token}\n",
        USER="ann", PASSWORD="p@ss/w:rd", TOPIC="site/1",
    )  # fmt: skip
    zones = found.values.pop("zones")
    assert (found.page, found.retention) == (True, 30 * 86400)
    assert found.values == {
        "sources": ["dock=rtsp://ann:p%40ss%2Fw%3Ard@10.0.0.7/one", f"yard={tmp_path}/yard#fps=5&live"],
        "model": tmp_path / "model.onnx",
        "gallery": f"{tmp_path}/site.db",
        "config": TrackerConfig(lost_seconds=3),
        "events": [f"{tmp_path}/seen.jsonl", "mqtt://broker/site/1", "-"],
        "port": 0,
        "token_file": tmp_path / "token",
    }
    assert isinstance(zones, Zones)
    assert [shape.name for camera in zones for shape in (*zones.of(camera).zones, *zones.of(camera).lines)] == [
        "door",
        "all",
    ]


def test_all_that_is_wrong_is_said_with_its_line(faults):
    said = faults(
        "cameras:\n"
        "  dock:\n"
        "    sorce: usb:0\n"
        "  yard: missing.mp4\n"
        "  gate: {source: usb:1, zones: {z: [[0, 0], [1, 1]]}}\n"
        "rate: ten\n"
        "model: no.onnx\n"
        "second_pas: true\n"
        "page:\n"
        "  prot: 80\n"
        "video: true\n"
        "config: {lost: 1}\n"
    )
    assert [line.split(": ", 2)[:2] for line in said] == [
        ["site.yaml:2", "cameras.dock.source"],
        ["site.yaml:3", "cameras.dock.sorce"],
        ["site.yaml:4", "cameras.yard.source"],
        ["site.yaml:5", "cameras.gate"],
        ["site.yaml:6", "rate"],
        ["site.yaml:7", "model"],
        ["site.yaml:8", "second_pas"],
        ["site.yaml:10", "page.prot"],
        ["site.yaml:11", "video"],
        ["site.yaml:12", "config"],
    ]
    assert said[1] == "site.yaml:3: cameras.dock.sorce: no such key; did you mean source?"
    assert said[4] == "site.yaml:6: rate: is a text; give a number"
    assert said[6].endswith("no such key; did you mean second_pass?")
    assert said[8].endswith("a site with a page has no such option")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("output: out\n", "there are no cameras"),
        ("output: out\ncameras:\n", "site.yaml:2: cameras: there are no cameras"),
        ("page:\n" + TRACKED, "site.yaml:1: page: is empty; write true or false"),
        ("page: {simulated: true}\ncameras: {dock: usb:0}\n", "site.yaml:1: page.simulated: a drawn site"),
        (TRACKED + "<<: {rate: 3}\n", "site.yaml:4: <<: merges are not taken"),
        (TRACKED + "3: 1\n", "site.yaml:4: 3: no such key; there are cache, cameras, config, detections"),
        ("cameras: {dock: usb:0}\n", "output is missing"),
        (TRACKED + "rate: 5\nrate: 6\n", "site.yaml:5: rate: is there twice"),
        (TRACKED + "retention: 30d\n", "name one with 'gallery:'"),
        (TRACKED + "gallery: g.db\nretention: 30x\n", "site.yaml:5: retention: '30x' is no length of time"),
        (TRACKED + "detector: people.onnx\n", "people.onnx: no such file"),
        (TRACKED + "port: 80\n", "no such key"),
        (TRACKED + "events: 3\n", "events.0: is a whole number; give a text"),
        ("cameras: [usb:0]\noutput: out\n", "write a camera a line under it"),
        ("- 1\n", "holds no site"),
        ("cameras: {dock: usb:0\n", "is no YAML"),
        ("a: &x 1\nb: *x\n", "alias"),
        (TRACKED + "events: ['${file:nothing}']\n", "nothing: cannot be read"),
    ],
)
def test_a_file_that_cannot_be_is_refused(faults, text, says):
    assert any(says in line for line in faults(text)), faults(text)


def test_a_secret_is_in_no_message(read, faults, tmp_path):
    (tmp_path / "secret").write_text("hunter2\n")
    text = "output: out\nrate: '${KEY}'\ncameras:\n  dock: rtsp://me:${file:secret}@ho st/${KEY}\n"
    said = faults(text, KEY="hunter3")
    assert len(said) == 2
    assert not any("hunter" in line for line in said)
    quoted = [
        TRACKED + line for line in ("config: {caution: '${KEY}'}\n", "model: '${KEY}'\n", "config: {'x': 1, y: 2}\n")
    ]
    assert not any("hunter" in line for text in quoted for line in faults(text, KEY="hunter3"))
    assert faults(TRACKED + "gallery: ${MISSING}\n") == [
        "site.yaml:4: gallery: the variable MISSING is not set in the environment"
    ]


def test_numbers_and_switches_may_come_from_the_environment(read):
    text = "cameras: {dock: usb:0}\npage: {port: '${PORT}'}\nrate: '${RATE}'\nstrict: '${STRICT}'\n"
    values = read(text, PORT="8090", RATE="2.5", STRICT="true").values
    assert (values["port"], values["rate"], values["strict"]) == (8090, 2.5, True)


def test_without_pyyaml_the_extra_is_named(read, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingPackageError, match=r"pyyaml.*track"):
        read(TRACKED)


def test_the_example_is_right_and_says_so(monkeypatch):
    monkeypatch.setenv("DOCK_USER", "me")
    monkeypatch.setenv("DOCK_PASSWORD", "secret")
    done = CliRunner().invoke(build_app(), ["run", str(ROOT / "examples" / "site.yaml"), "--check"])
    assert done.exit_code == 0, done.exception
    assert "nothing is wrong; 2 cameras, with a page" in done.stderr
    assert "it would run reid serve; cameras: dock, yard; options: config, detector, events, gallery" in done.stderr
    assert "secret" not in done.stderr


def test_each_start_tracks_into_a_folder_of_its_own_and_sets_the_retention(tmp_path):
    (tmp_path / "dock").mkdir()
    for frame in range(3):
        cv2.imwrite(str(tmp_path / "dock" / f"{frame}.png"), np.full((96, 128, 3), 90, np.uint8))
    (tmp_path / "site.yaml").write_text(
        "cameras:\n  dock: {source: dock, zones: {all: [[0, 0], [1, 0], [1, 1]]}}\n"
        "detector: motion\noutput: runs\ngallery: site.db\nretention: 12h\nvideo: false\n"
    )
    for _ in range(2):
        done = CliRunner().invoke(build_app(), ["run", str(tmp_path / "site.yaml"), "--json"])
        assert done.exit_code == 0, done.exception
        assert json.loads(done.stdout) == {"sightings": []}
    runs = sorted((tmp_path / "runs").iterdir())
    assert len(runs) == 2
    assert all((run / "tracks.jsonl").is_file() for run in runs)
    with Gallery(tmp_path / "site.db", read_only=True) as gallery:
        assert gallery.retention == 12 * 3600


def test_the_retention_of_a_shared_gallery_is_kept_in_its_cache(tmp_path, monkeypatch):
    pytest.importorskip("pymilvus", reason="Milvus is not installed: pip install 'aligned-reid[milvus]'")
    asked = []
    stand_in = functools.wraps(track)(lambda **values: asked.append(values))
    monkeypatch.setattr(sys.modules["sdk.commands.track"], "track", stand_in)
    shared = "gallery: milvus://127.0.0.1:1/site\ncache: site.db\nretention: 1d\n"
    (tmp_path / "site.yaml").write_text(f"output: out\n{shared}cameras:\n  dock: usb:0\n")
    result = CliRunner().invoke(build_app(), ["run", str(tmp_path / "site.yaml")])
    assert result.exit_code == 0, result.exception
    assert asked[0]["cache"] == tmp_path / "site.db", "which was not there yet"
    with Gallery(tmp_path / "site.db", read_only=True) as gallery:
        assert gallery.retention == 86400


def test_a_site_with_a_page_is_served(tmp_path, monkeypatch):
    called = {}

    @functools.wraps(serve)
    def stand_in(**values):
        called.update(values)

    monkeypatch.setattr(sys.modules[serve.__module__], "serve", stand_in)
    (tmp_path / "site.yaml").write_text("page: {simulated: true, port: 0}\n")
    done = CliRunner().invoke(build_app(), ["run", str(tmp_path / "site.yaml")])
    assert done.exit_code == 0, done.exception
    assert called == {"simulated": True, "port": 0}
