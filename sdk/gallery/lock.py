"""One process at a time writes a gallery."""

import os
from pathlib import Path

from sdk.errors import GalleryError

try:
    import fcntl
except ImportError:  # not a POSIX system: SQLite's own locks must do
    fcntl = None


class WriterLock:
    """A lock file beside the gallery; the system releases it when the process ends, however it ends."""

    def __init__(self, path: Path):
        """Raises `GalleryError` with the process that holds the lock, or if the folder cannot be written."""
        self._file = None
        if fcntl is None:
            return
        name = path.with_name(path.name + "-lock")
        try:
            self._file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise GalleryError(
                f"{path}: cannot be written ({error.strerror}); read what is there with read_only=True"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._file, 32).decode(errors="replace").strip()
            os.close(self._file)
            self._file = None
            raise GalleryError(
                f"{path}: process {holder or 'unknown'} is writing it; end that process, or read with read_only=True"
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
