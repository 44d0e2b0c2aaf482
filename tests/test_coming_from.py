"""docs/coming-from.md: every command and every name that it gives for ours is there."""

import importlib
import re
import shlex
from pathlib import Path

import pytest
import typer

from sdk.cli import build_app

PAGE = (Path(__file__).parent.parent / "docs" / "coming-from.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"`(?:[^`|]* )?(reid [a-z]+ [^`]*)`", PAGE)))
NAMES = sorted(set(re.findall(r"`((?:sdk|training)(?:\.\w+)+)", PAGE)))


@pytest.fixture(scope="module")
def commands():
    return typer.main.get_command(build_app()).commands


def test_the_page_has_commands_and_names():
    assert len(COMMANDS) > 20
    assert NAMES


@pytest.mark.parametrize("line", COMMANDS)
def test_its_commands_can_be_given_so(commands, line):
    _, name, *arguments = shlex.split(line)
    with commands[name].make_context(name, arguments):
        pass


@pytest.mark.parametrize("name", NAMES)
def test_its_names_are_there(name):
    module, _, what = name.rpartition(".")
    assert hasattr(importlib.import_module(module), what)
