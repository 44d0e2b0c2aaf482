"""What callers pass to a gallery, as what it must be; anything else is a `GalleryError` that names the argument."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from sdk.errors import GalleryError

_SHOWN = 40
"""Letters of a bad value that a message quotes."""


def _bad(what: str, value: object, wanted: str) -> GalleryError:
    text = repr(value)
    return GalleryError(f"{what} is {text if len(text) <= _SHOWN else text[:_SHOWN] + '…'}; {wanted}")


def number(value: Any, what: str, wanted: str, least: float = -np.inf, finite: bool = True) -> float:
    """A number that is not below `least`, as float; infinite only where that is allowed."""
    try:
        found = float(value) if np.ndim(value) == 0 and not isinstance(value, str | bytes) else np.nan
    except (TypeError, ValueError, OverflowError):
        found = np.nan
    if not found >= least or (finite and not np.isfinite(found)):
        raise _bad(what, value, wanted)
    return found


def whole(value: object, what: str, wanted: str, least: int = 0) -> int:
    """A whole number of at least `least` that fits into 63 bits."""
    found = number(value, what, wanted, least)
    if found != int(found) or found >= 2**63:
        raise _bad(what, value, wanted)
    return int(found)


def flag(value: object, what: str) -> bool:
    if not isinstance(value, bool | np.bool_ | int) or value not in (0, 1):
        raise _bad(what, value, "give True or False")
    return bool(value)


def text(value: object, what: str, wanted: str) -> str:
    if not isinstance(value, str):
        raise _bad(what, value, wanted)
    return str(value)


def path(value: Any, what: str) -> Path:
    """A path that a file system can have."""
    wanted = "give the path of a file"
    try:
        found = Path(value)
        os.fspath(found).encode()
        if not found.name or "\0" in str(found) or len(os.fspath(found).encode()) > 4096:
            raise ValueError
        if len(found.name.encode()) > 240:
            raise ValueError
    except (TypeError, ValueError):
        raise _bad(what, value, wanted) from None
    return found


def floats(value: object, what: str, wanted: str, kind: type = np.float32) -> np.ndarray:
    """An array of real numbers, of any shape; whether they are finite is not asked here."""
    try:
        found = np.asarray(value)
        if found.dtype.kind not in "fiub":
            raise ValueError
        with np.errstate(over="ignore"):
            return found.astype(kind, copy=False)
    except (TypeError, ValueError, OverflowError):
        raise _bad(what, value, wanted) from None


def names(value: Any, what: str, wanted: str) -> list[str | None]:
    """Texts, or None, from anything that holds some."""
    try:
        found = list(value)
    except TypeError:
        raise _bad(what, value, wanted) from None
    if not all(name is None or isinstance(name, str) for name in found):
        raise _bad(what, value, wanted)
    return found


def crops(value: Any, count: int) -> list[np.ndarray]:
    """So many pictures, uint8 BGR `[H, W, 3]` each."""
    try:
        found = list(value)
    except TypeError:
        raise _bad("crops", value, "give a list of uint8 BGR images") from None
    if len(found) != count:
        raise GalleryError(f"{len(found)} crops for {count} embeddings; give one for each")
    for place, crop in enumerate(found):
        if not isinstance(crop, np.ndarray) or crop.dtype != np.uint8 or crop.ndim != 3 or crop.shape[2] != 3:
            raise _bad(f"crop {place}", getattr(crop, "shape", crop), "give a uint8 BGR image [H, W, 3]")
        if not crop.size:
            raise GalleryError(f"crop {place} is empty; give a uint8 BGR image [H, W, 3]")
    return found


def shape(value: Any, what: str, wanted: str) -> tuple[int, int]:
    """Two whole numbers of at least 1."""
    try:
        first, second = value
    except (TypeError, ValueError):
        raise _bad(what, value, wanted) from None
    return whole(first, what, wanted, 1), whole(second, what, wanted, 1)
