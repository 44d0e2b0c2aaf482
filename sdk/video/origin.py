"""Where a run's frames came from, so that its videos can be drawn once more: kept in the run's manifest.

Of files and folders alone: of cameras there is nothing to be read again, and their addresses may hold passwords.
"""

import hashlib
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sdk.confidential import hide
from sdk.video.run_folder import RunFolder
from sdk.video.sources import Address, Sources

FACT = "origin"
"""Under which the manifest has it."""
SAMPLE = 65536
"""Bytes at either end of a file by which it is known again."""


@dataclass
class Origin:
    """What the frames of a run were read from, and how its videos were made."""

    frame_rates: dict[str, float] = field(default_factory=dict)
    """Of the videos, frames a second by camera."""
    segment: float | None = None
    """Seconds of frames after which a video begins a new file; None: never."""
    sources: dict[str, str] = field(default_factory=dict)
    """By camera, the absolute path of its file or folder; cameras that cannot be read again are left out."""
    options: dict[str, dict[str, str]] = field(default_factory=dict)
    """By camera, the options after its address."""
    marks: dict[str, str] = field(default_factory=dict)
    """By camera, what its file or folder is known by: see `mark`."""
    model: str | None = None
    detector: str | None = None

    def address(self, camera: str) -> str:
        """The address of a camera's file or folder, for `Sources`."""
        options = "&".join(f"{key}={value}" if value else key for key, value in self.options.get(camera, {}).items())
        return f"{camera}={self.sources[camera]}" + (f"#{options}" if options else "")

    def missing(self, camera: str) -> str:
        """Why the frames of a camera cannot be had once more, in words; empty if they can."""
        if camera not in self.sources:
            return "its frames were not kept: they came from a live camera, or from where the run does not say"
        path = Path(self.sources[camera])
        if not path.exists():
            return f"{path} is no longer there"
        if mark(path) != self.marks.get(camera):
            return f"{path} is no longer the recording that the run read"
        return ""


def remember_origin(
    folder: RunFolder,
    site: Sources,
    *,
    segment: float | None = None,
    model: str | os.PathLike | None = None,
    detector: str | os.PathLike | None = None,
) -> None:
    """Have the manifest of a run say what it reads. segment: as of `Recorder`; model, detector: as they were named."""
    of_files = [] if site.live else [address for address in site.addresses if _is_harmless(address)]
    origin = Origin(dict(site.frame_rates), segment)
    for address in of_files:
        path = os.path.abspath(address.location)
        origin.sources[address.name], origin.marks[address.name] = path, mark(path)
        if address.options:
            origin.options[address.name] = address.options
    origin.model, origin.detector = (None if name is None else hide(name) for name in (model, detector))
    folder.remember(FACT, asdict(origin))


def origin_of(folder: RunFolder) -> Origin:
    """What the manifest says; an empty `Origin` where it says nothing, as of an earlier release's run, or nonsense."""
    said = folder.fact(FACT)
    known = said if isinstance(said, dict) else {}
    origin = Origin(**{name: known[name] for name in Origin.__dataclass_fields__ if name in known})
    tables = (origin.frame_rates, (int, float)), (origin.sources, str), (origin.marks, str), (origin.options, dict)
    sound = all(isinstance(t, dict) and all(isinstance(value, kind) for value in t.values()) for t, kind in tables)
    return origin if sound and isinstance(origin.segment, int | float | None) else Origin()


def mark(path: str | Path) -> str:
    """What a file or folder is known by: a hash of its size and both ends, or of its files' names and sizes.

    Not its date: a copy is the same recording. Empty if it cannot be read.
    """
    path, known = Path(path), hashlib.sha256()
    try:
        if path.is_dir():
            for file in sorted(os.scandir(path), key=lambda file: file.name):
                known.update(f"{file.name}\0{file.stat().st_size}\0".encode(errors="surrogateescape"))
        else:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                known.update(f"{size}\0".encode())
                known.update(file.read(SAMPLE))
                file.seek(max(0, size - SAMPLE))
                known.update(file.read(SAMPLE))
    except OSError:
        return ""
    return known.hexdigest()


def _is_harmless(address: Address) -> bool:
    """Whether it is a file or folder, and its path has nothing in it that looks like a secret."""
    return address.ends and hide(address.location) == address.location
