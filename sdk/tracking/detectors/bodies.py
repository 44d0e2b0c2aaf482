"""People in a silhouette: which bodies, overlapping as they may, explain what stands out from the background.

One person after the other is put where they explain most foreground that nobody explains yet and cover least
background; then each is moved once more, with the others in place. (After Zhao and Nevatia, "Bayesian human
segmentation in crowded situations", CVPR 2003, with rectangles for bodies and a greedy search.)
"""

from typing import NamedTuple

import cv2
import numpy as np

from sdk.tracking.detectors.heights import Heights


class Person(NamedTuple):
    """Where somebody stands, px."""

    feet: float
    """y of the soles; they may be below the picture, or hidden."""
    middle: float
    """x."""
    height: float


class Part(NamedTuple):
    """An upright rectangle of the body, in shares of the person's height, and what a pixel in it counts."""

    top: float
    """Below the top of the head."""
    bottom: float
    half_width: float
    foreground: float = 0
    """For a pixel of foreground that nobody else explains."""
    background: float = 0
    """For a pixel of background that nobody else covers."""


REACH = (Part(0.0, 0.15, 0.09, 1, -0.1), Part(0.13, 0.55, 0.18, 1, -0.1), Part(0.55, 1.0, 0.19, 1, -0.1))
"""Where an arm or a leg may be: all foreground there is the person's."""
CORE = (Part(0.02, 0.14, 0.03, 0, -0.5), Part(0.16, 0.5, 0.1, 0, -0.5), Part(0.5, 0.93, 0.04, 0, -0.25))
"""The middle of head, trunk and legs, where no background should be."""
ABOVE = (Part(-0.12, -0.01, 0.07, -0.35),)
"""Where nothing more should be, if the top of a head is below."""
PARTS = np.array(REACH + CORE + ABOVE, np.float32)
EXPLAINED = (Part(-0.01, 0.15, 0.1), Part(0.13, 0.55, 0.19), Part(0.55, 1.02, 0.2))
"""What is nobody else's: slightly more than the reach, or its fringe would make thin people."""
TRUNK = Part(0.15, 0.6, 0.1)
"""Which silhouette it is in tells whose that is."""

COST, LEAST = 30, 0.015
"""What a person must explain: px, and a share of the square of their height."""
MOST = 30
"""People in a picture."""
GRID = 4
"""Step of the search over the picture, px."""
BELOW = 1.25
"""How far below the picture feet may be, of its height from the top."""
SIZES, UNUSUAL = np.float32([0.93, 1, 1.07]), 0.07
"""Of a person, to the usual height in their place; the share of the gain that another than the usual one costs."""
HALF_WIDTH = (0.18, 0.22)
"""Of a box, in heights: least, and how far from the middle it is searched for the person's limits."""
LIMB = 0.04
"""Foreground in a column, in heights, that is a part of a person."""
CLOSE, WIDE = 0.08, 0.2
"""How far a person is moved to where they explain more, of their height: when found, and with all others in place."""


def find_people(
    foreground: np.ndarray, background: np.ndarray, heights: Heights, least_height: float
) -> tuple[list[Person], np.ndarray]:
    """The people who explain the foreground, and the share of each one's body that shows, float `[N]`.

    foreground, background: bool `[H, W]`; pixels may be neither. least_height: of a person, px.
    """
    search = _Search(foreground, background, heights, least_height)
    for _ in range(2):  # what is left after all have been moved may be one more
        while len(search.people) < MOST and (person := search.next()) is not None:
            search.put(person)
            search.move(len(search.people) - 1, CLOSE, 5)
        for _ in range(2):
            for number in range(len(search.people)):
                search.move(number, WIDE, 7)
        search.drop()
    return search.people, search.showing()


