"""Text that somebody else may have written or damaged, read with care: JSON, JSON Lines, YAML, and settings in them.

What cannot be used is one kind of error, whatever the libraries under it raise: not UTF-8, nested without end, a number
that no float holds, a date that is none.
"""

import json
import math
from collections.abc import Iterable, Iterator
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import get_args, get_origin, get_type_hints

from sdk.errors import DataError

DEEPEST = 20
"""Lists and mappings in one another in a YAML file: settings have two."""
LARGEST_INTEGER = 2**63 - 1
LARGEST = 1e11
"""Of the times, in s, and positions, in px, of a record: the year 5138."""

NUMBER, NAME = (int, float), (str, type(None))
TRACK = {"time": NUMBER, "camera": str, "frame": int, "track": int, "identity": NAME, "box": list, "confidence": NUMBER}
"""Fields of a track record."""
EVENT = {"time": NUMBER, "kind": str, "camera": NAME, "track": (int, type(None)), "identity": NAME, "detail": dict}
"""Fields of an event."""
DETAIL = {"seconds": NUMBER, "other": NAME, "reason": NAME}
"""Of an event's detail, where it has them: what readers of events go by."""
OF_TWO_NAMES = ("merged", "renamed")
"""Kinds of events by which one name, `detail["other"]`, becomes another."""


def parse_json(text: str | bytes) -> object:
    """The value of a JSON text (bytes: in UTF-8). Raises `ValueError` for anything else, NaN and infinity among it."""
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        return json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_integer)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse_yaml(text: str | bytes) -> object:
    """The value of a YAML text (bytes: in UTF-8); nothing but plain values is made. Raises `ValueError` for no YAML."""
    import yaml

    if isinstance(text, bytes):
        text = text.decode("utf-8")
    try:
        _check_depth(yaml.parse(text, yaml.SafeLoader), yaml)
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def mot_values(line: str) -> list[float]:
    """The numbers of one line of MOTChallenge text. Raises `ValueError` for what is none, or beyond `LARGEST`."""
    values = [float(value) for value in line.split(",")]
    if not all(abs(value) <= LARGEST for value in values):
        raise ValueError("a number is too large, or none")
    return values


def read_lines(path: Path, types: dict) -> Iterator[dict]:
    """The objects of a JSON Lines file, each with fields of these `types`, their numbers up to `LARGEST`.

    A last line that was never finished is passed over. Raises `DataError` naming a line that is no such object.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = parse_json(line)
            except ValueError:
                if not line.endswith(b"\n"):
                    return  # the program was killed while it wrote this
                raise DataError(f"{path}: line {number} is not JSON; remove it") from None
            missing = types if not isinstance(row, dict) else [name for name in types if name not in row]
            if missing:
                raise DataError(f"{path}: line {number} has no {', '.join(missing)}; it is not a file of `reid track`")
            wrong = [name for name, kind in types.items() if not _fits(row[name], kind)]
            if not wrong and "box" in types and [_fits(value, NUMBER) for value in row["box"]] != [True] * 4:
                wrong = ["box"]
            if not wrong and "detail" in types:
                there = [name for name in DETAIL if name in row["detail"]]
                wrong = [f"detail.{name}" for name in there if not _fits(row["detail"][name], DETAIL[name])]
            if not wrong and row.get("kind") in OF_TWO_NAMES and "detail" in types:
                named = {"identity": row["identity"], "detail.other": row["detail"].get("other")}
                wrong = [name for name, value in named.items() if not isinstance(value, str)]
            if wrong:
                raise DataError(
                    f"{path}: line {number} has a wrong {', '.join(wrong)}; it is not a file of `reid track`"
                )
            yield row


def check_types(values: object) -> None:
    """Raises `ValueError` naming a field of a dataclass whose value is not of the type that is written there.

    Of a dictionary the keys and values may be anything; a number is none where it is NaN or beyond `±2**64`.
    """
    for name, kind in get_type_hints(type(values)).items():
        if not _is_a(getattr(values, name), kind):
            wanted = kind.__name__ if isinstance(kind, type) else str(kind)
            raise ValueError(f"{name} is {getattr(values, name)!r}; it must be of the type {wanted}")


def _is_a(value: object, kind: object) -> bool:
    if get_origin(kind) is UnionType:
        return any(_is_a(value, each) for each in get_args(kind))
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        if kinds[-1] is Ellipsis:
            kinds = kinds[:1] * len(value) if isinstance(value, tuple) else ()
        return isinstance(value, tuple) and len(value) == len(kinds) and all(map(_is_a, value, kinds))
    if kind in (int, float):
        number = isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)
        return number and abs(value) <= 2**64
    return value is None if kind is NoneType else isinstance(value, get_origin(kind) or kind)


def _check_depth(events: Iterable, yaml) -> None:
    """Raises `ValueError` for YAML that is nested without end; reading all of it takes long."""
    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError("it is nested too deeply")


def _fits(value: object, kind: type | tuple) -> bool:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) > LARGEST:
        return False
    return isinstance(value, kind)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _integer(text: str) -> int:
    if len(text) > 20 or abs(value := int(text)) > LARGEST_INTEGER:
        raise ValueError("a number is too large")
    return value
