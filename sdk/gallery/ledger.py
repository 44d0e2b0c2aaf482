"""The writer's side of a gallery: what is kept beside the snapshot, and transactions that change both and the journal.

Every method is called with the lock. A change is prepared beside what is published, written to the journal in one
transaction, and published when that is on the disk; if it fails, nothing has happened.
"""

import contextlib
import logging
import threading
import time as clock
import uuid
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from sdk.errors import GalleryError, UnknownIdentityError
from sdk.gallery.chore import Chore
from sdk.gallery.index import INDEX_FROM, Index, load_faiss
from sdk.gallery.journal import Journal
from sdk.gallery.records import GONE, UNSENT, ExemplarLayout, ExemplarRecord, IdentityRecord
from sdk.gallery.results import AuditLine
from sdk.gallery.rows import BLOCK, Rows, Snapshot
from sdk.gallery.search import State
from sdk.gallery.selection import surplus
from sdk.gallery.statistic import MANY, Statistic
from sdk.gallery.timeline import Timeline, uptime
from sdk.installing import how_to_install

if TYPE_CHECKING:
    from sdk.gallery.shared import Sync

MAX_EXEMPLARS = 32
"""Of an identity, unless the gallery says otherwise."""
EXPIRE_EVERY = 60.0
"""Seconds between two looks for what the retention has run out for."""
SCRUB_EVERY = 5.0
"""Seconds between two tries to overwrite what was erased."""
NOTED = 60.0
"""Seconds of the clock after which a gallery that is closed writes down what time it was."""

log = logging.getLogger("aligned_reid.gallery")


@dataclass(frozen=True)
class Exemplars:
    """N exemplars of one identity, to be added."""

    identity: str
    camera: str | None
    embedding: np.ndarray
    stripes: np.ndarray | None
    time: np.ndarray
    """float64 `[N]`; NaN: unknown."""
    added: np.ndarray
    """float64 `[N]`."""
    quality: np.ndarray
    """float32 `[N]`."""
    crops: Sequence[bytes] | None = None
    """Image files, to be stored."""
    uid: np.ndarray | None = None
    """uint8 `[N, 16]`: they come from the shared store; None: new ones."""
    person: IdentityRecord | None = None
    """Of an identity that comes from there with them."""
    sent: bool = False
    """Whether the store has them as they are."""


@dataclass
class _Person:
    """What the writer knows of an identity."""

    record: IdentityRecord
    slot: int
    rows: list[int] = field(default_factory=list)


