"""Where the tracks of one camera are, moment by moment: who has come into a zone, left it, or crossed a line.

A person stands where the middle of the lower edge of their box is. What lasts less than `HOLD_SECONDS` is no event: a
box that flickers at an edge makes none. `supervision.PolygonZone` says who is in a zone. Lines have the sides and
directions of `supervision.LineZone`, which is not used itself: it counts in frames, and forgets who is not seen in two.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from sdk.zones.shapes import CameraZones, Shape

HOLD_SECONDS = 0.5
"""For how long somebody must be inside, outside, or beyond a line before it counts; it is told with its beginning."""
LOST_SECONDS = 2.0
"""Who is not seen for longer has gone: the track has ended, as the tracker has it."""


class Happening(NamedTuple):
    """One thing that a track did; `time` in s, `detail` as events have it."""

    time: float
    kind: str
    track: int
    detail: dict


@dataclass
class _Stay:
    """One track and one zone."""

    inside: bool = False
    turned: float | None = None
    """Since when it is on the other side than `inside` says, s."""
    first: float = 0.0
    last: float = 0.0


@dataclass
class _Passage:
    """One track and one line."""

    foot: np.ndarray
    pending: tuple[float, str] | None = None
    """(when, direction) of a crossing that does not count yet."""


@dataclass
class _Track:
    seen: float
    stays: dict[str, _Stay] = field(default_factory=dict)
    passages: dict[str, _Passage] = field(default_factory=dict)


class CameraStates:
    """The zones and lines of one camera, and its tracks' places."""

    def __init__(self, shapes: CameraZones):
        self._shapes = shapes
        self._tracks: dict[int, _Track] = {}
        self._size: tuple[int, int] | None = None
        self._now = float("-inf")

    def take(self, now: float, size: tuple[int, int], boxes: np.ndarray, tracks: np.ndarray) -> list[Happening]:
        """One frame: its time in s, its size (width, height) px, the boxes `[N, 4]` xyxy px, and their tracks."""
        happened = self.expire(now)
        self._scale(size)
        boxes = np.asarray(boxes, float).reshape(-1, 4)
        feet = np.stack([boxes[:, [0, 2]].mean(axis=1), boxes[:, 3]], axis=1)
        inside = {name: _inside(zone, boxes) for name, zone in self._zones.items()}
        for row, number in enumerate(map(int, tracks)):
            track = self._tracks.setdefault(number, _Track(now))
            track.seen = now
            for name, rows in inside.items():
                stay = track.stays.setdefault(name, _Stay())
                happened += [Happening(*told, number, detail) for *told, detail in _stay(stay, name, rows[row], now)]
            for name, ends in self._lines.items():
                passage = track.passages.setdefault(name, _Passage(feet[row]))
                happened += [
                    Happening(*told, number, detail) for *told, detail in _pass(passage, name, ends, feet[row], now)
                ]
        return happened

    def expire(self, now: float) -> list[Happening]:
        """It is `now`, and no frame has come: who was not seen for long has gone. A clock that goes back ends all."""
        back, self._now = now < self._now, now
        return self._end([n for n, track in self._tracks.items() if back or now - track.seen > LOST_SECONDS])

    def end(self) -> list[Happening]:
        """Nothing more will come: all tracks have ended when they were seen last."""
        return self._end(list(self._tracks))

    def _end(self, numbers: list[int]) -> list[Happening]:
        happened = []
        for number in numbers:
            track = self._tracks.pop(number)
            for name, stay in track.stays.items():
                if stay.inside:
                    happened.append(Happening(stay.last, "left_zone", number, _left(name, stay)))
            for name, passage in track.passages.items():
                if passage.pending is not None:
                    time, direction = passage.pending
                    happened.append(Happening(time, "crossed", number, {"line": name, "direction": direction}))
        return sorted(happened, key=lambda one: one.time)

    def _scale(self, size: tuple[int, int]) -> None:
        if size != self._size:
            self._size = size
            self._zones = {shape.name: _polygon(shape, size) for shape in self._shapes.zones}
            self._lines = {shape.name: shape.pixels(*size) for shape in self._shapes.lines}


def _polygon(shape: Shape, size: tuple[int, int]):
    import supervision as sv

    return sv.PolygonZone(np.round(shape.pixels(*size)).astype(int))


def _inside(zone, boxes: np.ndarray) -> np.ndarray:
    import supervision as sv

    if not len(boxes):
        return np.zeros(0, bool)
    return zone.trigger(sv.Detections(boxes.astype(np.float32)))


def _left(name: str, stay: _Stay) -> dict:
    return {"zone": name, "seconds": round(stay.last - stay.first, 3), "first": stay.first}


def _stay(stay: _Stay, name: str, inside: bool, now: float):
    """Yields (time, kind, detail) of what the track has done now."""
    if inside:
        if not stay.inside and stay.turned is None:
            stay.first = now
        stay.last = now
    if inside == stay.inside:
        stay.turned = None
        return
    if stay.turned is None:
        stay.turned = now
    if now - stay.turned >= HOLD_SECONDS:
        stay.inside, stay.turned = bool(inside), None
        if inside:
            yield stay.first, "entered", {"zone": name}
        else:
            yield stay.last, "left_zone", _left(name, stay)


def _pass(passage: _Passage, name: str, ends: np.ndarray, foot: np.ndarray, now: float):
    """Yields (time, kind, detail) of a crossing that counts now. To come back before it counts undoes it."""
    direction = _crossing(ends, passage.foot, foot)
    passage.foot = foot
    if direction is not None:
        passage.pending = None if passage.pending is not None else (now, direction)
    if passage.pending is not None and now - passage.pending[0] >= HOLD_SECONDS:
        time, direction = passage.pending
        passage.pending = None
        yield time, "crossed", {"line": name, "direction": direction}


def _crossing(ends: np.ndarray, before: np.ndarray, now: np.ndarray) -> str | None:
    """Whether the way from one point to the other leads through the line, and in which direction.

    "in" ends on the left of who looks from the line's first point to its second (in the picture), as with `LineZone`.
    """
    start, along = ends[0], ends[1] - ends[0]
    sides = [along[0] * (p[1] - start[1]) - along[1] * (p[0] - start[0]) for p in (before, now)]
    if (sides[0] >= 0) == (sides[1] >= 0):
        return None
    meeting = before + (now - before) * (sides[0] / (sides[0] - sides[1]))
    if not 0 <= np.dot(meeting - start, along) <= np.dot(along, along):
        return None
    return "in" if sides[1] < 0 else "out"
