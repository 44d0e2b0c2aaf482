"""Files of a run that blocks are only ever added to, while it goes on.

Such a file is a line of JSON that says what it is, and behind it a block a row: its kind (`ROW`), the bytes of its two
parts, their CRC-32; the row as JSON, and what belongs to it. Each is added with one write, so a run that is killed
loses nothing but what it had not written yet. The last block (`DONE`) says how many rows there are. Only a run that
ended in order must have it.
"""

import contextlib
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sdk.errors import DataError
from sdk.output import remove_leftovers, whole_file
from sdk.video.run_folder import read_manifest

MOST = 1 << 20
"""Bytes of a block's part; more is damage."""

_HEAD = struct.Struct("<4sIII")
_ROW, _DONE = b"ROW_", b"DONE"

Row = tuple[list, bytes]
"""The values of a row, and what belongs to it."""


@dataclass(frozen=True)
class BlockFile:
    """A kind of such files."""

    what: str
    """In words, as the file says it of itself."""
    rows: str
    """What its rows are, in a word."""
    format: int
    remedy: str
    """What to do without it, in words."""
    is_row: Callable[[dict, list, bytes], bool]
    """Whether a row can be one, by what the file says of itself."""
    is_head: Callable[[dict], bool] = lambda head: True

    @contextlib.contextmanager
    def opened(self, path: Path) -> Iterator[tuple[dict, Iterator[Row]]]:
        """What a file says of itself, and its rows. Raises `DataError` that names the file and the remedy if it is not
        there, or damaged, cut short, another program's or a later release's."""
        try:
            with path.open("rb") as file:
                head = self._head(path, file)
                yield head, self._rows(path, file, head)
        except FileNotFoundError:
            raise DataError(f"{path}: no such file; the run kept no {self.rows}: {self.remedy}") from None

    def rewrite(self, path: Path, unwanted: Callable[[list], bool], done: bool) -> int:
        """Write the file anew without some rows; how many it has then. done: whether no more rows come."""
        count = 0
        with self.opened(path) as (head, rows), whole_file(path, "wb") as file:
            file.write(head_line(head))
            for row, content in rows:
                if not unwanted(row):
                    file.write(block(row, content))
                    count += 1
            if done:
                file.write(done_block(count))
        remove_leftovers(path)
        return count

    def damaged(self, path: Path) -> DataError:
        return DataError(f"{path}: is damaged; restore it from a copy, or remove it and {self.remedy}")

    def facts(self, **more) -> dict:
        """What a file of this kind says of itself."""
        return {"what": self.what, "format": self.format, **more}

    def _head(self, path: Path, file: IO[bytes]) -> dict:
        try:
            head = json.loads(file.readline(MOST))
            if head["what"] != self.what:
                raise ValueError
        except (ValueError, KeyError, TypeError, RecursionError):
            raise DataError(f"{path}: is no file of {self.what}; move it away, and {self.remedy}") from None
        if head.get("format") != self.format:
            raise DataError(
                f"{path}: has format {head.get('format')!r}, this release reads {self.format}: upgrade, or "
                f"{self.remedy}"
            )
        if not self.is_head(head):
            raise self.damaged(path)
        return head

    def _rows(self, path: Path, file: IO[bytes], head: dict) -> Iterator[Row]:
        count, ended = 0, _has_ended(path.parent)
        cut_short = DataError(f"{path}: is cut short; restore it from a copy, or remove it and {self.remedy}")
        while start := file.read(_HEAD.size):
            kind, said, size, checksum = _HEAD.unpack(start.ljust(_HEAD.size, b"\0"))
            if len(start) == _HEAD.size and (kind not in (_ROW, _DONE) or max(said, size) > MOST):
                raise self.damaged(path)
            content = file.read(said + size)
            if len(start) < _HEAD.size or len(content) < said + size:
                if ended is False:
                    return  # its run was killed while it wrote this
                raise cut_short
            if zlib.crc32(content) != checksum:
                raise self.damaged(path)
            value, rest = self._parse(path, content[:said]), content[said:]
            if kind == _DONE:
                if value != count or file.read(1):
                    raise self.damaged(path)
                return
            if not isinstance(value, list) or not self.is_row(head, value, rest):
                raise self.damaged(path)
            count += 1
            yield value, rest
        if ended:
            raise cut_short

    def _parse(self, path: Path, text: bytes) -> object:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise self.damaged(path) from None


def head_line(head: dict) -> bytes:
    """The first line of a file that says `head` of itself."""
    return json.dumps(head).encode() + b"\n"


def block(row: list, content: bytes) -> bytes:
    """A row as it stands in a file."""
    return _packed(_ROW, row, content)


def done_block(count: int) -> bytes:
    """What says that these were all rows."""
    return _packed(_DONE, count, b"")


def _packed(kind: bytes, value: object, content: bytes) -> bytes:
    said = json.dumps(value).encode()
    return _HEAD.pack(kind, len(said), len(content), zlib.crc32(said + content)) + said + content


class BlockWriter:
    """Adds rows to a new file; nothing waits in memory."""

    def __init__(self, kind: BlockFile, path: Path, head: dict):
        """Raises `DataError` if it cannot be written, as all of it does."""
        self.path, self.count, self._kind = path, 0, kind
        with told(path):
            self._file = path.open("wb", buffering=0)
        self._put(head_line(head))

    def add(self, row: list, content: bytes) -> None:
        """Add a row whole, or not at all."""
        self._put(block(row, content))
        self.count += 1

    def drop(self, unwanted: Callable[[list], bool]) -> None:
        """Erase rows."""
        self._file.close()
        try:
            self.count = self._kind.rewrite(self.path, unwanted, done=False)
        finally:
            self._file = self.path.open("ab", buffering=0)

    def close(self) -> None:
        """Say that this was all; once."""
        if self._file.closed:
            return
        try:
            self._put(done_block(self.count))
            with told(self.path):
                os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def _put(self, content: bytes) -> None:
        with told(self.path):
            end = self._file.seek(0, os.SEEK_END)
            try:
                while content:
                    content = content[self._file.write(content) :]
            except OSError:
                self._file.truncate(end)
                raise


def _has_ended(folder: Path) -> bool | None:
    """Whether the run of a folder has ended in order; None where nothing says so."""
    manifest = read_manifest(folder)
    return None if manifest is None else (manifest.former or manifest.state) != "running"


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Raise `DataError` for what the system has against writing `path`."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); make room there") from error
