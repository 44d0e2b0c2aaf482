"""A table of sealed records of one size, which are overwritten in place and never moved."""

import sqlite3
from collections.abc import Iterable, Iterator

from sdk.gallery.records import Checksum, Cipher, Damaged


class SlotTable:
    """Records by slot number. A slot that is erased holds zeros, and is used again before the table grows."""

    def __init__(self, connection: sqlite3.Connection, name: str, size: int, seal: Checksum | Cipher):
        """size: bytes of a record's body. Nothing is read or written yet."""
        self.name = name
        self.record_size = size + seal.overhead
        """Bytes that a record takes."""
        self._connection = connection
        self._seal = seal
        self._free: list[int] = []
        self._next = 1
        self.count = 0
        """Records that are there, as of `load` and what was done since."""

    @staticmethod
    def create(connection: sqlite3.Connection, name: str) -> None:
        connection.execute(f"CREATE TABLE {name} (slot INTEGER PRIMARY KEY, record BLOB NOT NULL)")

    def load(self, problems: list[str]) -> Iterator[tuple[int, bytes]]:
        """Every record: (slot, body). What is damaged is passed over and told in `problems`."""
        self._free, self._next, self.count = [], 1, 0
        for slot, record in self._read(problems):
            self._next = max(self._next, slot + 1)
            try:
                body = self._open(slot, record)
            except Damaged:
                problems.append(f"{self.name} {slot} is damaged")
                continue
            if body is None:
                self._free.append(slot)
            else:
                self.count += 1
                yield slot, body
        self._free.reverse()  # the first free slot is used first

    def _read(self, problems: list[str]) -> Iterator[tuple[int, bytes]]:
        try:
            yield from self._connection.execute(f"SELECT slot, record FROM {self.name} ORDER BY slot")
        except sqlite3.DatabaseError as error:
            problems.append(f"table {self.name} is damaged ({error})")
            raise TableDamaged from error

    def salvage(self, problems: list[str], last: int) -> Iterator[tuple[int, bytes]]:
        """As `load`, slot by slot up to `last`: passes over pages that SQLite cannot read."""
        lost = 0
        for slot in range(1, last + 1):
            try:
                body = self.get(slot)
            except Damaged:
                lost += 1
                continue
            if body is not None:
                yield slot, body
        if lost:
            problems.append(f"{lost} records of table {self.name} cannot be read")

    def get(self, slot: int) -> bytes | None:
        """The body of one record; None if there is none. Raises `Damaged`."""
        try:
            row = self._connection.execute(f"SELECT record FROM {self.name} WHERE slot = ?", (slot,)).fetchone()
        except sqlite3.DatabaseError as error:
            raise Damaged from error
        return None if row is None else self._open(slot, row[0])

    def _open(self, slot: int, record: object) -> bytes | None:
        """The body of a record as SQLite gave it; None if it is erased. A damaged page may make it anything."""
        if not isinstance(record, bytes) or len(record) != self.record_size:
            raise Damaged
        return self._seal.open(self._place(slot), record) if any(record) else None

    def put(self, bodies: Iterable[bytes]) -> list[int]:
        """Store new records; their slots."""
        slots, new, reused = [], [], []
        for body in bodies:
            if self._free:
                slot = self._free.pop()
                reused.append((self._seal.seal(self._place(slot), body), slot))
            else:
                slot, self._next = self._next, self._next + 1
                new.append((slot, self._seal.seal(self._place(slot), body)))
            slots.append(slot)
        self.count += len(slots)
        if reused:
            self._overwrite(reused)
        if new:
            self._connection.executemany(f"INSERT INTO {self.name} (slot, record) VALUES (?, ?)", new)
        return slots

    def put_at(self, slot: int, body: bytes) -> None:
        """Store the one record of a table that has no other: in its place, if it is there."""
        record = self._seal.seal(self._place(slot), body)
        if not self._connection.execute(f"UPDATE {self.name} SET record = ? WHERE slot = ?", (record, slot)).rowcount:
            self._connection.execute(f"INSERT INTO {self.name} (slot, record) VALUES (?, ?)", (slot, record))

    def put_back(self, slot: int, body: bytes) -> None:
        """Store a record under the slot that it had in another file."""
        self.put_at(slot, body)
        self.count += 1
        self._next = max(self._next, slot + 1)

    def replace(self, slot: int, body: bytes) -> None:
        self._overwrite([(self._seal.seal(self._place(slot), body), slot)])

    def erase(self, slots: Iterable[int]) -> None:
        """Overwrite records with zeros."""
        slots = list(slots)
        self._overwrite([(bytes(self.record_size), slot) for slot in slots])
        self._free += slots
        self.count -= len(slots)

    def clear(self) -> None:
        """Overwrite all records with zeros, damaged ones too."""
        self._connection.execute(f"UPDATE {self.name} SET record = ?", (bytes(self.record_size),))
        self._free = [s for (s,) in self._connection.execute(f"SELECT slot FROM {self.name} ORDER BY slot DESC")]
        self._next = 1 + max(self._free, default=0)
        self.count = 0

    def _overwrite(self, records: list[tuple[bytes, int]]) -> None:
        # The length stays, so SQLite writes over the old bytes instead of allocating anew.
        self._connection.executemany(f"UPDATE {self.name} SET record = ? WHERE slot = ?", records)

    def mark(self) -> tuple[list[int], int, int]:
        """Of the free slots; `restore` goes back to it when a transaction fails."""
        return self._free.copy(), self._next, self.count

    def restore(self, mark: tuple[list[int], int, int]) -> None:
        self._free, self._next, self.count = mark

    def _place(self, slot: int) -> bytes:
        return f"{self.name}/{slot}".encode()


class TableDamaged(Exception):
    """SQLite cannot read a table to its end."""
