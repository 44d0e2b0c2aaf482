"""Galleries as commands open them: a shared one with everybody whom its store has."""

from pathlib import Path
from typing import Any

from sdk.gallery.address import is_address
from sdk.gallery.gallery import Gallery


def open_current(where: str | Path, **options: Any) -> Gallery:
    """A gallery, a shared one brought up to what its store has. options: of `Gallery`.

    Raises `GalleryError` as `Gallery` and `Gallery.sync` do.
    """
    opened = Gallery(where, **options)
    if is_address(where):
        try:
            opened.sync()
        except BaseException:
            opened.close()
            raise
    return opened


def open_to_read(where: str | Path) -> Gallery:
    """The same only to read: another process may be writing it. A file that is not there is not made."""
    return open_current(where) if is_address(where) else Gallery(where, read_only=True)
