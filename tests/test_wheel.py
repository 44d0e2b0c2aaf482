"""What users install: the wheel and an editable clone, each in an environment of its own, seen by a type checker."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("sdk", "training", "converters")
RIGHT = """\
import numpy as np
from sdk import Features, Gallery, Match, MultiCameraTracker, ReIdentifier

reid = ReIdentifier(gallery=Gallery())
reid.enroll(["ann.png"], identity="ann", camera="dock")
found: list[Match] = reid.match([np.zeros((128, 64, 3), np.uint8)])
names: list[str | None] = [match.identity for match in found]
features: Features = reid.embed(["bob.png"])
tracks = MultiCameraTracker(reid).update({"dock": np.zeros((480, 640, 3), np.uint8)}, 0.0)
print(names, len(features), tracks["dock"].tracker_id)
"""


def done(*command: object, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess:
    """Run as from a shell of its own, without what the tests' environment says; `more` is said."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHONPATH", "MYPY", "REID"))}
    command = [*map(str, command)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=clean | more, cwd=cwd)


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """What a build reads, where it may leave its own files."""
    copy = tmp_path_factory.mktemp("clone")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for room in ROOMS:
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture(scope="module")
def wheel(clone, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    built = done(sys.executable, "-c", build, folder, cwd=clone)
    assert built.returncode == 0, built.stderr
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """Mypy's own, so that NumPy and others are read once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", params=["wheel", "editable"])
def python(request, clone, tmp_path_factory) -> Path:
    """The Python of an environment with nothing but the product; the packages it needs are those of the tests."""
    home = tmp_path_factory.mktemp(request.param)
    assert done(sys.executable, "-m", "venv", "--without-pip", home).returncode == 0
    python = home / "bin" / "python"
    what = ("-e", clone) if request.param == "editable" else (request.getfixturevalue("wheel"),)
    how = ("--python", python, "install", "--no-deps", "--no-index", "--no-build-isolation")
    # Building an editable install takes setuptools, which is in the tests' own environment alone.
    place = done(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
    packages = [folder for folder in sys.path if folder.endswith("-packages")]
    (Path(place) / "zz_of_the_tests.pth").write_text("\n".join(packages) + "\n")
    installed = done(sys.executable, "-m", "pip", *how, *what)
    assert installed.returncode == 0, installed.stderr
    return python


def test_the_wheel_holds_all_that_is_read_at_run_time(wheel):
    held = set(ZipFile(wheel).namelist())
    wanted = {f"{room}/py.typed" for room in ROOMS} | {"sdk/models/default.onnx", "training/models/drawn.pt"}
    kinds = (".onnx", ".json", ".pt", ".yaml", ".html", ".css", ".js", ".svg")
    tracked = done("git", "ls-files", *ROOMS, cwd=ROOT).stdout.splitlines()
    wanted |= {name for name in tracked if name.endswith(kinds) and "/plugin/" not in name}
    assert wanted <= held


def test_links_of_the_readme_work_on_an_index(wheel, clone, tmp_path):
    """Relative ones lead nowhere there: they are paths, or below the address that the build is told."""
    (metadata,) = [name for name in ZipFile(wheel).namelist() if name.endswith(".dist-info/METADATA")]
    plain = ZipFile(wheel).read(metadata).decode()
    assert "![" not in plain
    assert "[AlignedReID](https://arxiv.org/abs/1711.08184)" in plain, "what leads anywhere stays"
    assert not re.findall(r"\]\((?!https?:)", plain)
    assert "what `forget` guarantees (gallery (`docs/gallery.md`))" in plain
    build = "import sys; from setuptools import build_meta; build_meta.prepare_metadata_for_build_wheel(sys.argv[1])"
    at = "https://example.org/reid/blob/v1"
    told = done(sys.executable, "-c", build, tmp_path, cwd=clone, REID_REPOSITORY=at)
    assert told.returncode == 0, told.stderr
    linked = next(tmp_path.glob("*.dist-info/METADATA")).read_text()
    assert f"[security]({at}/docs/security.md)" in linked
    assert "(https://example.org/reid/raw/v1/docs/images/demo.jpg)" in linked
    links = re.findall(rf"\]\({at}/([^)#]+)", linked)
    assert len(links) > 15
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_a_misspelt_method_is_found_in_a_users_program(python, cache, tmp_path):
    (tmp_path / "right.py").write_text(RIGHT)
    (tmp_path / "wrong.py").write_text(RIGHT.replace("reid.embed", "reid.emmbed"))
    mypy = (sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "--cache-dir", cache)
    result = done(*mypy, "right.py", "wrong.py", cwd=tmp_path)
    told = result.stdout
    assert not result.stderr
    assert 'wrong.py:8: error: "ReIdentifier" has no attribute "emmbed"' in told
    assert "Found 1 error in 1 file (checked 2 source files)" in told, told
