"""Crops of drawn people, as a detector would cut them, alone or as a whole folder."""

from pathlib import Path

import cv2
import numpy as np

from sdk.errors import DataError
from sdk.simulation.camera import CameraLook, apply_look, draw_background, light_and_folds, thing_colour
from sdk.simulation.figure import WIDTH, draw_person
from sdk.simulation.person import Person
from sdk.terminal import track

VIEWS = 8
"""Directions, 45° apart, that consecutive view indices go through."""


def draw_crop(seed: int, identity: int, camera: int, view_index: int, size: tuple[int, int] = (128, 64)) -> np.ndarray:
    """One crop, uint8 BGR `[height, width, 3]` of `size = (height, width)` px.

    It depends on the arguments alone. Consecutive `view_index` turn the person by 45°; where a person starts
    differs by camera. The box is a little off, as detectors' boxes are, and now and then something or
    somebody stands in front.
    """
    rng = np.random.default_rng([seed, identity, camera, view_index, 2])
    look = CameraLook.sample(seed, camera)
    _height, _width = size
    image = draw_background(look, size, rng)
    turn = 3 * camera + 5 * identity + view_index + rng.uniform(-0.35, 0.35)
    _put(image, Person.sample(seed, identity), look, rng, view=2 * np.pi * turn / VIEWS)
    chance = rng.random()
    if chance < 0.06:
        # Somebody else, from far away in the population so as not to be a twin.
        other = Person.sample(seed, identity + 1_000_003)
        shift = float(rng.choice([-1, 1]) * rng.uniform(0.45, 0.75))
        _put(image, other, look, rng, view=rng.uniform(0, 2 * np.pi), shift=shift)
    elif chance < 0.13:
        _put_furniture(image, rng)
    return apply_look(image, look, rng, light=rng.uniform(0.88, 1.12))


def _put(image: np.ndarray, person: Person, look: CameraLook, rng: np.random.Generator, view: float, shift=0.0) -> None:
    """Draw a person into a crop; `shift` moves by shares of the width."""
    height, width = image.shape[:2]
    tall = round(height * rng.uniform(0.88, 1.04))
    figure = draw_person(person, view, phase=rng.random(), height=tall, lean=rng.normal(0, 0.02))
    # Boxes are tighter across than along, so that resizing to 1:2 makes people look broader than they are.
    wide = max(8, round(WIDTH * tall * (2 * width / height) * rng.uniform(1.0, 1.35)))
    short = round(tall * (1 - look.tilt))
    figure = cv2.resize(light_and_folds(figure, look, rng), (wide, short), interpolation=cv2.INTER_AREA)
    x = round((width - wide) / 2 + width * (shift + rng.normal(0, 0.05)))
    y = round((height - short) / 2 + height * rng.normal(0, 0.025))
    paste(image, figure, x, y)


def paste(image: np.ndarray, figure: np.ndarray, x: int, y: int) -> None:
    """Put `figure` (float32 BGRA, colours multiplied by alpha) into `image` (float32 BGR), its corner at x, y px."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = max(0, x), max(0, y), min(width, x + figure.shape[1]), min(height, y + figure.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    part = figure[y0 - y : y1 - y, x0 - x : x1 - x]
    target = image[y0:y1, x0:x1]
    target *= 1 - part[..., 3:] / 255
    target += part[..., :3]


def _put_furniture(image: np.ndarray, rng: np.random.Generator) -> None:
    """A pole, or something low, in front of the person."""
    height, width = image.shape[:2]
    colour = thing_colour(rng)
    if rng.random() < 0.5:
        x, w = int(rng.integers(0, width)), max(2, int(width * rng.uniform(0.06, 0.16)))
        cv2.rectangle(image, (x, 0), (x + w, height), colour, -1)
    else:
        top = int(height * rng.uniform(0.65, 0.88))
        x = int(rng.integers(-width // 2, width // 2))
        cv2.rectangle(image, (x, top), (x + width, height), colour, -1)


def write_people(
    output: str | Path,
    identities: int,
    cameras: int,
    views: int,
    seed: int,
    size: tuple[int, int] = (128, 64),
    site_cameras: int | None = None,
) -> None:
    """Write `<output>/<identity>/<camera>_<view>.png`: `views` crops in each of `cameras` cameras, with a progress bar.

    With `site_cameras`, the site has that many cameras and every person is seen by `cameras` of them, drawn
    anew for each person; otherwise by all. Raises `DataError` if the folder exists and is not empty, or the
    counts make no sense.
    """
    output = Path(output)
    site_cameras = cameras if site_cameras is None else site_cameras
    if min(identities, cameras, views) < 1 or site_cameras < cameras:
        raise DataError(
            f"{identities} identities, {views} views in {cameras} of {site_cameras} cameras: "
            "each must be at least 1, and the site needs the cameras that see a person"
        )
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise DataError(f"{output}: exists and is not empty; choose a new folder")
    for identity in track(range(identities), "drawing people"):
        folder = output / f"{identity:05d}"
        folder.mkdir(parents=True)
        seen_by = np.random.default_rng([seed, identity, 3]).permutation(site_cameras)[:cameras]
        for camera in sorted(seen_by.tolist()):
            for view in range(views):
                cv2.imwrite(str(folder / f"{camera:02d}_{view:02d}.png"), draw_crop(seed, identity, camera, view, size))
