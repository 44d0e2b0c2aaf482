"""Features of many images, in a file for other programs: `reid embed`."""

import io
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sdk.errors import CropError, DataError
from sdk.folder import IMAGE_SUFFIXES, is_image, read_image
from sdk.output import whole_files
from sdk.reidentifier import MAX_BATCH, Features, ReIdentifier

SUFFIXES = (".npz", ".npy")


@dataclass(frozen=True)
class Embedded:
    """Images and their features, row by row."""

    names: list[str]
    features: Features


def find_images(sources: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """Images of folders (and of folders in them), of lists (.txt, a path a line), and single ones: paths and names.

    An image of a folder is named by its path in it, another as it was given. Raises `DataError` for what is not
    there, and where there is no image.
    """
    paths, names = [], []
    for source in sources:
        if os.path.isdir(source):
            found = sorted(filter(is_image, source.rglob("*")))
            if not found:
                raise DataError(f"{source}: no images in it ({', '.join(IMAGE_SUFFIXES)})")
            paths += found
            names += [path.relative_to(source).as_posix() for path in found]
        elif source.suffix.lower() == ".txt":
            lines = _lines(source)
            paths += [source.parent / line for line in lines]  # absolute ones stay as they are
            names += lines
        elif os.path.isfile(source):
            paths.append(source)
            names.append(str(source))
        else:
            raise DataError(f"{source}: no such image, folder or list (.txt) of images")
    if not paths:
        raise DataError("no images to embed; give a folder, a list (.txt) or images")
    return paths, names


def embed_images(reid: ReIdentifier, paths: list[Path], names: list[str], tell: Callable = iter) -> Embedded:
    """The features of image files, of a few at a time. `tell` may wrap the batches to show progress.

    Raises `DataError` naming an image that cannot be read or used.
    """
    parts = []
    for start in tell(range(0, len(paths), MAX_BATCH)):
        some = paths[start : start + MAX_BATCH]
        crops = [read_image(path) for path in some]
        try:
            parts.append(reid.embed(crops))
        except CropError:
            raise _named(reid, some, crops) from None
    stripes = [part.stripes for part in parts]
    embedding = np.concatenate([part.embedding for part in parts])
    return Embedded(names, Features(embedding, None if stripes[0] is None else np.concatenate(stripes)))


def check_name(path: Path) -> None:
    """Raise `DataError` unless features can be written under this name."""
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path}: features are written to .npz, or to .npy with the names beside; choose such a name")


def written(path: Path) -> list[Path]:
    """The files that `write_features` writes for this name."""
    return [path] if path.suffix.lower() == ".npz" else [path, path.parent / f"{path.stem}.txt"]


def write_features(path: Path, embedded: Embedded, model: str) -> None:
    """Write .npz: `embedding` float32 `[N, D]`, `names` `[N]`, `model` (what features it may be compared with), and
    `stripes` `[N, S, d]` where there are any; or .npy with the embedding alone, and a .txt beside, a name a line.

    Raises `DataError` for another ending, or where it cannot be written.
    """
    check_name(path)
    features = embedded.features
    with whole_files(written(path)) as files:
        if len(files) == 1:
            stripes = {} if features.stripes is None else {"stripes": features.stripes}
            content = {"embedding": features.embedding, "names": np.array(embedded.names), "model": np.array(model)}
            np.savez(files[0], **content, **stripes)
        else:
            np.save(files[0], features.embedding)
            files[1].write("".join(f"{name}\n" for name in embedded.names).encode())


def read_features(path: Path) -> Embedded:
    """What `write_features` wrote. Raises `DataError` for a file that is missing, damaged or something else."""
    check_name(path)
    try:
        with open(path, "rb") as file:
            content = np.load(file, allow_pickle=False)
            if path.suffix.lower() == ".npz":
                with content:
                    embedding, names = content["embedding"], content["names"].tolist()
                    stripes = content.get("stripes")
            else:
                embedding, names, stripes = content, _lines(written(path)[1]), None
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except DataError:
        raise
    except Exception as error:  # NumPy and zipfile raise whatever comes of a damaged file
        raise DataError(f"{path}: cannot be read as features of `reid embed` ({error})") from None
    if embedding.ndim != 2 or embedding.dtype.kind != "f" or len(embedding) != len(names):
        raise DataError(
            f"{path}: not features of `reid embed`: {embedding.dtype} {embedding.shape}, {len(names)} names"
        )
    return Embedded([str(name) for name in names], Features(embedding.astype(np.float32), stripes))


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a list of images ({error})") from error
    return [line.strip() for line in io.StringIO(text) if line.strip()]


def _named(reid: ReIdentifier, paths: list[Path], crops: list[np.ndarray]) -> DataError:
    """The first file that the model does not take, by its name."""
    for path, crop in zip(paths, crops, strict=True):
        try:
            reid.embed([crop])
        except CropError as error:
            return DataError(f"{path}: {str(error).partition(': ')[2] or error}; leave it out")
    return DataError(f"{paths[0]}: cannot be embedded with the others; leave it out")
