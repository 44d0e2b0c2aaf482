"""A file of known length and hash, from the network or from a disk: whole under its name, or not there at all."""

import errno
import hashlib
import http.client
import os
import shutil
import stat
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from sdk.errors import DataError

try:
    import fcntl
except ImportError:  # not a POSIX system: two at once are caught by the hash
    fcntl = None

SILENCE = 30.0
"""Seconds without a byte after which a server is given up."""
PIECE = 1 << 16
"""Bytes that are asked of a server at a time."""

Progress = Callable[[int], None]
"""Is told how many bytes there are so far."""


def download(url: str, path: Path, size: int, sha256: str, progress: Progress | None = None) -> None:
    """Fetch `url`, http or https, as `path`, if it has `size` bytes and the hash `sha256` (hexadecimal).

    What came before a connection broke stays beside it as `<name>.part`, and the next call goes on from there; where
    the server cannot, it begins anew. A file that was there before stays until the new one is whole. Redirects are
    followed, but never from https to http. Raises `DataError` naming the address or the folder and what is wrong.
    """
    _check_address(url)
    with _partial(path) as part:
        for _ in range(2):
            begun = _length(part)
            if begun > size:
                part.truncate(0)
                begun = 0
            if begun < size:
                begun = _receive(url, part, begun, size, progress or (lambda _: None))
            actual = _hash(part)
            if actual == sha256:
                _keep(part, path)
                return
            part.truncate(0)
            if begun == 0:  # else it was the old beginning: once more, all of it
                break
        raise DataError(f"{_shown(url)}: is another file than the published one (SHA-256 {actual}, not {sha256})")


def bring(source: Path, path: Path, size: int, sha256: str) -> None:
    """Copy the file `source` to `path`, if it has `size` bytes and that hash. Raises `DataError` as `download` does."""
    wrong = fault(source, size, sha256)
    if wrong is not None:
        raise DataError(f"{source}: {wrong}")
    with _partial(path) as part:
        part.truncate(0)
        with source.open("rb") as file, _disk(path.parent):
            shutil.copyfileobj(file, part)
        if _hash(part) != sha256:
            part.truncate(0)
            raise DataError(f"{source}: changed while it was copied")
        _keep(part, path)


def fault(path: Path, size: int, sha256: str) -> str | None:
    """What is wrong with a file that should have `size` bytes and that hash, in words; None if nothing is."""
    try:
        if not path.is_file():
            return "no such file"
        if (own := path.stat().st_size) != size:
            return f"has {own} bytes, not {size}"
        with path.open("rb") as file:
            actual = _hash(file)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None if actual == sha256 else f"its SHA-256 is {actual}, not {sha256}"


def _receive(url: str, part: BinaryIO, begun: int, size: int, progress: Progress) -> int:
    """Append what is missing to `part`; returns where the server began, which is 0 if it cannot go on from `begun`."""
    try:
        response, begun = _open(url, begun, size)
        with response:
            length = response.headers["Content-Length"]
            if begun == 0 and length is not None and length != str(size):
                raise DataError(f"{_shown(url)}: is another file than the published one ({length} bytes, not {size})")
            with _disk(Path(part.name).parent):
                part.truncate(begun)
            progress(done := begun)
            while done < size and (piece := response.read(min(PIECE, size - done))):
                with _disk(Path(part.name).parent):
                    part.write(piece)
                progress(done := done + len(piece))
            if done == size and length is None and response.read(1):
                part.truncate(0)
                raise DataError(f"{_shown(url)}: is longer than the published file ({size} bytes)")
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"{_shown(url)}: {_reason(error)}{_how_far(part, size)}") from error
    if done < size:
        raise DataError(f"{_shown(url)}: the connection broke off{_how_far(part, size)}")
    return begun


def _open(url: str, begun: int, size: int) -> tuple[http.client.HTTPResponse, int]:
    """The server's answer, and from which byte on it has the file: `begun`, or 0 where it cannot do that."""
    if begun:
        try:
            response = _ask(url, {"Range": f"bytes={begun}-"})
        except urllib.error.HTTPError as error:
            if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            error.close()
        else:
            if response.status == http.HTTPStatus.OK:
                return response, 0
            if response.headers["Content-Range"] == f"bytes {begun}-{size - 1}/{size}":
                return response, begun
            response.close()
    return _ask(url), 0


def _ask(url: str, headers: dict[str, str] | None = None) -> http.client.HTTPResponse:
    request = urllib.request.Request(url, headers={"User-Agent": "aligned-reid", **(headers or {})})
    return urllib.request.build_opener(_Redirects).open(request, timeout=SILENCE)


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, request, file, code, message, headers, address):
        if request.type == "https" and urlsplit(address).scheme != "https":
            raise DataError(
                f"{_shown(request.full_url)}: leads from https to {_shown(address)}, which anybody on the way can "
                "change; it is not followed"
            )
        return super().redirect_request(request, file, code, message, headers, address)


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        usable = usable and url.isascii() and url.isprintable() and " " not in url
    except ValueError:
        usable = False
    if not usable:
        raise DataError(f"{_shown(url)}: is no address of the form http(s)://host/path")
    if parts.username is not None:
        raise DataError(f"{_shown(url)}: has a user in it; fetch the file in another way and give it as a file")


def _shown(url: str) -> str:
    """An address for messages: without a user, a password, or a query, which may be a key too."""
    scheme, slashes, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return (scheme + slashes + host.rpartition("@")[2] + slash + path).partition("?")[0]


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no answer for {SILENCE:.0f} s"
    return f"cannot be reached ({getattr(cause, 'strerror', None) or cause or type(cause).__name__})"


def _how_far(part: BinaryIO, size: int) -> str:
    done = _length(part)
    return f"; {done} of {size} bytes are here, and the same command goes on from there" if done else ""


@contextmanager
def _partial(path: Path) -> Iterator[BinaryIO]:
    """The file beside `path` that is written until it is whole; one process at a time has it."""
    name = _part_of(path)
    with _disk(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = _open_part(name)  # what has come is on the disk, even if this process is killed
    with part:
        if fcntl is not None:
            busy = DataError(f"{name}: another process is writing it; wait for that to end")
            try:
                fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise busy from None
            except OSError:
                pass  # a file system without locks
            if not _is_named(part, name):
                raise busy  # it has just finished: this is the whole file by now
        try:
            yield part
        finally:
            if _length(part) == 0 and _is_named(part, name):
                name.unlink()


def _open_part(name: Path) -> BinaryIO:
    """Raises `OSError` for what somebody else has put there: a link would have another file written."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    part = open(name, "a+b", buffering=0, opener=lambda path, _: os.open(path, flags, 0o666))  # noqa: SIM115
    found = os.fstat(part.fileno())
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        part.close()
        raise OSError(errno.EEXIST, f"{name.name} is a link; remove it")
    return part


def _is_named(part: BinaryIO, name: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(part.fileno()), name.stat())
    except FileNotFoundError:
        return False


def _part_of(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _keep(part: BinaryIO, path: Path) -> None:
    with _disk(path.parent):
        os.fsync(part.fileno())
        os.replace(_part_of(path), path)


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror})") from error


def _length(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


def _hash(file: BinaryIO) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while piece := file.read(1 << 20):
        digest.update(piece)
    return digest.hexdigest()
