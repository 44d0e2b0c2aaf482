"""Exact search over embeddings held in memory."""

import threading

import numpy as np

from sdk.distances import cosine_distance
from sdk.errors import GalleryError
from sdk.gallery.results import Candidate

UNIT_TOLERANCE = 1e-3
"""By how much a length may differ from 1; half-precision engines are within it."""


class Gallery:
    """Identities and their exemplars. Every method may be called from several threads.

    The embeddings lie in one matrix that doubles when it is full, so that a search is one matrix product.
    """

    def __init__(self):
        self._lock = threading.RLock()
        self._embedding = np.empty((0, 0), np.float32)  # rows beyond _size are room to grow
        self._identity: list[str] = []
        self._camera: list[str | None] = []
        self._time: list[float | None] = []

    def __len__(self) -> int:
        """The number of exemplars."""
        return len(self._identity)

    def __enter__(self) -> "Gallery":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Release what the gallery holds; in memory, its contents."""
        with self._lock:
            self.__init__()

    def add(
        self, embedding: np.ndarray, *, identity: str, camera: str | None = None, time: float | None = None
    ) -> None:
        """Add exemplars of one identity: float `[N, D]` (or `[D]`) of unit length.

        Raises `GalleryError` if the identity has no name, or the embedding is of another width than the
        gallery's, not finite, or not of unit length; nothing is added then.
        """
        if not isinstance(identity, str) or not identity:
            raise GalleryError(f"identity is {identity!r}; it must be a non-empty string")
        rows = self._checked(embedding)
        with self._lock:
            size = len(self)
            if size + len(rows) > len(self._embedding):
                grown = np.empty((max(64, 2 * (size + len(rows))), rows.shape[1]), np.float32)
                grown[:size] = self._embedding[:size] if size else 0
                self._embedding = grown
            self._embedding[size : size + len(rows)] = rows
            self._identity += [identity] * len(rows)
            self._camera += [camera] * len(rows)
            self._time += [time] * len(rows)

    def search(self, embedding: np.ndarray, k: int = 10, *, camera: str | None = None) -> list[list[Candidate]]:
        """The k nearest identities of each query, each once, by its nearest exemplar; nearest first.

        embedding: float `[N, D]` (or `[D]`) of unit length. `camera` compares with the exemplars of that
        camera only. Raises `GalleryError` as `add` does, or if k < 1. Fewer than k, or none, come back
        where the gallery has no more.
        """
        if k < 1:
            raise GalleryError(f"k is {k}; ask for at least 1 candidate")
        queries = self._checked(embedding)
        with self._lock:
            rows = [i for i, seen in enumerate(self._camera) if camera is None or seen == camera]
            if not rows:
                return [[] for _ in queries]
            # Exemplars sorted by identity: each identity is a run, so its best is one reduction.
            rows = np.array(rows)[np.argsort([self._identity[i] for i in rows], kind="stable")]
            names = np.array([self._identity[i] for i in rows])
            distance = np.maximum(cosine_distance(queries, self._embedding[rows]), 0)
            starts = np.flatnonzero(np.r_[True, names[1:] != names[:-1]])
            best = np.minimum.reduceat(distance, starts, axis=1)
            ends = np.r_[starts[1:], len(rows)]
            return [
                [self._candidate(rows, distance[q], starts[i], ends[i]) for i in np.argsort(best[q], kind="stable")[:k]]
                for q in range(len(queries))
            ]

    def _candidate(self, rows: np.ndarray, distance: np.ndarray, start: int, end: int) -> Candidate:
        nearest = start + int(np.argmin(distance[start:end]))
        row = rows[nearest]
        return Candidate(self._identity[row], float(distance[nearest]), self._camera[row], self._time[row])

    def identities(self) -> list[str]:
        """The names of the identities, sorted."""
        with self._lock:
            return sorted(set(self._identity))

    def merge(self, identity: str, into: str) -> int:
        """Two names, one person: the exemplars of `identity` become those of `into`; how many there were.

        Raises `GalleryError` if either is unknown, or both are the same.
        """
        with self._lock:
            if identity == into:
                raise GalleryError(f"identity '{identity}' cannot be merged into itself")
            for name in (identity, into):
                if name not in self._identity:
                    raise GalleryError(f"identity '{name}' is not in the gallery")
            count = self._identity.count(identity)
            self._identity = [into if name == identity else name for name in self._identity]
            return count

    def forget(self, identity: str) -> int:
        """Delete every exemplar of an identity; how many there were. Raises `GalleryError` if it is unknown."""
        with self._lock:
            kept = [i for i, name in enumerate(self._identity) if name != identity]
            removed = len(self) - len(kept)
            if not removed:
                raise GalleryError(f"identity '{identity}' is not in the gallery")
            # A new matrix, not a shorter one: the old rows must not linger in the room to grow.
            self._embedding = self._embedding[kept]
            self._identity = [self._identity[i] for i in kept]
            self._camera = [self._camera[i] for i in kept]
            self._time = [self._time[i] for i in kept]
            return removed

    def _checked(self, embedding: np.ndarray) -> np.ndarray:
        rows = np.atleast_2d(np.asarray(embedding, np.float32))
        if rows.ndim != 2 or not len(rows):
            raise GalleryError(f"embedding has shape {np.shape(embedding)}; expected [N, D] with N ≥ 1")
        if len(self) and rows.shape[1] != self._embedding.shape[1]:
            raise GalleryError(
                f"embedding has {rows.shape[1]} dimensions, the gallery {self._embedding.shape[1]}; "
                "another model made it: enrol its people again with this one"
            )
        lengths = np.linalg.norm(rows, axis=1)
        if not np.all(np.abs(lengths - 1) < UNIT_TOLERANCE):  # also catches NaN
            worst = int(np.argmax(~(np.abs(lengths - 1) < UNIT_TOLERANCE)))
            raise GalleryError(f"embedding {worst} has length {lengths[worst]:g}; pass unit-length features of embed()")
        return rows
