"""The folder of one run: what the run writes is marked as its own, and nothing else is ever touched.

`run.json` in it is the manifest: which run made it, and the names of the files that it wrote. So a later run can tell
what may be replaced, when it is asked to, from what somebody else has put there. Who works on the files of a run that
is over opens its folder again: `RunFolder.reopen`.
"""

import contextlib
import errno
import itertools
import json
import os
import stat
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

from sdk import __version__
from sdk.errors import DataError
from sdk.output import private_opener, remove_leftovers, whole_files, write_whole
from sdk.terminal import notes

try:
    import fcntl
except ImportError:  # not a POSIX system: nothing tells a run that still goes on
    fcntl = None

MANIFEST = "run.json"
FORMAT = 1
STATES = ("running", "finished", "interrupted")
YOUNG = ("facts", "former")
"""Fields that manifests of earlier releases have not."""


@dataclass
class Manifest:
    """What `run.json` says."""

    format: int
    command: str
    started: str
    """ISO time, local, with its offset from UTC."""
    version: str
    """Of the SDK."""
    state: str
    """One of `STATES`; "running" of a run that ended otherwise: it was killed."""
    files: list[str] = field(default_factory=list)
    """Plain names of files in the folder, sorted."""
    facts: dict = field(default_factory=dict)
    """What else is remembered of the run, by subject: plain JSON values, nothing confidential."""
    former: str = ""
    """The state before somebody began to change the files of a run that was over; empty while nobody does."""

    def to_json(self) -> str:
        """The text of `run.json`: fields that are younger than the format are there if there is something in them."""
        content = asdict(self)
        young = {name for name in YOUNG if not content[name]}
        return json.dumps({name: value for name, value in content.items() if name not in young}, indent=2) + "\n"


