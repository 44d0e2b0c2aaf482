"""What a camera sees of the world: a pinhole that looks at a target, without roll."""

from dataclasses import dataclass

import numpy as np

NEAR = 1.2
"""Nearer than this, in metres along the axis, nothing is shown: it is under the camera."""
AIM = 0.9
"""Height above the target that the camera looks at, m."""


@dataclass(frozen=True)
class Placement:
    """Where a camera hangs and looks, on a plan whose x points right and y down. Metres."""

    position: tuple[float, float]
    height: float
    target: tuple[float, float]
    """On the floor, in the middle of what it is there to watch."""
    field_of_view: float
    """Across the picture, radians."""


@dataclass(frozen=True)
class Viewpoint:
    """Between metres, (x, y) on the plan and z upwards, and px of a frame of `size = (height, width)`."""

    origin: np.ndarray
    """`[3]` m."""
    axes: np.ndarray
    """`[3, 3]`: unit vectors to the right, down and forward."""
    focal: float
    """px."""
    size: tuple[int, int]

    @classmethod
    def of(cls, placement: Placement, size: tuple[int, int]) -> "Viewpoint":
        origin = np.array([*placement.position, placement.height])
        forward = _unit(np.array([*placement.target, AIM]) - origin)
        # With y pointing down the plan, the right hand of somebody who looks along (dx, dy) is (−dy, dx).
        right = _unit(np.array([-forward[1], forward[0], 0.0]))
        down = _unit(np.array([0.0, 0.0, -1.0]) + forward[2] * forward)
        focal = size[1] / 2 / np.tan(placement.field_of_view / 2)
        return cls(origin, np.stack([right, down, forward]), float(focal), size)

    def project(self, points: np.ndarray) -> np.ndarray:
        """World points `[N, 3]` m → `[N, 3]`: x and y in px, distance along the axis in m (behind: negative)."""
        seen = (np.asarray(points, float) - self.origin) @ self.axes.T
        along = np.where(np.abs(seen[:, 2]) < 1e-6, 1e-6, seen[:, 2])
        height, width = self.size
        return np.column_stack(
            [width / 2 + self.focal * seen[:, 0] / along, height / 2 + self.focal * seen[:, 1] / along, along]
        )

    def shows(self, points: np.ndarray) -> np.ndarray:
        """Which of the world points `[N, 3]` lie in the frame: bool `[N]`."""
        x, y, along = self.project(points).T
        height, width = self.size
        return (along > NEAR) & (x >= 0) & (x < width) & (y >= 0) & (y < height)

    def rays(self) -> np.ndarray:
        """The direction that every pixel looks in, `[height, width, 3]`, of length 1 along the axis."""
        height, width = self.size
        across = (np.arange(width) + 0.5 - width / 2) / self.focal
        down = (np.arange(height) + 0.5 - height / 2) / self.focal
        right_of, down_of, forward = self.axes
        return across[None, :, None] * right_of + down[:, None, None] * down_of + forward


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.sqrt((vector * vector).sum())
