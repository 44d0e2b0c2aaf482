"""The floor plan of a site: rooms in a row or two, openings between them, doors, cameras.

In metres, x to the right and y down the plan.
"""

from dataclasses import dataclass

import numpy as np

from sdk.simulation.site.viewpoint import Placement

OPENING = 2.0
"""Width of the openings between rooms, m."""
DOOR = 1.4
"""Width of the doors that people come and leave by, m."""
PILLAR = 0.4
"""Side of a pillar, m."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Room:
    left: float
    top: float
    right: float
    bottom: float

    @property
    def middle(self) -> Point:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def holds(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Which points lie in it."""
        return (x >= self.left) & (x < self.right) & (y >= self.top) & (y < self.bottom)


@dataclass(frozen=True)
class Passage:
    """A gap in a wall: the way from one room to another, or from outside (`rooms[0]` is −1) into a room."""

    middle: Point
    rooms: tuple[int, int]
    along_x: bool
    """Whether the wall runs along x; one walks through along the other axis."""
    width: float
    inwards: int = 1
    """Sign of the step from `rooms[0]` to `rooms[1]` along that other axis."""

    def beside(self, room: int, far: float) -> Point:
        """The point `far` metres before the gap on the side of one of its rooms."""
        sign = far if room == self.rooms[1] else -far
        x, y = self.middle
        return (x, y + sign * self.inwards) if self.along_x else (x + sign * self.inwards, y)


