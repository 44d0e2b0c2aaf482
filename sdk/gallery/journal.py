"""The durable gallery: a SQLite file in WAL mode. What was written when a call returned is on the disk.

A page is 16 KB. Records are overwritten in place (see `slots`), freed content is overwritten with zeros, and after an
erasure the WAL is copied into the file and cut to nothing, so no file keeps a byte of what was forgotten.
"""

import contextlib
import logging
import os
import sqlite3
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from sdk.errors import GalleryError
from sdk.gallery import mark as file_mark
from sdk.gallery import settings
from sdk.gallery.audit import AuditLog
from sdk.gallery.lock import Claim
from sdk.gallery.mark import Mark
from sdk.gallery.progress import BODY as PROGRESS_BODY
from sdk.gallery.progress import COUNTED, Progress
from sdk.gallery.records import (
    KEY_VARIABLE,
    Checksum,
    Cipher,
    Damaged,
    ExemplarLayout,
    ExemplarRecord,
    IdentityRecord,
    pack_identity,
    pack_name,
    unpack_identity,
    unpack_name,
)
from sdk.gallery.removals import RemovalList
from sdk.gallery.reserve import Reserve
from sdk.gallery.results import AuditLine
from sdk.gallery.slots import SlotTable, TableDamaged
from sdk.gallery.statistic import BODY, Statistic, from_bodies, to_bodies

SCHEMA = 2
"""1 has no checksums of settings, audit and removals, no counts and no mark; it is brought up to this when written."""
APPLICATION = 0x52654944
"""SQLite's application_id of a gallery: "ReID"."""
WAIT = 5.0
"""Seconds to wait for another process that reads."""
SCRUB_WAIT = 2.0
"""Seconds for which an erasure waits for it: long enough for one that is just opening the file."""
CHUNK = 4000
"""Bytes of a stored crop that one record holds."""
_CHUNK_HEAD = 14
LOG_PAGES = 128
"""Pages of 16 KB in the WAL from which on it is copied into the file."""

TABLES = COUNTED
STATISTIC, SETTING, PROGRESS = "statistic", "setting", "progress"
"""Tables that galleries of earlier releases get when they are opened for writing."""

log = logging.getLogger("aligned_reid.gallery")


@dataclass
class Contents:
    """What a gallery file holds."""

    identities: list[tuple[int, IdentityRecord]] = field(default_factory=list)
    """(slot, identity)."""
    cameras: list[tuple[int, str | None]] = field(default_factory=list)
    exemplars: list[tuple[int, ExemplarRecord]] = field(default_factory=list)
    """(slot, exemplar)."""
    chunks: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """By exemplar slot: (sequence, slot of the chunk)."""
    problems: list[str] = field(default_factory=list)


