"""What the files of a run say: visits of people to cameras, and what happened to the cameras."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sdk.errors import DataError
from sdk.reading import EVENT, TRACK, read_lines
from sdk.video.summary import record_files
from sdk.zones.ledger import Row, read_ledger

GAP_SECONDS = 5.0
"""Who is away from a camera for longer has left, and comes back in a new visit."""
FULL_HEIGHT = 160.0
"""Height in px of a box from which a larger one makes no better picture."""
CUT = 0.6
"""Worth of a box at the frame's left edge against one inside it."""


@dataclass
class Visit:
    """One stay of one person before one camera."""

    identity: str
    camera: str
    first: float
    """Seconds."""
    last: float
    tracks: list[int] = field(default_factory=list)
    frames: int = 0
    score: float = -1.0
    """Worth of the best view as a picture."""
    frame: int = 0
    """The frame of the best view, counted from 0."""
    box: tuple[float, float, float, float] = (0, 0, 0, 0)
    """x1, y1, x2, y2 in px, in that frame."""


@dataclass(frozen=True)
class Outage:
    """A time in which a camera gave no new picture."""

    camera: str
    kind: str
    """lost or frozen."""
    first: float
    last: float
    reason: str = ""


@dataclass
class Record:
    """All that the report is made of."""

    cameras: list[str] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    """By beginning."""
    unnamed: int = 0
    """Tracks that never got an identity."""
    outages: list[Outage] = field(default_factory=list)
    events: list[dict] = field(default_factory=list)
    """Merges, splits, second passes, and cameras that changed or ended, as `sdk.events` writes them."""
    zones: list[Row] = field(default_factory=list)
    """Who was in which zone, and crossed which line."""
    reasons: dict[tuple[str, int], dict] = field(default_factory=dict)
    """(camera, track) → detail of its last "identified" event: distance, runner_up, margin, new."""

    @property
    def span(self) -> tuple[float, float]:
        """First and last moment of which anything is known, seconds."""
        times = [(v.first, v.last) for v in self.visits] + [(o.first, o.last) for o in self.outages]
        return (min(a for a, _ in times), max(b for _, b in times)) if times else (0.0, 0.0)


def read_record(folder: str | Path, day: str | None = None) -> Record:
    """Read the records, and `events.jsonl` where there is one, of a folder that `reid track` wrote.

    A run of several days has a `tracks.2026-11-24.jsonl` for each that is over, and `tracks.jsonl` for the last one.
    day: only that one, as in the file's name, or "today". The files are read line by line, so only visits are held in
    memory. A last line that was never finished is passed over. Raises `DataError` if there is no such folder or file,
    or naming the line that is no record.
    """
    folder = Path(folder)
    files = record_files(folder)
    if not files:
        raise DataError(f"{folder / 'tracks.jsonl'}: no such file; name a folder that `reid track --output` wrote")
    if day is not None and day not in files:
        raise DataError(f"{folder} has no records of '{day}'; there are {', '.join(files)}")
    record = Record()
    _read_tracks(record, list(files.values()) if day is None else [files[day]])
    merges = []
    if (folder / "events.jsonl").is_file():
        span = None if day is None else record.span
        record.zones = read_ledger(folder / "events.jsonl", span)
        merges = _read_events(record, folder / "events.jsonl", span)
    record.visits.sort(key=lambda visit: (visit.first, visit.camera, visit.identity))
    _merge(record, merges)
    return record


def _merge(record: Record, merges: list[dict]) -> None:
    """Give people who turned out to be one later the one name, and join visits that are one then."""
    for event in merges:
        for visit in record.visits:
            if visit.identity == event["detail"].get("other") and visit.first <= event["time"]:
                visit.identity = event["identity"]
    if not merges:
        return
    joined: list[Visit] = []
    latest: dict[tuple[str, str], Visit] = {}
    for visit in record.visits:
        before = latest.get((visit.identity, visit.camera))
        if before is None or visit.first - before.last > GAP_SECONDS:
            latest[visit.identity, visit.camera] = visit
            joined.append(visit)
            continue
        before.last = max(before.last, visit.last)
        before.frames += visit.frames
        before.tracks += [track for track in visit.tracks if track not in before.tracks]
        if visit.score > before.score:
            before.score, before.frame, before.box = visit.score, visit.frame, visit.box
    record.visits = joined


