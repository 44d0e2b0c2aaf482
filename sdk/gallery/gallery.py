"""`Gallery`: the identities that are known, in memory, on disk, or shared by several sites."""

import contextlib
import re
import time as clock
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sdk.confidential import hide
from sdk.distances import local_distance_gathered
from sdk.errors import GalleryError
from sdk.gallery import arguments
from sdk.gallery.address import Address, is_address
from sdk.gallery.journal import Journal, passphrase_of
from sdk.gallery.ledger import MAX_EXEMPLARS, NOTED, Exemplars, Ledger, shape_of
from sdk.gallery.records import ExemplarLayout
from sdk.gallery.results import AuditLine, Candidate, IdentitySummary, VerifyReport
from sdk.gallery.rows import Snapshot
from sdk.gallery.search import AGGREGATES, Align, SearchRequest, State, search
from sdk.gallery.statistic import Statistic, check
from sdk.gallery.timeline import JUMP
from sdk.names import checked_name

UNIT_TOLERANCE = 1e-3
"""By how much a length may differ from 1; half-precision engines are within it."""


class Follower(Protocol):
    """Whoever wants to know what a gallery's rows are, now and later."""

    def follow(self, rows: Snapshot) -> None:
        """These are the rows now."""

    def close(self) -> None:
        """The gallery is closed."""


