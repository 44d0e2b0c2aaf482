"""Zones and lines of cameras: what a file of them says, read with care."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sdk.errors import DataError, GalleryError
from sdk.names import checked_name, visible
from sdk.output import write_whole
from sdk.reading import parse_yaml

KINDS = ("zones", "lines")
MOST_POINTS = 64
"""Of a zone."""
LARGEST = 1e5
"""Of a coordinate, px."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Shape:
    """A zone (three points or more) or a line (two). Its points are shares of the picture's width and height where all
    its numbers lie between 0 and 1, else px."""

    name: str
    points: tuple[Point, ...]

    @property
    def in_shares(self) -> bool:
        """Whether the points are shares of the picture."""
        return all(0 <= value <= 1 for point in self.points for value in point)

    def pixels(self, width: int, height: int) -> np.ndarray:
        """The points in a frame of that size, float64 `[N, 2]` px."""
        points = np.array(self.points, float)
        return points * (width, height) if self.in_shares else points


@dataclass(frozen=True)
class CameraZones:
    """What is drawn for one camera."""

    zones: tuple[Shape, ...] = ()
    lines: tuple[Shape, ...] = ()

    def to_mapping(self) -> dict:
        """Plain values, as a file has them."""
        return {
            kind: {shape.name: [list(point) for point in shape.points] for shape in getattr(self, kind)}
            for kind in KINDS
            if getattr(self, kind)
        }


@dataclass(frozen=True)
class Zones:
    """The zones and lines of a site, by camera."""

    cameras: dict[str, CameraZones] = field(default_factory=dict)

    def __iter__(self) -> Iterator[str]:
        return iter(self.cameras)

    def __len__(self) -> int:
        return len(self.cameras)

    def of(self, camera: str) -> CameraZones:
        """Those of a camera, which may have none."""
        return self.cameras.get(camera, CameraZones())

    def replaced(self, camera: str, shapes: CameraZones) -> "Zones":
        """The same with other ones of one camera."""
        kept = {name: own for name, own in self.cameras.items() if name != camera}
        return Zones(kept | ({camera: shapes} if shapes.zones or shapes.lines else {}))

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Mapping]) -> "Zones":
        """Of `{camera: {"zones": {name: [[x, y], …]}, "lines": {name: [[x1, y1], [x2, y2]]}}}`.

        Raises `DataError` naming the camera, the zone or line, and the remedy.
        """
        if not isinstance(mapping, Mapping):
            raise DataError("the zones are no mapping; write 'camera: {zones: {name: [[x, y], …]}}'")
        return cls({_name(camera, "a camera"): read_camera(camera, own) for camera, own in mapping.items()})

    def check_cameras(self, cameras) -> None:
        """Raises `DataError` for zones of a camera that is none of `cameras`."""
        cameras = list(cameras)
        for camera in self.cameras:
            if camera not in cameras:
                there = ", ".join(map(visible, cameras))
                raise DataError(
                    f"zones of the camera '{visible(camera)}', which is not here; there are {there} "
                    "(NAME=SOURCE names one)"
                )

    def to_mapping(self) -> dict:
        """Plain values, as `from_mapping` takes them."""
        return {camera: own.to_mapping() for camera, own in self.cameras.items()}

    def save(self, path: str | Path) -> None:
        """Write them as `read_zones` reads them. Raises `DataError` if that cannot be."""
        import yaml

        text = yaml.safe_dump(
            {"cameras": self.to_mapping()}, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True
        )
        write_whole(Path(path), text, private=False)


def read_zones(path: str | Path) -> Zones:
    """The zones and lines in a YAML file, which holds `cameras:` and under it what `Zones.from_mapping` takes.

    Raises `DataError` naming the file, the camera, the zone or line, and the remedy.
    """
    try:
        values = parse_yaml(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read as zones ({reason}); write YAML, as docs/watching.md shows") from error
    if values is None:
        return Zones()
    if not isinstance(values, Mapping) or set(values) != {"cameras"}:
        raise DataError(f"{path}: holds no zones; it begins with 'cameras:', and a camera a line under it")
    try:
        return Zones.from_mapping({} if values["cameras"] is None else values["cameras"])
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def read_camera(camera: str, values: object) -> CameraZones:
    """The zones and lines of one camera, of plain values. Raises `DataError` as `Zones.from_mapping`."""
    here = f"camera '{visible(str(camera))}'"
    if values is None:
        return CameraZones()
    if not isinstance(values, Mapping):
        raise DataError(f"{here}: no zones and lines; write 'zones:' and 'lines:' under it")
    if unknown := [str(key) for key in values if key not in KINDS]:
        raise DataError(f"{here}: '{visible(unknown[0])}' is unknown; write 'zones' or 'lines'")
    shapes, taken = {}, set()
    for kind in KINDS:
        own = {} if values.get(kind) is None else values[kind]
        if not isinstance(own, Mapping):
            raise DataError(f"{here}: its {kind} have no names; write 'name: [[x, y], …]' a line")
        shapes[kind] = tuple(_shape(f"{here}, {kind[:-1]}", kind, name, points) for name, points in own.items())
        for shape in shapes[kind]:
            if shape.name in taken:
                raise DataError(f"{here}: '{shape.name}' is a zone and a line; give one of them another name")
            taken.add(shape.name)
    return CameraZones(**shapes)


def _name(name: object, what: str) -> str:
    if not isinstance(name, str):
        raise DataError(f"{what} is called {name!r}, which is no text; write the name in quotes")
    try:
        return checked_name(name, what)
    except GalleryError as error:
        raise DataError(str(error)) from error


def _shape(where: str, kind: str, name: object, points: object) -> Shape:
    name = _name(name, where)
    where = f"{where} '{name}'"
    if not isinstance(points, list) or not all(_is_point(point) for point in points):
        raise DataError(f"{where}: its points are no list of [x, y], numbers from 0 on, in px or as shares up to 1")
    shape = Shape(name, tuple((float(x), float(y)) for x, y in points))
    if kind == "lines":
        if len(shape.points) != 2 or shape.points[0] == shape.points[1]:
            raise DataError(f"{where}: {len(points)} points; a line has two, which differ")
        return shape
    if not 3 <= len(shape.points) <= MOST_POINTS:
        raise DataError(f"{where}: {len(points)} points; a zone has 3 to {MOST_POINTS} corners")
    if _crosses_itself(shape.points):
        raise DataError(f"{where}: its sides cross one another; give the corners in their order around the zone")
    if _area(shape.points) <= (1e-6 if shape.in_shares else 1.0):
        raise DataError(f"{where}: it has no area; move its corners apart")
    return shape


def _is_point(point: object) -> bool:
    return (
        isinstance(point, list | tuple)
        and len(point) == 2
        and all(
            isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) and 0 <= v <= LARGEST
            for v in point
        )
    )


def _area(points: tuple[Point, ...]) -> float:
    x, y = np.array(points, float).T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def _crosses_itself(points: tuple[Point, ...]) -> bool:
    """Whether two sides that are no neighbours cross."""
    count = len(points)
    sides = [(points[i], points[(i + 1) % count]) for i in range(count)]
    return any(_cross(*sides[i], *sides[j]) for i in range(count) for j in range(i + 2, count) if (j + 1) % count != i)


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    return _turn(a, b, c) * _turn(a, b, d) < 0 and _turn(c, d, a) * _turn(c, d, b) < 0


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
