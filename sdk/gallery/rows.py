"""The exemplars in memory: matrices in blocks, and columns beside them, as snapshots that never change.

A writer appends to the room behind a snapshot's last row, or copies what it must change, and then publishes a new
snapshot. A reader takes the snapshot that is there and needs no lock; it never waits, and never sees half a change.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

BLOCK = 16384
"""Rows of a block. To erase a row its block is copied, so it must be small; to multiply it, large."""

DEAD = -1
"""The identity of a row that is erased."""


@dataclass(frozen=True)
class Rows:
    """Exemplars to be added, N of them."""

    embedding: np.ndarray
    """float32 `[N, D]`."""
    stripes: np.ndarray | None
    """float16 `[N, S, d]`."""
    person: np.ndarray
    """int32 `[N]`: numbers of identities."""
    camera: np.ndarray
    """int32 `[N]`: into the gallery's list of cameras."""
    time: np.ndarray
    """float64 `[N]`, s; NaN: unknown."""
    added: np.ndarray
    """float64 `[N]`: when enrolled, s since 1970."""
    quality: np.ndarray
    """float32 `[N]`."""
    slot: np.ndarray
    """int64 `[N]`: where the journal keeps it."""
    uid: np.ndarray
    """uint8 `[N, 16]`: what an exemplar is called at every site."""

    def __len__(self) -> int:
        return len(self.embedding)


COLUMNS = ("person", "camera", "time", "added", "quality", "slot", "uid")


