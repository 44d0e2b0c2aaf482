"""What streets have and the plain drawing has not: things behind people and before them, summer clothes, hard light.

For crops to train on (`Population.street`); sites and the crops of other populations are drawn without. Every choice
comes from a generator of its own, so that what was drawn before stays as it was.
"""

from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np

from sdk.simulation import noise
from sdk.simulation.camera import CameraLook, ground_colours
from sdk.simulation.colours import GARMENTS, JEANS, TROUSERS, Colour, draw_colour, shade, weighted
from sdk.simulation.person import Person

SUMMER = 0.6
"""Share of the people who are dressed for summer."""
CROWD = 24
"""How many others walk about in the background: few, for whom the drawing keeps its textures."""
BRIGHT = {
    **{name: row for name, row in GARMENTS.items() if name not in ("black", "dark grey", "navy", "olive")},
    "black": (14, *GARMENTS["black"][1:]),
    "white": (24, *GARMENTS["white"][1:]),
}
PAVED = ("asphalt", "tiles", "wall")


@lru_cache(maxsize=128)
def street_person(seed: int, identity: int) -> Person:
    """The person `identity` of the population `seed`, three in five of them dressed for summer."""
    person, rng = Person.sample(seed, identity), np.random.default_rng([seed, identity, 5])
    return _in_summer(person, rng) if rng.random() < SUMMER else person


def _in_summer(person: Person, rng: np.random.Generator) -> Person:
    upper, second = draw_colour(BRIGHT, rng), draw_colour(BRIGHT, rng)
    woman = person.hair_style in ("bob", "long", "tail", "bun")
    kinds, weights = ("shorts", "skirt", "jeans", "trousers", "leggings"), (42, 14 * woman, 22, 18, 8 * woman)
    lower = kinds[weighted(rng, weights)]
    patterns = ("plain", "print", "stripes", "checks", "floral", "back-print", "heather", "block")
    colours = {"jeans": JEANS, "trousers": TROUSERS}.get(lower, TROUSERS if rng.random() < 0.5 else GARMENTS)
    if lower == "shorts" and rng.random() < 0.35:
        colours = JEANS
    return replace(
        person,
        upper_kind="shirt" if rng.random() < 0.15 else "t-shirt",
        upper=upper,
        upper_hem=float(rng.uniform(0.475, 0.58)),
        fit=float(rng.uniform(0.97, 1.3)),
        flare=float(rng.uniform(-0.05, 0.08)),
        open_front=0.0,
        sleeves=second if rng.random() < 0.08 else upper,
        sleeve=float(rng.choice([0.0, 0.3, 0.42, 0.5], p=[0.1, 0.2, 0.4, 0.3])),
        collar=second if rng.random() < 0.2 else shade(upper, float(rng.uniform(0.8, 1.1))),
        hood=None,
        scarf=None,
        pattern=patterns[weighted(rng, (38, 26, 9, 7, 5, 8, 4, 5))],
        pattern_colour=second,
        lower=draw_colour(colours, rng),
        lower_kind=lower,
        lower_hem={"shorts": rng.uniform(0.58, 0.76), "skirt": rng.uniform(0.58, 0.84)}.get(lower, 0.95),
        lower_width={"shorts": rng.uniform(0.95, 1.35), "leggings": 0.8}.get(lower, float(rng.uniform(0.85, 1.2))),
        tights=None,
        shaft=0.0 if rng.random() < 0.7 else float(rng.uniform(0.01, 0.06)),
    )


@lru_cache(maxsize=64)
def street_look(seed: int, camera: int) -> CameraLook:
    """The look of camera number `camera`: most stand over a pavement, and two in three see about as the eye does."""
    look, rng = CameraLook.sample(seed, camera), np.random.default_rng([seed, camera, 5])
    if rng.random() < 0.7:
        kind = PAVED[rng.integers(len(PAVED))]
        look = replace(look, ground_kind=kind, ground=ground_colours(kind, rng))
    if rng.random() < 0.67:
        look = replace(
            look,
            gains=tuple(1 + 0.45 * (gain - 1) for gain in look.gains),
            crosstalk=tuple(0.5 * share for share in look.crosstalk),
            saturation=float(rng.uniform(0.65, 1.1)),
            contrast=1 + 0.35 * (look.contrast - 1),
            gamma=look.gamma**0.5,
            sharpening=0.3 * look.sharpening,
            noise=0.5 * look.noise,
        )
    return look


