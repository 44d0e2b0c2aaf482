"""A small site in motion: people walk through the views of several fixed cameras, and it is known who is who."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from sdk.simulation.background import draw_background
from sdk.simulation.camera import CameraLook, apply_look
from sdk.simulation.crops import paste
from sdk.simulation.figure import draw_person
from sdk.simulation.person import Person
from sdk.simulation.shapes import HEADROOM

EMPTY_SECONDS = 2.0
"""Before anybody comes: time to learn the background."""
VISIT_SECONDS = 5.0
PAUSE_SECONDS = 2.0
"""Between leaving one camera's view and entering another's."""
BETWEEN_PEOPLE = 3.0
STEPS_PER_SECOND = 0.9
"""Walking cycles, of two steps each."""
FAR, NEAR = (0.56, 0.30), (0.98, 0.52)
"""(where the feet are, body height), as shares of the frame's height, at the far and the near end of the floor."""


@dataclass(frozen=True)
class Truth:
    """Who is where in one frame of one camera."""

    boxes: np.ndarray
    """float32 `[N, 4]`, xyxy px, inside the frame."""
    identities: list[str]
    visibility: np.ndarray
    """float32 `[N]`: share of what is inside the frame that nobody stands in front of."""


@dataclass(frozen=True)
class Scene:
    """Everybody walks through one camera's view, then another's, then the first's again; paths cross."""

    seed: int = 0
    cameras: int = 2
    people: int = 4
    visits: int = 3
    frame_rate: float = 10.0
    size: tuple[int, int] = (480, 640)
    """Height and width of the frames, px."""

    @property
    def seconds(self) -> float:
        """How long it takes until everybody has left."""
        return EMPTY_SECONDS + (self.people - 1) * BETWEEN_PEOPLE + self.visits * (VISIT_SECONDS + PAUSE_SECONDS)

    @property
    def camera_names(self) -> list[str]:
        return [f"camera-{number + 1}" for number in range(self.cameras)]

    @property
    def ticks(self) -> int:
        return round(self.seconds * self.frame_rate)

    def __iter__(self) -> Iterator[tuple[float, dict[str, np.ndarray], dict[str, Truth]]]:
        """Yield (time in seconds, frame uint8 BGR `[H, W, 3]` by camera, truth by camera)."""
        views = [_CameraView(self, number) for number in range(self.cameras)]
        walkers = [_Walker(self, number) for number in range(self.people)]
        for tick in range(self.ticks):
            time = tick / self.frame_rate
            drawn = {self.camera_names[view.number]: view.draw(time, tick, walkers) for view in views}
            yield time, {name: frame for name, (frame, _) in drawn.items()}, {name: t for name, (_, t) in drawn.items()}


@dataclass(frozen=True)
class _Position:
    x: float
    """Middle of the body, share of the frame's width."""
    depth: float
    """0 far, 1 near."""
    view: float
    phase: float


class _Walker:
    """One person and their way through the site."""

    def __init__(self, scene: Scene, number: int):
        self.name = f"true-{number + 1}"
        self.number = number
        self.scene = scene
        # Every seventh of the population, so that nobody is a near-twin of another.
        self.person = Person.sample(scene.seed, 7 * number)
        rng = np.random.default_rng([scene.seed, number, 4])
        self.bend = tuple(rng.uniform(0.3, 1.0, 2) * (rng.random(2) < 0.12))

    def at(self, camera: int, time: float) -> _Position | None:
        """Where they are in a camera's view, if they are in it."""
        since = time - EMPTY_SECONDS - self.number * BETWEEN_PEOPLE
        visit, within = divmod(since, VISIT_SECONDS + PAUSE_SECONDS)
        if not (0 <= visit < self.scene.visits and within <= VISIT_SECONDS):
            return None
        if (self.number + int(visit)) % self.scene.cameras != camera:
            return None
        rng = np.random.default_rng([self.scene.seed, self.number, int(visit), 5])
        start_depth, end_depth = rng.uniform(0, 1, 2)
        start_x, end_x = (-0.15, 1.15) if rng.random() < 0.5 else (1.15, -0.15)
        share = within / VISIT_SECONDS
        return _Position(
            x=start_x + (end_x - start_x) * share,
            depth=start_depth + (end_depth - start_depth) * share,
            view=float(np.arctan2(end_x - start_x, 1.5 * (end_depth - start_depth))),
            phase=(time * STEPS_PER_SECOND + self.number * 0.3) % 1,
        )


