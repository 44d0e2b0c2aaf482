"""What the tracklets of a run looked like, kept beside its records: a second pass needs no video then.

`features.bin` is a file of blocks (`sdk.video.block_file`), one a tracklet, with its embedding, float16.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sdk.errors import DataError
from sdk.video.block_file import MOST, BlockFile, BlockWriter, block, done_block, head_line
from sdk.video.run_folder import RunFolder, as_folder, read_manifest

NAME = "features.bin"
FORMAT = 1
FORGOTTEN = "forgotten"
"""Under which the manifest has the tracks whose features were erased: camera and number, no names."""
REMEDY = "track the recording once more, or do without a second pass"

Track = tuple[str, int]
"""(camera, number of the track in it)."""

_COLUMNS = (str, np.int64, np.float64, np.float64, np.int64, np.float32)
_KINDS = (str, int, (int, float), (int, float), int, (int, float))


def _is_row(head: dict, row: list, content: bytes) -> bool:
    known = len(row) == len(_KINDS) and all(map(isinstance, row, _KINDS))
    return known and len(content) == 2 * head["dimensions"]


def _is_head(head: dict) -> bool:
    dimensions = head.get("dimensions")
    return isinstance(dimensions, int) and 0 < dimensions <= MOST // 2 and isinstance(head.get("fingerprint"), str)


FILE = BlockFile("tracklet features", "features", FORMAT, REMEDY, _is_row, _is_head)


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
        self._dimensions = dimensions
        self._blocks = BlockWriter(FILE, as_folder(folder).claim(NAME), _head(fingerprint, dimensions))

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
        self._blocks.add(row, vector.tobytes())

    def drop(self, tracks: Collection[Track]) -> int:
        """As the function `drop`, while the run goes on."""
        dropped, unwanted = _choose(tracks)
        self._blocks.drop(unwanted)
        return len(dropped)

    def close(self) -> None:
        """Say that this was all; once."""
        self._blocks.close()


def read_features(folder: str | Path) -> Features:
    """The features of a run, of each track the last row.

    Of a run that was killed, a last block that was never finished is passed over. Raises `DataError` that names the
    file and the remedy if there is none, or it is damaged, cut short, another program's or a later release's.
    """
    path = Path(folder) / NAME
    latest: dict[Track, tuple[list, np.ndarray]] = {}
    with FILE.opened(path) as (head, rows):
        for row, content in rows:
            latest.pop((row[0], row[1]), None)
            latest[row[0], row[1]] = row, np.frombuffer(content, "<f2")
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
        file.write(head_line(_head(features.fingerprint, features.embedding.shape[1])))
        for row, embedding in zip(zip(*columns, strict=True), features.embedding, strict=True):
            file.write(block(list(row), np.asarray(embedding, "<f2").tobytes()))
        file.write(done_block(len(features)))


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
    if not path.exists():
        return 0
    dropped, unwanted = _choose(tracks)
    FILE.rewrite(path, unwanted, done=True)
    return len(dropped)


def _choose(tracks: Collection[Track]) -> tuple[set[Track], Callable[[list], bool]]:
    """What says of a row whether it is of one of these tracks; and the tracks that it has said yes of."""
    unwanted, found = {(camera, int(track)) for camera, track in tracks}, set()

    def choose(row: list) -> bool:
        track = (row[0], row[1])
        if track in unwanted:
            found.add(track)
        return track in unwanted

    return found, choose


def _head(fingerprint: str, dimensions: int) -> dict:
    return FILE.facts(fingerprint=fingerprint, dimensions=dimensions)
