"""A gallery's stripes on the GPU, row for row: a search then copies its queries and the numbers of rows, no more."""

import threading
from typing import Any

import numpy as np

from sdk.errors import EngineError
from sdk.gallery.rows import DEAD, Snapshot
from sdk.resident_crops import ResidentCrops
from sdk.terminal import notes

STEP = 4096
"""Rows that are copied at once."""


class ResidentStripes:
    """Follows what a gallery publishes: new rows are added, erased ones overwritten, all are copied anew when they have
    moved. Who is who does not matter here, so a merge changes nothing.

    Made when it is asked for the second time: a single search copies less without it. Where the GPU has no room for it,
    searches go on without. May be used from several threads.
    """

    def __init__(self, rescorer: Any) -> None:
        """rescorer: a `sdk.rescoring.Rescorer` that holds galleries on the GPU."""
        self._rescorer = rescorer
        self._lock = threading.RLock()
        self._asked = 0
        self._given_up = False
        self._forget()

    def distances(self, rows: Snapshot, query: np.ndarray, candidates: np.ndarray) -> np.ndarray | None:
        """Local distances of query stripes `[B, S, d]` to candidates `[B, K]`, numbers of rows; −1, or a row without
        stripes: inf. None where these rows are not here."""
        with self._lock:
            self._asked += 1
            if self._given_up or self._asked < 2 or self._newest is None or not self._newest.stripe_blocks:
                return None
            try:
                if self._held is None:  # not from `rows`: somebody may have been forgotten meanwhile
                    self._take(self._newest)
                if rows.generation != self._generation or rows.size > len(self._held):
                    return None  # of another moment
                there = (candidates >= 0) & self._has[np.maximum(candidates, 0)]
                return self._rescorer.distances(query, self._held, np.where(there, candidates, -1))
            except EngineError as error:
                self._give_up(error)
                return None

    def follow(self, rows: Snapshot) -> None:
        """These are the gallery's rows now. Called by one thread at a time, which changes the gallery."""
        with self._lock:
            self._newest = rows
            if self._held is None:
                return
            try:
                self._take(rows)
            except EngineError as error:
                self._give_up(error)

    def close(self) -> None:
        """Overwrite what is on the GPU, and give the memory back."""
        with self._lock:
            if self._held is not None:
                self._held.clear()
                self._held.close()
            self._forget()

    def _forget(self) -> None:
        self._held = self._people = None
        self._generation = -1
        self._has = np.zeros(0, bool)
        self._newest: Snapshot | None = None

    def _give_up(self, error: EngineError) -> None:
        notes.print(f"stripes are not kept on the GPU: {error}")
        self._given_up = True
        self._forget()

    def _take(self, rows: Snapshot) -> None:
        if self._held is None:
            self._held = self._rescorer.hold(rows.gather_stripes(np.arange(0)))
        if rows.generation != self._generation:
            self._held.clear()
            self._generation, self._has, self._people = rows.generation, np.zeros(0, bool), None
        for start in range(len(self._held), rows.size, STEP):
            stripes = rows.gather_stripes(np.arange(start, min(start + STEP, rows.size)))
            self._held.extend(stripes)
            self._has = np.append(self._has, stripes.any(axis=(1, 2)))
        people = rows.columns.get("person")
        if people is not self._people:  # a column is replaced where rows are erased
            for row in np.flatnonzero((rows.person == DEAD) & self._has[: rows.size]):
                self._held.erase(row, row + 1)
                self._has[row] = False
            self._people = people


class Aligner:
    """What `ReIdentifier` re-scores its gallery by: a way of re-scoring, with the gallery at hand where that pays."""

    def __init__(self, rescorer: Any, gallery: Any) -> None:
        """rescorer: a `sdk.rescoring.Rescorer`; gallery: a `sdk.gallery.Gallery`."""
        self.rescorer = rescorer
        self.resident = ResidentStripes(rescorer) if rescorer.on_gpu else None
        self.crops = ResidentCrops(rescorer) if rescorer.on_gpu else None
        """For who compares single crops again and again: the tracker."""
        if self.resident is not None:
            gallery.add_follower(self.resident)

    def __call__(self, query: np.ndarray, gallery: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """As `sdk.distances.local_distance_gathered`; a candidate of −1 gives inf."""
        distances: np.ndarray = self.rescorer.distances(query, gallery, candidates)
        return distances