class RunFolder:
    """The folder that one run writes into. A context manager, which begins and ends the run. A new one, and the files
    in it, are for their owner alone.

    Files are made with `open` and `claim`, which refuse to touch what this run did not make. While the run goes on, the
    folder is locked: the system lets go of it when the process ends, however it ends.
    """

    def __init__(self, path: str | Path, command: str, overwrite: bool = False):
        """command: what runs, for the manifest: "reid track". overwrite: delete the files of the run in it before."""
        self.path = Path(path)
        self.interrupted = False
        """Set it where a run ends early and yet in order: the manifest then says "interrupted"."""
        self._command = command
        self._overwrite = overwrite
        self._files: set[str] = set()
        self._facts: dict = {}
        self._turn = threading.RLock()
        self._started = self._version = ""
        self._state = self._former = ""
        self._again = self._made = False

    @classmethod
    def reopen(cls, path: str | Path) -> "RunFolder":
        """The folder of a run that is over, to change the run's own files. A context manager.

        While it is open the folder is locked and its manifest says "running"; then again what it said before, and so
        it does the next time if this process is killed. What killed writers left beside the run's files is removed.

        Entering raises `DataError` if the run still goes on, or nothing tells whether it does; if no run made the
        folder; if its manifest cannot be trusted, or one of its files is no longer an ordinary one.
        """
        folder = cls(path, "")
        folder._again = True
        return folder

    @staticmethod
    def check(
        path: str | Path, sources: Iterable[str | Path] = (), others: Iterable[str | Path] = (), overwrite: bool = False
    ) -> None:
        """Refuse, before anything is opened or made, a folder that a run may not write into. Changes nothing.

        sources, others: files and folders that the run reads, or writes elsewhere (models, a gallery): none may be
        among what is replaced. Names of what is not there are passed over. Raises `DataError` that says why, and the
        way on: `path` is a file or cannot be written; it holds something and no run made it; it holds a run, and
        `overwrite` is false; that run still goes on; its manifest cannot be trusted.
        """
        path = Path(path)
        _require_place(path)
        if path.is_dir():
            with _locked(path):
                _require_free(path, [*sources, *others], overwrite)

    def __enter__(self) -> "RunFolder":
        """Make the folder and mark it. Raises `DataError` as `check` does, which need not have been called."""
        if self._again:
            return self._enter_again()
        _require_place(self.path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._made = not self.path.exists()
            self.path.mkdir(mode=0o700, exist_ok=True)  # what a run writes shows people
        except OSError as error:
            raise DataError(f"{self.path}: cannot be made a folder ({error.strerror}); choose another") from error
        with contextlib.ExitStack() as stack:
            stack.enter_context(_locked(self.path))
            # Looked at under the lock: another start may have been quicker since `check`.
            before = _require_free(self.path, (), self._overwrite)
            self._started = datetime.now().astimezone().isoformat(timespec="seconds")
            self._version = __version__
            self._state = "running"
            self._files = set() if before is None else set(before.files)
            self._write_manifest()  # the first one proves that the folder can be written, before anything is deleted
            for name in sorted(self._files):
                try:
                    (self.path / name).unlink(missing_ok=True)
                except OSError as error:
                    raise DataError(f"{self.path / name}: cannot be deleted ({error.strerror})") from error
                self._files.discard(name)
            if before is not None and before.files:
                self._write_manifest()
            self._held = stack.pop_all()
        return self

    def _enter_again(self) -> "RunFolder":
        if not self.path.is_dir():
            raise DataError(f"{self.path}: no such folder; name one that `reid track --output` wrote")
        with contextlib.ExitStack() as stack:
            locked = stack.enter_context(_locked(self.path))
            manifest = read_manifest(self.path)
            if manifest is None:
                raise DataError(f"{self.path}: no run made it (there is no {MANIFEST}); name the folder of a run")
            if manifest.state == "running" and not manifest.former and not locked:
                raise DataError(f"{self.path}: nothing tells whether its run still goes on; copy it to a local disk")
            for name in manifest.files:
                _require_own(self.path / name)
            self._command, self._started, self._version = manifest.command, manifest.started, manifest.version
            self._files, self._facts = set(manifest.files), manifest.facts
            self._state, self._former = "running", manifest.former or manifest.state
            self._write_manifest()
            for name in (MANIFEST, *self._files):
                remove_leftovers(self.path / name)
            self._held = stack.pop_all()
        return self

    def __exit__(self, kind, error, trace) -> None:
        with self._turn:
            if self._again:
                self._state, self._former = self._former, ""
            else:
                self._state = "interrupted" if kind is not None or self.interrupted else "finished"
            if isinstance(error, Exception) and self._made and not self._wrote_something():
                self._vanish()
            else:
                self._changed()
            self._held.close()

    def _wrote_something(self) -> bool:
        sizes = (found.st_size for name in self._files if (found := _stat(self.path / name)) is not None)
        return any(sizes)

    def _vanish(self) -> None:
        """Of a run that came to nothing, nothing is left; what others have put into its folder is."""
        for name in (*self._files, MANIFEST):
            with contextlib.suppress(OSError):
                (self.path / name).unlink()
        with contextlib.suppress(OSError):
            self.path.rmdir()

    @property
    def files(self) -> list[str]:
        """The plain names of this run's files, sorted."""
        with self._turn:
            return sorted(self._files)

    def fact(self, subject: str) -> object:
        """What is remembered under `subject`; None if nothing is."""
        return self._facts.get(subject)

    def remember(self, subject: str, value: object) -> None:
        """Have the manifest say something of the run: plain JSON values, nothing confidential; None: nothing more."""
        with self._turn:
            facts = {name: known for name, known in self._facts.items() if name != subject}
            self._facts = facts if value is None else facts | {subject: value}
            self._changed()

    def open(self, name: str, mode: str = "w", **options) -> IO:
        """Open a file of this run, text as UTF-8. Modes "w", "wb", "a", "ab"; options: as of `open`.

        Raises `DataError` if there is a file of that name that this run did not make, or it cannot be written.
        """
        path = self.claim(name)
        if "b" not in mode:
            options.setdefault("encoding", "utf-8")
        with _told(path):
            return path.open(mode, **options)

    def claim(self, name: str) -> Path:
        """The path of a file of this run, which is there, empty if it is new: for writers that open by path.

        Raises `DataError` as `open` does.
        """
        with self._turn:
            if name not in self._files:
                self._create(name)
                self._changed()
        return self.path / name

    def rename(self, name: str, to: str) -> Path:
        """Give a file of this run, which is closed, another name; its path then.

        Raises `DataError` if there is a file of that name, this run's too, or it cannot be done.
        """
        with self._turn:
            if name not in self._files:
                raise DataError(f"{self.path / name}: is no file of this run")
            self._create(to)  # an empty file, so that nobody's is replaced on file systems without links either
            with _told(self.path / to):
                os.replace(self.path / name, self.path / to)
            self._files.discard(name)
            self._changed()
        return self.path / to

    @contextlib.contextmanager
    def rewrite(self, names: Sequence[str], mode: str = "w") -> Iterator[dict[str, IO]]:
        """Files of this run to be written anew, by name, as `sdk.output.whole_files`: they take the places of the
        earlier ones when all are whole at the end of the `with` block, and not if that is left early.

        Raises `DataError` as `open` does.
        """
        with whole_files([self.claim(name) for name in names], mode) as files:
            yield dict(zip(names, files, strict=True))

    def replace(self, name: str, to: str) -> Path:
        """As `rename`, but in the place of a file of this run where there is one."""
        with self._turn:
            if to not in self._files:
                return self.rename(name, to)
            if name not in self._files:
                raise DataError(f"{self.path / name}: is no file of this run")
            with _told(self.path / to):
                os.replace(self.path / name, self.path / to)
            self._files.discard(name)
            self._changed()
        return self.path / to

    def remove(self, name: str) -> None:
        """Delete a file of this run, if it is there. Raises `DataError` if it is not this run's, or cannot be done."""
        with self._turn:
            if name not in self._files:
                raise DataError(f"{self.path / name}: is no file of this run")
            with _told(self.path / name):
                (self.path / name).unlink(missing_ok=True)
            self._files.discard(name)
            self._changed()

    def _create(self, name: str) -> None:
        path = self.path / name
        if not _is_plain(name):
            raise DataError(f"{path}: no name for a file of a run; choose one without / and other than {MANIFEST}")
        with _told(path):
            os.close(private_opener(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        self._files.add(name)

    def _changed(self) -> None:
        """Write the manifest anew. If the disk is full the old one stays: that must not end a run that goes on."""
        try:
            self._write_manifest()
        except DataError as error:
            notes.print(f"{error}; the earlier list of this run's files stays", soft_wrap=True)

    def _write_manifest(self) -> None:
        whose = self._command, self._started, self._version
        manifest = Manifest(FORMAT, *whose, self._state, sorted(self._files), self._facts, self._former)
        write_whole(self.path / MANIFEST, manifest.to_json())


class PlainFolder:
    """A folder that is nobody's in particular, for users of the library: files are replaced, as by `open`."""

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def open(self, name: str, mode: str = "w", **options) -> IO:
        if "b" not in mode:
            options.setdefault("encoding", "utf-8")
        return self.claim(name).open(mode, **options)

    def claim(self, name: str) -> Path:
        with contextlib.suppress(OSError):  # whoever opens it then says so
            os.close(private_opener(self.path / name, os.O_WRONLY | os.O_CREAT))
        return self.path / name

    def rename(self, name: str, to: str) -> Path:
        return (self.path / name).rename(self.path / to)


def as_folder(folder: "str | Path | RunFolder | PlainFolder") -> "RunFolder | PlainFolder":
    """What writers write into: a path becomes a `PlainFolder`."""
    return PlainFolder(folder) if isinstance(folder, str | Path) else folder


def new_run(parent: str | Path) -> Path:
    """A folder in `parent` that is not there yet, named after this moment: for programs that are started often."""
    name = datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
    names = itertools.chain([name], (f"{name}-{count}" for count in itertools.count(2)))
    return next(path for path in (Path(parent) / name for name in names) if not os.path.lexists(path))


RECORDED = (".jsonl", ".txt", ".mp4")
OWN = (MANIFEST, "site.json", "plan.png", "features.bin", "crops.bin")


def recorded_files(folder: str | Path) -> list[Path]:
    """What runs, and `reid simulate site`, write into a folder: not the reports that others have put there."""
    if not os.path.isdir(folder):
        return []
    there = [path for pattern in ("*", "truth/*") for path in Path(folder).glob(pattern)]
    return [path for path in there if path.suffix in RECORDED or path.name in OWN]


def read_manifest(folder: str | Path) -> Manifest | None:
    """The manifest of a run folder; None where there is none.

    Raises `DataError` if there is one that cannot be trusted: it is damaged, another release's, or names what is no
    plain file of the folder.
    """
    path = Path(folder) / MANIFEST
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise ValueError("it is no ordinary file")
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("not a JSON object")
        if content.get("format") != FORMAT:
            raise ValueError(f"format {content.get('format')!r}; this release reads {FORMAT}")
        fields = [name for name in Manifest.__dataclass_fields__ if name in content or name not in YOUNG]
        manifest = Manifest(**{name: content[name] for name in fields})
        texts = (manifest.command, manifest.started, manifest.version, manifest.state)
        known = manifest.state in STATES and manifest.former in ("", *STATES) and isinstance(manifest.facts, dict)
        if not all(isinstance(text, str) for text in texts) or not known:
            raise ValueError("a field has another type")
        datetime.fromisoformat(manifest.started)
        if not isinstance(manifest.files, list) or not all(_is_plain(name) for name in manifest.files):
            raise ValueError("it names what is no plain file of this folder")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, RecursionError) as error:
        reason = f"has no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{path}: cannot be trusted ({reason}); choose a new folder") from error
    return manifest


def _is_plain(name: object) -> bool:
    if not isinstance(name, str) or name in ("", ".", "..", MANIFEST) or any(letter in name for letter in "/\\\0"):
        return False
    try:
        return os.path.basename(os.fsencode(name)) == os.fsencode(name)
    except UnicodeEncodeError:  # no file can be called that
        return False


def _require_place(path: Path) -> None:
    """Raise `DataError` unless `path` is a folder, or one can be made there."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise DataError(f"{path}: cannot be made a folder ({error.strerror}); choose another") from error
    there = next(folder for folder in (path, *path.absolute().parents) if os.path.lexists(folder))
    if not there.is_dir():
        raise DataError(f"{there}: is no folder; choose one for what the run writes")
    if not os.access(there, os.W_OK | os.X_OK):
        raise DataError(f"{there}: is write-protected; choose another folder")


def _require_free(path: Path, readers: Iterable[str | Path], overwrite: bool) -> Manifest | None:
    """The run in `path`, whose files may be deleted; None if it is empty. Raises `DataError` as `check` does."""
    manifest = read_manifest(path)
    if manifest is None:
        something = min(os.listdir(path), default=None)
        if something is not None:
            raise DataError(f"{path}: is not empty, and no run made it ({something} is in it); choose a new folder")
        return None
    if not overwrite:
        when = manifest.started[:16].replace("T", " ")
        raise DataError(f"{path}: holds the run of {when}; choose another folder, or --overwrite to replace that run")
    used = [(reader, found) for reader in map(Path, readers) if (found := _stat(reader)) is not None]
    for file in (path / name for name in manifest.files):
        if (status := _require_own(file)) is None:
            continue
        for reader, found in used:
            if os.path.samestat(found, status) or os.path.samestat(found, path.stat()):
                raise DataError(f"{reader}: is in use, and --overwrite would delete {file}; choose another folder")
    return manifest


def _require_own(file: Path) -> os.stat_result | None:
    """The status of a file that a manifest names; None if somebody has deleted it. Raises `DataError` for a link or
    whatever else somebody has put in its place."""
    try:
        status = file.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{file}: is no longer the file that the run wrote; move it away, or choose a new folder")
    return status


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold the lock of a folder, or raise `DataError` if a run of this machine holds it.

    Gives whether it is held: some systems, and some network file systems, lock no folders.

    The folder itself is locked: no file lies about in it, and the manifest may be replaced.
    """
    if fcntl is None:
        yield False
        return
    try:
        number = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}); choose another folder") from error
    try:
        held = True
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise DataError(f"{folder}: a run is writing into it now; end that run, or choose another") from None
            held = False  # there only the manifest speaks
        yield held
    finally:
        os.close(number)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise DataError(
            f"{path}: is there, and this run did not make it; move it away, or choose a new folder"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from error
