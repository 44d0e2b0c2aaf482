"""A camera's own look: colours, sharpness, noise and compression, and the surroundings it stands over."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from sdk.simulation import noise
from sdk.simulation.colours import Colour

HEADROOM = 1.5
"""How far light may exceed white before it is lost."""
GROUNDS = ("grass", "foliage", "asphalt", "tiles", "wall", "room")


@dataclass(frozen=True)
class CameraLook:
    """What one camera does to every picture. `CameraLook.sample(seed, camera)` draws it."""

    gains: Colour
    """White balance and exposure, a factor for blue, green and red."""
    crosstalk: tuple[float, ...]
    """How much of the other two channels gets into blue, green and red: six shares. Infrared makes black violet."""
    saturation: float
    contrast: float
    level: float
    """The brightness that contrast leaves as it is."""
    gamma: float
    lift: float
    """Share of `haze` mixed in: dark clothes take its colour, as in cheap sensors and on bright days."""
    haze: Colour
    detail: float
    """Resolution of the lens as a share of the picture's; from 1 on, nothing is lost."""
    sharpening: float
    """Of the camera's own processing: light and dark seams along edges."""
    noise: float
    """Standard deviation, grey levels."""
    jpeg_quality: int
    light: float
    """From which side the light falls, −1 left to 1 right."""
    elevation: float
    """Sine of the angle from which the camera looks down."""
    ground_kind: str
    """One of `GROUNDS`."""
    ground: tuple[Colour, Colour, Colour]
    """Colours of the background."""

    @classmethod
    def sample(cls, seed: int, camera: int) -> "CameraLook":
        """The look of camera number `camera` of the site `seed`."""
        rng = np.random.default_rng([seed, camera, 1])
        kind = GROUNDS[rng.integers(len(GROUNDS))]
        ground = ground_colours(kind, rng)
        # Cameras expose for what they see: the ground, and people darker than most grounds.
        scene = 0.6 * float(np.mean(ground[:2])) + 0.4 * 85
        level = float(np.clip(rng.normal(108, 22), 65, 160))
        exposure = float(np.clip(level / scene, 0.6, 1.7))
        warmth, tint = rng.normal(0, 0.10), rng.normal(0, 0.03)
        contrast = rng.uniform(0.85, 1.7)
        return cls(
            gains=tuple(float(exposure * g) for g in (1 - warmth + tint, 1 - tint, 1 + warmth + tint)),
            crosstalk=tuple(float(v) for v in rng.normal(0.02, 0.045, 6)),
            saturation=float(rng.uniform(0.4, 1.5) / contrast**0.6),
            contrast=float(contrast),
            level=level,
            gamma=float(np.exp(rng.normal(0, 0.22))),
            lift=float(rng.uniform(0.0, 0.28) if rng.random() < 0.5 else 0.0),
            haze=tuple(float(v) for v in np.clip(rng.normal((160, 135, 135), (45, 30, 35)), 0, 255)),
            detail=float(rng.uniform(0.45, 1.3)),
            sharpening=float(rng.uniform(0.3, 3.0) if rng.random() < 0.7 else 0.0),
            noise=float(rng.uniform(0.5, 7)),
            jpeg_quality=int(rng.integers(40, 96)),
            light=float(rng.uniform(-1, 1)),
            elevation=float(rng.uniform(0.0, 0.32)),
            ground_kind=kind,
            ground=ground,
        )


def ground_colours(kind: str, rng: np.random.Generator) -> tuple[Colour, Colour, Colour]:
    """Three colours of a background of `kind`, one of `GROUNDS`."""
    middle = {
        "grass": [(75, 130, 120), (70, 105, 140), (130, 175, 170)],
        "foliage": [(35, 60, 55), (60, 110, 90), (120, 165, 150)],
        "asphalt": [(125, 125, 125), (95, 97, 100), (185, 185, 185)],
        "tiles": [(140, 148, 150), (120, 130, 135), (190, 195, 195)],
        "wall": [(120, 130, 140), (115, 125, 140), (185, 190, 195)],
        "room": [(100, 112, 130), (160, 165, 165), (70, 75, 90)],
    }[kind]
    brightness = np.exp(rng.normal(0, 0.25))
    cast = rng.normal(0, 5, 3)
    return tuple(
        tuple(float(v) for v in np.clip(np.array(c) * brightness + cast + rng.normal(0, 6, 3), 5, 250)) for c in middle
    )


def apply_look(image: np.ndarray, look: CameraLook, rng: np.random.Generator) -> np.ndarray:
    """What the camera records of `image` (uint8 or float32 BGR `[H, W, 3]`, 0 to 255): uint8 BGR of the same size."""
    height, width = image.shape[:2]
    if look.detail < 0.95:
        small = (max(8, round(width * look.detail)), max(8, round(height * look.detail)))
        image = cv2.resize(cv2.resize(image, small, interpolation=cv2.INTER_AREA), (width, height))
    image = cv2.transform(image.astype(np.float32, copy=False), _colour_matrix(look))
    if look.sharpening:
        soft = cv2.GaussianBlur(image, (0, 0), 0.8 / min(1.0, look.detail))
        image = cv2.addWeighted(image, 1 + look.sharpening, soft, -look.sharpening, 0)
    grain = noise.piece(noise.fine(), (height, width), rng, zoom=max(1.0, height / noise.SIDE, width / noise.SIDE))
    image = cv2.scaleAdd(grain, look.noise, image)
    image = cv2.LUT(_to_bytes(image * np.float32(1 / HEADROOM)), _tone_curve(look))
    _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, look.jpeg_quality])
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)


def _to_bytes(image: np.ndarray) -> np.ndarray:
    return np.clip(image, 0, 255).astype(np.uint8)


@lru_cache(maxsize=64)
def _colour_matrix(look: CameraLook) -> np.ndarray:
    """White balance, crosstalk, saturation, contrast and haze in one affine map, float32 `[3, 4]`."""
    bg, br, gb, gr, rb, rg = look.crosstalk
    matrix = np.array([[1 - bg - br, bg, br], [gb, 1 - gb - gr, gr], [rb, rg, 1 - rb - rg]])
    matrix = np.diag(look.gains) @ matrix
    grey = np.tile([0.114, 0.587, 0.299], (3, 1))
    matrix = (look.saturation * np.eye(3) + (1 - look.saturation) * grey) @ matrix
    matrix, offset = look.contrast * matrix, np.full(3, look.level * (1 - look.contrast))
    matrix, offset = matrix * (1 - look.lift), offset * (1 - look.lift) + look.lift * np.array(look.haze)
    return np.hstack([matrix, offset[:, None]]).astype(np.float32)


@lru_cache(maxsize=64)
def _tone_curve(look: CameraLook) -> np.ndarray:
    """From light, of which white is 255 / HEADROOM, to recorded values: highlights are compressed, then gamma."""
    light = np.arange(256) / 255 * HEADROOM
    knee = 0.8
    light = np.where(light < knee, light, knee + (1 - knee) * np.tanh((light - knee) / (1.4 * (1 - knee))))
    return _to_bytes(255 * light**look.gamma + 0.5)
