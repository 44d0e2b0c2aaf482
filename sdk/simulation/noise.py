"""Two fixed pictures of noise, of which every texture takes pieces: much cheaper than drawing noise for each crop."""

from functools import lru_cache

import cv2
import numpy as np

SIDE = 512
"""Height and width of a tile, px."""


@lru_cache(maxsize=1)
def fine() -> np.ndarray:
    """Independent normal values, float32 `[SIDE, SIDE, 3]`, mean 0, deviation 1."""
    return np.random.default_rng(11).standard_normal((SIDE, SIDE, 3), np.float32)


@lru_cache(maxsize=1)
def cloudy() -> np.ndarray:
    """Noise of many sizes, from leaves to clouds, float32 `[SIDE, SIDE]`, mean 0, deviation 1."""
    rng = np.random.default_rng(12)
    tile = np.zeros((SIDE, SIDE), np.float32)
    for cells in (4, 8, 16, 32, 64, 128, 256):
        octave = cv2.resize(
            rng.standard_normal((cells, cells), np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC
        )
        tile += octave * cells**-0.35
    return (tile - tile.mean()) / tile.std()


def piece(tile: np.ndarray, shape: tuple[int, int], rng: np.random.Generator, zoom: float = 1.0) -> np.ndarray:
    """A random part of `tile`, `zoom` times enlarged to `shape = (height, width)` px, each at most `SIDE × zoom`."""
    height, width = shape
    rows, columns = min(SIDE, max(1, round(height / zoom))), min(SIDE, max(1, round(width / zoom)))
    y, x = rng.integers(SIDE - rows + 1), rng.integers(SIDE - columns + 1)
    part = tile[y : y + rows, x : x + columns]
    if part.shape[:2] == (height, width):
        return part
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)
