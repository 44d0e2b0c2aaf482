"""The detectors' files: one folder for each user; every file is checked when it comes and when it is used."""

import os
from dataclasses import dataclass
from pathlib import Path

from sdk.detector_files.published import Published, published
from sdk.download import Progress, bring, download, fault
from sdk.errors import DataError

HOME = "REID_HOME"
"""Environment variable: the folder of what this program keeps for a user."""


@dataclass(frozen=True)
class State:
    """A detector on this machine."""

    path: Path | None
    """Where its file is, or would be; None for a user without a home."""
    here: bool
    trouble: str
    """Why it cannot be used, in words; empty if it can."""

    @property
    def sound(self) -> bool:
        return not self.trouble


def folder() -> Path:
    """`$REID_HOME/detectors`, else `aligned-reid/detectors` in `$XDG_DATA_HOME` or `~/.local/share`.

    It need not exist. Raises `DataError` for a user without a home.
    """
    own, shared = os.environ.get(HOME), os.environ.get("XDG_DATA_HOME", "")
    try:
        if own:
            return Path(own).expanduser().absolute() / "detectors"
        base = Path(shared) if os.path.isabs(shared) else Path.home() / ".local" / "share"
    except RuntimeError:
        raise DataError(f"this user has no home folder; set {HOME} to a folder that it may write") from None
    return base / "aligned-reid" / "detectors"


def state(detector: Published) -> State:
    """Whether a detector is here and is the file that was published. Raises nothing."""
    try:
        path = folder() / detector.file
    except DataError as error:
        return State(None, False, str(error))
    here = os.path.lexists(path)
    if not here:
        return State(path, False, f"is not here ({path})")
    wrong = fault(path, detector.size, detector.sha256)
    return State(path, True, "" if wrong is None else f"is damaged ({path}: {wrong})")


def require(name: str) -> Path:
    """The file of a published detector. Raises `DataError` with the command that fetches it where it cannot be used."""
    found = state(published(name))
    if not found.sound:
        raise DataError(f"the detector {name} {found.trouble}; fetch it: reid detector get {name}")
    return found.path


def fetch(detector: Published, url: str | None = None, progress: Progress | None = None) -> Path:
    """Have a detector's file: nothing is done if it is here and sound. url: another place that has the same file.

    Raises `DataError` that says what is wrong, and how to bring the file by hand.
    """
    path = folder() / detector.file
    if not state(detector).sound:
        try:
            download(url or detector.url, path, detector.size, detector.sha256, progress)
        except DataError as error:
            raise DataError(
                f"{detector.name} cannot be fetched: {error}. Where there is no network, bring the file from another "
                f"machine ({detector.url}) and run: reid detector get {detector.name} --from {detector.file}; or copy "
                f"it to {path}. Another folder: set {HOME}"
            ) from error
    return path


def take(detector: Published, file: str | Path) -> Path:
    """Have a detector's file from a disk. Raises `DataError` if it is not the published file."""
    path = folder() / detector.file
    try:
        bring(Path(file), path, detector.size, detector.sha256)
    except DataError as error:
        raise DataError(f"{error}; {detector.name} is {detector.url}. Another folder: set {HOME}") from error
    return path
