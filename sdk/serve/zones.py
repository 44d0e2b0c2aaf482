"""The zones of a running site: what the page shows of them, and what it draws."""

import threading
from collections.abc import Mapping
from pathlib import Path

from sdk.errors import DataError
from sdk.zones import Zones
from sdk.zones.ledger import Row
from sdk.zones.shapes import KINDS, read_camera
from sdk.zones.watch import ZoneWatch


class ZoneBook:
    """A run's zones, their file, and who was in them. Every method may be called from any thread."""

    def __init__(self, watch: ZoneWatch, path: str | Path | None = None):
        """path: the file that changes are written to; None: the page cannot change them."""
        self.watch = watch
        self.path = None if path is None else Path(path)
        self._lock = threading.Lock()

    @property
    def zones(self) -> Zones:
        """Those that are watched now."""
        return self.watch.zones

    def rows(self) -> list[Row]:
        """Who was in which zone, until now."""
        return self.watch.ledger.rows(self.watch.now)

    def shapes(self, sizes: Mapping[str, tuple[int, int]]) -> list[list[dict]]:
        """The zones and lines of each camera for the page: name, kind ("zones" or "lines"), points as shares of its
        picture, and how many are there now. sizes: (width, height) of the cameras' pictures, px."""
        here = self.watch.ledger.here()
        return [
            self._shapes(camera, (max(1, width), max(1, height)), here) for camera, (width, height) in sizes.items()
        ]

    def _shapes(self, camera: str, size: tuple[int, int], here: Mapping[tuple[str, str], int]) -> list[dict]:
        own = self.zones.of(camera)
        return [
            {
                "name": shape.name,
                "kind": kind,
                "points": (shape.pixels(*size) / size).round(4).tolist(),
                "here": here[camera, shape.name],
            }
            for kind in KINDS
            for shape in getattr(own, kind)
        ]

    def draw(self, camera: str, kind: str, name: str, points: object) -> None:
        """Give a camera another zone ("zones") or line ("lines"), or another shape to one; no points: take it away.

        The file is written, and what is watched changes with the next tick. Raises `DataError` if there is no file,
        it cannot be written, or that is no zone; nothing is changed then.
        """
        if self.path is None:
            raise DataError("there is no file to write zones to; start with --zones zones.yaml")
        if kind not in KINDS:
            raise DataError(f"'{kind}' is unknown; draw zones or lines")
        with self._lock:
            mapping = self.zones.of(camera).to_mapping()
            for own in mapping.values():
                own.pop(name, None)
            if points:
                mapping.setdefault(kind, {})[name] = points
            changed = self.zones.replaced(camera, read_camera(camera, mapping))
            changed.save(self.path)
            self.watch.replace(changed)
