"""What a gallery's file says of itself outside of SQLite's log.

All that is written goes to the log (`site.db-wal`) first, so a copy of `site.db` alone is an earlier gallery, whole.
Therefore how many changes were acknowledged is also written into a page of the file itself, in its place, which SQLite
never touches after it was made: a copy whose log is missing has fewer changes than its mark says.
"""

import os
import sqlite3
import struct
import zlib
from typing import NamedTuple

_MAGIC = b"ReID-mark-of-file"
_MARK = struct.Struct(f"<{len(_MAGIC)}sQQQBI")
PAGE = 16384


class Mark(NamedTuple):
    """As of the last change that was acknowledged."""

    changes: int
    people: int
    exemplars: int
    traces: bool = False
    """Whether bytes of what was erased may still be in a file."""

    def pack(self) -> bytes:
        head = _MARK.pack(_MAGIC, *self, 0)[:-4]
        return head + struct.pack("<I", zlib.crc32(head))


def create(connection: sqlite3.Connection) -> None:
    """Make the page; in a transaction."""
    connection.execute("CREATE TABLE mark (id INTEGER PRIMARY KEY, content BLOB NOT NULL)")
    connection.execute("INSERT INTO mark VALUES (1, ?)", (Mark(0, 0, 0).pack(),))


def read(connection: sqlite3.Connection) -> Mark | None:
    """None if it is damaged, or not there."""
    try:
        row = connection.execute("SELECT content FROM mark WHERE id = 1").fetchone()
    except sqlite3.DatabaseError:
        return None
    content = row[0] if row else None
    if not isinstance(content, bytes) or len(content) != _MARK.size:
        return None
    magic, changes, people, exemplars, traces, checksum = _MARK.unpack(content)
    if magic != _MAGIC or zlib.crc32(content[:-4]) != checksum:
        return None
    return Mark(changes, people, exemplars, bool(traces))


def place(connection: sqlite3.Connection, descriptor: int) -> int | None:
    """Where the mark is in the file; None if its page is still in the log, or damaged."""
    row = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'mark'").fetchone()
    if row is None:
        return None
    start = (row[0] - 1) * PAGE
    page = os.pread(descriptor, PAGE, start)
    at = page.find(_MAGIC)
    return None if at < 0 or at + _MARK.size > len(page) else start + at


def write(descriptor: int, at: int, mark: Mark) -> None:
    """Raises `OSError`."""
    os.pwrite(descriptor, mark.pack(), at)
