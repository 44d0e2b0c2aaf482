"""Augmentation of crops, uint8 BGR `[H, W, 3]` in and out, drawn from the generator that is passed in."""

from dataclasses import dataclass

import cv2
import numpy as np

from sdk.preprocess import resize
from training.config import TrainConfig


@dataclass(frozen=True)
class Chances:
    """How much, or how often, a crop is changed, each 0 to 1; the settings of these names in `TrainConfig`."""

    colour_changes: float = 1.0
    erasing: float = 0.0
    erasing_fill: str = "noise"
    grey_patches: float = 0.0
    degrading: float = 0.0

    @classmethod
    def of(cls, train: TrainConfig) -> "Chances":
        return cls(train.colour_changes, train.erasing, train.erasing_fill, train.grey_patches, train.degrading)


def flip(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror left and right, half of the time."""
    return crop[:, ::-1] if rng.random() < 0.5 else crop


def shifted_crop(crop: np.ndarray, rng: np.random.Generator, shift: float = 0.08, scale: float = 0.1) -> np.ndarray:
    """Move by up to `shift` of the sides and zoom by up to `scale`, as detectors' boxes do; edges are replicated."""
    height, width = crop.shape[:2]
    zoom = 1 + rng.uniform(-scale, scale)
    dx, dy = rng.uniform(-shift, shift) * width, rng.uniform(-shift, shift) * height
    matrix = np.array([[zoom, 0, (1 - zoom) * width / 2 + dx], [0, zoom, (1 - zoom) * height / 2 + dy]])
    return cv2.warpAffine(crop, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def colour_jitter(crop: np.ndarray, rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """Another camera's colours: white balance, exposure, contrast, saturation.

    Cameras of one site differ more in these than people's clothes do, so the ranges are wide; `strength` is the share
    of them that is used.
    """
    image = crop.astype(np.float32)
    gains = _between(rng, 0.8, 1.2, strength, 3) * _between(rng, 0.7, 1.3, strength)  # white balance, and exposure
    image *= gains.astype(np.float32)
    grey = image @ np.float32([0.114, 0.587, 0.299])
    saturation, contrast = _between(rng, 0.4, 1.3, strength), _between(rng, 0.75, 1.25, strength)
    image = grey[..., None] + (image - grey[..., None]) * np.float32(saturation)
    mean = grey.mean()
    image = mean + (image - mean) * np.float32(contrast)
    return np.clip(image, 0, 255).astype(np.uint8)


def _between(rng: np.random.Generator, low: float, high: float, strength: float, count: int | None = None):
    """A factor, or `count` of them, between `low` and `high`, both moved towards 1 where `strength` is below 1."""
    return 1 + strength * (rng.uniform(low, high, count) - 1)


def blur(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A smaller or worse lens: resample at 40 to 100% of the size, a third of the time."""
    if rng.random() > 1 / 3:
        return crop
    height, width = crop.shape[:2]
    factor = rng.uniform(0.4, 1)
    small = cv2.resize(crop, (max(8, int(width * factor)), max(8, int(height * factor))), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def random_erasing(crop: np.ndarray, rng: np.random.Generator, fill: str = "noise") -> np.ndarray:
    """Noise, or the crop's "mean" colour, over 2 to 30% of the area (Random Erasing, arXiv 1708.04896)."""
    place = _rectangle(crop, rng, 0.3)
    patch = rng.integers(0, 256, crop[place].shape, np.uint8) if fill == "noise" else crop.mean((0, 1)).astype(np.uint8)
    crop = crop.copy()
    crop[place] = patch
    return crop


def grey_patch(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Take the colour from a rectangle of 2 to 40% of the area, one time in six from all of the crop."""
    place = _rectangle(crop, rng, 0.4) if rng.random() > 1 / 6 else (slice(None), slice(None))
    crop = crop.copy()
    crop[place] = cv2.cvtColor(np.ascontiguousarray(crop[place]), cv2.COLOR_BGR2GRAY)[..., None]
    return crop


def degraded(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Somebody far away: 25 to 60% of the pixels along each side, smeared by motion, heavily compressed there."""
    height, width = crop.shape[:2]
    factor = rng.uniform(0.25, 0.6)
    small = cv2.resize(crop, (max(8, int(width * factor)), max(8, int(height * factor))), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.4:
        small = cv2.blur(small, (int(rng.integers(2, 5)), 1))
    if rng.random() < 0.6:
        quality = int(rng.integers(15, 60))
        small = cv2.imdecode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def _rectangle(crop: np.ndarray, rng: np.random.Generator, largest: float) -> tuple[slice, slice]:
    """Rows and columns of 2% to `largest` of the area."""
    height, width = crop.shape[:2]
    area = rng.uniform(0.02, largest) * height * width
    aspect = np.exp(rng.uniform(np.log(0.3), np.log(3.3)))
    h, w = min(height, int(np.sqrt(area * aspect)) + 1), min(width, int(np.sqrt(area / aspect)) + 1)
    y, x = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
    return slice(y, y + h), slice(x, x + w)


def augment(
    crop: np.ndarray, size: tuple[int, int], rng: np.random.Generator, chances: Chances = Chances()
) -> np.ndarray:
    """All of it, in the order in which a camera and a detector cause it; resized to `size = (height, width)`."""
    crop = resize(crop, size)
    crop = shifted_crop(flip(crop, rng), rng)
    crop = blur(colour_jitter(crop, rng, chances.colour_changes), rng)
    if chances.degrading and rng.random() < chances.degrading:
        crop = degraded(crop, rng)
    if chances.grey_patches and rng.random() < chances.grey_patches:
        crop = grey_patch(crop, rng)
    if rng.random() < chances.erasing:
        crop = random_erasing(crop, rng, chances.erasing_fill)
    return np.ascontiguousarray(crop)
