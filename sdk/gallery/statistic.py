"""What a gallery keeps besides people: what was learned of many of them at once, such as how a camera sees.

A mean of one person is that person. So a gallery keeps nothing that is of fewer people than `FEWEST`, and when somebody
is forgotten it drops what is of fewer than `MANY`: one of so many cannot be told from their mean.
"""

import math
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sdk.errors import GalleryError

FEWEST = 10.0
"""People of whom a statistic must be."""
MANY = 50.0
"""People of whom it is when it stays though one of them is forgotten."""
MOST_BYTES = 4 << 20
"""Of all statistics of a gallery together."""
PIECE = 4000
"""Bytes that one record holds."""

_HEAD = struct.Struct("<IIIHd")
"""Number of the statistic, of the piece, how many pieces it has, bytes of this one, people."""
BODY = _HEAD.size + PIECE
"""Bytes of a record's body."""


class Statistic(NamedTuple):
    """Something that was learned of many people; what it says is its writer's affair."""

    people: float
    """Of how many; a weight where some count more than others."""
    content: bytes


def check(statistics: Sequence[Statistic]) -> None:
    """Raises `GalleryError` for one that is of too few people, or if they are too large together."""
    for number, statistic in enumerate(statistics):
        if not statistic.people >= FEWEST:
            raise GalleryError(
                f"statistic {number} is of {statistic.people:g} people; a gallery keeps those of {FEWEST:g} or more, "
                "since fewer can be told from their mean"
            )
    size = sum(len(statistic.content) for statistic in statistics)
    if size > MOST_BYTES:
        raise GalleryError(f"the statistics have {size} bytes, a gallery keeps {MOST_BYTES}; keep fewer of them")


def to_bodies(statistics: Iterable[Statistic]) -> list[bytes]:
    """The bodies of their records."""
    bodies = []
    for number, (people, content) in enumerate(statistics):
        count = max(1, math.ceil(len(content) / PIECE))
        for sequence in range(count):
            piece = content[sequence * PIECE : (sequence + 1) * PIECE]
            bodies.append(_HEAD.pack(number, sequence, count, len(piece), people) + piece.ljust(PIECE, b"\0"))
    return bodies


def from_bodies(bodies: Iterable[bytes]) -> tuple[list[Statistic], int]:
    """The statistics in records' bodies, and of how many a part is missing: those are left out."""
    parts: dict[int, dict[int, bytes]] = {}
    facts: dict[int, tuple[int, float]] = {}
    for body in bodies:
        number, sequence, count, size, people = _HEAD.unpack_from(body)
        parts.setdefault(number, {})[sequence] = body[_HEAD.size : _HEAD.size + size]
        facts[number] = count, people
    whole = [number for number in sorted(parts) if sorted(parts[number]) == list(range(facts[number][0]))]
    found = [Statistic(facts[n][1], b"".join(parts[n][i] for i in range(facts[n][0]))) for n in whole]
    return found, len(parts) - len(whole)
