"""What a command can be told, read from the command itself: there is no second list of its options."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", Path: "a path"}
"""Types of options, and what they are called in messages."""


@dataclass(frozen=True)
class Option:
    """An option of a command, or its argument, as a key of the file."""

    key: str
    """The long name without dashes: `--store-features` is `store_features`."""
    parameter: str
    """Of the command's function."""
    kind: type
    """Of `KINDS`."""
    several: bool
    """Whether it may be given several times: a list."""
    required: bool
    help: str


def options_of(command: Callable) -> dict[str, Option]:
    """All options and arguments of a command's function, by key."""
    hints = get_type_hints(command, include_extras=True)
    found = {}
    for parameter in inspect.signature(command).parameters.values():
        kind, *notes = get_args(hints[parameter.name])
        info = next(note for note in notes if isinstance(note, OptionInfo | ArgumentInfo))
        if get_origin(kind) is UnionType:
            kind = next(one for one in get_args(kind) if one is not type(None))
        several = get_origin(kind) is list
        option = Option(
            _key(info, parameter.name),
            parameter.name,
            get_args(kind)[0] if several else kind,
            several,
            parameter.default is inspect.Parameter.empty,
            info.help or "",
        )
        found[option.key] = option
    return found


def fits(value: object, kind: type) -> bool:
    """Whether a plain value of YAML is one of that kind."""
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, str if kind is Path else kind)


def from_text(text: str, kind: type) -> object:
    """What a text of the environment says, as a value of that kind; the text itself where it is none."""
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind not in (int, float):
        return text
    try:
        return kind(text)
    except ValueError:
        return text


def _key(info: OptionInfo | ArgumentInfo, parameter: str) -> str:
    # Names in `Annotated` have the first one where a default would be.
    names = [name for name in (info.default, *(info.param_decls or ())) if isinstance(name, str)]
    long = next((name.split("/")[0] for name in names if name.startswith("--")), parameter)
    return long.removeprefix("--").replace("-", "_")
