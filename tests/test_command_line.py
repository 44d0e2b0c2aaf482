"""What every command of `reid` has: a group, `--json` where it prints tables, whole values in a pipe."""

import ast
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

import sdk
from sdk import groups
from sdk.cli import build_app
from sdk.folder import write_image
from sdk.gallery import Gallery
from sdk.reidentifier import ReIdentifier
from sdk.terminal import Table, _Results, with_json


@pytest.fixture(scope="module")
def command():
    return typer.main.get_command(build_app())


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Two people of a gallery, their crops, and a third whom nobody knows."""
    folder = tmp_path_factory.mktemp("people")
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (3, 128, 64, 3), np.uint8)
    for name, crop in zip("abc", crops, strict=True):
        write_image(folder / "crops" / f"{name}.png", crop)
        write_image(folder / "known" / ("ann" if name == "a" else "bob") / "dock_1.png", crop)
    with Gallery(folder / "site.db") as gallery:
        reid = ReIdentifier(gallery=gallery)
        reid.enroll(crops[:1], identity="ann", camera="dock")
        reid.enroll(crops[1:2], identity="bob", camera="dock")
    return folder


def leaves(command, path=()):
    """All commands, with their words."""
    for name, one in getattr(command, "commands", {}).items():
        yield from leaves(one, (*path, name))
    if not hasattr(command, "commands"):
        yield path, command


def ask(*words):
    found = CliRunner().invoke(build_app(), [str(word) for word in words])
    assert found.exit_code == 0, found.output
    return found


def test_the_version_is_told_by_both_ways_to_the_command():
    assert ask("--version").stdout.strip() == f"aligned-reid {sdk.__version__}"
    told = subprocess.run([sys.executable, "-m", "sdk", "--version"], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == f"aligned-reid {sdk.__version__}"


def test_completion_is_printed_for_a_shell():
    asked = [sys.executable, "-m", "sdk", "--show-completion", "bash"]
    # Else the shell is the one that started this process, and there may be none.
    named = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    told = subprocess.run(asked, capture_output=True, text=True, env=named)
    assert told.returncode == 0
    assert "complete" in told.stdout


def test_every_command_stands_in_a_group(command):
    known = {getattr(groups, name) for name in dir(groups) if name.isupper()}
    for name, one in command.commands.items():
        assert one.rich_help_panel in known, f"{name} stands in no group of sdk/groups.py"


def test_every_command_that_prints_a_table_has_json(command):
    for path, one in leaves(command):
        options = {text for parameter in one.params for text in parameter.opts}
        source = inspect.unwrap(one.callback)
        tree = ast.parse(inspect.getsource(source).lstrip())
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        tables = {name for name in names if name in ("Table", "_print", "print_rankings", "print_evaluations")}
        tables |= {name for name in names if name.endswith(("_table", "_summaries"))}
        if tables and path != ("train",):  # its figures are in the checkpoint
            assert "--json" in options, f"reid {' '.join(path)} prints {', '.join(sorted(tables))}; give it with_json"


def test_a_table_for_other_programs_has_numbers_and_whole_records(capsys):
    results = _Results()
    table = Table("", "distance", "seen", name="found")
    table.add_row("[a]", "0.25", "–")
    table.add_row("007", "-1", "2.")
    table.add_row("b", "1", "", record={"name": "b", "distance": 1 / 3})
    table.add_row("all", "2", "", record={})
    with results.as_json():
        results.print("a line")
        results.print(table)
    told = capsys.readouterr()
    rows = [
        {"name": "[a]", "distance": 0.25, "seen": None},
        {"name": "007", "distance": -1, "seen": "2."},
        {"name": "b", "distance": 1 / 3},
    ]
    assert json.loads(told.out) == {"found": rows}
    assert "a line" in told.err


def test_what_was_found_before_a_failure_is_told(capsys):
    def fails():
        from sdk.terminal import results

        table = Table("n", name="found")
        table.add_row("1")
        results.print(table)
        raise ValueError("below the floor")

    with pytest.raises(ValueError, match="below the floor"):
        with_json(fails)(as_json=True)
    assert json.loads(capsys.readouterr().out) == {"found": [{"n": 1}]}


def test_a_narrow_terminal_folds_and_a_pipe_cuts_nothing(capsys, monkeypatch):
    path = "/somewhere/" + "very-long/" * 30 + "crop.png"
    table = Table("path", name="paths")
    table.add_row(path)
    monkeypatch.setenv("COLUMNS", "80")
    _Results().print(table)
    assert path in capsys.readouterr().out
    Console(width=40).print(table)
    told = "".join(line.strip("│┃ ") for line in capsys.readouterr().out.splitlines()[3:-1])
    assert told == path


def test_who_is_this_by_a_gallery(people):
    found = json.loads(ask("match", people / "crops", "--gallery", people / "site.db", "--json").stdout)["matches"]
    assert [one["identity"] for one in found[:2]] == ["ann", "bob"]
    assert [one["image"] for one in found] == ["a.png", "b.png", "c.png"]
    assert found[0]["distance"] == pytest.approx(0, abs=1e-5)
    assert {"identity", "distance", "camera"} <= found[0]["candidates"][0].keys()
    with Gallery(people / "site.db", read_only=True) as gallery:
        assert len(gallery) == 2, "it only reads"


def test_whoever_is_beyond_the_threshold_is_unknown(people):
    crop = people / "crops" / "c.png"
    words = "match", crop, "--gallery", people / "site.db", "--threshold", "0.0001"
    (one,) = json.loads(ask(*words, "--json").stdout)["matches"]
    assert one["identity"] is None
    assert one["threshold"] == 0.0001
    assert len(one["candidates"]) == 2
    text = ask(*words).stdout
    assert "unknown" in text
    assert "0 of 1 known" in text


def test_the_camera_is_the_one_that_took_the_images_not_one_to_look_in(people):
    words = "match", people / "crops" / "a.png", "--gallery", people / "site.db", "--camera", "lobby", "--json"
    (found,) = json.loads(ask(*words).stdout)["matches"]
    assert (found["identity"], found["candidates"][0]["camera"]) == ("ann", "dock")


def test_a_gallery_of_milvus_lite_is_a_gallery_though_it_is_a_folder(people, tmp_path):
    pytest.importorskip("milvus_lite", reason="Milvus Lite is not installed: pip install 'aligned-reid[milvus]'")
    store, crop = tmp_path / "site.milvus.db", people / "crops" / "a.png"
    ask("gallery", "enroll", store, "--identity", "ann", crop)
    (found,) = json.loads(ask("match", crop, "--gallery", store, "--json").stdout)["matches"]
    assert found["identity"] == "ann"
    (hit,) = json.loads(ask("search", crop, "--gallery", store, "-o", tmp_path / "out", "--json").stdout)["results"]
    assert hit["identity"] == "ann"


def test_who_is_this_by_a_folder(people):
    found = json.loads(ask("match", people / "crops" / "a.png", "--gallery", people / "known", "--json").stdout)[
        "matches"
    ]
    assert [one["identity"] for one in found] == ["ann"]


def test_a_gallery_that_is_not_there_is_said(people):
    found = CliRunner().invoke(build_app(), ["match", str(people / "crops"), "--gallery", str(people / "no.db")])
    assert found.exit_code == 1
    assert "no.db" in str(found.exception)
    assert not (people / "no.db").exists()


def test_no_module_of_a_command_makes_its_tables_elsewhere():
    """Rich's own tables would know nothing of `--json`."""
    for path in Path(sdk.__file__).parent.rglob("*.py"):
        if path.name != "terminal.py":
            assert "rich.table" not in path.read_text(), f"{path}: use sdk.terminal.Table"
