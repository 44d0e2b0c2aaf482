"""An approximate index over the exemplars, for galleries too large to be compared with one by one.

Product quantisation, four bits for each two dimensions, scanned in registers (faiss `IndexPQFastScan`). What it names
is compared exactly afterwards, so it decides only what is looked at. An index never changes: a longer one is made
beside it and takes its place.
"""

import logging
import math

import numpy as np

from sdk.gallery.rows import BLOCK, Snapshot

INDEX_FROM = 20_000
"""Exemplars from which on an index is worth its memory; benchmarks/gallery.py measures both sides of it."""
TAIL = 4096
"""Exemplars that are not in the index yet, and are compared exactly, before a longer index is made."""
CANDIDATES, DOUBLING = 256, 128
"""Exemplars of a query that are compared exactly: up to 100 000, and further ones for each doubling beyond. In 512
dimensions 256 just stay in a core's cache; the more rows, the more of them the codes cannot tell from the nearest."""
TRAINING = 20_000
"""Exemplars, drawn at random, that the quantiser learns from."""

log = logging.getLogger("aligned_reid.gallery")


def load_faiss():
    """The module, or None where it is not installed."""
    try:
        import faiss
    except ImportError:
        return None
    return faiss


class Index:
    """Finds the rows of a snapshot that may be nearest. Searches run side by side."""

    def __init__(self, inner, covered: int, generation: int, erased: int):
        self._inner = inner
        self.covered = covered
        """Rows that are in it: the first ones."""
        self.generation = generation
        self.erased = erased
        """Of these, rows that were erased when it was made."""

    @property
    def candidates(self) -> int:
        """How many rows to ask for."""
        return CANDIDATES + round(DOUBLING * max(0.0, math.log2(max(1, self.covered) / 100_000)))

    @classmethod
    def build(cls, rows: Snapshot) -> "Index | None":
        """Learn from the rows and take them all in; seconds. None where faiss is missing or D is odd."""
        faiss = load_faiss()
        if faiss is None or rows.blocks[0].shape[1] % 2:
            return None
        dim = rows.blocks[0].shape[1]
        inner = faiss.IndexPQFastScan(dim, dim // 2, 4, faiss.METRIC_INNER_PRODUCT)
        alive = np.flatnonzero(rows.alive)
        chosen = np.random.default_rng(0).choice(alive, min(TRAINING, len(alive)), replace=False)
        inner.train(rows.gather(chosen))
        return cls(inner, 0, rows.generation, 0).remade(rows)

    def remade(self, rows: Snapshot) -> "Index":
        """One of all rows with this one's quantiser: codes of erased rows are gone."""
        faiss = load_faiss()
        inner = faiss.clone_index(self._inner)
        inner.reset()
        return Index(inner, 0, rows.generation, 0)._take_in(rows)

    def extended(self, rows: Snapshot) -> "Index":
        """One that covers the newest rows as well."""
        return Index(load_faiss().clone_index(self._inner), self.covered, self.generation, self.erased)._take_in(rows)

    def _take_in(self, rows: Snapshot) -> "Index":
        for start in range(self.covered, rows.size, 4 * BLOCK):
            which = np.arange(start, min(start + 4 * BLOCK, rows.size))
            self._inner.add(rows.gather(which) * rows.alive[which, None])
        self.covered = rows.size
        self.erased = int(np.count_nonzero(~rows.alive))
        return self

    def is_behind(self, rows: Snapshot) -> bool:
        """Whether a newer index should be made."""
        return rows.size - self.covered >= TAIL or self.holds_erased(rows)

    def holds_erased(self, rows: Snapshot) -> bool:
        """Whether codes of rows that have been erased since are still in it."""
        return int(np.count_nonzero(~rows.alive[: self.covered])) > self.erased

    def worth(self, selected: int, size: int) -> bool:
        """Whether to ask it when `selected` of `size` rows are in question: of a few it would miss most."""
        return selected >= INDEX_FROM // 2 and selected >= size // 8

    def search(self, queries: np.ndarray, number: int) -> np.ndarray:
        """Rows that may be nearest: float32 `[Q, D]` → int64 `[Q, number]`, −1 for none."""
        return self._inner.search(queries, min(number, self.covered))[1]
