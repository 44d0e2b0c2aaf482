"""The audit in a gallery's file: lines of numbers, each with a checksum of its own."""

import sqlite3
import struct

from sdk.gallery.records import Checksum, Cipher, bears_seal
from sdk.gallery.results import AuditLine

_COLUMNS = "time, action, number, target, exemplars"


class AuditLog:
    """Lines are only ever added."""

    def __init__(self, connection: sqlite3.Connection, seal: Checksum | Cipher):
        self._connection, self._seal = connection, seal

    def create(self) -> None:
        self._connection.execute(f"CREATE TABLE audit (id INTEGER PRIMARY KEY, {_COLUMNS}, seal)")

    def upgrade(self) -> None:
        """From schema 1, whose lines had no seals."""
        lines = self._connection.execute(f"SELECT id, {_COLUMNS} FROM audit").fetchall()
        self._connection.execute("ALTER TABLE audit ADD COLUMN seal")
        for number, *values in lines:
            if (line := _line(values)) is not None:
                self._connection.execute("UPDATE audit SET seal = ? WHERE id = ?", (self._sealed(number, line), number))

    def write(self, line: AuditLine) -> None:
        (number,) = self._connection.execute("SELECT coalesce(max(id), 0) + 1 FROM audit").fetchone()
        values = (number, line.time, line.action, line.number, line.into, line.exemplars, self._sealed(number, line))
        self._connection.execute(f"INSERT INTO audit (id, {_COLUMNS}, seal) VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def read(self, schema: int, problems: list[str]) -> list[AuditLine]:
        """Oldest first; lines that are damaged are left out and told in `problems`. Raises `sqlite3.Error`."""
        seal = "seal" if schema >= 2 else "NULL"
        lines, damaged = [], 0
        last = 0
        try:
            for number, *values, sealed in self._connection.execute(
                f"SELECT id, {_COLUMNS}, {seal} FROM audit ORDER BY id"
            ):
                damaged += number - last - 1 if schema >= 2 else 0  # lines that have vanished
                last = number
                line = _line(values)
                if line is None or (schema >= 2 and not bears_seal(self._seal, _place(number, line), sealed)):
                    damaged += 1
                else:
                    lines.append(line)
        except sqlite3.DatabaseError as error:
            problems.append(f"the audit cannot be read to its end ({error})")
        if damaged:
            problems.append(f"{damaged} lines of the audit are damaged")
        return lines

    def _sealed(self, number: int, line: AuditLine) -> bytes:
        return self._seal.seal(_place(number, line), b"")


def _line(values: list) -> AuditLine | None:
    """None for what cannot be one."""
    time, action, number, into, exemplars = values
    whole = isinstance(time, int | float) and isinstance(action, str) and isinstance(exemplars, int)
    return AuditLine(*values) if whole and all(isinstance(n, int | None) for n in (number, into)) else None


def _place(number: int, line: AuditLine) -> bytes:
    numbers = (-1 if n is None else n for n in (line.number, line.into))
    return b"audit" + struct.pack("<qdqqq", number, line.time, *numbers, line.exemplars) + line.action.encode()
