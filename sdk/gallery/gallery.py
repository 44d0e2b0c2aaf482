"""`Gallery`: the identities that are known, in memory, on disk, or shared by several sites."""

import re
import time as clock
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from sdk.confidential import hide
from sdk.distances import local_distance_gathered
from sdk.errors import GalleryError
from sdk.gallery.journal import Journal
from sdk.gallery.ledger import MAX_EXEMPLARS, Exemplars, Ledger, shape_of
from sdk.gallery.records import ExemplarLayout
from sdk.gallery.results import AuditLine, Candidate, IdentitySummary, VerifyReport
from sdk.gallery.rows import Snapshot
from sdk.gallery.search import AGGREGATES, Align, Question, State, search
from sdk.gallery.statistic import Statistic, check
from sdk.names import checked_name

UNIT_TOLERANCE = 1e-3
"""By how much a length may differ from 1; half-precision engines are within it."""


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
        """where: nothing, a file, or a Milvus store: `milvus://host:19530/name`, `milvus://token@host:19530/name`, or
        a `*.milvus.db` file of Milvus Lite.

        max_exemplars: of an identity, beyond which the most redundant go (default 32). retention: seconds after their
        enrolment for which exemplars are kept (default: for ever; 0: for ever again). store_crops: keep the crops that
        `ReIdentifier.enroll` sees, for `reid gallery reembed` (default: no). A file remembers the three.
        passphrase: of an encrypted file; None: that of the environment variable ALIGNED_REID_GALLERY_KEY, with which a
        new file is encrypted. cache: file that keeps a shared gallery, and what the store has not heard of yet.
        Raises `GalleryError` naming the file and the remedy.
        """
        shared = where is not None and is_shared(where)
        super().__init__("the gallery in memory" if where is None else shown(where), read_only, shared)
        self._passphrase = passphrase
        _check_options(max_exemplars, retention)
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
        return search(state, question, align)

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
        self._check_names(identity, camera)
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
        with self._lock:
            sync, self._sync = self._sync, None
        if sync is not None:
            sync.close()
        with self._lock:
            self._closed = True
            self._state = State(Snapshot(), [], [None])
            self._people, self._number, self._by_uid = {}, {}, {}
            self._statistics = []
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
        if identity not in self._number:
            checked_name(identity, f"{what}identity")
        if camera is not None and camera not in self._state.cameras:
            checked_name(camera, f"{what}camera")

    def _check_stripes(self, stripes: np.ndarray, number: int) -> None:
        if stripes.ndim != 3 or len(stripes) != number:
            raise GalleryError(f"stripes have shape {stripes.shape}; expected [{number}, S, d], one for each embedding")
        if self._layout and stripes.shape[1:] != self._layout.stripes:
            raise GalleryError(
                f"stripes have shape {stripes.shape[1:]}, {self.where} keeps {shape_of(self._layout.stripes)}; "
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


def is_shared(where: str | Path) -> bool:
    return str(where).startswith("milvus://") or str(where).endswith(".milvus.db")


def shown(where: str | Path) -> str:
    """Where a gallery is, for messages and records: without user, password and token.

    Raises `GalleryError` for an address that is none of a gallery, which would be taken for a file's name.
    """
    if is_shared(where):
        from sdk.gallery.milvus import Address

        return Address.parse(str(where)).shown
    if re.match(r"[A-Za-z][\w+.-]+:/", str(where)) or (hide(where) != str(where) and not Path(where).exists()):
        raise GalleryError(f"{hide(where)}: no address of a gallery; it is a file, or milvus://host:19530/name")
    return str(where)


def _check_options(max_exemplars: int | None, retention: float | None) -> None:
    if max_exemplars is not None and max_exemplars < 1:
        raise GalleryError(f"max_exemplars is {max_exemplars}; keep at least 1 exemplar of an identity")
    if retention is not None and not retention >= 0:
        raise GalleryError(f"retention is {retention}; give seconds, or 0 to keep exemplars for ever")


def _decoded(content: bytes, identity: str, where: str) -> np.ndarray:
    import cv2

    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if image is None:
        raise GalleryError(f"{where}: a stored crop of '{identity}' is damaged; forget and enrol the person again")
    return image


def _encoded(crop: np.ndarray) -> bytes:
    import cv2

    return cv2.imencode(".png", crop)[1].tobytes()
