"""What the tracklets of a run looked like, kept beside its records: a second pass needs no video then.

`features.bin` is a line of JSON that says what it is, and a block a tracklet behind it: its kind (`ROW_`), the bytes of
its two parts, their CRC-32; the row as JSON, and its embedding, float16. Blocks are only ever added, each with one
write, so a run that is killed loses nothing but what it had not written yet. The last block (`DONE`) says how many rows
there are. Only a run that ended in order must have it.
"""

import contextlib
import json
import math
import os
import struct
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from sdk.errors import DataError
from sdk.output import remove_leftovers, whole_file
from sdk.video.run_folder import RunFolder, as_folder, read_manifest

NAME = "features.bin"
FORMAT = 1
FORGOTTEN = "forgotten"
"""Under which the manifest has the tracks whose features were erased: camera and number, no names."""
REMEDY = "track the recording once more, or do without a second pass"

Track = tuple[str, int]
"""(camera, number of the track in it)."""

_HEAD = struct.Struct("<4sIII")
_ROW, _DONE = b"ROW_", b"DONE"
_MOST = 1 << 20
"""Bytes of a block's part; more is damage."""
_COLUMNS = (str, np.int64, np.float64, np.float64, np.int64, np.float32)


@dataclass
class Features:
    """Of each tracklet of a run one row, in the order in which they were written last."""

    camera: np.ndarray
    """str `[T]`."""
    track: np.ndarray
    """int64 `[T]`."""
    first: np.ndarray
    """When it was first seen, s as the caller has them, float64 `[T]`."""
    last: np.ndarray
    """When it was last seen, s, float64 `[T]`."""
    crops: np.ndarray
    """How many good ones its embedding is the mean of, int64 `[T]`."""
    quality: np.ndarray
    """The mean of their qualities, in [0, 1], float32 `[T]`."""
    embedding: np.ndarray
    """float16 `[T, D]`."""
    fingerprint: str
    """Of the model that made them: only features of one model can be compared."""

    def __len__(self) -> int:
        return len(self.track)


class FeatureWriter:
    """Writes `features.bin` into a folder while a run goes on. A context manager; nothing waits in memory.

    A track may be written several times, as more is known of it: the last row counts.
    """

    def __init__(self, folder: str | Path | RunFolder, fingerprint: str, dimensions: int):
        """fingerprint: of the model. dimensions: D of the embeddings. Raises `DataError` if it cannot be written."""
        self._path = as_folder(folder).claim(NAME)
        self._dimensions, self._count = dimensions, 0
        with _told(self._path):
            self._file = self._path.open("wb", buffering=0)
        self._put(_head_line(fingerprint, dimensions))

    def __enter__(self) -> "FeatureWriter":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def write(
        self, camera: str, track: int, embedding: np.ndarray, *, first: float, last: float, crops: int, quality: float
    ) -> None:
        """Add a tracklet: embedding `[D]`, the rest as in `Features`.

        Raises `DataError` for an embedding of another length, a number that is not finite, or a full disk; what was
        written before stays readable then.
        """
        row = [camera, int(track), float(first), float(last), int(crops), float(quality)]
        vector = np.asarray(embedding, "<f2")
        if vector.shape != (self._dimensions,):
            raise DataError(f"track {track} of {camera}: features of shape {vector.shape}, not [{self._dimensions}]")
        if not np.isfinite(vector).all() or not all(map(math.isfinite, row[2:])):
            raise DataError(f"track {track} of {camera}: features or times that are no finite numbers")
        self._put(_block(_ROW, row, vector))
        self._count += 1

    def drop(self, tracks: Collection[Track]) -> int:
        """As the function `drop`, while the run goes on."""
        self._file.close()
        try:
            dropped, self._count = _rewrite(self._path, tracks, done=False)
        finally:
            self._file = self._path.open("ab", buffering=0)
        return dropped

    def close(self) -> None:
        """Say that this was all; once."""
        if self._file.closed:
            return
        try:
            self._put(_block(_DONE, self._count))
            with _told(self._path):
                os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def _put(self, content: bytes) -> None:
        """Add it whole or not at all."""
        with _told(self._path):
            end = self._file.seek(0, os.SEEK_END)
            try:
                while content:
                    content = content[self._file.write(content) :]
            except OSError:
                self._file.truncate(end)
                raise


def read_features(folder: str | Path) -> Features:
    """The features of a run, of each track the last row.

    Of a run that was killed, a last block that was never finished is passed over. Raises `DataError` that names the
    file and the remedy if there is none, or it is damaged, cut short, another program's or a later release's.
    """
    path = Path(folder) / NAME
    latest: dict[Track, tuple[list, np.ndarray]] = {}
    with _opened(path) as (head, rows):
        for row, embedding in rows:
            latest.pop((row[0], row[1]), None)
            latest[row[0], row[1]] = row, embedding
    columns = list(zip(*(row for row, _ in latest.values()), strict=True)) or [()] * len(_COLUMNS)
    arrays = [np.array(column, kind) for column, kind in zip(columns, _COLUMNS, strict=True)]
    embeddings = np.array([embedding for _, embedding in latest.values()], np.float16)
    return Features(*arrays, embeddings.reshape(len(latest), head["dimensions"]), head["fingerprint"])


def write_features(folder: RunFolder, features: Features) -> None:
    """Write all features of a run that is over anew: the file takes the place of an earlier one when it is whole.

    Raises `DataError` if it cannot be written.
    """
    columns = (getattr(features, name).tolist() for name in ("camera", "track", "first", "last", "crops", "quality"))
    with folder.rewrite([NAME], "wb") as files:
        file = files[NAME]
        file.write(_head_line(features.fingerprint, features.embedding.shape[1]))
        for row, embedding in zip(zip(*columns, strict=True), features.embedding, strict=True):
            file.write(_block(_ROW, list(row), embedding))
        file.write(_block(_DONE, len(features)))


