"""A camera's own look: colours, sharpness, noise and compression, and the ground it stands over."""

from dataclasses import dataclass

import cv2
import numpy as np

from sdk.simulation.colours import Colour


@dataclass(frozen=True)
class CameraLook:
    """What one camera does to every picture. `CameraLook.sample(seed, camera)` draws it."""

    gains: Colour
    """White balance and exposure, a factor for blue, green and red."""
    saturation: float
    contrast: float
    gamma: float
    lift: float
    """Share of `haze` mixed in: dark clothes take its colour, as cheap sensors and bright days do."""
    haze: Colour
    blur: float
    """Resolution of the lens as a share of the picture's, 0 to 1."""
    noise: float
    """Standard deviation, grey levels."""
    jpeg_quality: int
    light: float
    """From which side the light falls, −1 left to 1 right."""
    tilt: float
    """How far the camera looks down: people appear shorter below by this share."""
    ground: tuple[Colour, Colour, Colour]
    """Colours of the background."""
    ground_kind: str
    """foliage, pavement, tiles or room."""

    @classmethod
    def sample(cls, seed: int, camera: int) -> "CameraLook":
        """The look of camera number `camera` of the site `seed`."""
        rng = np.random.default_rng([seed, camera, 1])
        warmth = rng.normal(0, 0.10)
        exposure = rng.uniform(0.75, 1.3)
        kind = ("foliage", "pavement", "tiles", "room")[rng.integers(4)]
        return cls(
            gains=tuple(float(exposure * g) for g in (1 - warmth, 1 + rng.normal(0, 0.03), 1 + warmth)),
            saturation=float(rng.uniform(0.45, 1.35)),
            contrast=float(rng.uniform(0.75, 1.3)),
            gamma=float(np.exp(rng.normal(0, 0.2))),
            lift=float(rng.uniform(0.0, 0.16)),
            haze=tuple(float(v) for v in np.clip(rng.normal((165, 140, 135), (40, 25, 30)), 0, 255)),
            blur=float(rng.uniform(0.40, 1.0)),
            noise=float(rng.uniform(1, 7)),
            jpeg_quality=int(rng.integers(45, 95)),
            light=float(rng.uniform(-1, 1)),
            tilt=float(rng.uniform(0, 0.12)),
            ground=_ground_colours(kind, rng),
            ground_kind=kind,
        )


def _ground_colours(kind: str, rng: np.random.Generator) -> tuple[Colour, Colour, Colour]:
    middle = {
        "foliage": [(70, 120, 100), (45, 80, 70), (110, 140, 150)],
        "pavement": [(140, 140, 140), (110, 112, 115), (160, 162, 165)],
        "tiles": [(160, 170, 175), (130, 140, 150), (185, 190, 195)],
        "room": [(120, 130, 150), (200, 205, 205), (70, 75, 90)],
    }[kind]
    brightness = rng.uniform(0.6, 1.25)
    return tuple(
        tuple(float(v) for v in np.clip(np.array(c) * brightness + rng.normal(0, 14, 3), 5, 250)) for c in middle
    )


def draw_background(look: CameraLook, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A piece of the camera's surroundings, float32 BGR `[height, width, 3]`, of `size = (height, width)` px."""
    height, width = size
    base, second, third = (np.array(c, np.float32) for c in look.ground)
    image = np.empty((height, width, 3), np.float32)
    image[:] = base
    coarse = _cloud(rng, (4, 3), size)
    image += (second - base) * coarse[..., None]
    grain = 28 if look.ground_kind == "foliage" else 9
    image += (_cloud(rng, (max(4, height // 4), max(4, width // 4)), size)[..., None] - 0.5) * grain * 2
    if look.ground_kind == "foliage":
        patches = _cloud(rng, (12, 7), size) > 0.62
        image[patches] = image[patches] * 0.5 + third * 0.5
    elif look.ground_kind == "tiles":
        step = max(6, int(height * rng.uniform(0.12, 0.3)))
        offset = int(rng.integers(step))
        image[offset::step] *= 0.82
        image[:, offset::step] *= 0.82
    else:  # a kerb, a wall's foot, a painted line
        y = int(height * rng.uniform(0.1, 0.9))
        slope = int(height * rng.uniform(-0.15, 0.15))
        corners = np.array([[0, y], [width, y + slope], [width, 0], [0, 0]])
        if rng.random() < 0.6:
            cv2.fillPoly(image, [corners], tuple(map(float, third)))
        cv2.line(image, (0, y), (width, y + slope), tuple(map(float, second * 0.8)), max(1, height // 60))
    for _ in range(rng.integers(0, 3)):  # things that stand about
        x, y = int(rng.integers(-width // 4, width)), int(rng.integers(0, height))
        w, h = int(rng.integers(2, max(3, width // 2))), int(rng.integers(height // 12, height // 2))
        cv2.rectangle(image, (x, y), (x + w, y + h), thing_colour(rng), -1)
    return image


def thing_colour(rng: np.random.Generator) -> Colour:
    """The colour of a thing that stands about: mostly dull."""
    return tuple(float(v) for v in np.clip(rng.uniform(30, 200) + rng.normal(0, 22, 3), 0, 255))


def _cloud(rng: np.random.Generator, cells: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Smooth noise 0 to 1, float32 `[height, width]`, of `cells` independent values."""
    return cv2.resize(rng.random(cells, np.float32), (size[1], size[0]), interpolation=cv2.INTER_LINEAR)


def light_and_folds(figure: np.ndarray, look: CameraLook, rng: np.random.Generator) -> np.ndarray:
    """Shade a figure BGRA (colours multiplied by alpha): light from one side, folds in the cloth."""
    height, width = figure.shape[:2]
    across = np.linspace(-1, 1, width, dtype=np.float32)[None] * 0.35 * look.light
    folds = (_cloud(rng, (14, 5), (height, width)) - 0.5) * 0.34
    figure = figure.astype(np.float32)
    figure[..., :3] *= (1 + across + folds)[..., None]
    return figure


def apply_look(image: np.ndarray, look: CameraLook, rng: np.random.Generator, light: float = 1.0) -> np.ndarray:
    """What the camera records of `image` (BGR `[H, W, 3]`, 0 to 255) in this `light`: uint8 BGR of the same size."""
    height, width = image.shape[:2]
    image = np.clip(image, 0, 255).astype(np.float32)
    if look.blur < 0.95:
        small = (max(8, int(width * look.blur)), max(8, int(height * look.blur)))
        image = cv2.resize(cv2.resize(image, small, interpolation=cv2.INTER_AREA), (width, height))
    image *= np.float32(look.gains) * np.float32(light)
    grey = (image @ np.float32([0.114, 0.587, 0.299]))[..., None]
    image = grey + (image - grey) * np.float32(look.saturation)
    image = 118 + (image - 118) * np.float32(look.contrast)
    image = image * np.float32(1 - look.lift) + np.float32(look.haze) * np.float32(look.lift)
    image = 255 * (np.clip(image, 0, 255) / 255) ** np.float32(look.gamma)
    image += rng.normal(0, 1, image.shape).astype(np.float32) * np.float32(look.noise)
    image = np.clip(image, 0, 255).astype(np.uint8)
    _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, look.jpeg_quality])
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)