def put_things_behind(image: np.ndarray, rng: np.random.Generator) -> None:
    """Clutter of a street into a background, float32 BGR `[H, W, 3]`, in place: most of it in the upper part."""
    height, width = image.shape[:2]
    if rng.random() < 0.3:
        _panels(image, rng)
    for _ in range(rng.poisson(2.5) if rng.random() < 0.7 else 0):
        _bar(image, rng)
    if rng.random() < 0.45:
        ground = height * rng.uniform(0.25, 1.0)
        for _ in range(rng.integers(1, 6)):
            size = height * rng.uniform(0.07, 0.2)
            bicycle(image, (rng.uniform(-0.2, 1.2) * width, ground + rng.normal(0, 0.03) * height), size, rng)
    if rng.random() < 0.25:
        rail(image, height * rng.uniform(0.2, 0.8), rng)
    if rng.random() < 0.7:
        cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.8), dst=image)


def put_things_before(image: np.ndarray, rng: np.random.Generator) -> None:
    """Now and then a rail or a bicycle in front of somebody's legs, in place."""
    height, width = image.shape[:2]
    chance = rng.random()
    if chance < 0.06:
        rail(image, height * rng.uniform(0.5, 0.95), rng)
    elif chance < 0.14:
        bicycle(image, (rng.uniform(0.2, 0.8) * width, height * rng.uniform(0.92, 1.02)), height * 0.15, rng)


def cast_light(image: np.ndarray, rng: np.random.Generator) -> None:
    """Sun and shade as they fall on one body, in place: an edge of shadow, sun through leaves, light from above."""
    height, width = image.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    chance = rng.random()
    if chance < 0.2:
        slope, level = rng.normal(0, 0.5), rng.uniform(0.1, 0.9) * height
        softness = rng.uniform(0.5, 6)
        lit = 1 / (1 + np.exp(np.clip((rows - level - slope * (columns - width / 2)) / softness, -30, 30)))
        lit = lit if rng.random() < 0.5 else 1 - lit
        image *= cv2.merge([1 - np.float32(rng.uniform(0.2, 0.6)) * lit] * 3)
    elif chance < 0.3:
        leaves = noise.piece(noise.cloudy(), (height, width), rng, zoom=max(1.0, height / 128 * rng.uniform(0.7, 2)))
        image *= cv2.merge([1 - np.float32(rng.uniform(0.2, 0.5)) * np.clip(0.5 + 2 * leaves, 0, 1)] * 3)
    if rng.random() < 0.4:
        fall = np.linspace(rng.uniform(1.0, 1.35), rng.uniform(0.7, 1.0), height, dtype=np.float32)[:, None]
        image *= cv2.merge([np.repeat(fall, width, 1)] * 3)


def crease(figure: np.ndarray, rng: np.random.Generator) -> None:
    """Folds that come and go as cloth moves, over a figure uint8 BGRA, in place: others in every crop."""
    height, width = figure.shape[:2]
    depth = np.float32(rng.uniform(0.04, 0.2))
    folds = noise.piece(noise.cloudy(), (height, width), rng, zoom=max(0.6, height / noise.SIDE, height / 256))
    wide = noise.piece(noise.cloudy(), (height, width), rng, zoom=max(2.5, height / noise.SIDE))
    factor = np.clip(1 + depth * (folds + wide), 0.4, 1.7)
    figure[..., :3] = cv2.multiply(figure[..., :3], cv2.merge([factor] * 3), dtype=cv2.CV_8U)


