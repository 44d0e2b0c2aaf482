"""Who was in which zone, how often and for how long, and who crossed which line: by person, not by track.

It is made of events alone, so a running site, a report and `zones.csv` say the same; and it goes along with names that
are corrected later: a track that gets another name takes its visits along, and who turns out to be one person is
counted once.
"""

import threading
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sdk.events import Event
from sdk.reading import EVENT, read_lines

GAP_SECONDS = 5.0
"""Two visits of one person to one zone with less between them are one: a track that broke off and began anew."""
MOST_TRACKS = 5000
"""Whose names a running site can still correct in its sums."""
KINDS = ("entered", "left_zone", "crossed")

Track = tuple[str, int]
"""(camera, number of the track in it)."""


@dataclass
class Row:
    """One person and one zone or line of a camera. Of a zone there are visits, of a line crossings."""

    identity: str | None
    """None: all who have no name, each track for itself."""
    camera: str
    zone: str
    """Its name, or the line's."""
    is_line: bool = False
    visits: int = 0
    seconds: float = 0.0
    """In the zone, together."""
    crossed_in: int = 0
    crossed_out: int = 0
    first: float = float("inf")
    last: float = float("-inf")
    here: int = 0
    """How many are in it now: 0 or 1 of somebody with a name."""

    def add(self, other: "Row") -> None:
        """Count another row of theirs in."""
        for name in ("visits", "seconds", "crossed_in", "crossed_out"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.here = self.here + other.here if self.identity is None else max(self.here, other.here)
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)


@dataclass
class _Visit:
    zone: str
    first: float
    last: float | None = None


@dataclass
class _Deeds:
    """What one track did."""

    visits: list[_Visit] = field(default_factory=list)
    crossings: list[tuple[float, str, str]] = field(default_factory=list)
    """(time, line, direction)."""


class Ledger:
    """A listener of events that keeps the books. May be asked from any thread."""

    def __init__(self, most_tracks: int | None = MOST_TRACKS):
        """most_tracks: of more than so many, the oldest are summed up under the name that they have; None: none are."""
        self._most = most_tracks
        self._deeds: OrderedDict[Track, _Deeds] = OrderedDict()
        self._names: OrderedDict[Track, str | None] = OrderedDict()
        self._sums: dict[tuple[str | None, str, str], Row] = {}
        self._lock = threading.Lock()

    def listen(self, event: Event) -> None:
        """Take an event; of a kind that is no business of zones too."""
        kind, detail = event.kind, event.detail
        track = (event.camera, event.track)
        with self._lock:
            if kind in ("identified", "withdrawn"):
                self._names[track] = event.identity
                self._names.move_to_end(track)
            elif kind in ("merged", "renamed"):
                self._rename(detail.get("other"), event.identity)
            elif kind in KINDS:
                if event.identity is not None:
                    self._names.setdefault(track, event.identity)
                self._note(kind, self._deeds.setdefault(track, _Deeds()), event.time, detail)
            self._bound()

    def forget(self, identity: str) -> None:
        """Let their visits be nobody's."""
        with self._lock:
            self._rename(identity, None)

    def here(self) -> Counter[tuple[str, str]]:
        """How many are in each (camera, zone) now: people, and tracks without a name."""
        with self._lock:
            there = {
                (track[0], visit.zone, self._names.get(track) or track)
                for track, deeds in self._deeds.items()
                for visit in deeds.visits
                if visit.last is None
            }
        return Counter((camera, zone) for camera, zone, _ in there)

    def rows(self, now: float = float("-inf")) -> list[Row]:
        """All, sorted by name, camera and zone. now: s; who is in a zone still has been there until then."""
        with self._lock:
            spans: dict[tuple, list[tuple[float, float, bool]]] = defaultdict(list)
            rows: dict[tuple, Row] = {key: Row(*key, is_line=row.is_line) for key, row in self._sums.items()}
            for key, row in self._sums.items():
                rows[key].add(row)
            for track, deeds in self._deeds.items():
                name = self._names.get(track)
                for visit in deeds.visits:
                    last = max(visit.first, now) if visit.last is None else visit.last
                    spans[name, track[0], visit.zone].append((visit.first, last, visit.last is None))
                for crossing in deeds.crossings:
                    _count(rows, name, track[0], *crossing)
        for key, own in spans.items():
            _visit(rows, key, own)
        return sorted(rows.values(), key=lambda row: (row.identity is None, row.identity or "", row.camera, row.zone))

    def _note(self, kind: str, deeds: _Deeds, time: float, detail: dict) -> None:
        if kind == "crossed":
            deeds.crossings.append((time, str(detail.get("line")), str(detail.get("direction"))))
        elif kind == "entered":
            deeds.visits.append(_Visit(str(detail.get("zone")), time))
        else:
            zone = str(detail.get("zone"))
            visit = next((v for v in reversed(deeds.visits) if v.zone == zone and v.last is None), None)
            if visit is not None:
                visit.last = max(visit.first, time)

    def _rename(self, other: str | None, to: str | None) -> None:
        for track, name in self._names.items():
            if name == other:
                self._names[track] = to
        for key in [key for key in self._sums if key[0] == other]:
            row = self._sums.pop(key)
            self._sums.setdefault((to, *key[1:]), Row(to, *key[1:], is_line=row.is_line)).add(row)

    def _bound(self) -> None:
        if self._most is None:
            return
        while len(self._deeds) > self._most:
            track, deeds = self._deeds.popitem(last=False)
            if any(visit.last is None for visit in deeds.visits):
                self._deeds[track] = deeds  # still there
                return
            name = self._names.get(track)
            for crossing in deeds.crossings:
                _count(self._sums, name, track[0], *crossing)
            for visit in deeds.visits:
                _visit(self._sums, (name, track[0], visit.zone), [(visit.first, visit.last, False)])
        while len(self._names) > 2 * self._most:
            self._names.popitem(last=False)


