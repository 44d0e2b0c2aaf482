"""A site that can be watched: iterate over it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sdk.errors import DataError
from sdk.simulation.person import Person
from sdk.simulation.site.camera_view import CameraView
from sdk.simulation.site.plan import FloorPlan
from sdk.simulation.site.truth import Truth
from sdk.simulation.site.walks import Walks, simulate_walks


@dataclass(frozen=True)
class Site:
    """`people` walk through rooms under `cameras`; the same frames for the same arguments, the seed among them.

    They come in by doors, go from room to room, give way to and hide each other, leave, and come back. The first two
    seconds are empty, for detectors that learn the background. Raises `DataError` for numbers that make no site.
    """

    seed: int = 0
    cameras: int = 4
    people: int = 30
    seconds: float = 120.0
    frame_rate: float = 10.0
    """Frames a second."""
    size: tuple[int, int] = (480, 640)
    """Height and width of the frames, px."""

    def __post_init__(self):
        if min(self.cameras, self.people) < 1:
            raise DataError(f"a site needs a camera and a person at least, got {self.cameras} and {self.people}")
        if not 0 < self.seconds < float("inf") or not 0 < self.frame_rate <= 240:
            raise DataError(f"no site lasts {self.seconds} s at {self.frame_rate} frames a second (up to 240)")
        if min(self.size) < 64:
            raise DataError(f"frames of {self.size[0]}×{self.size[1]} px are too small; draw at least 64×64")

    @property
    def camera_names(self) -> list[str]:
        return [f"camera-{number + 1}" for number in range(self.cameras)]

    @property
    def ticks(self) -> int:
        """Frames of each camera."""
        return max(1, round(self.seconds * self.frame_rate))

    @cached_property
    def plan(self) -> FloorPlan:
        return FloorPlan.sample(self.seed, self.cameras)

    @cached_property
    def walks(self) -> Walks:
        return simulate_walks(self.plan, self.people, self.seconds, self.seed)

    def __iter__(self) -> Iterator[tuple[float, dict[str, np.ndarray], dict[str, Truth]]]:
        """Yield (time in seconds, frame uint8 BGR `[H, W, 3]` by camera, truth by camera)."""
        people = [Person.sample(self.seed, number) for number in range(self.people)]
        views = {
            name: CameraView(self.seed, number, self.plan, people, self.walks, self.size)
            for number, name in enumerate(self.camera_names)
        }
        for tick in range(self.ticks):
            time = tick / self.frame_rate
            drawn = {name: view.draw(time, tick) for name, view in views.items()}
            yield time, {name: frame for name, (frame, _) in drawn.items()}, {name: t for name, (_, t) in drawn.items()}
