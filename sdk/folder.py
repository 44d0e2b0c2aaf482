"""The layout `folder` of people's images: `<root>/<identity>/<camera>_<anything>.png|jpg|bmp|webp`."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sdk.errors import DataError
from sdk.image_header import image_size, promises_more
from sdk.output import check_output, write_whole

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
"""Of the images that are read, in lower case; they are read in upper case too."""
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
"""Of the pictures that are written."""
MOST_PIXELS = 100_000_000
"""Of an image; a file of some MB can hold more than fit into memory."""
HEADER = 1 << 20
"""Bytes in which an image says how large it is; a JPEG may have much before that."""
LAYOUT = "<root>/<identity>/<camera>_<anything>.png|jpg|bmp|webp"


@dataclass(frozen=True)
class Sample:
    """One crop of one person in one camera."""

    path: Path
    identity: str
    camera: str


def read_folder(root: str | Path) -> list[Sample]:
    """List the images of a `folder`, sorted. Other files, and names with a leading dot, are passed over.

    Raises `DataError` if the folder is missing, holds no image in that layout, or has an image whose name
    carries no camera.
    """
    root = Path(root)
    if not os.path.isdir(root):  # False, too, for what no folder can be called
        raise DataError(f"{root}: no such folder; expected {LAYOUT}")
    samples = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
        for path in sorted(folder.iterdir()):
            if not is_image(path):
                continue
            camera, underscore, _ = path.stem.partition("_")
            if not (camera and underscore):
                raise DataError(f"{path}: the name does not start with its camera; expected <camera>_<anything>")
            samples.append(Sample(path, folder.name, camera))
    if not samples:
        raise DataError(f"{root}: no images found; expected {LAYOUT}")
    return samples


def is_image(path: Path) -> bool:
    """Whether the name is that of an image, and not of a hidden file."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def read_image(path: str | Path) -> np.ndarray:
    """One image file as uint8 BGR `[H, W, 3]`. Raises `DataError` naming a file that is missing, no image, or of more
    than `MOST_PIXELS`."""
    try:
        content = np.fromfile(path, np.uint8)
    except (OSError, ValueError) as error:  # no path has a zero byte in it
        raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', error)})") from error
    size = image_size(content[:HEADER].tobytes())
    if size is not None and size[0] * size[1] > MOST_PIXELS:
        raise DataError(
            f"{path}: has {size[0]}×{size[1]} px, more than {MOST_PIXELS // 10**6} million; make it smaller"
        )
    if promises_more(memoryview(content)):
        raise DataError(f"{path}: is cut short; replace the file")
    try:  # not cv2.imread: it writes warnings of its own to the terminal
        image = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    except cv2.error:
        image = None
    if image is None:
        raise DataError(f"{path}: not a readable image; remove or replace the file")
    return image


def write_image(path: str | Path, image: np.ndarray) -> None:
    """Write uint8 BGR `[H, W, 3]` as .png or .jpg. Raises `DataError` for another ending, or naming the cause."""
    check_picture(path)
    _, content = cv2.imencode(Path(path).suffix.lower(), image)
    write_whole(path, content.tobytes())


def check_picture(path: str | Path | None, inputs: Iterable[str | Path] = ()) -> None:
    """`check_output` for a picture. Raises `DataError` for another ending than .png or .jpg too."""
    if path is not None and Path(path).suffix.lower() not in PICTURE_SUFFIXES:
        raise DataError(f"{path}: the picture is a .png or .jpg file; choose such a name")
    check_output(path, inputs)
