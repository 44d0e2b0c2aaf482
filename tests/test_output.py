"""Output never destroys: files take their names when they are whole, and no command overwrites what it reads."""

import contextlib
import importlib.util
import json
import os
import resource
import stat
import subprocess
import sys
import threading
import typing
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from sdk.cli import build_app
from sdk.embedding_files import find_images
from sdk.engines import load_engine, read_metadata
from sdk.errors import DataError, GalleryError, ReIDError
from sdk.folder import read_folder, read_image
from sdk.gallery import Gallery
from sdk.output import check_output, whole_file, whole_files, write_whole


@pytest.fixture
def old(tmp_path):
    """A good file from before."""
    path = tmp_path / "report.html"
    path.write_text("good")
    return path


@contextlib.contextmanager
def files_no_larger_than(size):
    """What a full disk is to whoever writes: the system takes a part, and then no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_is_written_whole_and_alone(old):
    write_whole(old, "größer\n")
    assert old.read_text(encoding="utf-8") == "größer\n"
    write_whole(old, b"\x00\xff")
    assert old.read_bytes() == b"\x00\xff"
    new = old.parent / "a" / "b" / "new.json"
    write_whole(new, "{}", durable=False)
    assert new.read_text() == "{}", "its folders are made"
    assert os.listdir(new.parent) == ["new.json"]


def test_it_has_its_name_at_the_end_only(old):
    with whole_file(old) as file:
        file.write("new")
        file.flush()
        assert old.read_text() == "good"
        assert all(name.startswith(".") for name in os.listdir(old.parent) if name != old.name)
    assert old.read_text() == "new"


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_what_is_left_early_leaves_the_earlier_file(old, kind):
    def write():
        with whole_file(old) as file:
            file.write("half")
            raise kind("stop")

    with pytest.raises(kind):
        write()
    assert old.read_text() == "good"
    assert os.listdir(old.parent) == [old.name]


def test_a_disk_that_fills_up_leaves_the_earlier_files(old):
    arrays, other = old.parent / "site.npz", old.parent / "site.jsonl"
    arrays.write_text("good")

    def export():
        with whole_files([arrays, other], error=GalleryError) as (first, second):
            second.write(b"whole")
            np.savez(first, embedding=np.zeros(5_000))

    with files_no_larger_than(10_000):
        with pytest.raises(DataError, match=r"report.html: cannot be written \(File too large\); make room there, or"):
            write_whole(old, "x" * 20_000)
        with pytest.raises(GalleryError, match=r"site.npz and .*site.jsonl: cannot be written"):
            export()
    assert {old.read_text(), arrays.read_text()} == {"good"}
    assert sorted(os.listdir(old.parent)) == ["report.html", "site.npz"]


def test_a_checkpoint_too_is_whole_or_the_earlier_one(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from training.checkpoint import save_tensors

    path = tmp_path / "last.pt"
    save_tensors({"weight": torch.ones(2)}, path)
    with files_no_larger_than(10_000), pytest.raises(DataError, match=r"last.pt: cannot be written \(File too large"):
        save_tensors({"weight": torch.zeros(5_000)}, path)
    assert torch.load(path, weights_only=True)["weight"].tolist() == [1, 1]
    assert os.listdir(tmp_path) == ["last.pt"]


def test_files_that_belong_together_take_their_names_together(old):
    other = old.parent / "other"

    def write(fail):
        with whole_files([old, other], "w") as (first, second):
            first.write("new")
            second.write("new")
            assert not fail

    with pytest.raises(AssertionError):
        write(fail=True)
    assert old.read_text() == "good"
    assert not other.exists()
    write(fail=False)
    assert {old.read_text(), other.read_text()} == {"new"}


def test_an_error_about_another_file_stays_what_it_is(old):
    with pytest.raises(FileNotFoundError), whole_file(old):
        (old.parent / "missing").read_text()
    assert old.read_text() == "good"


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_permissions_are_those_of_the_earlier_file_and_new_files_are_the_owners_alone(old):
    old.chmod(0o640)
    write_whole(old, "new")
    assert mode(old) == 0o640
    before = os.umask(0o027)
    try:
        write_whole(old.parent / "people", "new")
        write_whole(old.parent / "model", "new", private=False)
    finally:
        os.umask(before)
    assert (mode(old.parent / "people"), mode(old.parent / "model")) == (0o600, 0o640)


def test_a_planted_link_is_not_written_through(old, monkeypatch):
    """Not even by whoever knows what the file beside its place will be called."""
    monkeypatch.setattr("sdk.output.secrets.token_hex", lambda _: "00000000")
    (old.parent / ".new.00000000.part").symlink_to(old)
    with pytest.raises(DataError, match="File exists"):
        write_whole(old.parent / "new", "mine")
    assert old.read_text() == "good"


def test_a_link_is_written_through(old):
    elsewhere = old.parent / "elsewhere"
    elsewhere.mkdir()
    for target in (elsewhere / "there", elsewhere / "not-yet"):
        link = old.parent / f"link-to-{target.name}"
        link.symlink_to(target)
        write_whole(link, "new")
        assert link.is_symlink()
        assert target.read_text() == "new"


def test_what_is_no_ordinary_file_is_written_to(tmp_path):
    write_whole(os.devnull, "gone")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_text()))
    reader.start()
    check_output(pipe)
    write_whole(pipe, "told")
    reader.join(10)
    assert heard == ["told"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_standard_output_is_written_to_even_if_it_is_a_file(tmp_path):
    out = tmp_path / "out"
    with out.open("w") as file:
        code = "from sdk.output import write_whole; write_whole('/dev/stdout', 'told')"
        subprocess.run([sys.executable, "-c", code], stdout=file, check=True)
        assert os.path.samestat(os.fstat(file.fileno()), out.stat())
    assert out.read_text() == "told"


def test_what_cannot_be_written_is_named_before_any_work(old, monkeypatch):
    for path, reason in (
        (old.parent, "it is a folder"),
        (old / "below" / "x", "report.html is a file"),
        (old.parent / ("x" * 300), "File name too long"),
    ):
        for refuse in (check_output, lambda path: write_whole(path, "new")):
            with pytest.raises(DataError, match=r"cannot be written \(.*\); choose another path"):
                refuse(path)
        with pytest.raises(DataError, match=reason):
            check_output(path)
    monkeypatch.setattr(os, "access", lambda *_: False)  # whoever runs the tests may be allowed everything
    for path in (old, old.parent / "new"):
        with pytest.raises(DataError, match="write-protected"):
            check_output(path)
    with pytest.raises(DataError, match="write-protected"):
        write_whole(old, "new")
    assert old.read_text() == "good"


def test_an_output_that_is_an_input_is_refused(old, tmp_path):
    link, twin = tmp_path / "link", tmp_path / "twin"
    link.symlink_to(old)
    twin.hardlink_to(old)
    for output in (old, link, twin, tmp_path / ".." / tmp_path.name / old.name):
        with pytest.raises(DataError, match=r"is read as .*report.html, and would be overwritten; choose another path"):
            check_output(output, [tmp_path / "missing", old])
        with pytest.raises(DataError, match=r"is a file of .*, which is read; choose a path outside of it"):
            check_output(output, [tmp_path])
    check_output(tmp_path / "new", [old, tmp_path])
    check_output(None, [old])
    check_output(os.devnull, [os.devnull])


# Every command: what it writes where, and what it reads. A new one, or a new option with a path, must say.

FOLDERS = {
    "track": "track {people} -o {file}",
    "serve": "serve {people} -o {file} --port 0",
    "demo": "demo -o {file}",
    "search": "search --gallery {people} --identity 00000 -o {file}",
    "simulate people": "simulate people -o {file}",
    "simulate site": "simulate site -o {file}",
    "train": "train --data {people} -o {file}",
    "ablate": "ablate --data {people} -o {file}",
    "human": "human --data {people} --model {model} -o {file}",
    "map": "map {people} -o {file}",
}
"""Commands whose -o is a folder, and how to give them a file instead."""

FILES = {
    "report": ("report {run} -o {out}", "page.html", ["run/tracks.jsonl", "run/dock.mp4"]),
    "evaluate-tracks": ("evaluate-tracks {run} {run} -o {out}", "figures.json", ["run/tracks.jsonl"]),
    "gallery export": ("gallery export {gallery} -o {out}", "saved.npz", ["site.npz"]),
    "gallery backup": ("gallery backup {gallery} -o {out}", "copy.db", ["site.npz"]),
    "align": ("align {crop} {crop} --model {checkpoint} -o {out}", "path.png", ["people/00000/00_00.png"]),
    "evaluate": ("evaluate {model} --data {people} -o {out}", "e.json", ["model.onnx", "people/00000/00_00.png"]),
    "benchmark": ("benchmark {model} --data {people} -o {out}", "table.md", ["model.onnx", "people/00000/00_00.png"]),
    "calibrate": ("calibrate --model {model} --data {people} -o {out}", "calibrated.onnx", ["model.onnx"]),
    "embed": ("embed {people} --model {model} -o {out}", "features.npz", ["model.onnx", "people/00000/00_00.png"]),
    "adapt": ("adapt {people} --model {checkpoint} -o {out}", "adapted.onnx", ["model.pt", "people/00000/00_00.png"]),
    "convert": ("convert {model} --crops {people} -o {out}", "converted.onnx", ["model.onnx"]),
}
"""Commands whose -o is a file: how to call them, a name for the file, and inputs that it must not be."""

OTHER_FILES = {
    "benchmark --json": ("benchmark {model} --data {people} --json {out}", "figures.json", ["model.onnx"]),
    "calibrate --picture": (
        "calibrate --model {model} --data {people} --picture {out}", "scores.png", ["people/00000/00_00.png"],
    ),
    "calibrate --json": ("calibrate --model {model} --data {people} --json {out}", "figures.json", ["model.onnx"]),
    "evaluate --show": (
        "evaluate {model} --data {people} --show {folder}", "contact-sheet.png", ["people/contact-sheet.png"],
    ),
    "embed names": ("embed {people} --model {model} -o {folder}/features.npy", "features.txt", []),
    "convert --worst": (
        "convert {model} --crops {people} -o {spare} --worst {out}", "worst.png", ["people/00000/00_00.png"],
    ),
    "verify --worst": (
        "verify {model} {model} --crops {people} --worst {out}", "worst.png", ["people/00000/00_00.png"],
    ),
    "search picture": (
        "search --gallery {people} --identity 00000 --model {model} -o {folder}", "search.png", ["people/search.png"],
    ),
    "search facts": (
        "search --gallery {people} --identity 00000 --model {model} -o {folder}", "search.json", ["people/search.json"],
    ),
    "map picture": ("map {people} --model {model} -o {folder}", "map.png", ["people/map.png"]),
    "map page": ("map {people} --model {model} -o {folder}", "map.html", ["people/map.html"]),
    "train": ("train --data {people} --init {checkpoint} -o {folder}", "model.pt", ["model.pt"]),
    "ablate": ("ablate --data {people} --init {checkpoint} -o {folder}", "ablation.json", ["ablation.json"]),
    "human": ("human --data {people} --model {model} -o {folder}", "questions.json", []),
}  # fmt: skip
"""More that commands write."""

READ = {
    "--cache", "--calibration", "--certificate", "--config", "--crops", "--data", "--detections", "--from", "--gallery",
    "--init", "--key", "--model", "--plan", "--recipe", "--run", "--token-file", "--videos", "--weights", "--zones",
}  # fmt: skip
WRITTEN = {"--output", "--picture", "--json", "--show", "--worst"}


def walk(command, name=""):
    """(full name, command) of all commands below `command`."""
    if hasattr(command, "commands"):
        for part, below in command.commands.items():
            yield from walk(below, f"{name} {part}".strip())
    else:
        yield name, command


@pytest.fixture(scope="module")
def app():
    return build_app()


@pytest.fixture(scope="module")
def commands(app):
    return dict(walk(typer.main.get_command(app)))


def test_every_output_of_every_command_is_looked_at_here(commands):
    with_output = {name for name, command in commands.items() if any("-o" in p.opts for p in command.params)}
    assert with_output == FOLDERS.keys() | FILES.keys()
    paths = {
        next(opt for opt in param.opts if opt.startswith("--"))
        for command in commands.values()
        for param in command.params
        if param.param_type_name == "option" and "Path" in str(typing.get_type_hints(command.callback)[param.name])
    }
    assert paths >= {"--output", "--data"}
    assert paths <= READ | WRITTEN, "say of a new option whether it is read or written, and test it if it is written"


@pytest.fixture
def site(tmp_path, drawn_people, small_run, small_onnx):
    """Something of all that the commands read."""
    for number in range(4):
        folder = tmp_path / "people" / f"{number:05d}"
        folder.mkdir(parents=True)
        for path in (drawn_people / folder.name).glob("*_0[01].png"):
            (folder / path.name).write_bytes(path.read_bytes())
    (tmp_path / "model.onnx").write_bytes(small_onnx.read_bytes())
    (tmp_path / "model.pt").write_bytes((small_run / "model.pt").read_bytes())
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "dock.mp4").write_bytes(b"no video")
    record = {"camera": "dock", "track": 1, "identity": "ann", "box": [1, 2, 30, 90], "confidence": 1.0}
    lines = [json.dumps({"time": frame / 10, "frame": frame} | record) for frame in range(20)]
    (tmp_path / "run" / "tracks.jsonl").write_text("\n".join(lines) + "\n")
    with Gallery(tmp_path / "site.npz") as gallery:  # a name that an export would take
        gallery.add(np.eye(4, dtype=np.float32), identity="ann")
    return tmp_path


def invoke(app, line, site, out, checkpoint="model.pt"):
    names = {
        "people": site / "people",
        "crop": site / "people" / "00000" / "00_00.png",
        "model": site / "model.onnx",
        "checkpoint": site / checkpoint,
        "run": site / "run",
        "gallery": site / "site.npz",
        "file": site / "file",
        "spare": site / "spare.onnx",
        "folder": out.parent,
        "out": out,
    }
    # Word by word, so that no name of a folder is taken apart.
    result = CliRunner().invoke(app, [word.format(**names) for word in line.split()])
    assert result.exception is None or isinstance(result.exception, ReIDError), result.exception
    return result


@pytest.mark.parametrize("line", FOLDERS.values(), ids=FOLDERS)
def test_a_file_where_a_folder_is_wanted_is_refused_and_stays(app, site, line):
    (site / "file").write_text("mine")
    result = invoke(app, line, site, site / "file")
    assert isinstance(result.exception, DataError)
    assert "file" in str(result.exception)
    assert (site / "file").read_text() == "mine"


CASES = FILES | OTHER_FILES


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_no_command_overwrites_what_it_reads(app, site, case):
    line, _, inputs = case
    for name in inputs:
        path = site / name
        if not path.exists():
            path.write_bytes((site / "model.pt").read_bytes())
        before = path.read_bytes()
        result = invoke(app, line, site, path, checkpoint=name)
        assert isinstance(result.exception, DataError), result.output
        assert str(path) in str(result.exception)
        assert "choose" in str(result.exception)
        assert path.read_bytes() == before


LONG = ("train", "adapt", "ablate", "human")
NEEDS = {"map picture": "sklearn", "map page": "sklearn"}
"""Packages that not every machine has."""
WRITE = {
    name: case
    for name, case in CASES.items()
    if name not in LONG and (name not in NEEDS or importlib.util.find_spec(NEEDS[name]))
}


@pytest.mark.parametrize("case", WRITE.values(), ids=WRITE)
def test_no_command_leaves_half_a_file_or_takes_the_earlier_one(app, site, case, monkeypatch):
    line, name, _ = case
    out = site / "out" / name
    out.parent.mkdir()
    out.write_text("good")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        result = invoke(app, line, site, out)
    assert isinstance(result.exception, ReIDError), result.output
    assert "No space left on device" in str(result.exception)
    assert {path.name: path.read_text() for path in out.parent.iterdir()} == {name: "good"}
    result = invoke(app, line, site, out)
    assert result.exit_code == 0, result.exception
    assert out.read_bytes() != b"good"


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_what_no_file_can_be_called_is_refused(tmp_path, name):
    for refuse in (check_output, lambda path: write_whole(path, "new")):
        with pytest.raises(DataError, match="no name that a file can have"):
            refuse(tmp_path / name)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000])
@pytest.mark.parametrize("read", [load_engine, read_metadata, read_folder, find_images, read_image])
def test_what_no_file_can_be_called_is_not_there(read, name):
    with pytest.raises(ReIDError, match=r"no such|cannot be read"):
        read([Path(name)] if read is find_images else Path(name))