def bicycle(image: np.ndarray, foot: tuple[float, float], radius: float, rng: np.random.Generator) -> None:
    """A bicycle from the side, its wheels of `radius` px standing on the height of `foot = (x, y)`, in place."""
    x, y = foot
    colour, tyre = _dull(rng, 30, 230), _dull(rng, 15, 110)
    thick = max(1, round(radius * 0.14))
    squeeze = rng.uniform(0.5, 1.0)  # seen at an angle
    apart = 1.25 * radius * squeeze
    hub = [(x - apart, y - radius), (x + apart, y - radius)]
    for cx, cy in hub:
        axes = (max(1, round(radius * squeeze)), max(1, round(radius)))
        cv2.ellipse(image, (round(cx), round(cy)), axes, 0, 0, 360, tyre, thick, cv2.LINE_AA)
    saddle, bar = (x - 0.45 * apart, y - 2.1 * radius), (x + 0.75 * apart, y - 2.3 * radius)
    crank = (x - 0.1 * apart, y - radius)
    for a, b in ((hub[0], saddle), (saddle, crank), (crank, bar), (bar, hub[1]), (saddle, bar), (hub[0], crank)):
        cv2.line(image, _whole(a), _whole(b), colour, max(1, thick - 1), cv2.LINE_AA)
    if rng.random() < 0.4:  # a basket
        cv2.rectangle(image, _whole(bar), _whole((bar[0] + 0.5 * radius, bar[1] + 0.5 * radius)), tyre, -1)


def rail(image: np.ndarray, y: float, rng: np.random.Generator) -> None:
    """Two or three bars on posts, from edge to edge, in place."""
    height, width = image.shape[:2]
    colour = _dull(rng, 60, 240)
    thick = max(1, round(height * rng.uniform(0.008, 0.03)))
    slope, gap = rng.normal(0, 0.12) * width, height * rng.uniform(0.06, 0.14)
    for bar in range(rng.integers(1, 4)):
        level = y + bar * gap
        cv2.line(image, _whole((0, level)), _whole((width, level + slope)), colour, thick, cv2.LINE_AA)
    for post in np.arange(rng.uniform(0, 0.5), 1.2, rng.uniform(0.4, 1.0)):
        cv2.line(image, _whole((post * width, y)), _whole((post * width, y + 3 * gap)), colour, thick, cv2.LINE_AA)


def _panels(image: np.ndarray, rng: np.random.Generator) -> None:
    """Windows, doors, shutters, parked cars: a few boxes with an edge, side by side."""
    height, width = image.shape[:2]
    foot = height * rng.uniform(0.2, 0.75)
    x = width * rng.uniform(-0.5, 0.2)
    while x < width:
        w, h = width * rng.uniform(0.1, 0.6), height * rng.uniform(0.1, 0.6)
        corner, opposite = _whole((x, foot - h)), _whole((x + w, foot))
        colour = _dull(rng, 20, 235)
        cv2.rectangle(image, corner, opposite, colour, -1)
        cv2.rectangle(image, corner, opposite, shade(colour, float(rng.choice([0.6, 1.4]))), max(1, height // 100))
        x += w * rng.uniform(0.9, 1.6)


def _bar(image: np.ndarray, rng: np.random.Generator) -> None:
    """A pole, a kerb, a cable, a joint of the pavement, a shadow's edge."""
    height, width = image.shape[:2]
    ends = rng.uniform((-0.3, -0.2), (1.3, 1.0), (2, 2))
    if rng.random() < 0.6:  # upright or level, as most things are
        ends[1, rng.integers(2)] = ends[0, rng.integers(2)]
    thick = max(1, round(height * rng.uniform(0.005, 0.05)))
    first, last = ends * (width, height)
    cv2.line(image, _whole(first), _whole(last), _dull(rng, 20, 235), thick, cv2.LINE_AA)


def _dull(rng: np.random.Generator, low: float, high: float) -> Colour:
    return tuple(float(v) for v in np.clip(rng.uniform(low, high) + rng.normal(0, 14, 3), 0, 255))


def _whole(point) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