class _CameraView:
    """One camera: its background, its look, and what it sees."""

    def __init__(self, scene: Scene, number: int):
        self.scene = scene
        self.number = number
        look = CameraLook.sample(scene.seed, number)
        self.look = replace(look, noise=min(look.noise, 4.0), detail=max(look.detail, 0.6))  # people are far enough
        self.background = self._draw_room(np.random.default_rng([scene.seed, number, 6]))

    def _draw_room(self, rng: np.random.Generator) -> np.ndarray:
        height, width = self.scene.size
        room = draw_background(self.look, (height, width), rng)
        wall = round(0.42 * height)
        room[:wall] = room[:wall] * 0.25 + np.float32(self.look.ground[1]) * 0.75
        cv2.rectangle(room, (0, wall - height // 60), (width, wall), tuple(c * 0.6 for c in self.look.ground[0]), -1)
        for x in rng.uniform(0.05, 0.85, 2):  # doors
            left, top = round(x * width), round(0.12 * height)
            shade = tuple(float(c) * 0.75 for c in self.look.ground[2])
            cv2.rectangle(room, (left, top), (left + width // 9, wall), shade, -1)
        return room

    def draw(self, time: float, tick: int, walkers: list[_Walker]) -> tuple[np.ndarray, Truth]:
        present = [(w, position) for w in walkers if (position := w.at(self.number, time)) is not None]
        present.sort(key=lambda pair: pair[1].depth)  # far people first, near ones over them
        image = self.background.copy()
        silhouettes, names = [], []
        for walker, position in present:
            silhouettes.append(self._put(image, walker, position))
            names.append(walker.name)
        frame = apply_look(image, self.look, np.random.default_rng([self.scene.seed, self.number, tick, 7]))
        return frame, self._truth(silhouettes, names)

    def _put(self, image: np.ndarray, walker: _Walker, position: _Position) -> np.ndarray:
        """Draw a walker and the shadow under the feet; returns the silhouette, bool `[H, W]`."""
        height, width = self.scene.size
        foot, tall = (f + (n - f) * position.depth for f, n in zip(FAR, NEAR, strict=True))
        drawn = round(tall * walker.person.height * height * (1 + 2 * HEADROOM))
        figure = draw_person(
            walker.person, position.view, position.phase, drawn, self.look.elevation, self.look.light, walker.bend
        )
        x, y = position.x * width, foot * height
        reach = (round(drawn * 0.16), max(1, round(drawn * 0.03)))
        shadow = np.zeros((height, width), np.float32)
        cv2.ellipse(shadow, (round(x), round(y) - 2), reach, 0, 0, 360, 0.35, -1)
        rows = slice(max(0, round(y) - 3 * reach[1] - 9), round(y) + 3 * reach[1] + 9)
        image[rows] *= 1 - cv2.GaussianBlur(shadow[rows], (0, 0), 3)[..., None]
        feet = drawn * (1 + HEADROOM) / (1 + 2 * HEADROOM)
        return paste(image, figure, np.array([[1, 0, x - figure.shape[1] / 2], [0, 1, y - feet]]))

    def _truth(self, silhouettes: list[np.ndarray], names: list[str]) -> Truth:
        boxes, identities, visibility = [], [], []
        for i, (silhouette, name) in enumerate(zip(silhouettes, names, strict=True)):
            ys, xs = np.nonzero(silhouette)
            if not len(xs):
                continue  # still, or already, outside the frame
            in_front = np.any(silhouettes[i + 1 :], axis=0) if silhouettes[i + 1 :] else np.zeros_like(silhouette)
            boxes.append((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
            identities.append(name)
            visibility.append((silhouette & ~in_front).sum() / silhouette.sum())
        return Truth(np.array(boxes, np.float32).reshape(-1, 4), identities, np.array(visibility, np.float32))
