"""A gallery's file that is made beside its place, and takes it when it is whole."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sdk.errors import GalleryError
from sdk.output import remove_leftovers, whole_file

BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite may keep beside a file."""


@contextlib.contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """The path of an empty file, which takes the name `target` at the end of the `with` block, and not if that is left
    early. What galleries leave beside it is removed, and what killed writers of `target` have left: that shows people,
    too. Raises `GalleryError` if it cannot be written."""
    remove_leftovers(target)
    with whole_file(target, "wb", error=GalleryError) as file:
        made = Path(file.name)
        try:
            yield made
        finally:
            remove_beside(made)
            with contextlib.suppress(OSError):
                made.with_name(made.name + "-lock").unlink()


def remove_beside(file: Path) -> None:
    """What SQLite keeps beside a file that nobody has open, or that is about to be replaced."""
    for ending in BESIDE:
        with contextlib.suppress(OSError):
            file.with_name(file.name + ending).unlink()


def make_single(file: Path) -> None:
    """Have SQLite keep nothing beside a file while somebody reads it. Raises `GalleryError`."""
    connection = sqlite3.connect(file)
    try:
        connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise GalleryError(f"{file}: cannot be written ({error})") from error
    finally:
        connection.close()


def check_target(target: Path, source: Path) -> None:
    """Raises `GalleryError` if `target` is no place for a copy of `source`."""
    if target.exists() and not target.is_file():
        raise GalleryError(f"{target}: is no ordinary file; choose another path")
    same = os.path.realpath(target) == os.path.realpath(source)
    if same or (target.exists() and source.exists() and os.path.samefile(source, target)):
        raise GalleryError(f"{target}: is the gallery itself; choose another path for the copy")
