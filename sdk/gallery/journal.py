"""The durable gallery: a SQLite file in WAL mode. What was written when a call returned is on the disk.

A page is 16 KB. Records are overwritten in place (see `slots`), freed content is overwritten with zeros, and after an
erasure the WAL is copied into the file and cut to nothing, so no file keeps a byte of what was forgotten.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sdk.errors import GalleryError
from sdk.gallery.lock import WriterLock
from sdk.gallery.records import (
    KEY_VARIABLE,
    Checksum,
    Cipher,
    Damaged,
    ExemplarLayout,
    IdentityRecord,
    pack_identity,
    pack_name,
    unpack_identity,
    unpack_name,
)
from sdk.gallery.results import AuditLine
from sdk.gallery.slots import SlotTable, TableDamaged
from sdk.gallery.statistic import BODY, Statistic, from_bodies, to_bodies

SCHEMA = 1
APPLICATION = 0x52654944
"""SQLite's application_id of a gallery: "ReID"."""
WAIT = 5.0
"""Seconds to wait for another process that reads."""
CHUNK = 4000
"""Bytes of a stored crop that one record holds."""
_CHUNK_HEAD = 14

TABLES = ("identity", "camera", "exemplar", "chunk")
STATISTIC = "statistic"
"""A table that galleries of earlier releases get when they are opened for writing."""


@dataclass
class Contents:
    """What a gallery file holds."""

    identities: list[tuple[int, IdentityRecord]] = field(default_factory=list)
    """(slot, identity)."""
    cameras: list[tuple[int, str | None]] = field(default_factory=list)
    exemplars: list[tuple[int, tuple]] = field(default_factory=list)
    """(slot, what `ExemplarLayout.unpack` gives)."""
    chunks: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """By exemplar slot: (sequence, slot of the chunk)."""
    problems: list[str] = field(default_factory=list)


