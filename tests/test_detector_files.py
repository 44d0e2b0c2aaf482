"""`reid detector`, and who is taken as detector where none is named. A small file stands in for the real one."""

import hashlib
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from sdk import MultiCameraTracker, ReIdentifier
from sdk.cli import main
from sdk.detector_files import DEFAULT, HOME, PUBLISHED, Published, fetch, folder, published, require, state, take
from sdk.doctor import BROKEN, MISSING, OK, examine
from sdk.errors import DataError
from sdk.terminal import transfer
from sdk.tracking import HogDetector
from sdk.tracking.detectors import default_detector, detector_maker
from sdk.tracking.detectors.model_file import ModelDetector
from tests.moving import ColourEngine
from tests.test_download import SIZE, Behaviour, serving
from tests.test_model_detectors import FRAME, write_model, yolo


def small(content, **changes):
    """A publication of `content`."""
    facts = {
        "name": DEFAULT, "what": "a small one", "url": "http://127.0.0.1:9/small.onnx", "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(), "licence": "Apache-2.0", "licence_url": "http://127.0.0.1/L",
        "input_size": (160, 128),
    }  # fmt: skip
    return Published(**facts | changes)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv(HOME, str(tmp_path / "home"))
    return tmp_path / "home" / "detectors"


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "given.onnx", yolo())


@pytest.fixture
def stand_in(home, model, monkeypatch):
    """The catalogue has a small file under the name of the usual detector."""
    detector = small(model.read_bytes())
    monkeypatch.setitem(PUBLISHED, DEFAULT, detector)
    return detector


