"""Who was seen where and when."""

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from sdk.reading import NAME, NUMBER, read_lines
from sdk.terminal import Table

SINCE_1970 = 1e8
"""Seconds from which a time is a clock's, not a video's."""


@dataclass
class Sighting:
    """One identity in one camera."""

    identity: str
    camera: str
    first: float
    """Seconds."""
    last: float
    frames: int
    tracks: int


class Tally:
    """Sums up records as they are written: a row for each identity and camera; those without identity are left out.

    Its size grows with the identities, not with the time.
    """

    def __init__(self):
        self._rows: dict[tuple[str, str], Sighting] = {}
        self._tracks: dict[tuple[str, str], set[int]] = {}

    def add(self, identity: str | None, camera: str, time: float, track: int) -> None:
        """Count one record."""
        if identity is None:
            return
        key = (identity, camera)
        row = self._rows.setdefault(key, Sighting(*key, time, time, 0, 0))
        row.last = time
        row.frames += 1
        tracks = self._tracks.setdefault(key, set())
        tracks.add(track)
        row.tracks = len(tracks)

    @property
    def sightings(self) -> list[Sighting]:
        """The rows, sorted."""
        return [self._rows[key] for key in sorted(self._rows)]


SEEN = {"time": NUMBER, "camera": str, "track": int, "identity": NAME}
"""Fields of a record that a sighting is made of."""
TODAY = "today"
"""The day whose records have no date in their file's name yet."""


def tracks_file(day: str = "") -> str:
    """What the track records of a day are called; day: as in "2026-11-24", or empty of the one that goes on."""
    return f"tracks.{day}.jsonl" if day else "tracks.jsonl"


def record_files(folder: str | Path) -> dict[str, Path]:
    """A run's files with track records by their day, in order; the last is `TODAY`'s."""
    dated = sorted(Path(folder).glob(tracks_file("????-??-??")))
    last = Path(folder) / tracks_file()
    return {path.name.split(".")[1]: path for path in dated} | ({TODAY: last} if last.is_file() else {})


def read_sightings(records: str | Path) -> list[Sighting]:
    """Sum up a `tracks.jsonl`, or all that there are in a folder: a row for each identity and camera, sorted.

    Tracks without identity are left out; a last line that was never finished is passed over. Raises `DataError` naming
    a line that is no record.
    """
    records, tally = Path(records), Tally()
    for path in record_files(records).values() if records.is_dir() else [records]:
        for record in read_lines(path, SEEN):
            tally.add(record["identity"], record["camera"], record["time"], record["track"])
    return tally.sightings


def sightings_table(sightings: list[Sighting]) -> Table:
    """The rows as a table for the terminal."""
    people = len({row.identity for row in sightings})
    heads = "identity", "camera", "first", "last", "frames", "tracks"
    table = Table(*heads, title=f"{people} identities", name="sightings")
    shown = None
    for row in sightings:
        name = row.identity if row.identity != shown else ""
        cells = name, row.camera, _moment(row.first), _moment(row.last), str(row.frames), str(row.tracks)
        table.add_row(*cells, record=asdict(row))
        shown = row.identity
    return table


def _moment(time: float) -> str:
    """Seconds from a video's beginning, or local date and time of a live camera, whose clock counts from 1970."""
    return f"{time:.1f} s" if time < SINCE_1970 else f"{datetime.fromtimestamp(time):%Y-%m-%d %H:%M:%S}"