def _count(rows: dict, name: str | None, camera: str, time: float, line: str, direction: str) -> None:
    way = {f"crossed_{direction}": 1} if direction in ("in", "out") else {}
    row = rows.setdefault((name, camera, line), Row(name, camera, line, True))
    row.add(Row(name, camera, line, True, first=time, last=time, **way))


def _visit(rows: dict, key: tuple[str | None, str, str], spans: list[tuple[float, float, bool]]) -> None:
    """Count the (first, last, still there) of somebody in a zone; those that touch are one, but not of the nameless."""
    joined: list[list] = []
    for first, last, here in sorted(spans):
        if joined and key[0] is not None and first - joined[-1][1] <= GAP_SECONDS:
            joined[-1][1], joined[-1][2] = max(joined[-1][1], last), joined[-1][2] or here
        else:
            joined.append([first, last, here])
    row = rows.setdefault(key, Row(*key))
    for first, last, here in joined:
        row.add(Row(*key, visits=1, seconds=last - first, first=first, last=last, here=int(here)))


def read_ledger(path: Path, span: tuple[float, float] | None = None) -> list[Row]:
    """The rows of an `events.jsonl`, by the names that it says last. span: only what began within these times, s.

    Raises `DataError` naming a line that is no event.
    """
    ledger, now = Ledger(None), float("-inf")
    for event in _events(path):
        if span is not None and event.kind in ("entered", "crossed") and not span[0] <= event.time <= span[1]:
            continue
        now = max(now, event.time)
        ledger.listen(event)
    return ledger.rows(now)


def _events(path: Path) -> Iterable[Event]:
    wanted = {*KINDS, "identified", "withdrawn", "merged", "renamed"}
    for row in read_lines(path, EVENT):
        if row["kind"] in wanted:
            yield Event(**{name: row[name] for name in EVENT})