class Journal:
    """An open gallery file. Used by one thread at a time."""

    def __init__(
        self, path: str | Path, read_only: bool = False, passphrase: str | None = None, accept_behind: bool = False
    ):
        """Open or create. Raises `GalleryError` naming the file and the remedy: another process writes it, it is no
        gallery, of a newer release, encrypted with another key or not at all, lacks its log, or cannot be written.

        passphrase: as `passphrase_of` gives it; None: the file is not encrypted, and a new one will not be.
        accept_behind: go on with a copy whose log is missing.
        """
        self.path = Path(path)
        self.read_only = read_only
        self.problems: list[str] = []
        """Of settings and counts; the rest `load` finds."""
        self.traces: str | None = None
        """Why, and until when, bytes of what was erased may still be in a file; None: none are."""
        self._connection = None
        self.layout: ExemplarLayout | None = None
        self._mark_at: int | None = None
        self._file = checked_path(self.path, read_only)
        self._reserve = Reserve(self._file.parent)
        self._claim = Claim(self._file, not read_only, self.path)
        self.last_written = os.stat(self._file).st_mtime
        """When the file was changed last before this, as the system says, seconds since 1970."""
        self._new = False
        try:
            with self._told("opened"):
                self._connection = self._connect()
                self._schema = self._check_kind()
                if not read_only:
                    self._configure()
            self.meta, self._seal = self._unlock(passphrase)
            self._tables = self._make_tables()
            with self._told("opened"):
                if not read_only:
                    self._prepare()
                self._check_settings()
                # In this order: a change is counted in the mark when it is in the file, never before.
                mark = file_mark.read(self._connection) if self._schema >= 2 else None
                self.progress = self._read_progress(self.problems)
                self.noted = self.progress.timeline.clock if self.progress else 0.0
            if "dim" in self.meta:
                shape = self.meta.get("stripes")
                self._use_layout(ExemplarLayout(self.meta["dim"], tuple(map(int, shape.split("x"))) if shape else None))
            elif self.problems:
                self._guess_layout()
            self._check_mark(mark, accept_behind)
        except BaseException:
            self.disconnect()
            self._claim.remove()
            self._claim.release()
            raise

    # Opening.

    def _connect(self) -> sqlite3.Connection:
        uri = self._file.as_uri()
        options = {"timeout": WAIT, "isolation_level": None, "check_same_thread": False, "uri": True}
        if not self.read_only:
            return sqlite3.connect(uri, **options)
        connection = sqlite3.connect(uri + "?mode=ro", **options)
        try:
            connection.execute("PRAGMA schema_version").fetchone()
        except sqlite3.OperationalError:
            # A folder that cannot be written has no room for SQLite's bookkeeping, but then nobody writes the file.
            connection.close()
            wal = self._file.with_name(self._file.name + "-wal")
            if wal.is_file() and wal.stat().st_size:
                raise
            connection = sqlite3.connect(uri + "?mode=ro&immutable=1", **options)
        return connection

    def _check_kind(self) -> int:
        """The schema; 0: the file is new."""
        (application,) = self._connection.execute("PRAGMA application_id").fetchone()
        (schema,) = self._connection.execute("PRAGMA user_version").fetchone()
        (tables,) = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        self._new = not (application or schema or tables) and not self.read_only
        if application != APPLICATION and not self._new:
            raise GalleryError(f"{self.path}: a SQLite file, but no gallery; choose another path")
        if schema > SCHEMA:
            raise GalleryError(
                f"{self.path}: gallery schema {schema}; this release reads up to {SCHEMA}: upgrade aligned-reid"
            )
        return schema

    def _configure(self) -> None:
        for pragma in (
            f"page_size = {file_mark.PAGE}",
            "secure_delete = ON",
            "temp_store = MEMORY",
            "journal_mode = WAL",
            "synchronous = FULL",  # each commit reaches the disk, not only the system
            f"wal_autocheckpoint = {LOG_PAGES}",
            f"journal_size_limit = {LOG_PAGES * file_mark.PAGE}",
        ):
            self._connection.execute("PRAGMA " + pragma)

    def _unlock(self, passphrase: str | None) -> tuple[dict, Checksum | Cipher]:
        """The plain settings, and what unseals the rest."""
        if self._new:
            if passphrase is None:
                return {"created": time.time()}, Checksum()
            salt = os.urandom(16)
            seal = Cipher(passphrase, salt)
            check = seal.seal(b"check", b"aligned-reid")
            return {"created": time.time(), "salt": salt, "check": check}, seal
        meta = settings.read_plain(self._connection, self.problems)
        if "salt" not in meta:
            if passphrase is not None:
                raise GalleryError(
                    f"{self.path}: is not encrypted, and a passphrase was given for it; encrypt it with: reid gallery "
                    f"encrypt FILE, or give none (unset {KEY_VARIABLE})"
                )
            return meta, Checksum()
        if passphrase is None:
            raise GalleryError(f"{self.path}: is encrypted; put its passphrase into the environment as {KEY_VARIABLE}")
        seal = Cipher(passphrase, meta["salt"])
        try:
            seal.open(b"check", meta.get("check", b""))
        except Damaged:
            raise GalleryError(
                f"{self.path}: that is not the passphrase it was encrypted with; put the right one into {KEY_VARIABLE}"
            ) from None
        return meta, seal

    def _make_tables(self) -> dict[str, SlotTable]:
        sizes = {
            "identity": len(pack_identity(IdentityRecord(0, b"", 0, ""))),
            "camera": len(pack_name("")),
            "chunk": _CHUNK_HEAD + CHUNK,
            STATISTIC: BODY,
            SETTING: settings.COPY,
            PROGRESS: PROGRESS_BODY,
        }
        self._audit, self._removal = AuditLog(self._connection, self._seal), RemovalList(self._connection, self._seal)
        return {name: SlotTable(self._connection, name, size, self._seal) for name, size in sizes.items()}

    def _prepare(self) -> None:
        """Make what is not there; a killed process may also have left what it had just forgotten."""
        if self._schema < SCHEMA:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._upgrade()
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise
            self._schema = SCHEMA
        self.scrub()

    def _upgrade(self) -> None:
        execute = self._connection.execute
        if self._new:
            execute(f"PRAGMA application_id = {APPLICATION}")
            execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID")
            self._connection.executemany("INSERT INTO meta VALUES (?, ?)", self.meta.items())
            for name in TABLES:
                SlotTable.create(self._connection, name)
            self._audit.create()
            self._removal.create()
        else:
            self._audit.upgrade()
            self._removal.upgrade()
        if not self._has(STATISTIC):
            SlotTable.create(self._connection, STATISTIC)
        for name in (SETTING, PROGRESS):
            SlotTable.create(self._connection, name)
        file_mark.create(self._connection)
        self._tables[SETTING].put_at(1, settings.to_copy(self.meta))
        execute(f"PRAGMA user_version = {SCHEMA}")

    def _has(self, table: str) -> bool:
        found = self._connection.execute("SELECT count(*) FROM sqlite_master WHERE name = ?", (table,))
        return bool(found.fetchone()[0])

    def _check_settings(self) -> None:
        """Compare with the sealed copy, which holds."""
        if self._schema < 2:
            return
        try:
            body = self._tables[SETTING].get(1)
            sealed = settings.from_copy(body) if body else None
        except Damaged:
            sealed = None
        if sealed is None:
            self.problems.append("the checksum of the settings is damaged")
            return
        plain = {key: value for key, value in self.meta.items() if key not in settings.PLAIN}
        if wrong := sorted(key for key in sealed.keys() | plain.keys() if sealed.get(key) != plain.get(key)):
            self.problems.append(f"settings are damaged ({', '.join(wrong)})")
        self.meta = {key: value for key, value in self.meta.items() if key in settings.PLAIN} | sealed

    def _read_progress(self, problems: list[str]) -> Progress | None:
        """None: not known, in a file of an earlier release, or a damaged one."""
        if self._schema < 2:
            return None
        try:
            body = self._tables[PROGRESS].get(1)
        except Damaged:
            problems.append("the counts are damaged")
            return None
        return None if body is None else Progress.unpack(body)

    def _check_mark(self, mark: Mark | None, accept_behind: bool) -> None:
        """Whether the file has all that was acknowledged."""
        if mark is not None and mark.traces and self.read_only:
            self.traces = f"bytes of what was erased may still be in {self.path.name}-wal"
        if mark is not None and self.progress is not None and mark.changes > self.progress.changes:
            people, _, exemplars, _ = self.progress.counts
            missing = (
                f"{self.path.name}-wal is missing, with the last {mark.changes - self.progress.changes} changes: "
                f"{mark.people} people with {mark.exemplars} exemplars were acknowledged, {people} with {exemplars} "
                "are here"
            )
            if not (self.read_only or accept_behind):
                raise GalleryError(
                    f"{self.path}: {missing}; copy a gallery with: reid gallery backup FILE -o COPY. "
                    "To go on with what is here: reid gallery accept FILE"
                )
            if not accept_behind:
                self.problems.append(missing)
        if self.progress is None:
            self.progress = Progress()
        self._tell_mark()

    def _guess_layout(self) -> None:
        """Of a file whose settings are lost: by the size of its first record, if it has no stripes."""
        with contextlib.suppress(sqlite3.DatabaseError):
            row = self._connection.execute("SELECT length(record) FROM exemplar ORDER BY slot LIMIT 1").fetchone()
            if row and isinstance(row[0], int):
                dim, odd = divmod(row[0] - self._seal.overhead - ExemplarLayout(0).size, 4)
                if dim > 0 and not odd:
                    self._use_layout(ExemplarLayout(dim))

    def _use_layout(self, layout: ExemplarLayout) -> None:
        self.layout = layout
        self._tables["exemplar"] = SlotTable(self._connection, "exemplar", layout.size, self._seal)

    # Reading.

    @property
    def created(self) -> float | None:
        """When the gallery began, seconds since 1970: copies have it too, and nobody else."""
        return self.meta.get("created")

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
        contents.problems[:0] = self.problems
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
        progress = self._read_progress([])  # again: another process may have written since this was opened
        if progress is not None and not contents.problems:
            for name, number in zip(COUNTED, progress.counts, strict=True):
                if (found := self._count(name)) != number:
                    contents.problems.append(f"table {name} has {found} records, not {number}")

    def _count(self, name: str) -> int:
        return self._tables[name].count if name in self._tables else 0

    def _bodies(self, name: str, problems: list[str]) -> list[tuple[int, bytes]]:
        table = self._tables[name]
        try:
            return list(table.load(problems))
        except TableDamaged:
            return list(table.salvage(problems, self._last_slot(name)))

    def _last_slot(self, name: str) -> int:
        """No slot is higher: what a damaged page says is not believed beyond the size of the file."""
        (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
        most = pages * file_mark.PAGE // self._tables[name].record_size
        try:
            last = self._connection.execute(f"SELECT max(slot) FROM {name}").fetchone()[0]
        except sqlite3.DatabaseError:  # the last page is the damaged one
            return most
        return min(last, most) if isinstance(last, int) else most

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

    def audit(self, problems: list[str] | None = None) -> list[AuditLine]:
        """All lines that can be read; the damaged ones are told in `problems`."""
        with self._told("read"):
            return self._audit.read(self._schema, [] if problems is None else problems)

    def crop(self, chunks: list[tuple[int, int]]) -> bytes:
        """The image file whose chunks are (sequence, slot)."""
        content = b""
        for _, slot in sorted(chunks):
            try:
                body = self._tables["chunk"].get(slot)
            except Damaged:
                return b""
            if body is None:
                return b""
            content += body[_CHUNK_HEAD : _CHUNK_HEAD + int.from_bytes(body[12:14], "little")]
        return content

    # Writing, inside a transaction.

    @contextlib.contextmanager
    def transaction(self, erases: bool = False) -> Iterator[None]:
        """All of it reaches the disk, or nothing. Raises `GalleryError` with the cause and the remedy.

        erases: it is done in the reserve if the disk is full; `scrub` comes next, and takes one again.
        """
        if self.read_only:
            raise GalleryError(f"{self.path}: was opened with read_only=True; open it without, to change it")
        marks = {name: table.mark() for name, table in self._tables.items()}
        meta, before = dict(self.meta), self.progress
        if erases:
            self._reserve.give()
        with self._told("written"):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                counts = tuple(map(self._count, COUNTED))
                self.progress = replace(self.progress, changes=before.changes + 1, counts=counts)
                self._tables[PROGRESS].put_at(1, self.progress.pack())
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                for name, mark in marks.items():
                    self._tables[name].restore(mark)
                self.meta, self.progress = meta, before
                if erases:
                    self._reserve.take()
                raise
        self.noted = self.progress.timeline.clock
        self._tell_mark()
        if self.traces is not None:
            self.scrub(wait=0)
        elif not erases:
            self._reserve.take()

    def _tell_mark(self) -> None:
        """Have the file itself say what was acknowledged."""
        if self.read_only or self._mark_at is None or self._claim.descriptor is None:
            return
        people, _, exemplars, _ = self.progress.counts
        mark = Mark(self.progress.changes, people, exemplars, self.traces is not None)
        try:
            file_mark.write(self._claim.descriptor, self._mark_at, mark)
        except OSError as error:
            log.warning("%s: its count of changes cannot be written (%s)", self.path, error.strerror)

    def set_meta(self, **values) -> None:
        """Raises `GalleryError` if they are more than fit in."""
        self._connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())
        self.meta |= values
        self._tables[SETTING].put_at(1, settings.to_copy(self.meta))

    def set_layout(self, layout: ExemplarLayout) -> None:
        """Fix the form of the exemplars: once, before the first."""
        shape = layout.stripes
        self.set_meta(dim=layout.dim, stripes="" if shape is None else f"{shape[0]}x{shape[1]}")
        self._use_layout(layout)

    def reserve(self, next_number: int) -> None:
        """Have no identity get a number below this one; in a transaction."""
        self.progress = replace(self.progress, next_number=max(self.progress.next_number, next_number))

    def put_identity(self, identity: IdentityRecord) -> int:
        self.reserve(identity.number + 1)
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
        self._removal.put(uids)

    def clear_removals(self, uids: Iterable[bytes]) -> None:
        self._removal.clear(uids)

    def removals(self, problems: list[str] | None = None) -> list[bytes]:
        """All that can be read; the damaged ones are told in `problems`."""
        with self._told("read"):
            return self._removal.read(self._schema, [] if problems is None else problems)

    def write_audit(self, line: AuditLine) -> None:
        self._audit.write(line)

    # After a transaction.

    def scrub(self, wait: float | None = None) -> bool:
        """Leave no byte of what was erased in any file; False: some may be left, as `traces` says.

        wait: seconds for another process that reads; None: `SCRUB_WAIT`.
        """
        wait = SCRUB_WAIT if wait is None else wait
        had = self.traces
        try:
            self._connection.execute(f"PRAGMA busy_timeout = {int(1000 * wait)}")
            try:
                busy, _, _ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                self._connection.execute(f"PRAGMA busy_timeout = {int(1000 * WAIT)}")
            until = "until the process that reads it ends" if busy else None
        except sqlite3.Error as error:
            until = "until there is room on the disk" if "full" in str(error) else f"until the disk is mended ({error})"
        log_file = f"{self.path.name}-wal"
        self.traces = until and f"bytes of what was erased may stay in {log_file} {until}; this is tried again"
        if self.traces is None and self._mark_at is None and self._claim.descriptor is not None:
            with contextlib.suppress(sqlite3.Error, OSError):
                self._mark_at = file_mark.place(self._connection, self._claim.descriptor)
        if self.traces != had:
            self._tell_mark()
        if self.traces is None:
            self._reserve.take()
        return self.traces is None

    def copy_to(self, path: Path) -> None:
        """Copy the file, as of one moment, into an empty one; others may write meanwhile. Raises `GalleryError`."""
        target = sqlite3.connect(path, isolation_level=None)
        try:
            with self._told("copied"):
                self._connection.backup(target)
        finally:
            target.close()

    def fill(self, other: "Journal") -> None:
        """Take over all that another open file holds, under the same slots; this one is new."""
        with self.transaction():
            self.set_meta(**{key: value for key, value in other.meta.items() if key not in settings.PLAIN})
            if other.layout:
                self._use_layout(other.layout)
            for name in (*COUNTED, STATISTIC):
                for slot, body in other.bodies(name):
                    self._tables[name].put_back(slot, body)
            for line in other.audit():
                self.write_audit(line)
            self.put_removals(other.removals())
            self.progress = other.progress

    def bodies(self, name: str) -> Iterator[tuple[int, bytes]]:
        """All records of a table that are whole: (slot, body)."""
        if name in self._tables:
            yield from self._tables[name].load([])

    def close(self) -> None:
        self.disconnect()
        self._claim.release()

    def discard(self) -> None:
        """Close, and delete the file if this has made it."""
        self.disconnect()
        self._claim.remove()
        self._claim.release()

    def disconnect(self) -> None:
        """Let go of SQLite and its files, and keep the lock: for whoever puts another file in the place of this one."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
        self._reserve.close()

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


def checked_path(path: Path, read_only: bool) -> Path:
    """The file that a path stands for, without links. Raises `GalleryError` if there can be none."""
    try:
        os.fspath(path).encode()
        if read_only and not path.is_file():
            raise GalleryError(f"{path}: no such gallery; check the path")
        if not read_only and not path.parent.is_dir():
            raise GalleryError(f"{path}: the folder {path.parent} does not exist; make it first")
        file = Path(os.path.realpath(path))
        if file.exists() and not stat.S_ISREG(file.stat().st_mode):
            raise GalleryError(f"{path}: is no ordinary file; choose another path")
        if not read_only and not file.parent.is_dir():
            raise GalleryError(f"{path}: the folder {file.parent} does not exist; make it first")
        if not file.name:
            raise GalleryError(f"{path}: is no name of a file; choose another path")
    except GalleryError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise GalleryError(f"{str(path)[:80]!r}: cannot be a gallery's path ({reason}); choose another") from error
    return file


def passphrase_of(path: str | Path, given: str | None = None, variable: str = KEY_VARIABLE) -> str | None:
    """The passphrase that was given, or that of the environment; None if there is none.

    Raises `GalleryError` for one that is empty: whoever sets one does not want a file that everybody can read.
    """
    where = "passphrase" if given is not None else variable
    passphrase = os.environ.get(variable) if given is None else given
    if passphrase is None:
        return None
    if not isinstance(passphrase, str) or not passphrase.strip():
        raise GalleryError(f"{path}: {where} is empty; give a passphrase, or none at all")
    try:
        passphrase.encode()
    except UnicodeEncodeError:
        raise GalleryError(f"{path}: {where} holds half a character; give text") from None
    return passphrase
