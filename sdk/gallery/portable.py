"""A gallery as plain files: `<path>.npz` with the numbers and `<path>.jsonl` with a line for each exemplar.

The first line of the JSON Lines says what the rest is: schema, model, dimensions. Line i + 1 and row i of the arrays
belong together. Nothing is pickled; nothing is encrypted.
"""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from sdk.errors import GalleryError
from sdk.gallery import arguments
from sdk.gallery.ledger import Exemplars
from sdk.gallery.search import State
from sdk.output import whole_files

SCHEMA = 1
LONGEST_LINE = 1 << 16
"""Bytes of a line; names are much shorter."""
HEADER = 10_000
"""Bytes of an array's header."""
ARRAYS = {
    "embedding": (2, 1 << 16, np.float32),
    "stripes": (3, 1 << 12, np.float16),
    "time": (1, 0, np.float64),
    "added": (1, 0, np.float64),
    "quality": (1, 0, np.float32),
}
"""Of each array: how many dimensions it has, the most that they may be after the first, and what it is read as."""


def paths_of(path: str | Path) -> tuple[Path, Path]:
    """The two files that `path`, with or without one of their endings, stands for. Raises `GalleryError`."""
    path = arguments.path(path, "the export")
    base = path.with_suffix("") if path.suffix in (".npz", ".jsonl") else path
    return base.with_name(base.name + ".npz"), base.with_name(base.name + ".jsonl")


def write_export(state: State, model: str | None, path: str | Path) -> int:
    """Write all exemplars, which are of `model`; how many. Existing files are replaced when the new ones are whole; new
    ones are for the owner's eyes alone.

    Raises `GalleryError` if they cannot be written.
    """
    arrays_path, lines_path = paths_of(path)
    rows = state.rows
    which = np.flatnonzero(rows.alive)
    order = which[np.lexsort((which, [state.names[n] for n in rows.person[which]]))] if len(which) else which
    arrays = {"embedding": rows.gather(order) if len(order) else np.empty((0, 0), np.float32)}
    if rows.stripe_blocks:
        arrays["stripes"] = rows.gather_stripes(order)
    arrays |= {name: getattr(rows, name)[order] for name in ("time", "added", "quality")}
    head = {"schema": SCHEMA, "model": model, "exemplars": len(order), "dim": arrays["embedding"].shape[1]}
    with whole_files((arrays_path, lines_path), error=GalleryError) as (arrays_file, lines_file):
        np.savez(arrays_file, **arrays)
        lines_file.write(json.dumps(head).encode() + b"\n")
        for row in order:
            line = {"identity": state.names[rows.person[row]], "camera": state.cameras[rows.camera[row]]}
            lines_file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
    return len(order)


@dataclass(frozen=True)
class Export:
    """What `write_export` wrote, N exemplars."""

    model: str | None
    lines: list[dict]
    """Of each exemplar: {"identity", "camera"}."""
    arrays: dict[str, np.ndarray]
    """As `ARRAYS` says; none if N is 0."""

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def stripes_shape(self) -> tuple[int, int] | None:
        stripes = self.arrays.get("stripes")
        return None if stripes is None else stripes.shape[1:]

    def groups(self) -> list[Exemplars]:
        """Neighbours of one identity in one camera each."""
        groups = []
        for (identity, camera), places in _runs(self.lines):
            part = {name: array[places[0] : places[-1] + 1] for name, array in self.arrays.items()}
            groups.append(Exemplars(identity, camera, stripes=part.pop("stripes", None), **part))
        return groups


def read_export(path: str | Path) -> Export:
    """What `write_export` wrote. Raises `GalleryError` naming what is wrong with the files."""
    arrays, head, lines = _read(path)
    return Export(head["model"], lines, arrays)


def _runs(lines: list[dict]) -> Iterator[tuple[tuple[str, str | None], list[int]]]:
    """Neighbouring lines of one identity in one camera."""
    numbered = enumerate((line["identity"], line["camera"]) for line in lines)
    for key, group in groupby(numbered, key=lambda item: item[1]):
        yield key, [i for i, _ in group]


def _read(path: str | Path) -> tuple[dict[str, np.ndarray], dict, list[dict]]:
    arrays_path, lines_path = paths_of(path)
    for file in (arrays_path, lines_path):
        if not file.is_file():
            raise GalleryError(f"{file}: no such file; `reid gallery export` writes {arrays_path.name} and .jsonl")
    try:
        head, lines = _read_lines(lines_path)
        return _read_arrays(arrays_path, len(lines)) if lines else {}, head, lines
    except GalleryError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy have exceptions of their own
        raise GalleryError(f"{arrays_path}: damaged export ({error}); export again, or copy both files anew") from error


def _read_lines(path: Path) -> tuple[dict, list[dict]]:
    with path.open("rb") as file:
        head = _object(file.readline(LONGEST_LINE))
        schema = head["schema"]
        if not isinstance(schema, int) or schema > SCHEMA:
            raise GalleryError(
                f"{path}: schema {str(schema)[:20]}; this release reads up to {SCHEMA}: upgrade aligned-reid"
            )
        lines = []
        while text := file.readline(LONGEST_LINE):
            line = _object(text)
            if not isinstance(line["identity"], str) or not isinstance(line["camera"], str | None):
                raise ValueError(f"line {len(lines) + 2} without identity and camera")
            lines.append(line)
    if not isinstance(head["model"], str | None):
        raise ValueError("its model is no text")
    if head["exemplars"] != len(lines):
        raise ValueError(f"{len(lines)} lines, not {str(head['exemplars'])[:20]}")
    return head, lines


def _object(text: bytes) -> dict:
    found = json.loads(text.decode())
    if not isinstance(found, dict):
        raise ValueError("a line is no JSON object")
    return found


def _read_arrays(path: Path, number: int) -> dict[str, np.ndarray]:
    """The arrays of `number` exemplars. What an array says of its size is checked before room is made for it: a small
    file can unpack to any size."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        held = {info.filename: info for info in archive.infolist()}
        for name, (dimensions, most, kind) in ARRAYS.items():
            info = held.get(f"{name}.npy")
            if info is None:
                if name == "stripes":
                    continue
                raise ValueError(f"no {name}")
            with archive.open(info) as file:
                shape, dtype = _header(file)
            if len(shape) != dimensions or shape[0] != number or not all(0 < n <= most for n in shape[1:]):
                raise ValueError(f"{name} has shape {shape}, for {number} lines")
            if dtype.kind != "f":
                raise ValueError(f"{name} is of {dtype}")
            with archive.open(info) as file:
                array = np.lib.format.read_array(file, allow_pickle=False, max_header_size=HEADER)
            found[name] = array.astype(kind, copy=False)
    for name in ("added", "quality", "stripes"):
        if name in found and not np.isfinite(found[name]).all():
            raise ValueError(f"{name} has numbers that are none")
    if np.isinf(found["time"]).any():
        raise ValueError("time has numbers that are none")
    return found


def _header(file) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"arrays of format {version}")
    shape, _, dtype = read(file, max_header_size=HEADER)
    return shape, dtype