class Ledger:
    """People, their exemplars, and where the journal keeps them."""

    def __init__(self, where: str, read_only: bool, shared: bool):
        """where: how messages call the gallery."""
        self._lock = threading.RLock()
        self._state = State(Snapshot(), [], [None])
        self._followers = weakref.WeakSet()
        """Told of every change of the rows; see `Gallery.add_follower`."""
        self._people: dict[int, _Person] = {}
        self._number: dict[str, int] = {}
        self._by_uid: dict[bytes, int] = {}
        self._camera_slots: list[int] = [-1]
        self._chunks: dict[int, list[tuple[int, int]]] = {}
        self._gone: dict[bytes, tuple[int, IdentityRecord]] = {}
        self._unsent: set[bytes] = set()
        self._removals: set[bytes] = set()
        self._next_number = 1
        self._last_names: dict[str, int] = {}
        self._audit: list[AuditLine] = []
        self._statistics: list[Statistic] = []
        self._layout: ExemplarLayout | None = None
        self._model: str | None = None
        self._closed = False
        self._indexer: threading.Thread | None = None
        self._said_exact = False
        self._expired = -np.inf
        self._timeline = Timeline()
        self._journal: Journal | None = None
        self._scrubber: Chore | None = None
        self._expirer: Chore | None = None
        self._sync: Sync | None = None
        self.problems: tuple[str, ...] = ()
        """What could not be read of a damaged file that was opened read-only."""
        self.where = where
        self.read_only = read_only
        self._shared = shared
        self.max_exemplars = MAX_EXEMPLARS
        self.retention = 0.0

    # Opening.

    def _load(self, journal: Journal) -> None:
        contents = journal.load()
        self._removals = set(journal.removals(contents.problems))
        self.problems = tuple(contents.problems)
        self._require_whole()
        self._layout, self._model, self._chunks = journal.layout, journal.meta.get("model"), contents.chunks
        self._statistics, damage = journal.statistics()
        if damage:  # nobody is lost by it, so it is no reason not to open
            log.warning("%s: what was learned of the site is damaged (%s); it is learned anew", journal.path, damage)
            if not self.read_only:
                with contextlib.suppress(GalleryError), journal.transaction():
                    journal.put_statistics(self._statistics)
        names: list[str | None] = []
        local = {}
        for slot, record in contents.identities:
            self._next_number = max(self._next_number, record.number + 1)
            if record.flags & GONE:
                self._gone[record.uid] = (slot, record)
                continue
            local[record.number] = len(names)
            self._people[len(names)] = _Person(record, slot)
            self._number[record.name] = len(names)
            names.append(record.name)
        lines = journal.audit(damage := [])
        if damage:  # nobody is lost by it either
            log.warning("%s: %s", journal.path, damage[0])
            self.problems += tuple(damage) if self.read_only else ()
        self._next_number = max(self._next_number, journal.progress.next_number)
        self._next_number = max([self._next_number, *(1 + (line.number or 0) for line in lines)])
        cameras: list[str | None] = [None]
        camera_of = {-1: 0}
        for slot, name in contents.cameras:
            camera_of[slot] = len(cameras)
            cameras.append(name)
            self._camera_slots.append(slot)
        snapshot = self._read_rows(contents.exemplars, local, camera_of)
        self._require_whole()
        for number, rows in _groups(snapshot.person).items():
            self._people[number].rows = rows
        for number in [n for n, person in self._people.items() if not person.rows]:
            # Only where records are damaged: an identity goes with its last exemplar.
            names[number] = None
            del self._number[self._people.pop(number).record.name]
        self._by_uid = {person.record.uid: number for number, person in self._people.items()}
        self._state = State(snapshot, names, cameras)
        self._timeline = journal.progress.timeline
        if not self._timeline.starts and snapshot.count:  # by an earlier release, which wrote no time down
            known = [journal.last_written, *(line.time for line in lines), float(snapshot.added.max())]
            self._timeline.look(max(known), bytes(16), 0.0)

    def _require_whole(self) -> None:
        """Raises `GalleryError` if something is damaged and the gallery is to be written."""
        if self.problems and not self.read_only:
            raise GalleryError(
                f"{self._journal.path}: is damaged ({self.problems[0]}"
                + (f", and {len(self.problems) - 1} more" if len(self.problems) > 1 else "")
                + "); restore a backup (reid gallery restore), or save what can be read, with read_only=True or: "
                "reid gallery export FILE -o saved"
            )

    def _read_rows(self, exemplars, local: dict[int, int], camera_of: dict[int, int]) -> Snapshot:
        snapshot = Snapshot()
        lost, unknown = 0, 0
        for start in range(0, len(exemplars), BLOCK):
            part = []
            for slot, record in exemplars[start : start + BLOCK]:
                if record.person in local:
                    part.append((slot, record))
                    unknown += record.camera not in camera_of
                else:
                    lost += 1
            if not part:
                continue
            slots, records = zip(*part, strict=True)
            person, camera, time, added, quality, uid, sent, embedding, stripes = zip(*records, strict=True)
            if self._shared:
                self._unsent |= {u for u, s in zip(uid, sent, strict=True) if not s}
            snapshot = snapshot.append(
                Rows(
                    np.stack(embedding).astype(np.float32, copy=False),
                    np.stack(stripes).astype(np.float16, copy=False) if self._layout.stripes else None,
                    np.array([local[p] for p in person], np.int32),
                    np.array([camera_of.get(c, 0) for c in camera], np.int32),
                    np.array(time),
                    np.array(added),
                    np.array(quality, np.float32),
                    np.array(slots),
                    np.frombuffer(b"".join(uid), np.uint8).reshape(-1, 16),
                )
            )
        if lost:
            self.problems += (f"{lost} exemplars belong to identities that cannot be read",)
        if unknown:
            self.problems += (f"{unknown} exemplars are of cameras that cannot be read",)
        return snapshot

    # Adding.

    def _insert(self, groups: list[Exemplars]) -> None:
        """Add exemplars of one or several identities, in one transaction."""
        state = self._state
        change = Change(state.rows)
        names, cameras = _Overlay(self._number), {c: i for i, c in enumerate(state.cameras)}
        layout = self._layout or self._layout_of(groups[0])
        with self._transaction():
            if self._journal and not self._layout:
                self._journal.set_layout(layout)
            for group in groups:
                if group.stripes is not None and layout.stripes != group.stripes.shape[1:]:
                    raise GalleryError(
                        f"stripes have shape {group.stripes.shape[1:]}, {self.where} keeps {shape_of(layout.stripes)}; "
                        "pass stripes=None, or open a new gallery"
                    )
                if group.camera not in cameras:
                    cameras[group.camera] = len(cameras)
                    change.cameras.append(group.camera)
                    change.camera_slots.append(self._journal.put_camera(group.camera) if self._journal else -1)
                number = names.get(group.identity)
                if number is None:
                    number = len(state.names) + len(change.names)
                    change.names.append(group.identity)
                    names[group.identity] = number
                    change.people[number] = self._new_person(group, change)
                person = change.person(self._people, number)
                self._insert_group(change, person, number, group, cameras[group.camera], layout)
        self._layout = layout
        self._apply(change)

    def _insert_group(self, change: "Change", person: _Person, number: int, group: Exemplars, camera, layout) -> None:
        count = len(group.embedding)
        old = np.array(person.rows, np.int64)
        drop = np.empty(0, np.int64)
        if len(old) + count > self.max_exemplars:
            known = change.rows.gather(old) if len(old) else np.empty((0, layout.dim), np.float32)
            quality = np.concatenate([change.rows.quality[old], group.quality]) if len(old) else group.quality
            drop = surplus(np.concatenate([known, group.embedding]), quality, self.max_exemplars)
        self._drop_rows(change, person, old[drop[drop < len(old)]])
        kept = np.setdiff1d(np.arange(count), drop - len(old))
        if group.uid is not None and len(kept) < count:
            self._retract(change, [uid.tobytes() for uid in np.delete(group.uid, kept, axis=0)])
        if not len(kept):
            return
        stripes = None
        if layout.stripes:
            given = group.stripes
            stripes = np.zeros((len(kept), *layout.stripes), np.float16) if given is None else given[kept]
        uid = np.frombuffer(b"".join(uuid.uuid4().bytes for _ in kept), np.uint8).reshape(-1, 16)
        rows = Rows(
            group.embedding[kept],
            stripes,
            np.full(len(kept), number, np.int32),
            np.full(len(kept), camera, np.int32),
            np.asarray(group.time)[kept],
            np.asarray(group.added)[kept],
            np.asarray(group.quality, np.float32)[kept],
            np.full(len(kept), -1, np.int64),
            uid if group.uid is None else group.uid[kept],
        )
        if self._journal:
            slots = self._put(change, rows, person.record.number, layout, group.sent)
            rows = replace(rows, slot=np.array(slots, np.int64))
            for slot, place in zip(rows.slot, kept, strict=True):
                if group.crops is not None:
                    change.chunks[int(slot)] = self._journal.put_crop(int(slot), group.crops[place])
        if self._sync and not group.sent:
            change.unsent |= {u.tobytes() for u in rows.uid}
        person.rows += range(change.rows.size, change.rows.size + len(rows))
        change.rows = change.rows.append(rows)

    def _put(self, change: "Change", rows: Rows, number: int, layout: ExemplarLayout, sent: bool) -> list[int]:
        return self._journal.put_exemplars(
            [self._body(change, rows, i, number, layout, sent) for i in range(len(rows))]
        )

    def _body(self, change: "Change", rows: Rows, i: int, number: int, layout: ExemplarLayout, sent: bool) -> bytes:
        slots = self._camera_slots + change.camera_slots if change.camera_slots else self._camera_slots
        return layout.pack(
            ExemplarRecord(
                number,
                slots[rows.camera[i]],
                rows.time[i],
                rows.added[i],
                rows.quality[i],
                rows.uid[i].tobytes(),
                sent,
                rows.embedding[i],
                None if rows.stripes is None else rows.stripes[i],
            )
        )

    def _new_person(self, group: Exemplars, change: "Change") -> _Person:
        number = self._next_number + change.new_people
        change.new_people += 1
        if group.person is not None:
            record = replace(group.person, number=number)
        else:
            flags = UNSENT if self._sync else 0
            record = IdentityRecord(number, uuid.uuid4().bytes, clock.time(), group.identity, flags)
        return _Person(record, self._journal.put_identity(record) if self._journal else -1)

    # Removing and changing.

    def _drop_rows(
        self, change: "Change", person: _Person, rows: np.ndarray, wipe: bool = False, retract: bool = True
    ) -> None:
        """Erase some exemplars of an identity, on disk within the transaction."""
        if not len(rows):
            return
        uids = [uid.tobytes() for uid in change.rows.uid[rows]]
        if self._journal:
            slots = [int(slot) for slot in change.rows.slot[rows]]
            self._journal.erase("exemplar", slots)
            chunks = [chunk for slot in slots for _, chunk in self._chunks.get(slot, ())]
            if chunks:
                self._journal.erase("chunk", chunks)
            change.chunks |= dict.fromkeys(slots)
        if self._sync and retract:
            self._retract(change, uids)
        change.sent |= set(uids)
        gone = set(rows.tolist())
        person.rows = [row for row in person.rows if row not in gone]
        change.rows = change.rows.erase(rows, wipe)

    def _retract(self, change: "Change", uids: list[bytes]) -> None:
        """The shared store must delete these, as far as it has them. Also those that are marked as not sent: it may
        have them under another identity, or an answer was lost."""
        change.removals |= set(uids)
        if self._journal:
            self._journal.put_removals(uids)

    def _remove(self, numbers: list[int], action: str, tombstone: bool = True) -> None:
        """Delete whole identities, in one transaction, leaving nothing."""
        change = Change(self._state.rows)
        statistics = [s for s in self._statistics if s.people >= MANY] if action == "forget" else self._statistics
        with self._transaction(erases=True):
            if self._journal and len(statistics) < len(self._statistics):
                self._journal.put_statistics(statistics)
            for number in numbers:
                person = change.person(self._people, number)
                count = len(person.rows)
                self._drop_rows(change, person, np.array(person.rows, np.int64), wipe=True)
                self._remove_record(change, number, person, tombstone)
                self._write_audit(AuditLine(clock.time(), action, person.record.number, None, count))
        self._statistics = statistics
        self._apply(change)
        self._scrub()

    def _remove_record(
        self, change: "Change", number: int, person: _Person, tombstone: bool = True, into: bytes = b""
    ) -> None:
        """The identity is gone; with a tombstone the other sites are told."""
        change.removed.add(number)
        if self._sync and tombstone:
            old = person.record
            record = IdentityRecord(old.number, old.uid, clock.time(), "", GONE | UNSENT, into)
            if self._journal:
                self._journal.replace_identity(person.slot, record)
            change.gone[record.uid] = (person.slot, record)
        elif self._journal:
            self._journal.erase("identity", [person.slot])

    def _erase(self, which: np.ndarray, action: str) -> int:
        """Delete some exemplars (rows), and whom none is left of; how many there were."""
        if not len(which):
            return 0
        rows = self._state.rows
        change = Change(rows)
        with self._transaction(erases=True):
            for number, places in _groups(rows.person[which]).items():
                person = change.person(self._people, number)
                self._drop_rows(change, person, which[places], wipe=True)
                if not person.rows:
                    self._remove_record(change, number, person, into=person.record.uid)
                self._write_audit(AuditLine(clock.time(), action, person.record.number, None, len(places)))
        self._apply(change)
        self._scrub()
        return len(which)

    def _older_than(self, seconds: float) -> np.ndarray:
        """Rows of exemplars that were enrolled so long ago, as far as the gallery has seen time pass."""
        self._look_at_clock()
        rows = self._state.rows
        alive = np.flatnonzero(rows.alive)
        return alive[self._timeline.ages(rows.added[alive]) >= seconds] if len(alive) else alive

    def _expire(self) -> None:
        self._look_at_clock()
        seen = self._timeline.seen
        if self.retention and seen - self._expired >= EXPIRE_EVERY:
            self._expired = seen
            self._erase(self._older_than(self.retention), "retention")

    def _expire_later(self) -> None:
        """Nobody may be added for days, and the retention runs out all the same."""
        if self._expirer is None and self.retention and not self.read_only:
            self._expirer = Chore(self._expire_again, EXPIRE_EVERY, "gallery-retention")

    def _expire_again(self) -> bool:
        """Whether there is no retention any more."""
        with self._lock:
            if self._closed or not self.retention:
                self._expirer = None
                return True
            try:
                self._expire()
            except GalleryError as error:
                log.warning("%s: retention has run out for people who cannot be deleted: %s", self.where, error)
            return False

    def _look_at_clock(self) -> None:
        jump = self._timeline.look(clock.time(), *uptime())
        if jump and self.retention:
            log.warning(
                "%s: the clock has jumped by %+.1f hours; retention does not count what it is ahead by. If that time "
                "has passed, say so: reid gallery clock FILE --passed; if the clock was set: --was-wrong",
                self.where,
                jump / 3600,
            )

    def _merge(self, source: int, target: int) -> None:
        change = Change(self._state.rows)
        gone, kept = change.person(self._people, source), change.person(self._people, target)
        moved = np.array(gone.rows, np.int64)
        with self._transaction(erases=True):
            if self._journal:
                rows = change.rows.rows(moved)
                for i, slot in enumerate(rows.slot):
                    body = self._body(change, rows, i, kept.record.number, self._layout, sent=not self._sync)
                    self._journal.replace_exemplar(int(slot), body)
            if self._sync:
                change.unsent |= {uid.tobytes() for uid in change.rows.uid[moved]}
            change.rows = change.rows.reassign(moved, target)
            kept.rows = sorted(kept.rows + gone.rows)
            all_rows = np.array(kept.rows, np.int64)
            drop = surplus(change.rows.gather(all_rows), change.rows.quality[all_rows], self.max_exemplars)
            self._drop_rows(change, kept, all_rows[drop])
            gone.rows = []
            self._remove_record(change, source, gone, into=kept.record.uid)
            line = AuditLine(clock.time(), "merge", gone.record.number, kept.record.number, len(moved))
            self._write_audit(line)
        self._apply(change)
        self._scrub()

    def _rename(self, number: int, to: str, when: float, unsent: int = UNSENT) -> None:
        person = self._people[number]
        record = replace(person.record, name=to, clock=when, flags=unsent if self._sync else 0)
        with self._transaction(erases=True):
            if self._journal:
                self._journal.replace_identity(person.slot, record)
            self._write_audit(AuditLine(clock.time(), "rename", record.number, None, len(person.rows)))
        names = list(self._state.names)
        names[number] = to
        del self._number[person.record.name]
        self._number[to] = number
        person.record = record
        self._publish(replace(self._state, names=names))
        self._scrub()  # the old name is forgotten too

    # Publishing.

    def _apply(self, change: "Change") -> None:
        """Publish what is on disk now."""
        state = self._state
        names = state.names
        if change.removed:
            names = list(names)
            for number in change.removed:
                names[number] = None
                record = self._people.pop(number).record
                del self._number[record.name], self._by_uid[record.uid]
                change.people.pop(number, None)
        names.extend(change.names)
        for offset, name in enumerate(change.names):
            self._number[name] = len(names) - len(change.names) + offset
        state.cameras.extend(change.cameras)
        self._camera_slots += change.camera_slots
        self._next_number += change.new_people
        self._people |= change.people
        self._by_uid |= {person.record.uid: number for number, person in change.people.items()}
        self._gone |= change.gone
        self._unsent = (self._unsent | change.unsent) - change.sent if change.unsent or change.sent else self._unsent
        self._removals |= change.removals
        for slot, chunks in change.chunks.items():
            if chunks is None:
                self._chunks.pop(slot, None)
            else:
                self._chunks[slot] = chunks
        self._publish(replace(state, rows=change.rows, names=names))

    def _publish(self, state: State) -> None:
        rows = state.rows
        if rows.size - rows.count > max(BLOCK, rows.size // 4):
            rows = rows.compact()
            for person in self._people.values():
                person.rows = []
            for number, places in _groups(rows.person).items():
                self._people[number].rows = places
        if state.index and state.index.generation != rows.generation:
            state = replace(state, index=None)
        self._state = replace(state, rows=rows)
        for follower in list(self._followers):
            follower.follow(rows)
        self._refresh_index()
        if self._sync:
            self._sync.wake()

    def _refresh_index(self) -> None:
        """Make a new index in the background if there is need for one."""
        state = self._state
        if state.rows.count < INDEX_FROM or (state.index and not state.index.is_behind(state.rows)):
            return
        if load_faiss() is None:
            if not self._said_exact:
                log.warning("%d exemplars are searched exactly: for an index, %s", len(self), how_to_install("index"))
                self._said_exact = True
            return
        if self._indexer is None or not self._indexer.is_alive():
            self._indexer = threading.Thread(target=self._make_index, name="gallery-index", daemon=True)
            self._indexer.start()

    def _make_index(self) -> None:
        while True:
            state = self._state
            rows, old = state.rows, state.index
            if old is None:
                index = Index.build(rows)
            elif old.holds_erased(rows):
                index = old.remade(rows)
            else:
                index = old.extended(rows)
            with self._lock:
                if self._closed or index is None:
                    return
                newest = self._state
                if newest.rows.generation == index.generation:
                    self._state = newest = replace(newest, index=index)
                behind = newest.index is None or newest.index.is_behind(newest.rows)
                if not behind or newest.rows.count < INDEX_FROM:
                    self._indexer = None
                    return

    # Small things.

    def _transaction(self, erases: bool = False):
        return self._journal.transaction(erases) if self._journal else _Nothing()

    def note(self, action: str, exemplars: int) -> None:
        """Write an audit line about several identities."""
        with self._lock, self._transaction():
            self._write_audit(AuditLine(clock.time(), action, None, None, exemplars))

    @property
    def created(self) -> float | None:
        """When the file began, seconds since 1970: copies of it have it too. None without a file."""
        return self._journal.created if self._journal else None

    def catch_up(self, lines: Sequence[AuditLine], next_number: int) -> int:
        """This is an earlier copy of a gallery whose audit has `lines`: forget whom that one has forgotten since; how
        many people. Numbers below `next_number` are taken. The audit gets those lines, and one that says so."""
        with self._lock:
            known = set(self.audit())
            later = [line for line in lines if line not in known]
            gone: set[int] = set()
            bearers: dict[int, set[int]] = {}  # by number: who was merged into it
            for line in later:
                if line.action == "merge":
                    bearers.setdefault(line.into, set()).update({line.number}, bearers.pop(line.number, ()))
                elif line.action == "forget":
                    gone |= {line.number, *bearers.pop(line.number, ())}
            self._next_number = max(self._next_number, next_number)
            with self._transaction():
                if self._journal:
                    self._journal.reserve(self._next_number)
                for line in later:
                    self._write_audit(line)
            numbers = [number for number, person in self._people.items() if person.record.number in gone]
            if numbers:
                self._remove(numbers, "forget")
            self.note("restore", len(self))
            return len(numbers)

    def _write_audit(self, line: AuditLine) -> None:
        if self._journal:
            self._journal.write_audit(line)
        else:
            self._audit.append(line)
        log.info("%s: identity %s, into %s, %d exemplars", line.action, line.number, line.into, line.exemplars)

    def _scrub(self) -> None:
        """Leave no byte of what was erased. It is gone all the same if some cannot be reached now: that is told, and
        tried again in the background."""
        if self._journal and not self._journal.scrub():
            log.warning("%s: %s", self.where, self._journal.traces)
            self._scrub_later()

    def _scrub_later(self) -> None:
        if self._scrubber is None:
            self._scrubber = Chore(self._scrub_again, SCRUB_EVERY, "gallery-scrub")

    def _scrub_again(self) -> bool:
        """Whether nothing is left to do."""
        with self._lock:
            if not self._closed:
                if not self._journal.scrub(wait=0):
                    return False
                log.warning("%s: nothing of what was erased is left in its files now", self.where)
            self._scrubber = None
            return True

    def _known(self, identity: str) -> int:
        number = self._number.get(identity) if isinstance(identity, str) else None
        if number is None:
            raise UnknownIdentityError(f"identity '{identity}' is not in the gallery")
        return number

    def _open_state(self) -> State:
        if self._closed:
            raise GalleryError(f"{self.where} is closed; open it again")
        return self._state

    def _require_writable(self) -> None:
        self._open_state()
        if self.read_only:
            raise GalleryError(f"{self.where} was opened with read_only=True; open it without, to change it")

    def _layout_of(self, group: Exemplars) -> ExemplarLayout:
        stripes = None if group.stripes is None else tuple(group.stripes.shape[1:])
        return ExemplarLayout(group.embedding.shape[1], stripes)


class Change:
    """What a transaction does, to be published when it is on disk; dropped when it fails."""

    def __init__(self, rows: Snapshot):
        self.rows = rows
        self.people: dict[int, _Person] = {}
        self.names: list[str] = []
        self.cameras: list[str | None] = []
        self.camera_slots: list[int] = []
        self.new_people = 0
        self.removed: set[int] = set()
        self.gone: dict[bytes, tuple[int, IdentityRecord]] = {}
        self.chunks: dict[int, list[tuple[int, int]] | None] = {}
        self.unsent: set[bytes] = set()
        self.sent: set[bytes] = set()
        """No longer to be sent: erased before they were."""
        self.removals: set[bytes] = set()

    def person(self, people: dict[int, _Person], number: int) -> _Person:
        """A copy that the transaction may change."""
        if number not in self.people:
            known = people[number]
            self.people[number] = _Person(known.record, known.slot, list(known.rows))
        return self.people[number]


class _Overlay(dict):
    """New entries over a dictionary that is not changed."""

    def __init__(self, base: dict):
        super().__init__()
        self._base = base

    def get(self, key, default=None):
        return super().get(key, self._base.get(key, default))


class _Nothing:
    def __enter__(self):
        return None

    def __exit__(self, *_):
        return None


def _groups(values: np.ndarray) -> dict[int, list[int]]:
    """Where each value that is not negative stands, in order."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else []
    parts = np.split(order, starts[1:]) if len(ordered) else []
    return {int(values[part[0]]): part.tolist() for part in parts if values[part[0]] >= 0}


def shape_of(stripes: tuple[int, int] | None) -> str:
    """In words."""
    return "no stripes" if stripes is None else f"stripes of {stripes[0]}×{stripes[1]}"