def forgotten(folder: RunFolder) -> set[Track]:
    """Tracks of a run whose features were erased, and must not be made again."""
    said = folder.fact(FORGOTTEN)
    rows = said if isinstance(said, list) else []
    return {(row[0], row[1]) for row in rows if isinstance(row, list) and len(row) == 2}


def mark_forgotten(folder: RunFolder, tracks: Collection[Track]) -> None:
    """Have the manifest of a run say that the features of these must not be made again."""
    if tracks:
        folder.remember(FORGOTTEN, sorted([camera, int(track)] for camera, track in {*forgotten(folder), *tracks}))


def drop(folder: str | Path | RunFolder, tracks: Collection[Track]) -> int:
    """Erase all rows of some tracks, (camera, number): the file is written anew without them, and takes its place.

    folder: of a run that is over, or a `RunFolder` that is open and whose `FeatureWriter` is closed. They are not made
    again from the run's sources either. Returns how many of the tracks had rows; 0 where there is no such file. Raises
    `DataError` as `read_features` and `RunFolder.reopen`.
    """
    if not isinstance(folder, RunFolder) and read_manifest(folder) is not None:
        with RunFolder.reopen(folder) as run:
            return drop(run, tracks)
    if isinstance(folder, RunFolder):
        mark_forgotten(folder, tracks)
    path = as_folder(folder).path / NAME
    return _rewrite(path, tracks, done=True)[0] if path.exists() else 0


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[dict, Iterator[tuple[list, np.ndarray]]]]:
    """What the file says of itself, and its rows with their embeddings float16 `[D]`."""
    try:
        with path.open("rb") as file:
            head = _read_head(path, file)
            yield head, _read_rows(path, file, head["dimensions"])
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; the run kept no features: {REMEDY}") from None


def _read_head(path: Path, file: IO[bytes]) -> dict:
    try:
        head = json.loads(file.readline(_MOST))
        if head["what"] != "tracklet features":
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DataError(f"{path}: is no file of tracklet features; move it away, and {REMEDY}") from None
    if head.get("format") != FORMAT:
        raise DataError(f"{path}: has format {head.get('format')!r}, this release reads {FORMAT}: upgrade, or {REMEDY}")
    dimensions, fingerprint = head.get("dimensions"), head.get("fingerprint")
    if not isinstance(dimensions, int) or not 0 < dimensions <= _MOST // 2 or not isinstance(fingerprint, str):
        raise _damaged(path)
    return head


def _read_rows(path: Path, file: IO[bytes], dimensions: int) -> Iterator[tuple[list, np.ndarray]]:
    count, ended = 0, _has_ended(path.parent)
    while head := file.read(_HEAD.size):
        kind, said, size, checksum = _HEAD.unpack(head.ljust(_HEAD.size, b"\0"))
        if len(head) == _HEAD.size and (kind not in (_ROW, _DONE) or max(said, size) > _MOST):
            raise _damaged(path)
        content = file.read(said + size)
        if len(head) < _HEAD.size or len(content) < said + size:
            if ended is False:
                return  # its run was killed while it wrote this
            raise _cut_short(path)
        if zlib.crc32(content) != checksum:
            raise _damaged(path)
        value, vector = _parse(path, content[:said]), content[said:]
        if kind == _DONE:
            if value != count or file.read(1):
                raise _damaged(path)
            return
        if len(vector) != 2 * dimensions or not _is_row(value):
            raise _damaged(path)
        count += 1
        yield value, np.frombuffer(vector, "<f2")
    if ended:
        raise _cut_short(path)


def _parse(path: Path, text: bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _damaged(path) from None


def _is_row(value: object) -> bool:
    kinds = (str, int, (int, float), (int, float), int, (int, float))
    return isinstance(value, list) and len(value) == len(kinds) and all(map(isinstance, value, kinds))


def _has_ended(folder: Path) -> bool | None:
    """Whether the run of a folder has ended in order; None where nothing says so."""
    manifest = read_manifest(folder)
    return None if manifest is None else (manifest.former or manifest.state) != "running"


def _damaged(path: Path) -> DataError:
    return DataError(f"{path}: is damaged; restore it from a copy, or remove it and {REMEDY}")


def _cut_short(path: Path) -> DataError:
    return DataError(f"{path}: is cut short; restore it from a copy, or remove it and {REMEDY}")


def _rewrite(path: Path, tracks: Collection[Track], done: bool) -> tuple[int, int]:
    """Write the file anew without `tracks`; how many of them it had, and how many rows it has then."""
    unwanted, dropped, count = {(camera, int(track)) for camera, track in tracks}, set(), 0
    with _opened(path) as (head, rows), whole_file(path, "wb") as file:
        file.write(_head_line(head["fingerprint"], head["dimensions"]))
        for row, embedding in rows:
            if (track := (row[0], row[1])) in unwanted:
                dropped.add(track)
                continue
            file.write(_block(_ROW, row, embedding))
            count += 1
        if done:
            file.write(_block(_DONE, count))
    remove_leftovers(path)
    return len(dropped), count


def _head_line(fingerprint: str, dimensions: int) -> bytes:
    head = {"what": "tracklet features", "format": FORMAT, "fingerprint": fingerprint, "dimensions": dimensions}
    return json.dumps(head).encode() + b"\n"


def _block(kind: bytes, value: object, embedding: np.ndarray | None = None) -> bytes:
    said, vector = json.dumps(value).encode(), b"" if embedding is None else np.asarray(embedding, "<f2").tobytes()
    return _HEAD.pack(kind, len(said), len(vector), zlib.crc32(said + vector)) + said + vector


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); make room there") from error