class _Search:
    def __init__(self, foreground: np.ndarray, background: np.ndarray, heights: Heights, least_height: float):
        self.people: list[Person] = []
        self._foreground, self._background = foreground, background
        self._heights, self._least_height = heights, least_height
        self._covering = np.zeros(foreground.shape, np.uint8)
        """How many people are before a pixel."""

    def put(self, person: Person) -> None:
        self.people.append(person)
        self._cover(person, 1)

    def next(self) -> Person | None:
        """Who explains most of what is left, if that is enough."""
        left = self._foreground & (self._covering == 0)
        rows, columns = np.flatnonzero(left.any(axis=1)), np.flatnonzero(left.any(axis=0))
        if not len(rows):
            return None
        feet = np.arange(rows[0] + self._least_height / 4, BELOW * len(left), GRID, dtype=np.float32)
        middle = np.arange(columns[0], columns[-1] + 1, GRID, dtype=np.float32)
        feet, middle = (grid.ravel() for grid in np.meshgrid(feet, middle, indexing="ij"))
        height = self._heights.at(feet)
        # Feet far below the last pixel left belong to somebody else.
        possible = (height >= self._least_height) & (feet - 0.9 * height < rows[-1])
        if not possible.any():
            return None
        feet, middle, height = feet[possible], middle[possible], height[possible]
        gain = self._gain(feet, middle, height)
        best = np.argmax(gain)
        return Person(float(feet[best]), float(middle[best]), float(height[best])) if gain[best] > COST else None

    def move(self, number: int, reach: float, steps: int) -> None:
        """Move a person to where they explain most, up to `reach` of their height away."""
        person = self.people[number]
        self._cover(person, -1)
        shift = np.linspace(-reach * person.height, reach * person.height, steps, dtype=np.float32)
        grids = np.meshgrid(person.feet + shift, person.middle + shift, SIZES, indexing="ij")
        feet, middle, size = (grid.ravel() for grid in grids)
        height = np.maximum(self._heights.at(feet), self._least_height) * size
        gain = self._gain(feet, middle, height) * np.where(size == 1, 1, 1 - UNUSUAL)
        best = np.argmax(gain)
        self.people[number] = Person(float(feet[best]), float(middle[best]), float(height[best]))
        self._cover(self.people[number], 1)

    def drop(self) -> None:
        """Take away who explains too little that the others do not."""
        for person in list(self.people):
            self._cover(person, -1)
            gain = self._gain(*(np.float32([value]) for value in person))[0]
            if gain <= max(COST, LEAST * person.height**2):
                self.people.remove(person)
            else:
                self._cover(person, 1)

    def showing(self) -> np.ndarray:
        """Of each person, the share of the body's foreground before which nobody nearer stands."""
        nearer = np.zeros(self._covering.shape, bool)
        share = np.zeros(len(self.people))
        for number in sorted(range(len(self.people)), key=lambda n: -self.people[n].feet):
            body = np.zeros_like(nearer)
            for part in EXPLAINED:
                body[span(self.people[number], part, body.shape)] = True
            own = self._foreground & body
            share[number] = (own & ~nearer).sum() / max(own.sum(), 1)
            nearer |= body
        return share

    def _cover(self, person: Person, by: int) -> None:
        for part in EXPLAINED:
            self._covering[span(person, part, self._covering.shape)] += np.uint8(by % 256)

    def _gain(self, feet: np.ndarray, middle: np.ndarray, height: np.ndarray) -> np.ndarray:
        """What each of N people would explain, float32 `[N]` each → float32 `[N]`; by summed-area tables."""
        rows, columns = self._covering.shape
        top, bottom = max(int((feet - 1.13 * height).min()), 0), min(int(feet.max()) + 1, rows)
        left, right = max(int((middle - 0.25 * height).min()), 0), min(int((middle + 0.25 * height).max()) + 2, columns)
        if bottom <= top or right <= left:
            return np.full(len(feet), -np.inf, np.float32)
        free = self._covering[top:bottom, left:right] == 0
        sums = [
            cv2.integral((pixels[top:bottom, left:right] & free).view(np.uint8)).ravel().astype(np.float32)
            for pixels in (self._foreground, self._background)
        ]
        width = right - left + 1
        part_top, part_bottom, half_width, of_foreground, of_background = PARTS.T[:, :, None]
        y0, y1 = (
            width * np.clip(feet - height * (1 - edge) - top, 0, bottom - top).astype(np.int32)
            for edge in (part_top, part_bottom)
        )
        x0 = np.clip(middle - half_width * height - left, 0, width - 1).astype(np.int32)
        x1 = np.clip(middle + half_width * height + 1 - left, 0, width - 1).astype(np.int32)
        corners = (y1 + x1, y0 + x1, y1 + x0, y0 + x0)
        gain = np.zeros(len(feet), np.float32)
        for table, weight in zip(sums, (of_foreground[:, 0], of_background[:, 0]), strict=True):
            used = weight != 0
            a, b, c, d = (table[corner[used]] for corner in corners)
            gain += weight[used] @ (a - b - c + d)
        return gain


def body_boxes(people: list[Person], foreground: np.ndarray) -> np.ndarray:
    """xyxy px, float `[N, 4]`: as tall as the bodies, and as wide as what there is of them that nobody nearer hides."""
    left = foreground.copy()
    boxes = np.zeros((len(people), 4))
    least, most = HALF_WIDTH
    for number in sorted(range(len(people)), key=lambda n: -people[n].feet):
        feet, middle, height = person = people[number]
        whole = span(person, Part(0, 1, most), foreground.shape)
        columns = np.flatnonzero(left[whole].sum(axis=0) > LIMB * height) + whole[1].start
        x0, x1 = (columns[0], columns[-1] + 1) if len(columns) else (middle, middle)
        boxes[number] = (min(x0, middle - least * height), feet - height, max(x1, middle + least * height), feet)
        for part in EXPLAINED:
            left[span(person, part, foreground.shape)] = False
    return boxes


def span(person: Person, part: Part, shape: tuple[int, int]) -> tuple[slice, slice]:
    """The rows and columns of a part of somebody in a picture of `shape`."""
    rows, columns = shape
    y0, y1 = (int(min(max(person.feet - person.height * (1 - edge), 0), rows)) for edge in (part.top, part.bottom))
    x0, x1 = (person.middle + side * part.half_width * person.height for side in (-1, 1))
    return slice(y0, y1), slice(int(min(max(x0, 0), columns)), int(min(max(x1 + 1, 0), columns)))
