"""One process at a time writes a gallery, under whatever name it knows the file.

What is locked is the file itself (`flock` on its inode), so a symbolic or a hard link is no way round it. A lock file
beside it says which process that is, and keeps writers of earlier releases out.

Closing any descriptor of a file drops all POSIX locks that this process has on it, SQLite's among them. So a descriptor
that was opened here is closed when the last gallery of this process on that file is closed, and not before.
"""

import contextlib
import errno
import os
import stat
import threading
from dataclasses import dataclass
from pathlib import Path

from sdk.errors import GalleryError

try:
    import fcntl
except ImportError:  # not a POSIX system: SQLite's own locks must do
    fcntl = None

FLAGS = os.O_RDWR | getattr(os, "O_CLOEXEC", 0)
BUSY = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
TRIES = 10
"""Times that a file may be replaced while its lock is taken."""


@dataclass
class _Open:
    """A file that galleries of this process have open."""

    users: int = 0
    writer: bool = False
    descriptor: int | None = None


_open: dict[tuple[int, int], _Open] = {}
_guard = threading.Lock()


def _forked() -> None:
    """A fork has its parent's descriptors, and would keep the parent's locks when that ends; the galleries are not its
    own."""
    global _guard
    _guard = threading.Lock()
    for entry in _open.values():
        if entry.descriptor is not None:
            os.close(entry.descriptor)
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class Claim:
    """An open gallery's hold on its file; the system lets go of it when the process ends, however it ends."""

    def __init__(self, path: Path, write: bool, shown: str | Path | None = None):
        """path: without links; to write, a file that is not there is made (mode 0600). shown: its name in messages.

        Raises `GalleryError` with the process that writes it now, if it is no ordinary file, or cannot be written.
        """
        self._path, self._shown = path, shown or path
        self._beside: int | None = None
        self._key: tuple[int, int] | None = None
        self._write = write
        self.created = False
        """Whether there was no such file before."""
        self._was_empty = False
        with _guard:
            if write:
                self._claim()
            else:
                self._register(os.stat(path))

    @property
    def descriptor(self) -> int | None:
        """Of the file, to be read and written in its place by the writer alone; None for a reader."""
        entry = _open.get(self._key) if self._write and hasattr(os, "pread") else None
        return None if entry is None else entry.descriptor

    def _register(self, status: os.stat_result) -> _Open:
        self._key = status.st_dev, status.st_ino
        entry = _open.setdefault(self._key, _Open())
        entry.users += 1
        return entry

    def _claim(self) -> None:
        for _ in range(TRIES):
            taken = False
            try:
                if taken := self._take():
                    self._was_empty = not self.created and self._path.stat().st_size == 0
                    self._say_who()
                    return
            except BaseException:
                if taken:  # what is locked is ours to delete, if we made it
                    self.remove()
                self._let_go()
                raise
            self._let_go()
        raise GalleryError(f"{self._shown}: is replaced again and again by another process; end that process")

    def _take(self) -> bool:
        """Open and lock; False if the file was replaced meanwhile."""
        with self._told():
            try:
                descriptor = os.open(self._path, FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
                self.created = True
                status = os.fstat(descriptor)
            except FileExistsError:
                descriptor, status = None, os.stat(self._path)
            if not stat.S_ISREG(status.st_mode):
                raise GalleryError(f"{self._shown}: is no ordinary file; choose another path")
            entry = self._register(status)
            if entry.writer:
                self._key = None  # not ours to let go of
                entry.users -= 1
                raise self._busy(str(os.getpid()))
            entry.writer = True
            if entry.descriptor is None:
                entry.descriptor = os.open(self._path, FLAGS) if descriptor is None else descriptor
        if fcntl is None:
            return True
        if not _lock(entry.descriptor):
            raise self._busy(self._holder())
        try:
            return os.path.samestat(os.fstat(entry.descriptor), os.stat(self._path))
        except OSError:
            return False

    def _say_who(self) -> None:
        if fcntl is None:
            return
        with self._told():
            # A link that somebody has put there is not followed: what it points at would be overwritten.
            flags = FLAGS | os.O_CREAT | os.O_NOFOLLOW
            self._beside = os.open(self._lock_file, flags, 0o600)
        if not _lock(self._beside):
            raise self._busy(self._holder())
        with contextlib.suppress(OSError):  # on a full disk nobody is told who it is
            os.ftruncate(self._beside, 0)
            os.pwrite(self._beside, f"{os.getpid()}\n".encode(), 0)

    @property
    def _lock_file(self) -> Path:
        return self._path.with_name(self._path.name + "-lock")

    def _holder(self) -> str:
        """The number of the process that wrote the lock file; empty if none can be read."""
        try:
            return self._lock_file.read_bytes()[:32].decode(errors="replace").strip()
        except OSError:
            return ""

    def _busy(self, holder: str) -> GalleryError:
        who = f"process {holder}" if holder else "another process"
        return GalleryError(f"{self._shown}: {who} is writing it; end that process, or read with read_only=True")

    @contextlib.contextmanager
    def _told(self):
        try:
            yield
        except OSError as error:
            raise GalleryError(
                f"{self._shown}: cannot be written ({error.strerror}); read what is there with read_only=True"
            ) from error

    def _let_go(self) -> None:
        if self._beside is not None:
            os.close(self._beside)
            self._beside = None
        key, self._key = self._key, None
        entry = _open.get(key)
        if entry is None:
            return
        entry.users -= 1
        if self._write:
            entry.writer = False
            if fcntl is not None and entry.descriptor is not None:
                with contextlib.suppress(OSError):  # not by closing alone: a fork may have it open too
                    fcntl.flock(entry.descriptor, fcntl.LOCK_UN)
        if not entry.users:
            del _open[key]
            if entry.descriptor is not None:
                os.close(entry.descriptor)

    def remove(self) -> None:
        """Undo what this claim has made and came to nothing: a new file, or what is in one that was empty, and those
        beside it."""
        if not (self.created or self._was_empty):
            return
        with contextlib.suppress(OSError):
            self._path.unlink() if self.created else os.truncate(self._path, 0)
        for name in ("-wal", "-shm", "-journal", "-lock"):
            with contextlib.suppress(OSError):
                self._path.with_name(self._path.name + name).unlink()

    def release(self) -> None:
        with _guard:
            self._let_go()


def _lock(descriptor: int) -> bool:
    """False if another process has it. Some file systems lock nothing: there SQLite's own locks must do."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in BUSY
    return True
