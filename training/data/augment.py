"""Augmentation of crops, uint8 BGR `[H, W, 3]` in and out, drawn from the generator that is passed in."""

import cv2
import numpy as np

from sdk.preprocess import resize


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


def colour_jitter(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another camera's colours: white balance, exposure, contrast, saturation.

    Cameras of one site differ more in these than people's clothes do, so the ranges are wide.
    """
    image = crop.astype(np.float32)
    gains = rng.uniform(0.8, 1.2, 3) * rng.uniform(0.7, 1.3)  # white balance a channel, and exposure
    image *= gains.astype(np.float32)
    grey = image @ np.float32([0.114, 0.587, 0.299])
    saturation, contrast = rng.uniform(0.4, 1.3), rng.uniform(0.75, 1.25)
    image = grey[..., None] + (image - grey[..., None]) * np.float32(saturation)
    mean = grey.mean()
    image = mean + (image - mean) * np.float32(contrast)
    return np.clip(image, 0, 255).astype(np.uint8)


def blur(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A smaller or worse lens: resample at 40 to 100% of the size, a third of the time."""
    if rng.random() > 1 / 3:
        return crop
    height, width = crop.shape[:2]
    factor = rng.uniform(0.4, 1)
    small = cv2.resize(crop, (max(8, int(width * factor)), max(8, int(height * factor))), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def random_erasing(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise over a rectangle of 2 to 30% of the area (Random Erasing, Zhong et al., arXiv 1708.04896)."""
    height, width = crop.shape[:2]
    area = rng.uniform(0.02, 0.3) * height * width
    aspect = np.exp(rng.uniform(np.log(0.3), np.log(3.3)))
    h, w = min(height, int(np.sqrt(area * aspect)) + 1), min(width, int(np.sqrt(area / aspect)) + 1)
    y, x = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
    crop = crop.copy()
    crop[y : y + h, x : x + w] = rng.integers(0, 256, (h, w, 3), np.uint8)
    return crop


def augment(crop: np.ndarray, size: tuple[int, int], rng: np.random.Generator, erasing: float = 0.0) -> np.ndarray:
    """All of it, in the order in which a camera and a detector cause it; resized to `size = (height, width)`.

    `erasing` is the probability of `random_erasing`.
    """
    crop = resize(crop, size)
    for step in (flip, shifted_crop, colour_jitter, blur):
        crop = step(crop, rng)
    if rng.random() < erasing:
        crop = random_erasing(crop, rng)
    return np.ascontiguousarray(crop)