def _read_tracks(record: Record, paths: list[Path]) -> None:
    open_visits: dict[tuple[str, str], Visit] = {}
    named: set[tuple[str, int]] = set()
    unnamed: set[tuple[str, int]] = set()
    cameras: dict[str, None] = {}
    rows = itertools.chain.from_iterable(read_lines(path, TRACK) for path in paths)
    # One camera's boxes of one frame follow one another, unless some waited longer for their names than others.
    for (camera, frame), group in itertools.groupby(rows, key=lambda row: (row["camera"], row["frame"])):
        cameras[camera] = None
        rows_of_frame = list(group)
        for row, covered in zip(rows_of_frame, covered_shares([row["box"] for row in rows_of_frame]), strict=True):
            name, time = row["identity"], row["time"]
            if name is None:
                unnamed.add((camera, row["track"]))
                continue
            named.add((camera, row["track"]))
            visit = open_visits.get((name, camera))
            if visit is None or time - visit.last > GAP_SECONDS:
                visit = open_visits[name, camera] = Visit(name, camera, time, time)
                record.visits.append(visit)
            visit.last = max(visit.last, time)
            visit.frames += 1
            if row["track"] not in visit.tracks:
                visit.tracks.append(row["track"])
            score = worth(row["box"], row["confidence"], covered)
            if score > visit.score:
                visit.score, visit.frame, visit.box = score, frame, tuple(row["box"])
    record.unnamed = len(unnamed - named)
    record.cameras = list(cameras)


def natural(name: str) -> list:
    """Key by which person-2 stands before person-10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.lower()) for part in re.split(r"(\d+)", name)]


def worth(box: list[float], confidence: float, covered: float) -> float:
    """How good a picture of a person a box makes."""
    height = min(FULL_HEIGHT, box[3] - box[1])
    return height * confidence * (1 - covered) * (CUT if box[0] <= 1 else 1)


def views(detections) -> Iterator[tuple[int, list[float], float]]:
    """(row, box, worth of a picture of it) of the `sv.Detections` in one frame."""
    boxes = detections.xyxy.tolist()
    sure = [1.0] * len(boxes) if detections.confidence is None else detections.confidence.tolist()
    for row, (box, confidence, covered) in enumerate(zip(boxes, sure, covered_shares(boxes), strict=True)):
        yield row, box, worth(box, confidence, covered)


def covered_shares(boxes: list[list[float]]) -> list[float]:
    """Share of each box that the one other box covers which covers most of it."""
    shares = []
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        area = max(1.0, (x2 - x1) * (y2 - y1))
        others = (
            max(0.0, min(x2, b[2]) - max(x1, b[0])) * max(0.0, min(y2, b[3]) - max(y1, b[1]))
            for j, b in enumerate(boxes)
            if j != i
        )
        shares.append(max(others, default=0.0) / area)
    return shares


def _read_events(record: Record, path: Path, span: tuple[float, float] | None) -> list[dict]:
    """span: pass over what happened before and after, but for a second pass, which is over all days.

    Returns the merges that the records do not know of.
    """
    merges: list[dict] = []
    down: dict[tuple[str, str], tuple[float, str]] = {}
    last = record.span[1]
    for event in read_lines(path, EVENT):
        camera, kind, time, detail = event["camera"], event["kind"], event["time"], event["detail"]
        if kind == "associated":
            merges.clear()
        if span is not None and not span[0] <= time <= span[1]:
            if detail.get("second_pass") is True:
                _note_reason(record, event)
            continue
        last = max(last, time)
        if camera is not None and camera not in record.cameras:
            record.cameras.append(camera)
        if kind in ("identified", "withdrawn"):
            _note_reason(record, event)
        elif kind in ("camera_lost", "camera_frozen") and camera is not None:
            state = kind.removeprefix("camera_")
            began = time - detail.get("seconds", 0) if state == "frozen" else time
            down.setdefault((camera, state), (began, str(detail.get("reason", ""))))
        elif kind == "camera_back":
            for state in ("lost", "frozen"):
                if (camera, state) in down:
                    began, reason = down.pop((camera, state))
                    record.outages.append(Outage(camera, state, began, time, reason))
        elif kind == "renamed":
            merges.append(event)
        elif kind in ("merged", "split", "associated", "camera_changed", "camera_clock", "camera_ended"):
            record.events.append(event)
            if kind == "merged":
                merges.append(event)
    for (camera, state), (began, reason) in down.items():
        record.outages.append(Outage(camera, state, began, max(last, began), reason))
    record.outages.sort(key=lambda outage: (outage.first, outage.camera))
    return merges


def _note_reason(record: Record, event: dict) -> None:
    key = event["camera"], event["track"]
    if event["kind"] == "identified":
        record.reasons[key] = event["detail"]
    elif event["kind"] == "withdrawn":
        record.reasons.pop(key, None)
