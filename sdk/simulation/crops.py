"""Crops of drawn people, as a detector would cut them."""

from functools import lru_cache

import cv2
import numpy as np

from sdk.simulation import noise
from sdk.simulation.background import draw_background, thing_colour
from sdk.simulation.camera import CameraLook, apply_look
from sdk.simulation.faults import USUAL, Faults
from sdk.simulation.figure import draw_person
from sdk.simulation.person import Person
from sdk.simulation.shapes import HEADROOM
from sdk.simulation.street import (
    CROWD,
    cast_light,
    crease,
    put_things_before,
    put_things_behind,
    street_look,
    street_person,
)

VIEWS = 8
"""Directions, 45° apart, that consecutive view indices go through."""

DETAIL_PX = 160
"""Crops are drawn at most this high, then enlarged: people at some distance show no more."""

OTHERS = 1_000_003
"""From which number on passers-by are counted."""

_person = lru_cache(maxsize=64)(Person.sample)
_look = lru_cache(maxsize=64)(CameraLook.sample)


def draw_crop(
    seed: int,
    identity: int,
    camera: int,
    view_index: int,
    size: tuple[int, int] = (128, 64),
    misalignment: float = USUAL,
    street: float = 0.0,
) -> np.ndarray:
    """One crop, uint8 BGR `[height, width, 3]` of `size = (height, width)` px.

    It depends on the arguments alone. Consecutive `view_index` turn the person by 45°; where a person starts
    differs by camera. misalignment: how far off the box is and how often something or somebody stands in
    front, from 0 (never) to 1 (severe). street: chance that the crop is drawn as on a street (`sdk.simulation.street`).
    Raises `DataError` for another misalignment.
    """
    faults = Faults.at(misalignment)
    rng = np.random.default_rng([seed, identity, camera, view_index, 2])
    street_rng = np.random.default_rng([seed, identity, camera, view_index, 4])
    on_street = street_rng if street and street_rng.random() < street else None
    look = street_look(seed, camera) if on_street else _look(seed, camera)
    person_of = street_person if street else _person
    height, width = size
    shrink = min(1.0, DETAIL_PX / height)
    image = draw_background(look, (round(shrink * height), max(8, round(shrink * width))), rng)
    if on_street:
        put_things_behind(image, on_street)
        _put_crowd(image, seed, look, on_street)
    turn = 3 * camera + 5 * identity + view_index + rng.uniform(-0.4, 0.4)
    chance = rng.random()
    if chance < faults.passer_by:
        # Somebody else, from far away in the population so as not to be a twin; behind or in front.
        other = person_of(seed, identity + OTHERS)
        shift = float(rng.choice([-1, 1]) * rng.uniform(0.45, 0.8))
    if chance < faults.passer_by / 2:
        _put(image, other, look, faults, rng, rng.uniform(0, 2 * np.pi), shift, on_street)
    _put(image, person_of(seed, identity), look, faults, rng, 2 * np.pi * turn / VIEWS, 0.0, on_street)
    if faults.passer_by / 2 <= chance < faults.passer_by:
        _put(image, other, look, faults, rng, rng.uniform(0, 2 * np.pi), shift, on_street)
    elif faults.passer_by <= chance < faults.passer_by + faults.obstacle:
        _put_obstacle(image, rng)
    if on_street:
        put_things_before(image, on_street)
        cast_light(image, on_street)
    _light_of_the_moment(image, rng)
    image = apply_look(image, look, rng)
    return image if shrink == 1 else cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)


def _put(
    image: np.ndarray,
    person: Person,
    look: CameraLook,
    faults: Faults,
    rng: np.random.Generator,
    view: float,
    shift: float,
    on_street: np.random.Generator | None,
) -> None:
    """Draw a person into a crop; `shift` moves by shares of the width.

    With `on_street`, the street's generator, arms are in more postures and clothes crease.
    """
    height, width = image.shape[:2]
    bend = tuple(rng.uniform(0.4, 1.0, 2) * (rng.random(2) < 0.14))
    phase = rng.random()
    drawn = round(1.15 * height)
    if on_street and on_street.random() < 0.25:
        bend = tuple(on_street.uniform(0.0, 1.0, 2))
    figure = draw_person(person, view, phase, drawn, look.elevation, look.light, bend)
    if on_street:
        crease(figure, on_street)
    # Boxes are tighter across than along, so that resizing to 1:2 makes people look broader than they are.
    tall = height * rng.uniform(1 - faults.loose, 1.0)
    if rng.random() < faults.cut:
        tall *= rng.uniform(faults.cut_least, faults.cut_most)
    scale_y = tall / (drawn / (1 + 2 * HEADROOM))
    scale_x = scale_y * (2 * width / height) * rng.uniform(0.95, 1.32)
    lean = rng.normal(0, 0.025)
    foot_y = height * (0.5 + rng.normal(0, faults.shift_along)) + tall / 2
    if tall > height:
        foot_y = tall + 0.02 * height if rng.random() < 0.7 else 0.985 * height
    foot_x = width * (0.5 + shift + rng.normal(0, faults.shift_across))
    feet = drawn * (1 + HEADROOM) / (1 + 2 * HEADROOM)
    middle = figure.shape[1] / 2
    matrix = np.array([
        [scale_x, -lean * scale_y, foot_x - scale_x * middle + lean * scale_y * feet],
        [0, scale_y, foot_y - scale_y * feet],
    ])  # fmt: skip
    _shadow(image, foot_x, foot_y, tall, rng)
    paste(image, figure, matrix)