def run(capsys, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["reid", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr()
    return end.value.code or 0, said.out, said.err


def test_the_catalogue_names_one_file_for_good():
    detector = published("yolox-nano")
    assert (detector.size, detector.licence, detector.file) == (3659407, "Apache-2.0", "yolox_nano.onnx")
    assert detector.sha256 == "c789161ed43c8269fcd4e67c67eeeb4e80c622da2eb296a20bc6007bd18a0b7d"
    for detector in PUBLISHED.values():
        assert detector.url.startswith("https://")
        assert len(bytes.fromhex(detector.sha256)) == 32
    with pytest.raises(DataError, match="there are: yolox-nano"):
        published("yolo-9000")


def test_the_folder_is_the_users_own(monkeypatch):
    def where(**environment):
        for name in (HOME, "XDG_DATA_HOME", "HOME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return str(folder())

    assert where(HOME="/home/ann") == "/home/ann/.local/share/aligned-reid/detectors"
    assert where(HOME="/home/ann", XDG_DATA_HOME="/data") == "/data/aligned-reid/detectors"
    assert where(HOME="/home/ann", XDG_DATA_HOME="data") == where(HOME="/home/ann"), "a relative one is to be ignored"
    assert where(HOME="/home/ann", XDG_DATA_HOME="/data", REID_HOME="/srv/reid") == "/srv/reid/detectors"
    assert where(HOME="/home/ann", REID_HOME="~/reid") == "/home/ann/reid/detectors"


def test_a_user_without_a_home_is_told(stand_in, monkeypatch, capsys):
    """A container's user by number alone."""

    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv(HOME)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    for act in (folder, lambda: fetch(stand_in), lambda: require(DEFAULT)):
        with pytest.raises(DataError, match=f"no home folder; set {HOME}"):
            act()
    assert default_detector() == "hog"
    assert f"no home folder; set {HOME}" in capsys.readouterr().err


def test_a_home_that_cannot_be_written_is_named(stand_in, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(HOME, str(tmp_path / "file"))
    with pytest.raises(DataError, match=rf"file/detectors: cannot be written .*set {HOME}"):
        fetch(stand_in)
    with pytest.raises(DataError, match=f"set {HOME}"):
        take(stand_in, tmp_path / "given.onnx")


def test_get_fetches_shows_the_licence_and_needs_no_network_again(stand_in, model, home, capsys, monkeypatch):
    behaviour = Behaviour(content=model.read_bytes())
    with serving(behaviour) as url:
        code, out, err = run(capsys, monkeypatch, "detector", "get", DEFAULT, "--url", url)
        assert (code, out) == (0, f"{home / 'small.onnx'}\n")
        assert "licence Apache-2.0, http://127.0.0.1/L" in err
        assert f"fetching small.onnx: 0.0 of {len(model.read_bytes()) / 1e6:.1f} MB" in err
        assert (home / "small.onnx").read_bytes() == model.read_bytes()
        assert run(capsys, monkeypatch, "detector", "get", DEFAULT, "--url", url)[0] == 0
        assert len(behaviour.asked) == 1
        (home / "small.onnx").write_bytes(b"damaged")
        assert run(capsys, monkeypatch, "detector", "get", DEFAULT, "--url", url)[0] == 0
    assert (home / "small.onnx").read_bytes() == model.read_bytes(), "a damaged one is mended"


def test_get_without_a_network_says_how_to_bring_the_file(stand_in, home, capsys, monkeypatch):
    code, out, err = run(capsys, monkeypatch, "detector", "get", DEFAULT)
    assert (code, out) == (1, "")
    for words in (
        "http://127.0.0.1:9/small.onnx: cannot be reached", "reid detector get yolox-nano --from small.onnx",
        f"copy it to {home / 'small.onnx'}", f"set {HOME}",
    ):  # fmt: skip
        assert words in err
    assert not list(home.iterdir())


def test_get_from_a_file_takes_the_published_one_alone(stand_in, model, home, tmp_path, capsys, monkeypatch):
    code, out, _ = run(capsys, monkeypatch, "detector", "get", DEFAULT, "--from", model)
    assert (code, out) == (0, f"{home / 'small.onnx'}\n")
    (tmp_path / "wrong.onnx").write_bytes(model.read_bytes()[::-1])
    for wrong, words in (("wrong.onnx", "wrong.onnx: its SHA-256 is"), ("absent.onnx", "absent.onnx: no such file")):
        code, _, err = run(capsys, monkeypatch, "detector", "get", DEFAULT, "--from", tmp_path / wrong)
        assert code == 1
        assert words in err
        assert "http://127.0.0.1:9/small.onnx" in err
    assert state(stand_in).sound, "the good one stays"
    code, _, err = run(capsys, monkeypatch, "detector", "get", DEFAULT, "--from", model, "--url", "http://h/x")
    assert code == 1
    assert "--from or --url" in err


def test_list_says_what_there_is_and_where(stand_in, model, home, capsys, monkeypatch):
    path = home / "small.onnx"

    def listed():
        code, out, _ = run(capsys, monkeypatch, "detector", "list")
        assert code == 0
        assert all(words in out for words in ("yolox-nano", "Apache-2.0", "http://127.0.0.1/L", "160×128"))
        return out

    assert f"is not here ({path})" in listed()
    take(stand_in, model)
    assert f"is here: {path}" in listed()
    path.write_bytes(b"short")
    assert f"is damaged ({path}: has 5 bytes, not {stand_in.size})" in listed()


def test_it_needs_none_of_the_trackers_packages():
    code = (
        "import sys\n"
        "for absent in ('supervision', 'trackers', 'PIL', 'torch', 'onnx'): sys.modules[absent] = None\n"
        "from sdk.cli import main\n"
        "sys.argv = ['reid', 'detector', 'list']\n"
        "main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "yolox-nano is not here" in result.stdout


def test_the_detector_that_is_here_is_taken_where_none_is_named(stand_in, model, capsys):
    reid = ReIdentifier(ColourEngine())
    tracker = MultiCameraTracker(reid)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("detector: hog, ")
    assert line.endswith("reid detector get yolox-nano")
    tracker.update({"dock": np.zeros((*FRAME, 3), np.uint8)})
    assert isinstance(detector_maker(default_detector())(), HogDetector)
    take(stand_in, model)
    capsys.readouterr()
    assert default_detector() == DEFAULT
    tracker = MultiCameraTracker(reid)
    for _ in range(5):
        tracks = tracker.update({"dock": np.zeros((*FRAME, 3), np.uint8)})["dock"]
    assert len(tracks) == 1, "the small model sees one person everywhere, and doubts another"
    assert capsys.readouterr().err == ""
    (folder() / "small.onnx").write_bytes(model.read_bytes()[::-1])
    assert default_detector() == "hog"
    (line,) = capsys.readouterr().err.splitlines()
    assert "is damaged" in line


def test_a_published_detector_is_named_with_options_or_not(stand_in, model):
    with pytest.raises(DataError, match=r"is not here .*: reid detector get yolox-nano"):
        MultiCameraTracker(ReIdentifier(ColourEngine()), DEFAULT)
    take(stand_in, model)
    make = detector_maker(DEFAULT)
    assert isinstance(make(), ModelDetector)
    assert make() is make(), "loaded once for all cameras"
    frame = np.zeros((*FRAME, 3), np.uint8)
    assert len(make()(frame)) > len(detector_maker(f"{DEFAULT}#score=1")()(frame)) == 0
    (folder() / "small.onnx").write_bytes(b"short")
    with pytest.raises(DataError, match=r"is damaged .*has 5 bytes.*: reid detector get yolox-nano"):
        detector_maker(DEFAULT)


@pytest.mark.parametrize("detector", [None, "yolox-nano"])
def test_track_names_the_command_that_mends_it(detector, home, tmp_path, capsys, monkeypatch):
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(3):
        cv2.imwrite(str(frames / f"{number}.png"), np.full((120, 160, 3), 60 + 12 * number, np.uint8))
    named = [] if detector is None else ["--detector", detector]
    code, _, err = run(capsys, monkeypatch, "track", frames, "-o", tmp_path / "out", *named)
    (line,) = [line for line in err.splitlines() if "detector get" in line]
    assert line.endswith("reid detector get yolox-nano")
    if detector is None:
        assert (code, line[:14]) == (0, "detector: hog,")
    else:
        assert code == 1
        assert err.startswith("error: the detector yolox-nano is not here")


def test_the_doctor_says_whether_it_is_here(stand_in, model, home):
    def found():
        return next(finding for finding in examine() if finding.what == "detector yolox-nano")

    assert found().state == MISSING
    assert "reid detector get yolox-nano" in found().remedy
    take(stand_in, model)
    assert (found().state, found().found) == (OK, str(home / "small.onnx"))
    (home / "small.onnx").write_bytes(b"short")
    assert found().state == BROKEN


def test_progress_is_lines_for_a_log(capsys):
    with transfer("fetching x", SIZE) as tell:
        for done in range(0, SIZE + 1, SIZE // 100):
            tell(done)
        tell(SIZE)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("fetching x: 0.0 of ")
    assert len(lines) == 5
