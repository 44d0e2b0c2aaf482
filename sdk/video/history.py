"""What the events of a run have said of its tracks, and what a second pass over the run adds to them."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sdk.events import Event
from sdk.reading import EVENT, read_lines

EVENTS = "events.jsonl"

Track = tuple[str, int]
"""(camera, number of the track in it)."""


@dataclass
class History:
    """The events so far, read in their order."""

    told: dict[Track, str | None] = field(default_factory=dict)
    """The name that each track was told to have last."""
    shown: dict[Track, set[str | None]] = field(default_factory=lambda: defaultdict(set))
    """All names that it was told to have."""
    merges: list[tuple[float, str, str]] = field(default_factory=list)
    """(time in s, name that is no more, name that stays) of those that the records do not know of."""
    settled: bool = False
    """Whether nobody was named since the last second pass."""
    last: float = float("-inf")
    """Time of the latest event, s."""
    _bearers: dict[str | None, set[Track]] = field(default_factory=lambda: defaultdict(set))
    """Who has each name."""

    def take(self, event: Mapping) -> None:
        """Go on by one event, a JSON object as `Event.to_json` writes it."""
        kind, identity, detail = event["kind"], event["identity"], event["detail"]
        self.last = max(self.last, event["time"])
        if kind in ("identified", "withdrawn"):
            self._name((event["camera"], event["track"]), identity)
        elif kind in ("merged", "renamed"):
            other = detail.get("other")
            self.merges.append((event["time"], other, identity))
            for track in tuple(self._bearers[other]):
                self._name(track, identity)
        if kind in ("identified", "withdrawn", "merged", "renamed"):
            self.settled = False
        elif kind == "associated":
            self.settled = True
            self.merges.clear()

    def _name(self, track: Track, name: str | None) -> None:
        self._bearers[self.told.get(track)].discard(track)
        self._bearers[name].add(track)
        self.told[track] = name
        self.shown[track].add(name)


def read_history(path: Path) -> History:
    """The history in an `events.jsonl`; an empty one where there is no such file. Raises `DataError` naming a line that
    is no event."""
    history = History()
    if path.is_file():
        for event in read_lines(path, EVENT):
            history.take(event)
    return history


def changes(
    history: History, final: Mapping[Track, str | None], reasons: Mapping[Track, Mapping], time: float
) -> list[Event]:
    """The events by which all tracks of `final` have the names in it, if that is not told yet; else none.

    A name all of whose tracks go over to one that stays somebody's is `merged`; any other track is `identified` once
    more, or `withdrawn`. `associated` is the last. reasons: details of tracks, plain JSON values. time: of the events,
    s.
    """
    told = {track: history.told.get(track) for track in final}
    moved = {track: name for track, name in final.items() if name != told[track]}
    if not moved and history.settled:
        return []
    events = []
    merged = _whole_names(told, final)
    for other, name in merged.items():
        events.append(Event(time, "merged", identity=name, detail={"other": other, "second_pass": True}))
    for track, name in moved.items():
        if told[track] in merged:
            continue
        detail = {**reasons.get(track, {}), "before": told[track], "second_pass": True}
        events.append(Event(time, "withdrawn" if name is None else "identified", *track, name, detail))
    people = len({name for name in final.values() if name is not None})
    detail = {"tracks": len(final), "changed": len(moved), "people": people}
    return [*events, Event(time, "associated", detail=detail)]


def _whole_names(told: Mapping[Track, str | None], final: Mapping[Track, str | None]) -> dict[str, str]:
    """Names that are no more, all of whose tracks go to one other name, which keeps some of its own: old → new."""
    goals: dict[str, set[str | None]] = defaultdict(set)
    for track, name in told.items():
        goals[name].add(final[track])
    left = set(final.values())
    stays = {name for track, name in told.items() if name is not None and final[track] == name}
    return {
        name: next(iter(goal))
        for name, goal in goals.items()
        if name is not None and name not in left and len(goal) == 1 and goal <= stays
    }
