"""A plan of the site: an image, and where its cameras are in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sdk.errors import DataError
from sdk.reading import parse_yaml
from sdk.web.messages import JPEG, PNG

MAX_BYTES = 20_000_000
"""Of the image: every browser that opens the page takes it."""


@dataclass(frozen=True)
class Plan:
    """What the page shows of a site from above."""

    image: bytes
    kind: str
    """Its content type: PNG or JPEG. No SVG, which may hold scripts."""
    places: dict[str, tuple[float, float]]
    """Camera → (x, y), shares of the image's width and height from its upper left corner."""

    @classmethod
    def load(cls, path: str | Path, cameras: Sequence[str] | None = None) -> "Plan":
        """Read a YAML file: `image: plan.png` (beside it) and `cameras: {dock: [0.2, 0.7]}`.

        cameras: those that there are. Raises `DataError`, naming what is wrong, if a file cannot be read, a place is
        not two shares from 0 to 1, or no camera has such a name.
        """
        path = Path(path)
        content = _read(path)
        try:
            values = parse_yaml(content)
        except ValueError as error:
            raise DataError(f"{path}: no YAML ({error})") from error
        if not isinstance(values, dict) or set(values) != {"image", "cameras"}:
            raise DataError(f"{path}: a plan has 'image' (a file) and 'cameras' (name: [x, y]), and nothing else")
        if not isinstance(values["image"], str) or not isinstance(values["cameras"], dict):
            raise DataError(f"{path}: 'image' is the name of a file, 'cameras' are lines like dock: [0.2, 0.7]")
        places = {str(name): _place(path, name, place) for name, place in values["cameras"].items()}
        unknown = [] if cameras is None else [name for name in places if name not in cameras]
        if unknown:
            raise DataError(f"{path}: there is no camera '{unknown[0]}'; there are {', '.join(cameras)}")
        image = path.parent / values["image"]
        return cls(*_picture(image), places)


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    if len(content) > MAX_BYTES:
        raise DataError(f"{path}: larger than {MAX_BYTES // 1_000_000} MB; make it smaller, each browser loads it")
    return content


def _place(path: Path, name: object, place: object) -> tuple[float, float]:
    numbers = isinstance(place, list) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in place)
    if not numbers or len(place) != 2 or not all(0 <= share <= 1 for share in place):
        raise DataError(f"{path}: camera '{name}' is at {place}; give [x, y], shares of the image from 0 to 1")
    return float(place[0]), float(place[1])


def _picture(path: Path) -> tuple[bytes, str]:
    content = _read(path)
    kind = PNG if content.startswith(b"\x89PNG") else JPEG if content.startswith(b"\xff\xd8\xff") else None
    if kind is None or cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) is None:
        raise DataError(f"{path}: no PNG or JPEG image")
    return content, kind
