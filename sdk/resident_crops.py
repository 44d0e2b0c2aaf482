"""Stripes of single crops on the GPU, each for as long as its array lives: what a tracker compares again and again."""

import threading
import weakref
from collections import deque
from collections.abc import Sequence

import numpy as np

from sdk.errors import EngineError
from sdk.terminal import notes


class ResidentCrops:
    """A crop is copied when it is first asked about. When its array is gone, its place is overwritten at the next
    question, and another's. May be used from several threads."""

    def __init__(self, rescorer):
        """rescorer: a `sdk.rescoring.Rescorer` that holds galleries on the GPU."""
        self._rescorer = rescorer
        self._lock = threading.RLock()
        self._held = None
        self._given_up = False
        self._places: dict[int, tuple[weakref.ref, int]] = {}
        """By the array's identity: the array, and its row on the GPU."""
        self._free: list[int] = []
        self._gone: deque[tuple[int, weakref.ref, int]] = deque()
        """Whose arrays were dropped since the last question: told by the garbage collector, at any time."""

    def distances(self, query: np.ndarray, crops: Sequence[np.ndarray]) -> np.ndarray | None:
        """Local distances of query stripes `[B, S, d]` to each crop's `[S, d]`: float32 `[B, N]`.

        None where the GPU has no room. The crops' arrays must not be changed as long as they live.
        """
        with self._lock:
            if self._given_up:
                return None
            try:
                self._reap()
                self._copy([crop for crop in crops if self._row(crop) is None])
                rows = np.array([self._row(crop) for crop in crops], np.int32)
                return self._rescorer.distances(query, self._held, np.tile(rows, (len(query), 1)))
            except EngineError as error:
                notes.print(f"the tracker's stripes are not kept on the GPU: {error}")
                self._given_up = True
                self._held = None
                self._places.clear()
                return None

    def __len__(self) -> int:
        """Crops that are on the GPU."""
        return len(self._places)

    def _row(self, crop: np.ndarray) -> int | None:
        kept, row = self._places.get(id(crop), (None, None))
        return row if kept is not None and kept() is crop else None

    def _reap(self) -> None:
        while self._gone:
            identity, kept, row = self._gone.popleft()
            if self._places.get(identity, (None,))[0] is kept:  # else another array is there by now
                del self._places[identity]
            self._held.erase(row, row + 1)
            self._free.append(row)

    def _copy(self, crops: list[np.ndarray]) -> None:
        if not crops:
            return
        crops = list({id(crop): crop for crop in crops}.values())
        if self._held is None:
            self._held = self._rescorer.hold(np.stack(crops)[:0])
        reused = crops[: len(self._free)]
        for crop in reused:
            row = self._free.pop()
            self._held.replace(row, crop)
            self._keep(crop, row)
        new = crops[len(reused) :]
        if new:
            first = len(self._held)
            self._held.extend(np.stack(new))
            for row, crop in enumerate(new, start=first):
                self._keep(crop, row)

    def _keep(self, crop: np.ndarray, row: int) -> None:
        identity, gone = id(crop), self._gone
        self._places[identity] = (weakref.ref(crop, lambda kept: gone.append((identity, kept, row))), row)
