"""One camera of a site: draws what it sees at a moment, and knows whom."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from sdk.simulation.camera import CameraLook, apply_look
from sdk.simulation.crops import paste
from sdk.simulation.figure import draw_person
from sdk.simulation.person import Person
from sdk.simulation.shapes import HEADROOM
from sdk.simulation.site.plan import FloorPlan
from sdk.simulation.site.scenery import draw_scenery
from sdk.simulation.site.truth import Truth
from sdk.simulation.site.viewpoint import NEAR, Viewpoint
from sdk.simulation.site.walks import CYCLE, Walks

BODY = 1.72
"""Height of somebody of average height, m."""
LEAST_PX = 12
"""Height below which nobody is drawn."""
ABSENCE = 1.0
"""Seconds out of a camera's view after which coming back is a new track."""
STANDING = 0.25
"""m/s below which the legs are together."""


@dataclass(frozen=True)
class _Figure:
    """Somebody in the picture."""

    person: int
    silhouette: np.ndarray
    """bool `[H, W]`: where the frame would show them if nothing stood in front."""
    pixels: float
    """Of the whole body, outside the frame too."""
    hidden: np.ndarray
    """bool `[H, W]`: where walls stand in front."""


class CameraView:
    """Camera `number` of a site."""

    def __init__(self, seed: int, number: int, plan: FloorPlan, people: list[Person], walks: Walks, size):
        self.seed, self.number, self.size = seed, number, size
        self.people, self.walks = people, walks
        looks = [CameraLook.sample(seed, room) for room in range(len(plan.rooms))]
        self.look = _milder(CameraLook.sample(seed, number))
        self.viewpoint = Viewpoint.of(plan.cameras[number], size)
        self.scenery, self.walls = draw_scenery(plan, self.viewpoint, looks, [seed, 11])
        self._bends = [_bend(seed, number) for number in range(len(people))]
        self._tracks: dict[int, tuple[int, float]] = {}
        """By person: the number of the present or last track, and when it was seen last."""
        self._last_track = 0

    def draw(self, time: float, tick: int) -> tuple[np.ndarray, Truth]:
        """The frame, uint8 BGR `[H, W, 3]`, and who is in it. Calls go forward in time."""
        image = self.scenery.copy()
        present = [(i, state) for i in range(len(self.people)) if (state := self.walks.at(time, i)) is not None]
        placed = [(i, state, self._on_screen(i, state[0])) for i, state in present]
        # Far people first, near ones over them.
        placed = sorted((p for p in placed if p[2] is not None), key=lambda p: -p[2][0])
        figures = [self._put(image, *p) for p in placed]
        frame = apply_look(image, self.look, np.random.default_rng([self.seed, self.number, tick, 7]))
        return frame, self._truth([figure for figure in figures if (figure.silhouette & ~figure.hidden).any()], time)

    def _on_screen(self, person: int, place: np.ndarray):
        """(distance along the axis in m, feet, crown in px, where walls are nearer); None if nothing of them shows."""
        tall = BODY * self.people[person].height
        feet, crown = self.viewpoint.project(np.array([[*place, 0.0], [*place, tall]]))
        if min(feet[2], crown[2]) < NEAR or feet[1] - crown[1] < LEAST_PX:
            return None
        reach = feet[1] - crown[1]
        (x0, y0), (x1, y1) = np.minimum(feet, crown)[:2] - reach / 2, np.maximum(feet, crown)[:2] + reach / 2
        rows, columns = (slice(max(0, int(a)), max(0, int(b) + 1)) for a, b in ((y0, y1), (x0, x1)))
        behind = self.walls < feet[2]
        if behind[rows, columns].all():  # an empty piece, outside the frame, as well
            return None
        return feet[2], feet[:2], crown[:2], behind

    def _put(self, image: np.ndarray, number: int, state, on_screen) -> _Figure:
        """Draw somebody and the shadow under the feet, except where walls are nearer."""
        distance, feet, crown, behind = on_screen
        reach = float(feet[1] - crown[1])
        drawn = min(round(reach * (1 + 2 * HEADROOM)), self.size[0])
        view, elevation = self._seen_from(*state[:2])
        figure = self._pose(number, view, elevation, drawn, *state[2:])
        body = drawn / (1 + 2 * HEADROOM)
        along = reach / body
        across = self.viewpoint.focal * BODY * self.people[number].height / float(distance) / body
        lean = float(crown[0] - feet[0]) / reach  # upright lines converge downwards
        sole, middle = drawn * (1 + HEADROOM) / (1 + 2 * HEADROOM), figure.shape[1] / 2
        matrix = np.array([
            [across, -lean * along, feet[0] - across * middle + lean * along * sole],
            [0, along, feet[1] - along * sole],
        ])  # fmt: skip
        self._shadow(image, feet, 0.26 * self.viewpoint.focal / float(distance), elevation, behind)
        silhouette = paste(image, figure, matrix, behind)
        pixels = float((figure[..., 3] > 127).sum() * across * along)
        return _Figure(number, silhouette, pixels, silhouette & behind)

    def _seen_from(self, position: np.ndarray, heading: np.ndarray) -> tuple[float, float]:
        """From which side the camera sees somebody, and the sine of the angle from which it looks down on them."""
        sight = position - self.viewpoint.origin[:2]
        far = max(float(np.sqrt((sight * sight).sum())), 1e-6)
        sight = sight / far
        view = np.arctan2(heading @ np.array([-sight[1], sight[0]]), -(heading @ sight))
        down = float(self.viewpoint.origin[2] - BODY / 2)
        return float(view), down / float(np.sqrt(far * far + down * down))

    def _pose(self, number: int, view: float, elevation: float, drawn: int, walked: float, speed: float) -> np.ndarray:
        person = self.people[number]
        phase = (walked / (CYCLE * person.height) + 0.37 * number) % 1
        if speed <= STANDING:
            person, phase = replace(person, stride=0.05), 0.25
        return draw_person(person, view, phase, drawn, elevation, self.look.light, self._bends[number])

    def _shadow(self, image: np.ndarray, feet: np.ndarray, radius: float, elevation: float, behind: np.ndarray) -> None:
        height, width = self.size
        flat = max(1.0, radius * elevation)
        top, bottom = max(0, int(feet[1] - 2 * flat)), min(height, int(feet[1] + 2 * flat) + 1)
        left, right = max(0, int(feet[0] - 2 * radius)), min(width, int(feet[0] + 2 * radius) + 1)
        if top >= bottom or left >= right:
            return
        y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
        far = np.square((x - np.float32(feet[0])) / np.float32(radius))
        far += np.square((y - np.float32(feet[1])) / np.float32(flat))
        factor = 1 - np.float32(0.4) * np.exp(-far) * ~behind[top:bottom, left:right]
        image[top:bottom, left:right] *= cv2.merge([factor] * 3)

    def _truth(self, figures: list[_Figure], time: float) -> Truth:
        boxes, visibility = [], []
        in_front = np.zeros(self.size, bool)
        for figure in reversed(figures):  # the nearest first
            ys, xs = (np.flatnonzero(figure.silhouette.any(axis=axis)) for axis in (1, 0))
            boxes.append((xs[0], ys[0], xs[-1] + 1, ys[-1] + 1))
            seen = figure.silhouette & ~figure.hidden & ~in_front
            visibility.append(min(1.0, seen.sum() / max(1.0, figure.pixels)))
            in_front |= figure.silhouette & ~figure.hidden
        people = [figure.person for figure in reversed(figures)]
        return Truth(
            boxes=np.array(boxes, np.float32).reshape(-1, 4),
            identities=[identity(person) for person in people],
            tracks=np.array([self._track(person, time) for person in people], int),
            visibility=np.array(visibility, np.float32),
        )

    def _track(self, person: int, time: float) -> int:
        number, seen = self._tracks.get(person, (0, -np.inf))
        if time - seen > ABSENCE:
            self._last_track += 1
            number = self._last_track
        self._tracks[person] = number, time
        return number


def _bend(seed: int, number: int) -> tuple[float, float]:
    """How far somebody raises the right and the left forearm: not at all, unless that hand holds something."""
    rng = np.random.default_rng([seed, number, 4])
    return tuple(rng.uniform(0.3, 1.0, 2) * (rng.random(2) < 0.12))


def identity(person: int) -> str:
    """The true name of person number `person`."""
    return f"true-{person + 1}"


def _milder(look: CameraLook) -> CameraLook:
    """As in crops, but people who are far from the camera have fewer px to lose."""
    return replace(look, noise=min(look.noise, 4.0), detail=max(look.detail, 0.6))
