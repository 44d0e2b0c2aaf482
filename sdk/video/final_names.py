"""The final names of a run's tracks, and all files of its folder made to agree on them.

While a run goes on a track gets a name as soon as anything is known; a second pass over the whole run may know better.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sdk.errors import DataError
from sdk.events import Event
from sdk.reading import TRACK, read_lines
from sdk.terminal import notes
from sdk.video.history import EVENTS, History, Track, changes, read_history
from sdk.video.records import Page, TrackRecord, mot_file
from sdk.video.redraw import DRAWN, mark_behind, redraw, video_states
from sdk.video.run_folder import RunFolder
from sdk.video.summary import TODAY, Sighting, Tally, record_files, tracks_file
from sdk.video.zones import TABLE, write_zones


@dataclass(frozen=True)
class Applied:
    """What came of final names."""

    events: list[Event]
    """What was added to `events.jsonl`: for other sinks. Empty if the run had these names already."""
    changed: int
    """Tracks that have another name now than was told before."""
    sightings: list[Sighting]
    """Who was seen where and when, by final names."""
    drawn: list[str]
    """Cameras whose annotated videos were drawn anew."""
    kept: dict[str, str] = field(default_factory=dict)
    """Cameras whose videos keep the earlier names, and why."""


def apply_names(
    folder: str | Path | RunFolder,
    names: Mapping[Track, str | None],
    reasons: Mapping[Track, Mapping] | None = None,
    *,
    draw: bool = True,
) -> Applied:
    """Give the tracks of a run their final names, in all files of its folder.

    folder: of a run that is over; or a `RunFolder` that is open still, after its `Recorder` has ended. names: by camera
    and track; None: nobody knows. Tracks that are not in it keep the name that they had last. reasons: what the events
    of tracks say besides, plain JSON values, as `Reason.to_dict`. draw: whether annotated videos in which a name
    changes are drawn again, which takes about as long as reading and writing them; else they are left behind, and
    the next call draws them.

    Records and MOTChallenge text are written anew, `events.jsonl` keeps what happened and ends with what changed
    (`identified`, `withdrawn`, `merged` with `second_pass`, and `associated`), pictures go by tracks and stay. Every
    file is the old one or the new one at any time. Where this is broken off, call it again: what is done already is
    not done twice.

    Raises `DataError` if the folder is no run's or its run still goes on (`RunFolder.reopen`), a record or event cannot
    be read, a file cannot be written, no track of `names` is in the records, or a name is no text.
    """
    for track, name in names.items():
        if name is not None and not (isinstance(name, str) and name):
            raise DataError(f"the name of track {track} is {name!r}; give a text, or None for nobody")
    with opened(folder) as run:
        tracks, pages = _survey(run)
        if names and tracks and not tracks.keys() & names.keys():
            raise DataError(f"{run.path}: none of the named tracks is in its records; name the folder of their run")
        history = read_history(run.path / EVENTS) if EVENTS in run.files else History()
        final = {track: names[track] if track in names else story.name(history) for track, story in tracks.items()}
        mark_behind(run, _cameras_with_other_names(tracks, final, history, video_states(run)))
        sightings = _write_records(run, pages, final)
        time = max([history.last, *(story.last for story in tracks.values())])
        events = changes(history, final, reasons or {}, time) if EVENTS in run.files and tracks else []
        if events:
            _append(run, events)
        if TABLE in run.files:
            write_zones(run)
        drawn, kept = redraw(run) if draw else ([], {})
    for camera, why in kept.items():
        notes.print(f"{camera}: its video keeps the earlier names: {why}", soft_wrap=True)
    return Applied(events, events[-1].detail["changed"] if events else 0, sightings, drawn, kept)


def names_of(folder: str | Path | RunFolder) -> dict[Track, str | None]:
    """The name that each track of a run had last, mergers included. Raises `DataError` as `apply_names` does."""
    with opened(folder) as run:
        tracks, _ = _survey(run)
        history = read_history(run.path / EVENTS) if EVENTS in run.files else History()
        return {track: story.name(history) for track, story in tracks.items()}


@contextlib.contextmanager
def opened(folder: str | Path | RunFolder) -> Iterator[RunFolder]:
    """A run's folder that is open already, or is opened again (`RunFolder.reopen`)."""
    if isinstance(folder, RunFolder):
        yield folder
    else:
        with RunFolder.reopen(folder) as run:
            yield run


@dataclass
class _Story:
    """The names of a track in the records."""

    last: float
    """Time of its latest record, s."""
    latest: str | None
    names: set[str | None] = field(default_factory=set)

    def name(self, history: History) -> str | None:
        """The name that it had last, as far as others were found to be the same person."""
        name = self.latest
        for time, other, stays in history.merges:
            if name == other and self.last <= time:
                name = stays
        return name


def _survey(run: RunFolder) -> tuple[dict[Track, _Story], dict[str, list[str]]]:
    """The tracks of a run, and the cameras of each day's records."""
    tracks: dict[Track, _Story] = {}
    pages: dict[str, list[str]] = {}
    for day, path in record_files(run.path).items():
        if path.name not in run.files:
            continue
        cameras: dict[str, None] = {}
        for row in read_lines(path, TRACK):
            story = tracks.setdefault((row["camera"], row["track"]), _Story(row["time"], None))
            story.last, story.latest = max(story.last, row["time"]), row["identity"]
            story.names.add(row["identity"])
            cameras[row["camera"]] = None
        pages["" if day == TODAY else day] = list(cameras)
    if not pages:
        raise DataError(f"{run.path}: its run has no records ({tracks_file()}); name the folder of another run")
    return tracks, pages


def _cameras_with_other_names(
    tracks: Mapping[Track, _Story], final: Mapping[Track, str | None], history: History, states: Mapping[str, str]
) -> set[str]:
    """Cameras of which something that was written or shown bears another name than the final one.

    Records learn a name some seconds late, and have none that was taken back by then; the video shows it.
    """
    return {
        track[0]
        for track, name in final.items()
        if tracks[track].names != {name}
        or (states.get(track[0]) != DRAWN and not history.shown.get(track, set()) <= {name})
    }


def _write_records(run: RunFolder, pages: Mapping[str, list[str]], final: Mapping[Track, str | None]) -> list[Sighting]:
    """Write records and MOTChallenge text anew, one day after the other; who was seen where and when."""
    numbers: dict[str, int] = {}
    tally = Tally()
    for day, cameras in pages.items():
        lines = tracks_file(day)
        with run.rewrite([lines, *(mot_file(camera, day) for camera in cameras)]) as files:
            page = Page(files[lines], partial(_file_of, files, day), numbers)
            for row in read_lines(run.path / lines, TRACK):
                name = final[row["camera"], row["track"]]
                page.write(TrackRecord(**{key: row[key] for key in TRACK} | {"identity": name}))
                tally.add(name, row["camera"], row["time"], row["track"])
    return tally.sightings


def _file_of(files: Mapping, day: str, camera: str):
    return files[mot_file(camera, day)]


def _append(run: RunFolder, events: list[Event]) -> None:
    """Write `events.jsonl` anew, with `events` at its end; without a last line that was never finished."""
    with (run.path / EVENTS).open(encoding="utf-8") as earlier, run.rewrite([EVENTS]) as files:
        for line in earlier:
            if line.endswith("\n"):
                files[EVENTS].write(line)
        for event in events:
            files[EVENTS].write(event.to_json() + "\n")
