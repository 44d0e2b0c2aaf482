"""`Gallery`: the identities that are known, in memory, on disk, or shared by several sites."""

import logging
import threading
import time as clock
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from sdk.distances import local_distance_gathered
from sdk.errors import GalleryError
from sdk.gallery.index import INDEX_FROM, Index, load_faiss
from sdk.gallery.journal import Journal
from sdk.gallery.records import GONE, UNSENT, ExemplarLayout, IdentityRecord, checked_name
from sdk.gallery.results import AuditLine, Candidate, IdentitySummary, VerifyReport
from sdk.gallery.rows import BLOCK, Rows, Snapshot
from sdk.gallery.search import AGGREGATES, Question, State, search
from sdk.gallery.selection import surplus

UNIT_TOLERANCE = 1e-3
"""By how much a length may differ from 1; half-precision engines are within it."""
MAX_EXEMPLARS = 32
"""Of an identity, unless the gallery says otherwise."""
EXPIRE_EVERY = 60.0
"""Seconds between two looks for what the retention has run out for."""

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


class Gallery:
    """Identities and their exemplars.

    ```python
    gallery = Gallery()                                # in memory
    gallery = Gallery("site.db")                       # on disk: what `add` has returned from survives a power cut
    gallery = Gallery("milvus://host:19530/site")      # shared by sites; cache="site.db" keeps it here as well
    ```

    Every method may be called from several threads. A search never waits for a change; changes wait for each other.
    A file is written by one process at a time; others may read it (`read_only=True`) as it was when they opened it.
    """

    def __init__(
        self,
        where: str | Path | None = None,
        *,
        read_only: bool = False,
        max_exemplars: int | None = None,
        retention: float | None = None,
        store_crops: bool | None = None,
        passphrase: str | None = None,
        cache: str | Path | None = None,
    ):
        """where: nothing, a file, or a Milvus store: `milvus://host:19530/name`, `milvus://token@host:19530/name`, or
        a `*.milvus.db` file of Milvus Lite.

        max_exemplars: of an identity, beyond which the most redundant go (default 32). retention: seconds after their
        enrolment for which exemplars are kept (default: for ever; 0: for ever again). store_crops: keep the crops that
        `ReIdentifier.enroll` sees, for `reid gallery reembed` (default: no). A file remembers the three.
        passphrase: of an encrypted file; None: that of the environment variable ALIGNED_REID_GALLERY_KEY, with which a
        new file is encrypted. cache: file that keeps a shared gallery, and what the store has not heard of yet.
        Raises `GalleryError` naming the file and the remedy.
        """
        self._lock = threading.RLock()
        self._state = State(Snapshot(), [], [None])
        self._people: dict[int, _Person] = {}
        self._number: dict[str, int] = {}
        self._by_uid: dict[bytes, int] = {}
        self._camera_slots: list[int] = [-1]
        self._chunks: dict[int, list[tuple[int, int]]] = {}
        self._gone: dict[bytes, tuple[int, IdentityRecord]] = {}
        self._unsent: set[bytes] = set()
        self._removals: set[bytes] = set()
        self._next_number = 1
        self._audit: list[AuditLine] = []
        self._layout: ExemplarLayout | None = None
        self._model: str | None = None
        self._passphrase = passphrase
        self._closed = False
        self._indexer: threading.Thread | None = None
        self._said_exact = False
        self._expired = 0.0
        self._journal: Journal | None = None
        self._sync = None
        self.problems: tuple[str, ...] = ()
        """What could not be read of a damaged file that was opened read-only."""
        self._shared = shared = where is not None and is_shared(where)
        self.where = "the gallery in memory" if where is None else str(where)
        self.read_only = read_only
        if cache is not None and not shared:
            raise GalleryError(f"cache={str(cache)!r} is for a shared gallery; pass the file as the first argument")
        path = cache if shared else where
        if read_only and path is None:
            raise GalleryError("read_only=True is for a gallery file; pass its path")
        if path is not None:
            self._journal = Journal(path, read_only, passphrase)
            try:
                self._load(self._journal)
            except BaseException:
                self._journal.close()
                raise
        self._settle_options(max_exemplars, retention, store_crops)
        if shared:
            from sdk.gallery.shared import Sync

            try:
                self._sync = Sync(self, str(where))
            except BaseException:
                self.close()
                raise
        if self.retention and not read_only:
            with self._lock:
                self._expire()
        self._refresh_index()

    def _settle_options(self, max_exemplars, retention, store_crops) -> None:
        if max_exemplars is not None and max_exemplars < 1:
            raise GalleryError(f"max_exemplars is {max_exemplars}; keep at least 1 exemplar of an identity")
        if retention is not None and not retention >= 0:
            raise GalleryError(f"retention is {retention}; give seconds, or 0 to keep exemplars for ever")
        meta = self._journal.meta if self._journal else {}
        given = {"max_exemplars": max_exemplars, "retention": retention, "store_crops": store_crops}
        given = {name: value for name, value in given.items() if value is not None and meta.get(name) != value}
        if self._journal and given and not self.read_only:
            with self._journal.transaction():
                self._journal.set_meta(**given)
        settings = {"max_exemplars": MAX_EXEMPLARS, "retention": 0.0, "store_crops": False} | meta | given
        self.max_exemplars = int(settings["max_exemplars"])
        self.retention = float(settings["retention"])
        self.stores_crops = bool(settings["store_crops"]) and self._journal is not None

    # What is there.

    def __len__(self) -> int:
        """The number of exemplars."""
        return self._state.rows.count

    def __enter__(self) -> "Gallery":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def identities(self) -> list[str]:
        """The names of the identities, sorted."""
        return sorted(name for name in self._state.names if name is not None)

    def describe(self, identity: str | None = None) -> list[IdentitySummary]:
        """What is known of each identity, sorted by name; or of one. Raises `GalleryError` if it is unknown."""
        with self._lock:
            names = self.identities() if identity is None else [identity]
            return [self._summary(self._known(name)) for name in names]

    def _summary(self, number: int) -> IdentitySummary:
        person, rows = self._people[number], self._state.rows
        which = np.array(person.rows)
        cameras = {self._state.cameras[c] for c in rows.camera[which]} - {None}
        added = rows.added[which]
        return IdentitySummary(
            person.record.number,
            person.record.name,
            len(which),
            tuple(sorted(cameras)),
            float(added.min()),
            float(added.max()),
        )

    @property
    def model(self) -> str | None:
        """The checkpoint whose features these are; None: not known yet."""
        return self._model

    @property
    def stripes_shape(self) -> tuple[int, int] | None:
        """(S, d) of the stripes that are kept for re-scoring; None: none are."""
        return self._layout.stripes if self._layout else None

    @property
    def indexed(self) -> int:
        """Exemplars that the approximate index covers; 0: searches are exact."""
        index = self._state.index
        return index.covered if index else 0

    def new_name(self, prefix: str = "person") -> str:
        """A name that nobody bears: `person-1`, `person-2`, …; in a shared gallery one that no other site gives."""
        with self._lock:
            site = f"{self._sync.site}-" if self._sync else ""
            number = 1
            while f"{prefix}-{site}{number}" in self._number:
                number += 1
            return f"{prefix}-{site}{number}"

    # Searching.

    def search(
        self,
        embedding: np.ndarray,
        k: int = 10,
        *,
        camera: str | Sequence[str | None] | None = None,
        since: float | None = None,
        until: float | None = None,
        identities: Iterable[str] | None = None,
        aggregate: str = "best",
        stripes: np.ndarray | None = None,
        weight: float = 1.0,
    ) -> list[list[Candidate]]:
        """The k nearest identities of each query, each once, nearest first.

        embedding: float `[N, D]` (or `[D]`) of unit length. camera: compare with the exemplars of that camera only, or
        a list: one camera, or None, a query. since, until: with those seen in that time (seconds, as `time` of `add`).
        identities: with these people's only. aggregate: "best": an identity is as near as its nearest exemplar;
        "mean3": as the mean of the nearest three; "centroid": as the mean of all. stripes `[N, S, d]`: re-score, that
        is order by cosine distance + `weight` × aligned local distance / (2S − 1). With another aggregate, or stripes,
        the max(4k, 64) identities that are nearest by their nearest exemplar are compared so.

        Raises `GalleryError` as `add` does, or for a k < 1, an unknown aggregate, or stripes where none are kept.
        Fewer than k, or none, come back where there are no more.
        """
        state = self._open_state()
        if k < 1:
            raise GalleryError(f"k is {k}; ask for at least 1 candidate")
        if aggregate not in AGGREGATES:
            raise GalleryError(f"aggregate '{aggregate}' is unknown; choose of {', '.join(AGGREGATES)}")
        queries = self._checked(embedding)
        cameras = [camera] * len(queries) if camera is None or isinstance(camera, str) else list(camera)
        if len(cameras) != len(queries):
            raise GalleryError(f"{len(cameras)} cameras for {len(queries)} queries; give one a query, or one for all")
        if stripes is not None:
            stripes = np.asarray(stripes)
            if len(state.rows.blocks) and not state.rows.stripe_blocks:
                raise GalleryError(
                    f"{self.where} keeps no stripes, so nothing can be re-scored; "
                    "enrol its people again, into a new gallery, with ReIdentifier(…, rescore=True)"
                )
            self._check_stripes(stripes, len(queries))
        names = None if identities is None else frozenset(identities)
        question = Question(queries, k, cameras, since, until, names, aggregate, stripes, weight)
        return search(state, question, local_distance_gathered)

    # Changing.

    def add(
        self,
        embedding: np.ndarray,
        stripes: np.ndarray | None = None,
        *,
        identity: str,
        camera: str | None = None,
        time: float | None = None,
        quality: float | Sequence[float] = 1.0,
        crops: Sequence[np.ndarray] | None = None,
    ) -> None:
        """Add exemplars of one identity: float `[N, D]` (or `[D]`) of unit length; stripes `[N, S, d]` to re-score by.

        When it returns, they are stored as the gallery stores. time: when they were seen, s. quality: of each or of
        all; when an identity has more than `max_exemplars`, of the two most alike the poorer goes. crops: uint8 BGR
        images, one an exemplar; kept only where the gallery stores crops.

        Raises `GalleryError` if the identity has no name, the embedding is of another width than the gallery's, not
        finite, or not of unit length, or it cannot be stored; nothing is added then.
        """
        checked_name(identity, "identity")
        if camera is not None:
            checked_name(camera, "camera")
        if time is not None and not np.isfinite(time):
            raise GalleryError(f"time is {time}; give seconds, or None")
        rows = self._checked(embedding)
        number = len(rows)
        if stripes is not None:
            stripes = np.asarray(stripes, np.float16)
            self._check_stripes(stripes, number)
        if crops is not None and len(crops) != number:
            raise GalleryError(f"{len(crops)} crops for {number} embeddings; give one for each")
        files = [_encoded(crop) for crop in crops] if crops is not None and self.stores_crops else None
        exemplars = Exemplars(
            identity,
            camera,
            rows,
            stripes,
            np.full(number, np.nan if time is None else time),
            np.full(number, clock.time()),
            np.broadcast_to(np.asarray(quality, np.float32), number),
            files,
        )
        with self._lock:
            self._require_writable()
            self._expire()
            self._insert([exemplars])

    def merge(self, identity: str, into: str) -> int:
        """Two names, one person: the exemplars of `identity` become those of `into`; how many there were.

        Raises `GalleryError` if either is unknown, or both are the same.
        """
        with self._lock:
            self._require_writable()
            if identity == into:
                raise GalleryError(f"identity '{identity}' cannot be merged into itself")
            source, target = self._known(identity), self._known(into)
            count = len(self._people[source].rows)
            self._merge(source, target)
            return count

    def rename(self, identity: str, to: str) -> None:
        """Give an identity another name. Raises `GalleryError` if it is unknown, or the name is taken."""
        checked_name(to, "the new name")
        with self._lock:
            self._require_writable()
            number = self._known(identity)
            if to in self._number:
                raise GalleryError(f"identity '{to}' is in the gallery already; merge the two instead")
            self._rename(number, to, clock.time())

    def forget(self, identity: str) -> int:
        """Delete an identity and leave no trace of it; how many exemplars there were.

        Rows, crops, the name, and what SQLite keeps in its WAL are overwritten before it returns; the codes in the
        approximate index go in the background. Raises `GalleryError` if the identity is unknown.
        """
        with self._lock:
            self._require_writable()
            number = self._known(identity)
            count = len(self._people[number].rows)
            self._remove([number], "forget")
            return count

    def prune(self, before: float) -> int:
        """Delete the exemplars that were enrolled before a time (seconds since 1970), and whom none is left of.

        How many exemplars there were. Nothing of them is left either.
        """
        with self._lock:
            self._require_writable()
            return self._prune(before)

    def close(self) -> None:
        """Release what the gallery holds; in memory, its contents. What a file holds is on the disk already."""
        with self._lock:
            sync, self._sync = self._sync, None
        if sync is not None:
            sync.close()
        with self._lock:
            self._closed = True
            self._state = State(Snapshot(), [], [None])
            self._people, self._number, self._by_uid = {}, {}, {}
            if self._journal is not None:
                self._journal.close()

    def audit(self) -> list[AuditLine]:
        """What was done to identities, oldest first."""
        with self._lock:
            return self._journal.audit() if self._journal else list(self._audit)

    def verify(self) -> VerifyReport:
        """Read everything back and compare it with what is in memory."""
        from sdk.gallery.verify import verify

        with self._lock:
            self._open_state()
            return verify(self, self._journal)

    def export(self, path: str | Path) -> int:
        """Write `<path>.npz` and `<path>.jsonl`, for another gallery's `load`; how many exemplars. Raises
        `GalleryError` if they cannot be written."""
        from sdk.gallery.portable import export_gallery

        return export_gallery(self, path)

    def load(self, path: str | Path) -> int:
        """Add what `export` wrote; how many exemplars. Raises `GalleryError` for files that are damaged, or of another
        model; nothing is added then."""
        from sdk.gallery.portable import import_gallery

        return import_gallery(self, path)

    def crops(self, identity: str) -> list[tuple[np.ndarray, str | None, float | None]]:
        """The stored crops of an identity: (uint8 BGR, camera, time) each; none where none are stored.

        Raises `GalleryError` if the identity is unknown, or a crop is damaged.
        """
        with self._lock:
            person, state = self._people[self._known(identity)], self._open_state()
            rows, found = state.rows, []
            for row in person.rows:
                chunks = self._chunks.get(int(rows.slot[row]))
                if chunks and self._journal:
                    time = float(rows.time[row])
                    image = _decoded(self._journal.crop(chunks), identity, self.where)
                    found.append((image, state.cameras[rows.camera[row]], None if np.isnan(time) else time))
            return found

    def sync(self, timeout: float = 30.0) -> None:
        """Exchange with the shared store now. Raises `GalleryError` if it does not answer; nothing is lost then."""
        if self._sync is None:
            raise GalleryError(f"{self.where} is not shared; open it as milvus://host:19530/name")
        self._sync.exchange(timeout)

    def bind(self, model: str, dim: int, stripes: tuple[int, int] | None = None) -> None:
        """Say whose features these are: the SHA-256 of the checkpoint, D, and (S, d) if stripes are to be kept.

        The first model that comes is the gallery's. Raises `GalleryError` for another, with the remedy.
        """
        with self._lock:
            self._open_state()
            if self._model and model and model != self._model:
                remedy = (
                    "re-embed the stored crops with: reid gallery reembed OLD NEW --model MODEL"
                    if self._chunks
                    else "it stores no crops to embed again, so enrol its people into a new gallery"
                )
                raise GalleryError(
                    f"{self.where} holds features of model {self._model[:12]}, this is {model[:12]}; {remedy}"
                )
            if self._layout:
                if self._layout.dim != dim:
                    raise GalleryError(
                        f"{self.where} has {self._layout.dim} dimensions, the model {dim}; enrol its people again"
                    )
                if stripes and self._layout.stripes != stripes:
                    raise GalleryError(
                        f"{self.where} keeps {_shape(self._layout.stripes)}, the model gives {_shape(stripes)}; "
                        "open a new gallery to re-score with, or pass rescore=False"
                    )
            if self.read_only or (self._model and self._layout):
                return
            layout = self._layout or ExemplarLayout(dim, stripes)
            if self._journal:
                with self._journal.transaction():
                    if not self._layout:
                        self._journal.set_layout(layout)
                    if model:
                        self._journal.set_meta(model=model)
            self._layout = layout
            self._model = self._model or model or None

    # Inside: all of it is called with the lock.

    def _load(self, journal: Journal) -> None:
        contents = journal.load()
        if contents.problems and not self.read_only:
            raise GalleryError(
                f"{journal.path}: is damaged ({contents.problems[0]}"
                + (f", and {len(contents.problems) - 1} more" if len(contents.problems) > 1 else "")
                + "); what can be read opens with read_only=True, and is saved by: reid gallery export FILE -o saved"
            )
        self.problems = tuple(contents.problems)
        self._layout, self._model, self._chunks = journal.layout, journal.meta.get("model"), contents.chunks
        self._removals = set(journal.removals())
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
        for line in journal.audit():
            self._next_number = max(self._next_number, 1 + (line.number or 0))
        cameras: list[str | None] = [None]
        camera_of = {-1: 0}
        for slot, name in contents.cameras:
            camera_of[slot] = len(cameras)
            cameras.append(name)
            self._camera_slots.append(slot)
        snapshot = self._read_rows(contents.exemplars, local, camera_of)
        for number, rows in _groups(snapshot.person).items():
            self._people[number].rows = rows
        for number in [n for n, person in self._people.items() if not person.rows]:
            # Only where records are damaged: an identity goes with its last exemplar.
            names[number] = None
            del self._number[self._people.pop(number).record.name]
        self._by_uid = {person.record.uid: number for number, person in self._people.items()}
        self._state = State(snapshot, names, cameras)

    def _read_rows(self, exemplars, local: dict[int, int], camera_of: dict[int, int]) -> Snapshot:
        snapshot = Snapshot()
        lost = 0
        for start in range(0, len(exemplars), BLOCK):
            part = []
            for slot, record in exemplars[start : start + BLOCK]:
                if record[0] in local:
                    part.append((slot, record))
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
        return snapshot

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
                        f"stripes have shape {group.stripes.shape[1:]}, {self.where} keeps {_shape(layout.stripes)}; "
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

    def _new_person(self, group: Exemplars, change: "Change") -> _Person:
        number = self._next_number + change.new_people
        change.new_people += 1
        if group.person is not None:
            record = replace(group.person, number=number)
        else:
            flags = UNSENT if self._sync else 0
            record = IdentityRecord(number, uuid.uuid4().bytes, clock.time(), group.identity, flags)
        return _Person(record, self._journal.put_identity(record) if self._journal else -1)

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
        with self._transaction():
            for number in numbers:
                person = change.person(self._people, number)
                count = len(person.rows)
                self._drop_rows(change, person, np.array(person.rows, np.int64), wipe=True)
                self._remove_record(change, number, person, tombstone)
                self._write_audit(AuditLine(clock.time(), action, person.record.number, None, count))
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

    def _prune(self, before: float) -> int:
        rows = self._state.rows
        old = np.flatnonzero(rows.alive & (rows.added < before))
        if not len(old):
            return 0
        change = Change(rows)
        with self._transaction():
            for number, places in _groups(rows.person[old]).items():
                person = change.person(self._people, number)
                self._drop_rows(change, person, old[places], wipe=True)
                if not person.rows:
                    self._remove_record(change, number, person, into=person.record.uid)
                self._write_audit(AuditLine(clock.time(), "prune", person.record.number, None, len(places)))
        self._apply(change)
        self._scrub()
        return len(old)

    def _expire(self) -> None:
        now = clock.time()
        if self.retention and now - self._expired >= EXPIRE_EVERY:
            self._expired = now
            self._prune(now - self.retention)

    def _merge(self, source: int, target: int) -> None:
        change = Change(self._state.rows)
        gone, kept = change.person(self._people, source), change.person(self._people, target)
        moved = np.array(gone.rows, np.int64)
        with self._transaction():
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
        with self._transaction():
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
                log.warning(
                    "%d exemplars are searched exactly: for an index, pip install 'aligned-reid[index]'", len(self)
                )
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

    def wait_for_index(self, timeout: float = 120.0) -> bool:
        """Wait until the index that is being made is there; whether it is."""
        thread = self._indexer
        if thread is not None:
            thread.join(timeout)
        return self._state.index is not None

    def _transaction(self):
        return self._journal.transaction() if self._journal else _Nothing()

    def _note(self, action: str, exemplars: int) -> None:
        """An audit line about several identities."""
        with self._transaction():
            self._write_audit(AuditLine(clock.time(), action, None, None, exemplars))

    def _write_audit(self, line: AuditLine) -> None:
        if self._journal:
            self._journal.write_audit(line)
        else:
            self._audit.append(line)
        log.info("%s: identity %s, into %s, %d exemplars", line.action, line.number, line.into, line.exemplars)

    def _scrub(self) -> None:
        if self._journal:
            self._journal.scrub()

    def _known(self, identity: str) -> int:
        number = self._number.get(identity)
        if number is None:
            raise GalleryError(f"identity '{identity}' is not in the gallery")
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

    def _check_stripes(self, stripes: np.ndarray, number: int) -> None:
        if stripes.ndim != 3 or len(stripes) != number:
            raise GalleryError(f"stripes have shape {stripes.shape}; expected [{number}, S, d], one for each embedding")
        if self._layout and stripes.shape[1:] != self._layout.stripes:
            raise GalleryError(
                f"stripes have shape {stripes.shape[1:]}, {self.where} keeps {_shape(self._layout.stripes)}; "
                "pass stripes=None, or open a new gallery"
            )
        if not np.isfinite(stripes).all():
            raise GalleryError("stripes are not finite; pass those of embed()")

    def _checked(self, embedding: np.ndarray) -> np.ndarray:
        rows = np.atleast_2d(np.asarray(embedding, np.float32))
        if rows.ndim != 2 or not len(rows):
            raise GalleryError(f"embedding has shape {np.shape(embedding)}; expected [N, D] with N ≥ 1")
        if self._layout and rows.shape[1] != self._layout.dim:
            raise GalleryError(
                f"embedding has {rows.shape[1]} dimensions, the gallery {self._layout.dim}; "
                "another model made it: enrol its people again with this one"
            )
        lengths = np.linalg.norm(rows, axis=1)
        if not np.all(np.abs(lengths - 1) < UNIT_TOLERANCE):  # also catches NaN
            worst = int(np.argmax(~(np.abs(lengths - 1) < UNIT_TOLERANCE)))
            raise GalleryError(f"embedding {worst} has length {lengths[worst]:g}; pass unit-length features of embed()")
        return rows


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


def is_shared(where: str | Path) -> bool:
    return str(where).startswith("milvus://") or str(where).endswith(".milvus.db")


def _shape(stripes: tuple[int, int] | None) -> str:
    return "no stripes" if stripes is None else f"stripes of {stripes[0]}×{stripes[1]}"


def _decoded(content: bytes, identity: str, where: str) -> np.ndarray:
    import cv2

    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if image is None:
        raise GalleryError(f"{where}: a stored crop of '{identity}' is damaged; forget and enrol the person again")
    return image


def _encoded(crop: np.ndarray) -> bytes:
    import cv2

    return cv2.imencode(".png", crop)[1].tobytes()