class Journal:
    """An open gallery file. Used by one thread at a time."""

    def __init__(self, path: str | Path, read_only: bool = False, passphrase: str | None = None):
        """Open or create. Raises `GalleryError` naming the file and the remedy: another process writes it, it is no
        gallery, of a newer release, encrypted with another key, or cannot be written."""
        self.path = Path(path)
        self.read_only = read_only
        if read_only and not self.path.is_file():
            raise GalleryError(f"{self.path}: no such gallery; check the path")
        if not read_only and not self.path.parent.is_dir():
            raise GalleryError(f"{self.path}: the folder {self.path.parent} does not exist; make it first")
        self._lock = None if read_only else WriterLock(self.path)
        self._connection = None
        self._new = False
        try:
            with self._told("opened"):
                self._connection = self._connect()
                self._check_kind()
                if not read_only:
                    self._prepare()
            self.meta = self._read_meta()
            self._seal = self._make_seal(passphrase)
        except BaseException:
            self.close()
            raise
        self._tables: dict[str, SlotTable] = {}
        self.layout: ExemplarLayout | None = None
        for name, body in (("identity", pack_identity(IdentityRecord(0, b"", 0, ""))), ("camera", pack_name(""))):
            self._tables[name] = SlotTable(self._connection, name, len(body), self._seal)
        self._tables["chunk"] = SlotTable(self._connection, "chunk", _CHUNK_HEAD + CHUNK, self._seal)
        self._tables[STATISTIC] = SlotTable(self._connection, STATISTIC, BODY, self._seal)
        if "dim" in self.meta:
            shape = self.meta["stripes"]
            self._use_layout(ExemplarLayout(self.meta["dim"], tuple(map(int, shape.split("x"))) if shape else None))

    # Opening.

    def _connect(self) -> sqlite3.Connection:
        uri = self.path.absolute().as_uri()
        options = {"timeout": WAIT, "isolation_level": None, "check_same_thread": False, "uri": True}
        if not self.read_only:
            return sqlite3.connect(uri, **options)
        connection = sqlite3.connect(uri + "?mode=ro", **options)
        try:
            connection.execute("PRAGMA schema_version").fetchone()
        except sqlite3.OperationalError:
            # A folder that cannot be written has no room for SQLite's bookkeeping, but then nobody writes the file.
            connection.close()
            wal = self.path.with_name(self.path.name + "-wal")
            if wal.is_file() and wal.stat().st_size:
                raise
            connection = sqlite3.connect(uri + "?mode=ro&immutable=1", **options)
        return connection

    def _check_kind(self) -> None:
        (application,) = self._connection.execute("PRAGMA application_id").fetchone()
        (schema,) = self._connection.execute("PRAGMA user_version").fetchone()
        (tables,) = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != APPLICATION and (tables or application or schema or self.read_only):
            raise GalleryError(f"{self.path}: a SQLite file, but no gallery; choose another path")
        if schema > SCHEMA:
            raise GalleryError(
                f"{self.path}: gallery schema {schema}; this release reads up to {SCHEMA}: upgrade aligned-reid"
            )

    def _prepare(self) -> None:
        execute = self._connection.execute
        execute("PRAGMA page_size = 16384")
        execute("PRAGMA secure_delete = ON")
        execute("PRAGMA temp_store = MEMORY")
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")  # each commit reaches the disk, not only the system
        execute("BEGIN IMMEDIATE")
        if not execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            execute(f"PRAGMA application_id = {APPLICATION}")
            execute(f"PRAGMA user_version = {SCHEMA}")
            execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID")
            execute("CREATE TABLE audit (id INTEGER PRIMARY KEY, time, action, number, target, exemplars)")
            for name in TABLES:
                SlotTable.create(self._connection, name)
            execute("CREATE TABLE removal (uid BLOB PRIMARY KEY) WITHOUT ROWID")
            execute("INSERT INTO meta VALUES ('created', ?)", (time.time(),))
            self._new = True
        if not self._has(STATISTIC):
            SlotTable.create(self._connection, STATISTIC)
        execute("COMMIT")
        self._truncate()  # a killed process may have left what it had just forgotten

    def _has(self, table: str) -> bool:
        found = self._connection.execute("SELECT count(*) FROM sqlite_master WHERE name = ?", (table,))
        return bool(found.fetchone()[0])

    def _read_meta(self) -> dict:
        with self._told("read"):
            return dict(self._connection.execute("SELECT key, value FROM meta"))

    def _make_seal(self, passphrase: str | None) -> Checksum | Cipher:
        passphrase = passphrase or os.environ.get(KEY_VARIABLE)
        if "salt" not in self.meta:
            if not (self._new and passphrase):
                return Checksum()
            salt = os.urandom(16)
            seal = Cipher(passphrase, salt)
            with self.transaction():
                self.set_meta(salt=salt, check=seal.seal(b"check", b"aligned-reid"))
            return seal
        if not passphrase:
            raise GalleryError(f"{self.path}: is encrypted; put its passphrase into the environment as {KEY_VARIABLE}")
        seal = Cipher(passphrase, self.meta["salt"])
        try:
            seal.open(b"check", self.meta["check"])
        except Damaged:
            raise GalleryError(f"{self.path}: {KEY_VARIABLE} is not the passphrase it was encrypted with") from None
        return seal

    def _use_layout(self, layout: ExemplarLayout) -> None:
        self.layout = layout
        self._tables["exemplar"] = SlotTable(self._connection, "exemplar", layout.size, self._seal)

    # Reading.

    def load(self) -> Contents:
        """All of it, in one consistent state. What is damaged is left out and told in `problems`."""
        contents = Contents()
        with self._told("read"):
            self._connection.execute("BEGIN")
            try:
                self._load(contents)
            finally:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("COMMIT")
        return contents

    def _load(self, contents: Contents) -> None:
        contents.identities = [(s, unpack_identity(body)) for s, body in self._bodies("identity", contents.problems)]
        contents.cameras = [(s, unpack_name(body)) for s, body in self._bodies("camera", contents.problems)]
        if self.layout:
            unpack = self.layout.unpack
            contents.exemplars = [(s, unpack(body)) for s, body in self._bodies("exemplar", contents.problems)]
        for slot, body in self._bodies("chunk", contents.problems):
            owner, sequence = int.from_bytes(body[:8], "little"), int.from_bytes(body[8:12], "little")
            contents.chunks.setdefault(owner, []).append((sequence, slot))

    def _bodies(self, name: str, problems: list[str]) -> list[tuple[int, bytes]]:
        table = self._tables[name]
        try:
            return list(table.load(problems))
        except TableDamaged:
            return list(table.salvage(problems, self._last_slot(name)))

    def _last_slot(self, name: str) -> int:
        try:
            return self._connection.execute(f"SELECT max(slot) FROM {name}").fetchone()[0] or 0
        except sqlite3.DatabaseError:  # the last page is the damaged one
            (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
            return pages * 16384 // self._tables[name]._size

    def statistics(self) -> tuple[list[Statistic], str]:
        """What was learned of many people, and what of it cannot be read, in words; empty if all can."""
        problems: list[str] = []
        try:
            if not self._has(STATISTIC):
                return [], ""
            bodies = [body for _, body in self._tables[STATISTIC].load(problems)]
        except (TableDamaged, sqlite3.DatabaseError) as error:
            return [], problems[0] if problems else str(error)
        found, broken = from_bodies(bodies)
        if broken:
            problems.append(f"a part of {broken} statistics is missing")
        return found, "; ".join(problems[:1])

    def integrity_problems(self) -> list[str]:
        """What SQLite's own check of the file's structure says."""
        try:
            lines = [line for (line,) in self._connection.execute("PRAGMA integrity_check(20)")]
        except sqlite3.DatabaseError as error:
            return [str(error)]
        return [] if lines == ["ok"] else lines

    def audit(self) -> list[AuditLine]:
        with self._told("read"):
            lines = self._connection.execute("SELECT time, action, number, target, exemplars FROM audit ORDER BY id")
            return [AuditLine(*line) for line in lines]

    def crop(self, chunks: list[tuple[int, int]]) -> bytes:
        """The image file whose chunks are (sequence, slot)."""
        content = b""
        for _, slot in sorted(chunks):
            (record,) = self._connection.execute("SELECT record FROM chunk WHERE slot = ?", (slot,)).fetchone()
            try:
                body = self._seal.open(f"chunk/{slot}".encode(), record)
            except Damaged:
                return b""
            content += body[_CHUNK_HEAD : _CHUNK_HEAD + int.from_bytes(body[12:14], "little")]
        return content

    # Writing, inside a transaction.

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it reaches the disk, or nothing. Raises `GalleryError` with the cause and the remedy."""
        if self.read_only:
            raise GalleryError(f"{self.path}: was opened with read_only=True; open it without, to change it")
        marks = {name: table.mark() for name, table in getattr(self, "_tables", {}).items()}
        meta = dict(self.meta)
        with self._told("written"):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                for name, mark in marks.items():
                    self._tables[name].restore(mark)
                self.meta = meta
                raise

    def set_meta(self, **values) -> None:
        self._connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())
        self.meta.update(values)

    def set_layout(self, layout: ExemplarLayout) -> None:
        """Fix the form of the exemplars: once, before the first."""
        shape = layout.stripes
        self.set_meta(dim=layout.dim, stripes="" if shape is None else f"{shape[0]}x{shape[1]}")
        self._use_layout(layout)

    def put_identity(self, identity: IdentityRecord) -> int:
        return self._tables["identity"].put([pack_identity(identity)])[0]

    def replace_identity(self, slot: int, identity: IdentityRecord) -> None:
        self._tables["identity"].replace(slot, pack_identity(identity))

    def put_camera(self, name: str | None) -> int:
        return self._tables["camera"].put([pack_name(name)])[0]

    def put_exemplars(self, bodies: list[bytes]) -> list[int]:
        return self._tables["exemplar"].put(bodies)

    def replace_exemplar(self, slot: int, body: bytes) -> None:
        self._tables["exemplar"].replace(slot, body)

    def put_crop(self, exemplar: int, content: bytes) -> list[tuple[int, int]]:
        bodies = []
        for sequence, start in enumerate(range(0, len(content), CHUNK)):
            piece = content[start : start + CHUNK]
            head = exemplar.to_bytes(8, "little") + sequence.to_bytes(4, "little") + len(piece).to_bytes(2, "little")
            bodies.append(head + piece.ljust(CHUNK, b"\0"))
        return list(enumerate(self._tables["chunk"].put(bodies)))

    def erase(self, table: str, slots) -> None:
        self._tables[table].erase(slots)

    def put_statistics(self, statistics: Iterable[Statistic]) -> None:
        """In the place of all earlier ones."""
        table = self._tables[STATISTIC]
        table.clear()
        table.put(to_bodies(statistics))

    def put_removals(self, uids: Iterable[bytes]) -> None:
        """Exemplars that the shared store must still be told to delete."""
        self._connection.executemany("INSERT OR IGNORE INTO removal VALUES (?)", [(uid,) for uid in uids])

    def clear_removals(self, uids: Iterable[bytes]) -> None:
        self._connection.executemany("DELETE FROM removal WHERE uid = ?", [(uid,) for uid in uids])

    def removals(self) -> list[bytes]:
        with self._told("read"):
            return [uid for (uid,) in self._connection.execute("SELECT uid FROM removal")]

    def write_audit(self, line: AuditLine) -> None:
        self._connection.execute(
            "INSERT INTO audit (time, action, number, target, exemplars) VALUES (?, ?, ?, ?, ?)",
            (line.time, line.action, line.number, line.into, line.exemplars),
        )

    # After a transaction.

    def scrub(self) -> None:
        """Leave no byte of what was erased in any file. Raises `GalleryError` if another process keeps it from that."""
        try:
            self._truncate()
        except sqlite3.Error as error:
            raise GalleryError(
                f"{self.path}: erased, but old bytes are still in {self.path.name}-wal ({error}); "
                "free the disk, end processes that read the file, and open it again"
            ) from error

    def _truncate(self) -> None:
        busy, _, _ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError("another process reads the file")

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
        if self._lock is not None:
            self._lock.release()

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """SQLite's errors, as one line with the remedy."""
        try:
            yield
        except sqlite3.Error as error:
            raise GalleryError(f"{self.path}: {_explanation(str(error), what)}") from error


def _explanation(error: str, what: str) -> str:
    if "full" in error:
        return "the disk is full, nothing of this call was stored; free space and repeat it"
    if "readonly" in error or "read-only" in error:
        return "cannot be written (read-only); read what is there with read_only=True"
    if "malformed" in error or "not a database" in error:
        return (
            f"is damaged ({error}); restore a backup, or save what can be read: reid gallery export FILE --output saved"
        )
    if "locked" in error or "busy" in error:
        return "another process keeps it locked; end that process, or read with read_only=True"
    if "I/O" in error:
        return f"cannot be {what} ({error}), nothing of this call was stored; check the disk and its free space"
    return f"cannot be {what} ({error}); check the path and its permissions"
