"""Output never destroys: a file is written beside its place, and takes its name when it is whole.

A full disk, Ctrl-C or an error leaves the earlier file as it was and no half one. The new file has the permissions and
the owner of the one that it replaces; else its owner alone may read it (`private=False`: as the umask says). A link is
written through to what it points at. What is no ordinary file (`/dev/stdout`, `/dev/null`, a FIFO) is simply written
to. Missing folders are made.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Sequence
from glob import escape
from pathlib import Path
from typing import IO

from sdk.errors import DataError, ReIDError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
STREAMS = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/")
"""Names of files that are open already, ordinary ones too: what they stand for is not to be replaced under them."""


def write_whole(
    path: str | Path,
    content: str | bytes,
    *,
    durable: bool = True,
    error: type[ReIDError] = DataError,
    private: bool = True,
) -> None:
    """Write a whole file, text as UTF-8; else as `whole_file`."""
    mode = "w" if isinstance(content, str) else "wb"
    with whole_file(path, mode, durable=durable, error=error, private=private) as file:
        file.write(content)


@contextlib.contextmanager
def whole_file(
    path: str | Path,
    mode: str = "w",
    *,
    durable: bool = True,
    error: type[ReIDError] = DataError,
    private: bool = True,
) -> Iterator[IO]:
    """A file to write to, which takes the name `path` at the end of the `with` block, and not if that is left early.

    mode: "w" (UTF-8) or "wb". durable: the file is on the disk before it takes its name, so that a power failure too
    leaves the old one or the new one; this costs a moment. private: a file that is new is its owner's alone (0600);
    False: as the umask says, for what tells of no people. Raises `error` if the file cannot be written.
    """
    with whole_files([path], mode, durable=durable, error=error, private=private) as (file,):
        yield file


@contextlib.contextmanager
def whole_files(
    paths: Sequence[str | Path],
    mode: str = "wb",
    *,
    durable: bool = True,
    error: type[ReIDError] = DataError,
    private: bool = True,
) -> Iterator[list[IO]]:
    """Files that belong together: none takes its name before all are whole. Else as `whole_file`."""
    made: list[_Beside] = []
    try:
        try:
            for path in paths:
                made.append(_Beside(Path(path), mode, error, private))
            yield [one.file for one in made]
            for one in made:
                one.complete(durable)
            for one in made:
                one.take_name()
        finally:
            for one in made:
                one.remove()
    except Exception as failure:
        if (cause := _failed_write(failure)) is None:
            raise
        raise error(_told(" and ".join(map(str, paths)), cause)) from failure


class _Beside:
    """A file beside its place, or the place itself if that is no ordinary file."""

    def __init__(self, path: Path, mode: str, error: type[ReIDError], private: bool):
        self._path = path
        self._error = error
        self._beside: Path | None = None
        with self._named():
            self._target, old = _place(path)
            text = {} if "b" in mode else {"encoding": "utf-8"}
            if self._target is None:
                self.file = path.open(mode, **text)
                return
            self._target.parent.mkdir(parents=True, exist_ok=True)
            beside = self._target.with_name(_beside(self._target.name, secrets.token_hex(4)))
            # "x" makes a file or fails: a link that somebody has put there is not followed.
            opener = private_opener if private else None
            self.file = open(beside, mode.replace("w", "x"), opener=opener, **text)  # noqa: SIM115
            self._beside = beside
            if old is not None:
                with contextlib.suppress(OSError):  # another's file: only root may give ours to them
                    os.chown(self.file.fileno(), old.st_uid, old.st_gid)
                with contextlib.suppress(OSError):  # some file systems know no permissions
                    os.chmod(self.file.fileno(), stat.S_IMODE(old.st_mode))

    def complete(self, durable: bool) -> None:
        with self._named():
            self.file.flush()
            if durable and self._beside is not None:
                os.fsync(self.file.fileno())
            self.file.close()

    def take_name(self) -> None:
        if self._beside is not None:
            with self._named():
                os.replace(self._beside, self._target)
                self._beside = None

    def remove(self) -> None:
        """Close the file, and remove it unless it has its name."""
        with contextlib.suppress(OSError):  # what is left in its buffer does not go on a full disk either
            self.file.close()
        if self._beside is not None:
            with contextlib.suppress(OSError):
                self._beside.unlink()

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._error(_told(self._path, error)) from error


def private_opener(path: str, flags: int) -> int:
    """For `open(…, opener=…)`: a file that is new is its owner's alone."""
    return os.open(path, flags, 0o600)


def _beside(name: str, mark: str) -> str:
    return f".{name[:40]}.{mark}.part"


def remove_leftovers(path: str | Path) -> None:
    """Remove what writers of `path` left beside it when they were killed. None may be writing it now."""
    target = Path(path)
    for file in target.parent.glob(_beside(escape(target.name[:40]), "[0-9a-f]" * 8)):
        with contextlib.suppress(OSError):
            file.unlink()


def _failed_write(failure: Exception) -> OSError | None:
    """The write to a file of ours that `failure` comes from; None if it comes from elsewhere.

    A write knows no file's name, and so tells itself from the opening of another file. torch.save raises an error of
    its own over it.
    """
    for error in () if isinstance(failure, ReIDError) else (failure, failure.__context__):
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            return error
    return None


def _can_be_a_name(path: Path) -> bool:
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _place(path: Path) -> tuple[Path | None, os.stat_result | None]:
    """The file that `path` stands for, and what is there now; None for what is simply written to."""
    if os.path.abspath(path).startswith(STREAMS):
        return None, None
    if not _can_be_a_name(path):
        raise OSError(errno.EINVAL, "no name that a file can have", str(path))
    target = Path(os.path.realpath(path))
    try:
        old = target.stat()
    except (FileNotFoundError, NotADirectoryError):
        return target, None
    if stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(old.st_mode):
        return None, None
    if not os.access(target, os.W_OK):  # a rename would not ask
        raise PermissionError(errno.EACCES, "it is write-protected", str(path))
    return target, old


def _told(path: str | Path, error: OSError) -> str:
    remedy = "make room there, or choose another path" if error.errno in FULL else "choose another path"
    return f"{path}: cannot be written ({error.strerror}); {remedy}"


def check_output(output: str | Path | None, inputs: Iterable[str | Path] = ()) -> None:
    """Refuse, before any work, an output file that cannot be written or that would overwrite an input.

    inputs: the files that are read; of a folder, everything that is in it now. None and names of what is not there are
    passed over. Raises `DataError` that names the file and the way on.
    """
    if output is None:
        return
    output = Path(output)
    try:
        target, old = _place(output)
    except OSError as error:
        raise DataError(_told(output, error)) from error
    if target is None:
        return
    folder = next(folder for folder in target.parents if folder.exists())
    if not folder.is_dir():
        raise DataError(f"{output}: cannot be written ({folder} is a file); choose another path")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DataError(f"{output}: cannot be written ({folder} is write-protected); choose another path")
    if old is None:
        return
    for source in map(Path, inputs):
        try:
            found = source.stat()
        except (OSError, ValueError):
            continue
        if stat.S_ISDIR(found.st_mode):
            if Path(os.path.realpath(source)) in target.parents:
                raise DataError(f"{output}: is a file of {source}, which is read; choose a path outside of it")
        elif os.path.samestat(found, old):
            raise DataError(f"{output}: is read as {source}, and would be overwritten; choose another path")
