"""What users are told to install, and that a command without its extra tells it."""

import ast
import re
import sys
from pathlib import Path

import pytest
import typer

from sdk import installing
from sdk.cli import run_app
from sdk.installing import EXTRAS, how_to_install

try:
    import tomllib
except ImportError:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CORE = {"numpy", "cv2", "onnxruntime", "typer", "rich", "sdk", "training", "converters"}


def imported(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {name.partition(".")[0] for name in names}


def test_every_package_of_an_extra_is_known_by_its_module():
    rooms = [path for room in ("sdk", "training", "converters") for path in (ROOT / room).rglob("*.py")]
    used = set().union(*map(imported, rooms)) - CORE - set(sys.stdlib_module_names)
    assert len(used) > 10
    assert used <= set(EXTRAS)
    for package, extra in EXTRAS.values():
        brought = [re.split(r"[<>=;\s]", line)[0].lower() for line in PROJECT["optional-dependencies"][extra]]
        assert package in brought, f"[{extra}] brings {package}"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Code in site-packages, and what pip wrote down of where it came from."""
    monkeypatch.setattr(installing, "__file__", str(tmp_path / "site-packages" / "sdk" / "installing.py"))

    def from_(origin: dict) -> str:
        monkeypatch.setattr(installing, "_direct_url", lambda: origin)
        return how_to_install("track")

    return from_


def test_from_a_clone_it_is_the_clone(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    assert how_to_install("track") == "pip install -e '.[track]'"
    assert how_to_install() == "pip install -e ."
    monkeypatch.chdir(tmp_path)
    assert how_to_install("track") == f"pip install -e '{ROOT}[track]'"


def test_from_elsewhere_it_is_what_pip_was_given(installed, tmp_path):
    assert installed({}) == "pip install 'aligned-reid[track]'"
    wheel = tmp_path / "it is.whl"
    wheel.touch()
    assert installed({"url": wheel.as_uri(), "archive_info": {}}) == f"pip install '{wheel}[track]'"
    gone = installed({"url": "file:///src", "dir_info": {}})
    assert gone == "pip install '/src[track]', once that is back there (an image: build it with EXTRAS=track)"
    assert how_to_install("mqtt").endswith("EXTRAS=track,mqtt)")
    git = {"url": "https://example.org/it.git", "vcs_info": {"vcs": "git", "commit_id": "0"}}
    assert installed(git) == "pip install 'aligned-reid[track] @ git+https://example.org/it.git'"


def test_a_command_without_its_extra_says_which(capsys):
    def command(error: str) -> None:
        raise ModuleNotFoundError(f"No module named {error!r}", name=error)

    app = typer.Typer()
    app.command()(command)
    monkeyed = sys.argv
    try:
        sys.argv = ["reid", "scipy.optimize"]
        with pytest.raises(SystemExit) as ended:
            run_app(app)
        sys.argv = ["reid", "of_nobody"]
        with pytest.raises(ModuleNotFoundError):
            run_app(app)
    finally:
        sys.argv = monkeyed
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert told.startswith("error: this command needs the package 'scipy', which is not installed: pip install")
    assert "[track]" in told
