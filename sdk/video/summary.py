"""Who was seen where and when."""

import json
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table


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


def read_sightings(records: Path) -> list[Sighting]:
    """Sum up a `tracks.jsonl`: a row for each identity and camera, sorted; tracks without identity are left out."""
    rows: dict[tuple[str, str], Sighting] = {}
    tracks: dict[tuple[str, str], set[int]] = {}
    with records.open(encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            if record["identity"] is None:
                continue
            key = (record["identity"], record["camera"])
            row = rows.setdefault(key, Sighting(*key, record["time"], record["time"], 0, 0))
            row.last = record["time"]
            row.frames += 1
            tracks.setdefault(key, set()).add(record["track"])
    for key, row in rows.items():
        row.tracks = len(tracks[key])
    return [rows[key] for key in sorted(rows)]


def sightings_table(sightings: list[Sighting]) -> Table:
    """The rows as a table for the terminal."""
    people = len({row.identity for row in sightings})
    table = Table("identity", "camera", "first", "last", "frames", "tracks", title=f"{people} identities")
    shown = None
    for row in sightings:
        name = row.identity if row.identity != shown else ""
        table.add_row(name, row.camera, f"{row.first:.1f} s", f"{row.last:.1f} s", str(row.frames), str(row.tracks))
        shown = row.identity
    return table