class Gallery(Ledger):
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
        """where: nothing, a file, or a Milvus store: `milvus://host:19530/name`, `milvus+tls://host:19530/database/name`,
        `milvus://user:password@host:19530/name` (`sdk.gallery.address`), or a `*.milvus.db` file of Milvus Lite.

        max_exemplars: of an identity, beyond which the most redundant go (default 32). retention: seconds after their
        enrolment for which exemplars are kept (default: for ever; 0: for ever again), as far as the gallery has seen
        them pass (`clock_ahead`). store_crops: keep the crops that `ReIdentifier.enroll` sees, for `reid gallery
        reembed` (default: no). A file remembers the three. passphrase: of an encrypted file; None: that of the
        environment variable ALIGNED_REID_GALLERY_KEY, with which a new file is encrypted; for a file that is not
        encrypted it is refused. cache: file that keeps a shared gallery, and what the store has not heard of yet.
        Raises `GalleryError` naming the file and the remedy.
        """
        shared = where is not None and is_shared(where)
        super().__init__(
            "the gallery in memory" if where is None else shown(where), arguments.flag(read_only, "read_only"), shared
        )
        if where is not None and not shared:
            where = arguments.path(where, "the gallery")
        if cache is not None:
            cache = arguments.path(cache, "cache")
        options = _checked_options(max_exemplars, retention, store_crops)
        if cache is not None and not shared:
            raise GalleryError(f"cache={str(cache)!r} is for a shared gallery; pass the file as the first argument")
        path = cache if shared else where
        if read_only and path is None:
            raise GalleryError("read_only=True is for a gallery file; pass its path")
        self._passphrase = None if path is None else passphrase_of(path, passphrase)
        if path is not None:
            self._journal = Journal(path, self.read_only, self._passphrase)
        try:
            if self._journal:
                self._load(self._journal)
            self._settle_options(options)
            if shared:
                from sdk.gallery.shared import Sync

                self._sync = Sync(self, str(where))
        except BaseException:
            if self._journal:
                self._journal.discard()
            raise
        with self._lock:
            self._look_at_clock()
            if not self.read_only:
                self._expire()
            self._expire_later()
            if self._journal and not self.read_only and self._journal.traces:
                self._scrub_later()
        self._refresh_index()

    def _settle_options(self, given: dict[str, Any]) -> None:
        meta = self._journal.meta if self._journal else {}
        changed = {name: value for name, value in given.items() if meta.get(name) != value}
        if self._journal and changed and not self.read_only:
            with self._journal.transaction():
                self._journal.set_meta(**changed)
        settings = {"max_exemplars": MAX_EXEMPLARS, "retention": 0.0, "store_crops": False} | meta | given
        self.max_exemplars = int(settings["max_exemplars"])
        self.retention = float(settings["retention"])
        self.stores_crops = bool(settings["store_crops"]) and self._journal is not None

    def settle(
        self, *, max_exemplars: int | None = None, retention: float | None = None, store_crops: bool | None = None
    ) -> None:
        """Change what the gallery was opened with; None: stays. What the retention has run out for goes at once.

        Raises `GalleryError` for a value that is none, or if it cannot be stored; nothing is changed then.
        """
        options = _checked_options(max_exemplars, retention, store_crops)
        with self._lock:
            self._require_writable()
            kept = {"max_exemplars": self.max_exemplars, "retention": self.retention, "store_crops": self.stores_crops}
            self._settle_options(kept | options)
            self._expired = -np.inf
            self._expire()
            self._expire_later()

    # What is there.

    @property
    def traces(self) -> str | None:
        """Why, and until when, bytes of what was erased may still be in a file; None: none are.

        `forget`, `merge`, `rename` and `prune` have done what they say when they return, and they raise if they have
        not. Where another process reads the file, or the disk is full, the old bytes stay a while: this says so until
        they are gone, which is tried again in the background.
        """
        return self._journal.traces if self._journal else None

    @property
    def clock_ahead(self) -> float:
        """Seconds by which the clock is ahead of the time that the gallery has seen pass; 0 for less than an hour.

        Retention does not count them before `settle_clock` says what they are.
        """
        ahead = self._timeline.ahead
        return ahead if ahead > JUMP else 0.0

    def settle_clock(self, passed: bool) -> float:
        """Say of `clock_ahead` whether that time has passed, and counts from now on, or the clock was wrong before and
        has been set; how many seconds that concerns. What the retention has run out for then goes at once.

        Raises `GalleryError` if it cannot be stored.
        """
        with self._lock:
            self._require_writable()
            self._look_at_clock()
            before = replace(self._timeline, starts=list(self._timeline.starts))
            seconds = self._timeline.settle(arguments.flag(passed, "passed"))
            try:
                self.note("clock", 0)
            except BaseException:
                vars(self._timeline).update(vars(before))
                raise
            self._expired = -np.inf
            self._expire()
            return seconds

    def __len__(self) -> int:
        """The number of exemplars."""
        return self._state.rows.count

    def __enter__(self) -> "Gallery":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close it; a new file that came to nothing, because something was raised before anybody was in it, goes."""
        if kind is not None and not len(self):
            self.discard()
        else:
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
            stem = f"{prefix}-{self._sync.site}-" if self._sync else f"{prefix}-"
            number = self._last_names.get(stem, 1)
            while f"{stem}{number}" in self._number:
                number += 1
            self._last_names[stem] = number
            return f"{stem}{number}"

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
        align: Align = local_distance_gathered,
    ) -> list[list[Candidate]]:
        """The k nearest identities of each query, each once, nearest first.

        embedding: float `[N, D]` (or `[D]`) of unit length. camera: compare with the exemplars of that camera only, or
        a list: one camera, or None, a query. since, until: with those seen in that time (seconds, as `time` of `add`).
        identities: with these people's only. aggregate: "best": an identity is as near as its nearest exemplar;
        "mean3": as the mean of the nearest three; "centroid": as the mean of all. stripes `[N, S, d]`: re-score, that
        is order by cosine distance + `weight` × aligned local distance / (2S − 1); align: what computes it, such as
        `sdk.rescoring.choose().distances`. With another aggregate, or stripes, the max(4k, 64) identities that are
        nearest by their nearest exemplar are compared so.

        Raises `GalleryError` as `add` does, or for a k < 1, an unknown aggregate, or stripes where none are kept.
        Fewer than k, or none, come back where there are no more.
        """
        state = self._open_state()
        k = arguments.whole(k, "k", "ask for at least 1 candidate", 1)
        if not isinstance(aggregate, str) or aggregate not in AGGREGATES:
            raise GalleryError(f"aggregate {str(aggregate)[:40]!r} is unknown; choose of {', '.join(AGGREGATES)}")
        since, until = (
            None if bound is None else arguments.number(bound, name, "give seconds, or None", finite=False)
            for name, bound in (("since", since), ("until", until))
        )
        weight = arguments.number(weight, "weight", "give a number of at least 0", 0)
        queries = self._checked(embedding)
        cameras: Sequence[str | None]
        if camera is None or isinstance(camera, str):
            cameras = [camera] * len(queries)
        else:
            cameras = arguments.names(camera, "camera", "give a camera's name, or one or None for each query")
        if len(cameras) != len(queries):
            raise GalleryError(f"{len(cameras)} cameras for {len(queries)} queries; give one a query, or one for all")
        if stripes is not None:
            stripes = arguments.floats(stripes, "stripes", "pass those of embed()", np.float16)
            if len(state.rows.blocks) and not state.rows.stripe_blocks:
                raise GalleryError(
                    f"{self.where} keeps no stripes, so nothing can be re-scored; "
                    "enrol its people again, into a new gallery, with ReIdentifier(…, rescore=True)"
                )
            self._check_stripes(stripes, len(queries))
        names = None
        if identities is not None:
            given = arguments.names(identities, "identities", "give a list of names")
            names = frozenset(name for name in given if name is not None)
        request = SearchRequest(queries, k, cameras, since, until, names, aggregate, stripes, weight)
        return search(state, request, align)

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
        crops: Sequence[np.ndarray] | np.ndarray | None = None,
    ) -> None:
        """Add exemplars of one identity: float `[N, D]` (or `[D]`) of unit length; stripes `[N, S, d]` to re-score by.

        When it returns, they are stored as the gallery stores. time: when they were seen, s. quality: of each or of
        all; when an identity has more than `max_exemplars`, of the two most alike the poorer goes. crops: uint8 BGR
        images, one an exemplar; kept only where the gallery stores crops.

        Raises `GalleryError` if the identity has no name, the embedding is of another width than the gallery's, not
        finite, or not of unit length, or it cannot be stored; nothing is added then.
        """
        self._check_names(identity, camera)
        if time is not None:
            time = arguments.number(time, "time", "give seconds, or None")
        rows = self._checked(embedding)
        number = len(rows)
        qualities = arguments.floats(quality, "quality", "give a number, or one for each embedding")
        if qualities.shape not in ((), (1,), (number,)) or not np.isfinite(qualities).all():
            raise GalleryError(f"quality has shape {qualities.shape}; give a finite number, or {number} of them")
        if stripes is not None:
            stripes = arguments.floats(stripes, "stripes", "pass those of embed()", np.float16)
            self._check_stripes(stripes, number)
        if crops is not None:
            crops = arguments.crops(crops, number)
        files = [_encoded(crop) for crop in crops] if crops is not None and self.stores_crops else None
        exemplars = Exemplars(
            identity,
            camera,
            rows,
            stripes,
            np.full(number, np.nan if time is None else time),
            np.full(number, clock.time()),
            np.broadcast_to(qualities, number),
            files,
        )
        with self._lock:
            self._require_writable()
            self._expire()
            self._insert([exemplars])

    def merge(self, identity: str, into: str) -> int:
        """Two names, one person: the exemplars of `identity` become those of `into`; how many there were.

        Raises `GalleryError` if either is unknown (`UnknownIdentityError`), both are the same, or it cannot be stored;
        nothing is changed then.
        """
        with self._lock:
            self._require_writable()
            source, target = self._known(identity), self._known(into)
            if source == target:
                raise GalleryError(f"identity '{identity}' cannot be merged into itself")
            count = len(self._people[source].rows)
            self._merge(source, target)
            return count

    def rename(self, identity: str, to: str) -> None:
        """Give an identity another name.

        Raises `GalleryError` if it is unknown (`UnknownIdentityError`), the name is taken, or it cannot be stored;
        nothing is changed then.
        """
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
        approximate index go in the background. Where something of the WAL cannot be overwritten yet, `traces` says so.

        Raises `GalleryError` if the identity is unknown (`UnknownIdentityError`), or it cannot be stored; nothing is
        changed then.
        """
        with self._lock:
            self._require_writable()
            number = self._known(identity)
            count = len(self._people[number].rows)
            self._remove([number], "forget")
            return count

    def prune(self, before: float | None = None, *, older_than: float | None = None) -> int:
        """Delete exemplars that were enrolled long ago, and whom none is left of; how many exemplars there were.

        before: a time of the clock, seconds since 1970. older_than: instead, an age in seconds, as far as the gallery
        has seen them pass: a clock that is wrong deletes nobody then. Nothing of them is left either.

        Raises `GalleryError` if it cannot be stored; nothing is changed then.
        """
        if (before is None) == (older_than is None):
            raise GalleryError("say which exemplars: before=TIME, or older_than=SECONDS")
        limit, age = 0.0, 0.0
        if before is not None:
            limit = arguments.number(before, "before", "give seconds since 1970")
        else:
            age = arguments.number(older_than, "older_than", "give seconds", 0)
        with self._lock:
            self._require_writable()
            if before is None:
                return self._erase(self._older_than(age), "prune")
            rows = self._state.rows
            return self._erase(np.flatnonzero(rows.alive & (rows.added < limit)), "prune")

    def add_follower(self, follower: Follower) -> None:
        """Call `follower.follow(rows)` with what the rows are (`sdk.gallery.rows.Snapshot`) now and whenever they have
        changed, before the call that changes them returns; `follower.close()` when the gallery is closed. It is held
        weakly."""
        with self._lock:
            self._open_state()
            self._followers.add(follower)
            follower.follow(self._state.rows)

    def keep_statistics(self, statistics: Sequence[Statistic]) -> None:
        """Keep what was learned of many people at once, in the place of what was kept before; none: nothing.

        It is stored as exemplars are, with them encrypted, and not shared with other sites. `forget` drops those that
        are of fewer than `sdk.gallery.statistic.MANY` people. Raises `GalleryError` for one that is of fewer than
        `FEWEST`, or if it cannot be stored; what was kept before stays then, and all people.
        """
        statistics = list(statistics)
        check(statistics)
        with self._lock:
            self._require_writable()
            if self._journal:
                with self._journal.transaction():
                    self._journal.put_statistics(statistics)
            self._statistics = statistics

    def statistics(self) -> list[Statistic]:
        """What `keep_statistics` was given last; none if it was damaged, which was told at opening."""
        with self._lock:
            self._open_state()
            return list(self._statistics)

    def close(self) -> None:
        """Release what the gallery holds; in memory, its contents. What a file holds is on the disk already."""
        self._end()
        if self._journal is not None:
            self._journal.close()

    def discard(self) -> None:
        """As `close`, and delete the file if it was made when this was opened: for what came to nothing."""
        self._end()
        if self._journal is not None:
            self._journal.discard()

    def _end(self) -> None:
        with self._lock:
            sync, self._sync = self._sync, None
        if sync is not None:
            sync.close()
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for follower in list(self._followers):
                follower.close()
            self._state = State(Snapshot(), [], [None])
            self._people, self._number, self._by_uid = {}, {}, {}
            self._statistics = []
            for chore in (self._scrubber, self._expirer):
                if chore is not None:
                    chore.stop()
            if self._journal is not None and not self.read_only:
                self._write_time(self._journal)
                if self._journal.traces:
                    self._journal.scrub(wait=0)

    def _write_time(self, journal: Journal) -> None:
        """Until when the gallery has seen time pass, if the file says something else."""
        self._look_at_clock()
        if abs(self._timeline.clock - journal.noted) > NOTED:
            with contextlib.suppress(GalleryError), journal.transaction():
                pass

    def backup(self, path: str | Path) -> int:
        """Write a copy of the gallery's file, as of now, while it goes on; how many exemplars are in it.

        Raises `GalleryError` if there is no file, or the copy cannot be written; an earlier copy stays then.
        """
        from sdk.gallery.backup import backup

        self._open_state()
        if self._journal is None:
            raise GalleryError(f"{self.where} has no file to copy; write what is in it with export()")
        return backup(self._journal.path, arguments.path(path, "the copy"), self._passphrase)

    def audit(self) -> list[AuditLine]:
        """What was done to identities, oldest first."""
        with self._lock:
            self._open_state()
            return self._journal.audit() if self._journal else list(self._audit)

    def verify(self) -> VerifyReport:
        """Read everything back and compare it with what is in memory."""
        from sdk.gallery.verify import Memory, verify

        with self._lock:
            state = self._open_state()
            listed = sum(len(person.rows) for person in self._people.values())
            memory = Memory(state, len(self._people), listed, self.statistics(), self.problems, self.read_only)
            return verify(memory, self._journal, self._passphrase)

    def export(self, path: str | Path) -> int:
        """Write `<path>.npz` and `<path>.jsonl`, for another gallery's `load`; how many exemplars. Raises
        `GalleryError` if they cannot be written."""
        from sdk.gallery.portable import write_export

        path = arguments.path(path, "the export")
        return write_export(self._open_state(), self.model, path)

    def load(self, path: str | Path) -> int:
        """Add what `export` wrote; how many exemplars. People of the same name become one. Raises `GalleryError` for
        files that are damaged, or of another model; nothing is added then."""
        from sdk.gallery.portable import read_export

        path = arguments.path(path, "the export")
        export = read_export(path)
        if not len(export):
            return 0
        for line in export.lines:
            self._check_names(line["identity"], line["camera"], f"{path}: ")
        dim = self._checked(export.arrays["embedding"]).shape[1]
        with self._lock:
            self._require_writable()
            self.bind(export.model or "", dim, export.stripes_shape)
            self._insert(export.groups())
            self.note("import", len(export))
        return len(export)

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

    def exemplars(self, identity: str) -> np.ndarray:
        """The features of an identity's exemplars, float32 `[N, D]`. Raises `GalleryError` if it is unknown."""
        with self._lock:
            rows = self._people[self._known(identity)].rows
            return self._open_state().rows.gather(np.array(rows, np.int64))

    def sync(self, timeout: float = 30.0) -> None:
        """Exchange with the shared store now. Raises `GalleryError` if it does not answer; nothing is lost then."""
        if self._sync is None:
            raise GalleryError(f"{self.where} is not shared; open it as milvus://host:19530/name")
        self._sync.exchange(timeout)

    def bind(self, model: str, dim: int, stripes: tuple[int, int] | None = None) -> None:
        """Say whose features these are: the SHA-256 of the checkpoint, D, and (S, d) if stripes are to be kept.

        The first model that comes is the gallery's. Raises `GalleryError` for another, with the remedy.
        """
        model = arguments.text("" if model is None else model, "the model", "give the SHA-256 of its checkpoint")
        dim = arguments.whole(dim, "dim", "give the length of the features", 1)
        if stripes is not None:
            stripes = arguments.shape(stripes, "the stripes' shape", "give (S, d), or None")
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
                        f"{self.where} keeps {shape_of(self._layout.stripes)}, the model gives {shape_of(stripes)}; "
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

    def wait_for_index(self, timeout: float = 120.0) -> bool:
        """Wait until the index that is being made is there; whether it is."""
        thread = self._indexer
        if thread is not None:
            thread.join(timeout)
        return self._state.index is not None

    def _check_names(self, identity: str, camera: str | None, what: str = "") -> None:
        """Of exemplars to be added. A name that is here already was given before there were rules."""
        if not isinstance(identity, str) or identity not in self._number:
            checked_name(identity, f"{what}identity")
        if camera is not None and not (isinstance(camera, str) and camera in self._state.cameras):
            checked_name(camera, f"{what}camera")

    def _check_stripes(self, stripes: np.ndarray, number: int) -> None:
        if stripes.ndim != 3 or len(stripes) != number or not stripes.size:
            raise GalleryError(f"stripes have shape {stripes.shape}; expected [{number}, S, d], one for each embedding")
        if self._layout and stripes.shape[1:] != self._layout.stripes:
            raise GalleryError(
                f"stripes have shape {stripes.shape[1:]}, {self.where} keeps {shape_of(self._layout.stripes)}; "
                "pass stripes=None, or open a new gallery"
            )
        if not np.isfinite(stripes).all():
            raise GalleryError("stripes are not finite; pass those of embed()")

    def _checked(self, embedding: np.ndarray) -> np.ndarray:
        rows = np.atleast_2d(arguments.floats(embedding, "embedding", "pass unit-length features of embed()"))
        if rows.ndim != 2 or not len(rows):
            raise GalleryError(f"embedding has shape {np.shape(embedding)}; expected [N, D] with N ≥ 1")
        if self._layout and rows.shape[1] != self._layout.dim:
            raise GalleryError(
                f"embedding has {rows.shape[1]} dimensions, the gallery {self._layout.dim}; "
                "another model made it: enrol its people again with this one"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            lengths = np.linalg.norm(rows, axis=1)
        if not np.all(np.abs(lengths - 1) < UNIT_TOLERANCE):  # also catches NaN
            worst = int(np.argmax(~(np.abs(lengths - 1) < UNIT_TOLERANCE)))
            raise GalleryError(f"embedding {worst} has length {lengths[worst]:g}; pass unit-length features of embed()")
        return rows


def is_shared(where: str | Path) -> bool:
    return is_address(where)


def shown(where: str | Path) -> str:
    """Where a gallery is, for messages and records: without user, password and token.

    Raises `GalleryError` for an address that is none of a gallery, which would be taken for a file's name.
    """
    if is_shared(where):
        return Address.parse(str(where)).shown
    if re.match(r"[A-Za-z][\w+.-]+:/", str(where)) or (hide(where) != str(where) and not Path(where).exists()):
        raise GalleryError(f"{hide(where)}: no address of a gallery; it is a file, or milvus://host:19530/name")
    return str(where)


def _checked_options(
    max_exemplars: int | None, retention: float | None, store_crops: bool | None
) -> dict[str, int | float | bool]:
    """Those that are not None, as they are kept. Raises `GalleryError`."""
    options: dict[str, int | float | bool] = {}
    if max_exemplars is not None:
        wanted = "keep at least 1 exemplar of an identity"
        options["max_exemplars"] = arguments.whole(max_exemplars, "max_exemplars", wanted, 1)
    if retention is not None:
        wanted = "give seconds, or 0 to keep exemplars for ever"
        options["retention"] = arguments.number(retention, "retention", wanted, 0)
    if store_crops is not None:
        options["store_crops"] = arguments.flag(store_crops, "store_crops")
    return options


def _decoded(content: bytes, identity: str, where: str) -> np.ndarray:
    import cv2

    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if image is None:
        raise GalleryError(f"{where}: a stored crop of '{identity}' is damaged; forget and enrol the person again")
    return image


def _encoded(crop: np.ndarray) -> bytes:
    import cv2

    return cv2.imencode(".png", crop)[1].tobytes()