@dataclass(frozen=True)
class FloorPlan:
    """`FloorPlan.sample(seed, cameras)` draws it: every room has a camera, every third camera shares one's room."""

    rooms: tuple[Room, ...]
    passages: tuple[Passage, ...]
    """Openings between rooms, which are all connected."""
    doors: tuple[Passage, ...]
    """To the outside."""
    pillars: tuple[Point, ...]
    cameras: tuple[Placement, ...]
    camera_rooms: tuple[int, ...]

    @classmethod
    def sample(cls, seed: int, cameras: int) -> "FloorPlan":
        """The plan of site `seed` with so many cameras, at least 1."""
        rng = np.random.default_rng([seed, cameras, 8])
        count = cameras - cameras // 3
        rows = 1 if count < 4 else 2
        columns = -(-count // rows)
        lefts = np.cumsum([0.0, *rng.uniform(6.0, 7.5, columns)])
        tops = np.cumsum([0.0, *rng.uniform(6.0, 7.0, rows)])
        cells = [(row, column) for row in range(rows) for column in range(columns)][:count]
        rooms = tuple(Room(*map(float, (lefts[c], tops[r], lefts[c + 1], tops[r + 1]))) for r, c in cells)
        passages = tuple(_passage(rooms, a, b, rng) for a, b in _neighbours(cells))
        doors = _doors(rooms, cells, rng)
        camera_rooms = tuple(i % count for i in range(cameras))
        first_corners = rng.integers(4, size=count)
        placements = tuple(
            # A second camera hangs in the opposite corner: the two see the same people from two sides.
            _placement(rooms[room], int(first_corners[room]) + 2 * (i // count), rng)
            for i, room in enumerate(camera_rooms)
        )
        pillars = tuple(_pillar(room, rng) for room in rooms[1::2])
        return cls(rooms, passages, doors, pillars, placements, camera_rooms)

    @property
    def size(self) -> Point:
        """Extent along x and y."""
        return max(room.right for room in self.rooms), max(room.bottom for room in self.rooms)

    def room_at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The room of each point, int, −1 outside."""
        index = np.full(np.shape(x), -1)
        for number, room in enumerate(self.rooms):
            index[room.holds(x, y)] = number
        return index

    def walls(self) -> np.ndarray:
        """All walls and pillars as straight pieces, `[N, 4]` of x0, y0, x1, y1, each along x or along y."""
        pieces = set()
        for room in self.rooms:
            for side in (
                (room.left, room.top, room.right, room.top),
                (room.left, room.bottom, room.right, room.bottom),
                (room.left, room.top, room.left, room.bottom),
                (room.right, room.top, room.right, room.bottom),
            ):
                pieces.update(_with_gaps(side, (*self.passages, *self.doors)))
        for x, y in self.pillars:
            left, top, right, bottom = x - PILLAR / 2, y - PILLAR / 2, x + PILLAR / 2, y + PILLAR / 2
            pieces |= {(left, top, right, top), (left, bottom, right, bottom)}
            pieces |= {(left, top, left, bottom), (right, top, right, bottom)}
        return np.array(sorted(pieces))

    def way(self, start: int, end: int) -> list[Passage]:
        """The passages from one room to another, as few as possible."""
        ways: dict[int, list[Passage]] = {start: []}
        queue = [start]
        for room in queue:
            for passage in self.passages:
                if room in passage.rooms:
                    other = passage.rooms[passage.rooms[0] == room]
                    if other not in ways:
                        ways[other] = [*ways[room], passage]
                        queue.append(other)
        return ways[end]


def _neighbours(cells: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [
        (i, j)
        for i, (row, column) in enumerate(cells)
        for j, other in enumerate(cells)
        if other in ((row, column + 1), (row + 1, column))
    ]


def _passage(rooms: tuple[Room, ...], a: int, b: int, rng: np.random.Generator) -> Passage:
    """Somewhere in the wall that rooms `a` and `b`, to the right of it or below, share."""
    one, other = rooms[a], rooms[b]
    if other.left == one.right:
        y = rng.uniform(one.top + OPENING / 2 + 0.5, one.bottom - OPENING / 2 - 0.5)
        return Passage((one.right, float(y)), (a, b), False, OPENING)
    x = rng.uniform(one.left + OPENING / 2 + 0.5, one.right - OPENING / 2 - 0.5)
    return Passage((float(x), one.bottom), (a, b), True, OPENING)


def _doors(rooms: tuple[Room, ...], cells: list[tuple[int, int]], rng: np.random.Generator) -> tuple[Passage, ...]:
    """Two to start with and one more for every three rooms, each in the upper or lower outer wall of a room."""
    doors = []
    last_row = {column: max(r for r, c in cells if c == column) for _, column in cells}
    places = [(i, upper) for i, (row, column) in enumerate(cells) for upper in (True, False)
              if (row == 0 if upper else row == last_row[column])]  # fmt: skip
    for i in rng.permutation(len(places))[: 2 + len(rooms) // 3]:
        number, upper = places[i]
        room = rooms[number]
        x = float(rng.uniform(room.left + 1.5, room.right - 1.5))
        y = room.top if upper else room.bottom
        doors.append(Passage((x, y), (-1, number), True, DOOR, 1 if upper else -1))
    return tuple(doors)


def _placement(room: Room, corner: int, rng: np.random.Generator) -> Placement:
    """High up in a corner (0 upper left, then clockwise), looking at the middle of the room."""
    right, lower = corner % 4 in (1, 2), corner % 4 in (2, 3)
    x = room.right - 0.25 if right else room.left + 0.25
    y = room.bottom - 0.25 if lower else room.top + 0.25
    target = np.array(room.middle) + rng.uniform(-0.6, 0.6, 2)
    return Placement(
        (x, y), float(rng.uniform(2.4, 2.9)), tuple(map(float, target)), float(np.radians(rng.uniform(66, 80)))
    )


def _pillar(room: Room, rng: np.random.Generator) -> Point:
    x, y = np.array(room.middle) + rng.choice([-1, 1], 2) * rng.uniform(0.7, 1.4, 2)
    return float(x), float(y)


def _with_gaps(wall: tuple[float, ...], passages: tuple[Passage, ...]) -> list[tuple[float, ...]]:
    """What is left of a wall between the passages that lie in it."""
    x0, y0, x1, y1 = wall
    along_x = y0 == y1
    start, end = (x0, x1) if along_x else (y0, y1)
    gaps = []
    for passage in passages:
        x, y = passage.middle
        at, across = (x, y) if along_x else (y, x)
        if passage.along_x == along_x and across == (y0 if along_x else x0) and start < at < end:
            gaps.append((at - passage.width / 2, at + passage.width / 2))
    pieces = []
    for left, right in sorted(gaps):
        pieces.append((start, left))
        start = right
    pieces.append((start, end))
    return [(a, y0, b, y0) if along_x else (x0, a, x0, b) for a, b in pieces if b > a]