@dataclass(frozen=True)
class Snapshot:
    """All exemplars at one moment. Rows keep their places until `compact`, which begins a new generation."""

    blocks: tuple[np.ndarray, ...] = ()
    """float32 `[BLOCK, D]` each."""
    stripe_blocks: tuple[np.ndarray, ...] = ()
    """float16 `[BLOCK, S, d]` each; empty where no stripes are kept. A row of zeros has none."""
    size: int = 0
    """Rows in use, erased ones among them."""
    generation: int = 0
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    """Each with room for all rows of the blocks."""

    def __getattr__(self, name: str) -> np.ndarray:
        if name in COLUMNS:
            return self.columns[name][: self.size] if self.size else np.empty(0, np.int32)
        raise AttributeError(name)

    @cached_property
    def alive(self) -> np.ndarray:
        """bool `[size]`."""
        return self.person != DEAD

    @cached_property
    def count(self) -> int:
        """Rows that are not erased."""
        return int(np.count_nonzero(self.alive))

    def append(self, rows: Rows) -> "Snapshot":
        """With more rows at the end. What is behind `size` is written to: one writer at a time, on the newest."""
        blocks, stripe_blocks, columns = list(self.blocks), list(self.stripe_blocks), dict(self.columns)
        end = self.size + len(rows)
        while len(blocks) * BLOCK < end:
            # Zeros are not touched before they are written, so a started block takes little memory.
            blocks.append(np.zeros((BLOCK, rows.embedding.shape[1]), np.float32))
            if rows.stripes is not None:
                stripe_blocks.append(np.zeros((BLOCK, *rows.stripes.shape[1:]), np.float16))
        for name in COLUMNS:
            new = getattr(rows, name)
            old = columns.get(name)
            if old is None or len(old) < end:
                grown = np.zeros((max(2 * end, 64), *new.shape[1:]), new.dtype)
                if old is not None:
                    grown[: self.size] = old[: self.size]
                columns[name] = old = grown
            old[self.size : end] = new
        for block, inside, outside in _pieces(self.size, end):
            blocks[block][inside] = rows.embedding[outside]
            if rows.stripes is not None:
                stripe_blocks[block][inside] = rows.stripes[outside]
        return replace(self, blocks=tuple(blocks), stripe_blocks=tuple(stripe_blocks), size=end, columns=columns)

    def erase(self, rows: np.ndarray, wipe: bool) -> "Snapshot":
        """Without some rows (indices). `wipe`: overwrite their features too, at the cost of copying their blocks."""
        blocks, stripe_blocks = list(self.blocks), list(self.stripe_blocks)
        if wipe:
            for block in np.unique(rows // BLOCK):
                inside = rows[rows // BLOCK == block] % BLOCK
                for matrices in (blocks, stripe_blocks):
                    if matrices:
                        matrices[block] = matrices[block].copy()
                        matrices[block][inside] = 0
        person = self.columns["person"].copy()
        person[rows] = DEAD
        columns = self.columns | {"person": person}
        return replace(self, blocks=tuple(blocks), stripe_blocks=tuple(stripe_blocks), columns=columns)

    def reassign(self, rows: np.ndarray, person: int) -> "Snapshot":
        """With another identity for some rows."""
        column = self.columns["person"].copy()
        column[rows] = person
        return replace(self, columns=self.columns | {"person": column})

    def compact(self) -> "Snapshot":
        """Without the room that erased rows take: all rows move, in their order."""
        kept = np.flatnonzero(self.alive)
        empty = Snapshot(generation=self.generation + 1)
        for start in range(0, len(kept), BLOCK):
            empty = empty.append(self.rows(kept[start : start + BLOCK]))
        return empty

    def similarity_at(self, queries: np.ndarray, which: np.ndarray) -> np.ndarray:
        """Cosine similarity of each query to its own rows: `[Q, D]`, indices `[Q, K]`, each line sorted → `[Q, K]`."""
        result = np.empty(which.shape, np.float32)
        ends = np.arange(len(self.blocks) + 1) * BLOCK
        buffer = np.empty((which.shape[1], queries.shape[1]), np.float32)  # one query's rows stay in the cache
        for query, rows, line in zip(queries, which, result, strict=True):
            places = np.searchsorted(rows, ends).tolist()
            for block, (start, end) in enumerate(pairwise(places)):
                if start < end:
                    inside = rows[start:end] - block * BLOCK
                    np.take(self.blocks[block], inside, axis=0, out=buffer[start:end], mode="clip")
            # Not a product of BLAS, which would start its threads for each query.
            np.einsum("kd,d->k", buffer, query, out=line)
        return result

    def rows(self, which: np.ndarray) -> Rows:
        """Copies of some rows (indices)."""
        stripes = self.gather_stripes(which) if self.stripe_blocks else None
        return Rows(self.gather(which), stripes, *(getattr(self, name)[which] for name in COLUMNS))

    def gather(self, which: np.ndarray) -> np.ndarray:
        """The embeddings of some rows (indices, any shape): float32 `[..., D]`."""
        return _gather(self.blocks, which)

    def gather_stripes(self, which: np.ndarray) -> np.ndarray:
        """The stripes of some rows (indices, any shape): float16 `[..., S, d]`."""
        return _gather(self.stripe_blocks, which)

    def similarity(self, queries: np.ndarray, first: int = 0) -> np.ndarray:
        """Cosine similarity to every row from `first` on, erased ones too: float32 `[Q, D]` → `[Q, size − first]`."""
        result = np.empty((len(queries), self.size - first), np.float32)
        for block, inside, outside in _pieces(first, self.size):
            np.matmul(queries, self.blocks[block][inside].T, out=result[:, outside])
        return result


def _gather(blocks: tuple[np.ndarray, ...], which: np.ndarray) -> np.ndarray:
    flat = np.asarray(which).reshape(-1)
    result = np.empty((len(flat), *blocks[0].shape[1:]), blocks[0].dtype)
    if len(blocks) == 1:
        np.take(blocks[0], flat, axis=0, out=result)
    else:
        order = np.argsort(flat, kind="stable")
        ends = np.searchsorted(flat[order], np.arange(1, len(blocks) + 1) * BLOCK)
        start = 0
        for block, end in zip(blocks, ends, strict=True):
            if end > start:
                places = order[start:end]
                result[places] = block[flat[places] % BLOCK]
            start = end
    return result.reshape(*np.shape(which), *blocks[0].shape[1:])


def _pieces(start: int, end: int):
    """The parts of rows `start` to `end` that lie in one block: (block, slice of the block, slice from `start` on)."""
    at = start
    while at < end:
        block, offset = divmod(at, BLOCK)
        length = min(BLOCK - offset, end - at)
        yield block, slice(offset, offset + length), slice(at - start, at - start + length)
        at += length
