"""Room on the disk that a gallery holds, so that people can be forgotten when the disk is full.

It is a file without a name, so nobody sees or copies it, and it goes with the process however that ends.
"""

import contextlib
import os
import tempfile
from pathlib import Path

MOST, FEWEST = 4 << 20, 1 << 20
"""Bytes: forgetting takes what it changes twice, in the log and where the log is copied to with all that is in it."""


class Reserve:
    """Used by one thread at a time. Where there is no room, or no way to hold it, there is none: nothing is raised."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._file = None
        self.held = 0
        """Bytes."""

    def take(self) -> None:
        """Hold room, if none is held: less where the disk is nearly full."""
        if self.held or not hasattr(os, "posix_fallocate"):
            return
        with contextlib.suppress(OSError):
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115
            size = MOST
            while not self.held and size >= FEWEST:
                with contextlib.suppress(OSError):
                    os.posix_fallocate(self._file.fileno(), 0, size)
                    self.held = size
                size //= 2

    def give(self) -> None:
        """Leave it to whoever writes next."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.truncate(0)
        self.held = 0

    def close(self) -> None:
        """Give it, and hold none again."""
        if self._file is not None:
            self._file.close()
        self._file, self.held = None, 0
