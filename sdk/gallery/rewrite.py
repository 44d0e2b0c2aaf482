"""A gallery's file is encrypted, decrypted, or gets another passphrase: it is written anew, and takes its own place."""

import contextlib
import os
from pathlib import Path

from sdk.errors import GalleryError
from sdk.gallery import arguments
from sdk.gallery.journal import Journal
from sdk.gallery.replacing import new_file, remove_beside

_PIECE = 1 << 20


def rewrite(path: str | Path, old: str | None, new: str | None) -> int:
    """Write a gallery's file anew, with the passphrase `new` in the place of `old` (None: not encrypted); how many
    exemplars are in it. What is no longer in its place is overwritten.

    Raises `GalleryError` if it is in use, damaged, has several names, or cannot be written; nothing is changed then.
    """
    path = arguments.path(path, "the gallery")
    if not path.is_file():
        raise GalleryError(f"{path}: no such gallery; check the path")
    file = Path(os.path.realpath(path))
    if os.stat(file).st_nlink > 1:
        raise GalleryError(f"{path}: has several names (hard links), and would stay as it is under the others")
    with contextlib.closing(Journal(path, passphrase=old)) as source:
        contents = source.load()
        source.removals(contents.problems)
        if contents.problems:
            raise GalleryError(f"{path}: is damaged ({contents.problems[0]}); restore a backup first")
        with new_file(file) as made:
            with contextlib.closing(Journal(made, passphrase=new)) as target:
                target.fill(source)
                written = target.load()
                if written.problems or len(written.exemplars) != len(contents.exemplars):
                    raise GalleryError(f"{path}: the new file does not hold what the old one does; it is not used")
            source.disconnect()
            remove_beside(file)
            former = os.open(file, os.O_WRONLY)
        try:
            _overwrite(former, path)
        finally:
            os.close(former)
    return len(contents.exemplars)


def accept(path: str | Path, passphrase: str | None) -> int:
    """Go on with a copy whose log is missing; how many exemplars are in it. Raises `GalleryError`."""
    from sdk.gallery.gallery import Gallery

    path = arguments.path(path, "the gallery")
    if not path.is_file():
        raise GalleryError(f"{path}: no such gallery; check the path")
    Journal(path, passphrase=passphrase, accept_behind=True).close()
    with Gallery(path, passphrase=passphrase) as gallery:
        gallery.note("accept", len(gallery))
        return len(gallery)


def _overwrite(descriptor: int, path: Path) -> None:
    """With zeros: as far as the file system writes in place."""
    try:
        left = os.fstat(descriptor).st_size
        while left > 0:
            left -= os.write(descriptor, bytes(min(left, _PIECE)))
        os.fsync(descriptor)
    except OSError as error:
        raise GalleryError(
            f"{path}: is written anew, but its former bytes could not be overwritten ({error.strerror}); they are in "
            "free space of the disk"
        ) from error