def _put_crowd(image: np.ndarray, seed: int, look: CameraLook, rng: np.random.Generator) -> None:
    """Now and then one or two people further away."""
    height, width = image.shape[:2]
    for _ in range(rng.integers(1, 3) if rng.random() < 0.35 else 0):
        person = street_person(seed, 2 * OTHERS + int(rng.integers(CROWD)))
        figure = draw_person(person, rng.uniform(0, 2 * np.pi), rng.random(), round(height * rng.uniform(0.25, 0.75)))
        crease(figure, rng)
        x = rng.uniform(0, width) - figure.shape[1] / 2
        y = height * rng.uniform(0.3, 0.9) - figure.shape[0]
        paste(image, figure, np.array([[1.0, 0, x], [0, 1.0, y]]))


def paste(image: np.ndarray, figure: np.ndarray, matrix: np.ndarray, in_front: np.ndarray | None = None) -> np.ndarray:
    """Put `figure` (uint8 BGRA, straight alpha) into `image` (float32 BGR), moved by the affine `matrix` `[2, 3]`.

    in_front: bool `[H, W]`, where something nearer hides it. Returns its whole silhouette in `image`, bool `[H, W]`.
    """
    height, width = image.shape[:2]
    rows, columns = figure.shape[:2]
    silhouette = np.zeros((height, width), bool)
    xs, ys = matrix @ np.array([[0, columns, 0, columns], [0, 0, rows, rows], [1, 1, 1, 1]])
    left, top = max(0, int(xs.min())), max(0, int(ys.min()))
    right, bottom = min(width, int(xs.max()) + 2), min(height, int(ys.max()) + 2)
    if left < right and top < bottom:
        matrix = matrix - np.array([[0, 0, left], [0, 0, top]])
        figure = cv2.warpAffine(figure, matrix, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
        alpha = figure[..., 3] * np.float32(1 / 255)
        if in_front is not None:
            alpha *= ~in_front[top:bottom, left:right]
        target = image[top:bottom, left:right]
        target += (figure[..., :3] - target) * cv2.merge([alpha] * 3)
        silhouette[top:bottom, left:right] = figure[..., 3] > 127
    return silhouette


def _shadow(image: np.ndarray, x: float, y: float, tall: float, rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    top, bottom = max(0, int(y - 0.08 * tall)), min(height, int(y + 0.08 * tall))
    if top >= bottom:
        return
    rows, columns = np.mgrid[top:bottom, 0:width].astype(np.float32)
    distance = ((columns - x - rng.normal(0, 0.05) * tall) / (0.2 * tall)) ** 2 + ((rows - y) / (0.05 * tall)) ** 2
    factor = 1 - np.float32(rng.uniform(0.1, 0.5)) * np.exp(-distance)
    image[top:bottom] *= cv2.merge([factor] * 3)


def _put_obstacle(image: np.ndarray, rng: np.random.Generator) -> None:
    """A pole, something low, or twigs in front of the person."""
    height, width = image.shape[:2]
    colour = thing_colour(rng)
    kind = rng.integers(3)
    if kind == 0:
        x, w = int(rng.integers(0, width)), max(2, int(width * rng.uniform(0.06, 0.16)))
        cv2.rectangle(image, (x, 0), (x + w, height), colour, -1)
    elif kind == 1:
        cv2.rectangle(image, (0, int(height * rng.uniform(0.72, 0.92))), (width, height), colour, -1)
    else:
        twigs = noise.piece(noise.cloudy(), (height, width), rng, zoom=max(1.0, height / 128))
        slope = np.linspace(-1, 1, width, dtype=np.float32)[None] * rng.choice([-1, 1]) * 1.5
        leaf = rng.uniform(15, 90) * np.float32([0.6, 1.0, 0.85])
        image[twigs + slope > 1.9] = leaf


def _light_of_the_moment(image: np.ndarray, rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    across = np.linspace(-1, 1, width, dtype=np.float32)[None] * np.float32(rng.normal(0, 0.07))
    along = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(rng.normal(0, 0.09))
    factor = np.float32(np.exp(rng.normal(0, 0.12))) * (1 + across + along)
    image *= cv2.merge([factor] * 3)
