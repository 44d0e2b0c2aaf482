"""Pieces of what a camera looks at: grass, foliage, asphalt, tiles, walls, rooms with furniture."""

import cv2
import numpy as np

from sdk.simulation import noise
from sdk.simulation.camera import CameraLook
from sdk.simulation.colours import Colour


def draw_background(look: CameraLook, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A piece of the camera's surroundings, float32 BGR `[height, width, 3]`, of `size = (height, width)` px."""
    height, width = size
    base, second, third = (np.array(c, np.float32) for c in look.ground)
    enlarged = height / 128 * rng.uniform(0.5, 1.4)
    coarse = noise.piece(noise.cloudy(), size, rng, zoom=max(enlarged, height / noise.SIDE, width / noise.SIDE))
    image = np.empty((height, width, 3), np.float32)
    image[:] = base
    if look.ground_kind in ("grass", "foliage"):
        _vegetation(image, coarse, second, third, rng)
    else:
        speckle = noise.piece(noise.fine(), size, rng, zoom=max(1.0, *_needed(image)))[..., 0]
        image *= cv2.merge([1 + 0.05 * coarse + np.float32(rng.uniform(0.0, 0.07)) * speckle] * 3)
    if look.ground_kind == "tiles":
        _joints(image, rng)
    if look.ground_kind in ("wall", "room"):
        _wall(image, second, rng)
    elif rng.random() < 0.5:
        _edge(image, second, third, rng)
    if look.ground_kind == "asphalt" and rng.random() < 0.25:
        _stroke(image, tuple(map(float, third)), max(1, height // 25), rng)
    things = {"room": 0.9, "wall": 0.5}.get(look.ground_kind, 0.3)
    while rng.random() < things:
        _thing(image, rng)
        things *= 0.7
    if rng.random() < 0.3:
        _light_and_shadow(image, rng)
    return image


def thing_colour(rng: np.random.Generator) -> Colour:
    """The colour of a thing that stands about: mostly dull."""
    return tuple(float(v) for v in np.clip(rng.uniform(30, 200) + rng.normal(0, 22, 3), 0, 255))


def _vegetation(image, coarse, second, third, rng) -> None:
    image += (second - image) * cv2.merge([np.clip(0.5 + 0.6 * coarse, 0, 1)] * 3)
    leaves = noise.piece(noise.cloudy(), image.shape[:2], rng, zoom=max(0.5 * image.shape[0] / 128, *_needed(image)))
    image += (third - image) * cv2.merge([np.clip(1.3 * leaves - 1.0, 0, 1)] * 3)
    blades = noise.piece(noise.fine(), image.shape[:2], rng, zoom=max(image.shape[0] / 128, *_needed(image)))[..., 0]
    depth, grain = rng.uniform(0.12, 0.30), rng.uniform(0.0, 0.16)
    image *= cv2.merge([np.clip(1 + np.float32(depth) * leaves + np.float32(grain) * blades, 0.2, 1.9)] * 3)


def _needed(image: np.ndarray) -> tuple[float, float]:
    """The zoom from which a tile of noise is large enough."""
    return image.shape[0] / noise.SIDE, image.shape[1] / noise.SIDE


def _joints(image: np.ndarray, rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    step = max(6, int(height * rng.uniform(0.10, 0.3)))
    slant = rng.uniform(-0.6, 0.6)
    dark = tuple(float(v) * 0.8 for v in image[0, 0])
    for offset in range(int(rng.integers(step)) - step * 8, height + step * 8, step):
        cv2.line(image, (0, offset), (width, offset + int(slant * width * 0.3)), dark, max(1, height // 128))
        cv2.line(image, (offset, 0), (offset + int(slant * height), height), dark, max(1, height // 128))


def _wall(image: np.ndarray, colour: np.ndarray, rng: np.random.Generator) -> None:
    """The upper part is a wall, or a door, down to its foot."""
    height, width = image.shape[:2]
    foot = int(height * rng.uniform(0.15, 0.95))
    image[:foot] = image[:foot] * 0.2 + colour * 0.8
    image[foot : foot + max(1, height // 50)] *= 0.6
    if rng.random() < 0.4:
        x = int(rng.integers(-width // 3, width))
        panel = image[:foot, max(0, x) : max(0, x + int(width * rng.uniform(0.3, 0.8)))]
        panel *= (rng.uniform(0.45, 1.15) * rng.normal(1, 0.06, 3)).astype(np.float32)


def _edge(image: np.ndarray, second: np.ndarray, third: np.ndarray, rng: np.random.Generator) -> None:
    """A kerb or the border of a lawn; beyond it the ground is another."""
    height, width = image.shape[:2]
    y, slope = int(height * rng.uniform(0.02, 0.6)), int(height * rng.uniform(-0.15, 0.15))
    beyond = np.clip((third if rng.random() < 0.5 else second) * rng.uniform(0.5, 1.2), 0, 255)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.array([[0, y], [width, y + slope], [width, 0], [0, 0]])], 1)
    image += (beyond - image) * cv2.merge([mask * np.float32(0.7)] * 3)
    if rng.random() < 0.4:
        cv2.line(image, (0, y), (width, y + slope), tuple(float(v) for v in third), max(1, height // 40))


def _stroke(image: np.ndarray, colour: Colour, thickness: int, rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    ends = rng.uniform((0, -0.2), (1, 1.2), (2, 2)) * (width, height)
    cv2.line(image, tuple(map(int, ends[0])), tuple(map(int, ends[1])), colour, thickness)


def _thing(image: np.ndarray, rng: np.random.Generator) -> None:
    """Furniture, a bin, a plinth, a poster."""
    height, width = image.shape[:2]
    x, y = int(rng.integers(-width // 2, width)), int(rng.integers(-height // 8, height))
    w, h = int(width * rng.uniform(0.1, 0.8)), int(height * rng.uniform(0.06, 0.4))
    colour = thing_colour(rng)
    cv2.rectangle(image, (x, y), (x + w, y + h), colour, -1)
    cv2.rectangle(image, (x, y), (x + w, y + max(1, h // 6)), tuple(min(255.0, c * 1.25) for c in colour), -1)


def _light_and_shadow(image: np.ndarray, rng: np.random.Generator) -> None:
    """Patches of sun under trees or through windows."""
    patches = noise.piece(noise.cloudy(), image.shape[:2], rng, zoom=max(3.0 * image.shape[0] / 128, *_needed(image)))
    factor = 1 + np.float32(rng.uniform(0.2, 0.6)) * np.clip(4 * patches, -0.5, 0.7)
    image *= cv2.merge([factor] * 3)
