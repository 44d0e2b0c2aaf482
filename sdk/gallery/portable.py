"""A gallery as plain files: `<path>.npz` with the numbers and `<path>.jsonl` with a line for each exemplar.

The first line of the JSON Lines says what the rest is: schema, model, dimensions. Line i + 1 and row i of the arrays
belong together. Nothing is pickled; nothing is encrypted.
"""

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

from sdk.errors import GalleryError
from sdk.output import whole_files

SCHEMA = 1


def paths_of(path: str | Path) -> tuple[Path, Path]:
    """The two files that `path`, with or without one of their endings, stands for."""
    path = Path(path)
    base = path.with_suffix("") if path.suffix in (".npz", ".jsonl") else path
    return base.with_name(base.name + ".npz"), base.with_name(base.name + ".jsonl")


def export_gallery(gallery, path: str | Path) -> int:
    """Write all exemplars; how many. Existing files are replaced when the new ones are whole.

    Raises `GalleryError` if they cannot be written.
    """
    arrays_path, lines_path = paths_of(path)
    state = gallery._open_state()
    rows = state.rows
    which = np.flatnonzero(rows.alive)
    order = which[np.lexsort((which, [state.names[n] for n in rows.person[which]]))] if len(which) else which
    arrays = {"embedding": rows.gather(order) if len(order) else np.empty((0, 0), np.float32)}
    if rows.stripe_blocks:
        arrays["stripes"] = rows.gather_stripes(order)
    arrays |= {name: getattr(rows, name)[order] for name in ("time", "added", "quality")}
    head = {"schema": SCHEMA, "model": gallery.model, "exemplars": len(order), "dim": arrays["embedding"].shape[1]}
    with whole_files((arrays_path, lines_path), error=GalleryError) as (arrays_file, lines_file):
        np.savez(arrays_file, **arrays)
        lines_file.write(json.dumps(head).encode() + b"\n")
        for row in order:
            line = {"identity": state.names[rows.person[row]], "camera": state.cameras[rows.camera[row]]}
            lines_file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
    return len(order)


def import_gallery(gallery, path: str | Path) -> int:
    """Add what `export_gallery` wrote; how many exemplars. People of the same name become one.

    All of them or none. Raises `GalleryError` naming what
    is wrong with them, or if another model made them than the gallery's.
    """
    from sdk.gallery.ledger import Exemplars

    arrays, head, lines = _read(path)
    number = len(lines)
    if not number:
        return 0
    for line in lines:
        gallery._check_names(line["identity"], line["camera"], f"{path}: ")
    embedding = gallery._checked(arrays["embedding"])
    stripes = arrays.get("stripes")
    gallery.bind(head["model"] or "", embedding.shape[1], None if stripes is None else tuple(stripes.shape[1:]))
    with gallery._lock:
        gallery._require_writable()
        groups = []
        for (identity, camera), places in _runs(lines):
            part = slice(places[0], places[-1] + 1)
            groups.append(
                Exemplars(
                    identity,
                    camera,
                    embedding[part],
                    None if stripes is None else stripes[part],
                    arrays["time"][part],
                    arrays["added"][part],
                    arrays["quality"][part],
                )
            )
        gallery._insert(groups)
        gallery._note("import", number)
    return number


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
        with np.load(arrays_path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        with lines_path.open(encoding="utf-8") as file:
            head, *lines = (json.loads(line) for line in file)
        schema = head["schema"]
        if schema > SCHEMA:
            raise GalleryError(
                f"{lines_path}: schema {schema}; this release reads up to {SCHEMA}: upgrade aligned-reid"
            )
        lengths = {len(arrays[name]) for name in ("embedding", "time", "added", "quality")} | {len(lines)}
        if len(lengths) != 1 or head["exemplars"] != len(lines):
            raise ValueError(f"{len(lines)} lines for {len(arrays['embedding'])} rows")
        if not all({"identity", "camera"} <= line.keys() for line in lines) or "model" not in head:
            raise ValueError("a line without identity and camera")
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        if isinstance(error, GalleryError):
            raise
        raise GalleryError(f"{arrays_path}: damaged export ({error}); export again, or copy both files anew") from error
    except Exception as error:  # zipfile has exceptions of its own
        raise GalleryError(f"{arrays_path}: damaged export ({error}); export again, or copy both files anew") from error
    return arrays, head, lines
