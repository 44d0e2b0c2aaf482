"""What stands still in a camera's picture: floors, walls and ceiling, by following the ray of every pixel."""

import cv2
import numpy as np

from sdk.simulation import noise
from sdk.simulation.background import thing_colour
from sdk.simulation.camera import CameraLook
from sdk.simulation.site.plan import FloorPlan
from sdk.simulation.site.viewpoint import Viewpoint

WALL_HEIGHT = 3.2
"""m"""
PX_PER_METRE = 90
"""Of the noise on floors and walls."""
JOINT = 0.6
"""Side of a floor tile, m."""


def draw_scenery(
    plan: FloorPlan, view: Viewpoint, looks: list[CameraLook], seed: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """The empty site: float32 BGR `[H, W, 3]`, and the distance along the axis of walls in m, float32 `[H, W]`.

    looks: of each room, which has the ground's colours. seed: draws what hangs and stands at the walls. Where there
    is no wall, the distance is infinite.
    """
    rays = view.rays().astype(np.float32)
    hit, wall = _nearest_wall(view.origin, rays, plan.walls())
    with np.errstate(divide="ignore"):
        floor = np.where(rays[..., 2] < 0, -view.origin[2] / np.minimum(rays[..., 2], -1e-6), np.inf)
        ceiling = np.where(rays[..., 2] > 0, (WALL_HEIGHT - view.origin[2]) / np.maximum(rays[..., 2], 1e-6), np.inf)
    reach = np.minimum(np.minimum(hit, floor), np.minimum(ceiling, 60.0)).astype(np.float32)
    x, y, z = (np.float32(view.origin[i]) + reach * rays[..., i] for i in range(3))
    is_wall, is_floor = hit <= np.minimum(floor, ceiling), floor < np.minimum(hit, ceiling)
    # A wall belongs to the room on this side of it.
    rooms = plan.room_at(x - 0.05 * np.sign(rays[..., 0]), y - 0.05 * np.sign(rays[..., 1]))
    image = np.full((*view.size, 3), 60.0, np.float32)
    for number, look in enumerate(looks):
        here = rooms == number
        if not here.any():
            continue
        image[here] = np.float32(look.ground[2]) * np.float32(1.1)  # the ceiling
        image[here & is_floor] = _floor(look, x, y)[here & is_floor]
        image[here & is_wall] = _wall(look, x, y, z, wall)[here & is_wall]
    _pictures_on_walls(image, plan, wall, is_wall, x, y, z, np.random.default_rng(seed))
    corner = np.minimum(_from_walls(plan, x, y), 0.5) / 0.5
    image *= cv2.merge([np.where(is_floor, 0.75 + 0.25 * corner, 1.0).astype(np.float32)] * 3)
    return image, np.where(is_wall, reach, np.inf).astype(np.float32)


def _nearest_wall(origin: np.ndarray, rays: np.ndarray, walls: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each ray meets the first wall: the distance (infinite: none) and the wall's number (−1: none)."""
    nearest = np.full(rays.shape[:2], np.inf, np.float32)
    number = np.full(rays.shape[:2], -1)
    for i, (x0, y0, x1, y1) in enumerate(walls):
        axis = 0 if x0 == x1 else 1  # the coordinate that is the same all along the wall
        at, start, end = (x0, y0, y1) if axis == 0 else (y0, x0, x1)
        along = rays[..., axis]
        distance = (at - origin[axis]) / np.where(np.abs(along) < 1e-6, 1e-6, along)
        across = origin[1 - axis] + distance * rays[..., 1 - axis]
        height = origin[2] + distance * rays[..., 2]
        met = (distance > 0.05) & (across >= start) & (across <= end) & (height >= 0) & (height <= WALL_HEIGHT)
        met &= distance < nearest
        nearest[met] = distance[met]
        number[met] = i
    return nearest, number


def _floor(look: CameraLook, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    base, second, third = (np.float32(c) for c in look.ground)
    coarse, fine = _noise(x, y, 0.25), _noise(x, y, 1.0)
    if look.ground_kind in ("grass", "foliage"):
        image = base + (second - base) * np.clip(0.5 + 0.6 * coarse, 0, 1)[..., None]
        image = image + (third - image) * np.clip(0.9 * fine - 1.0, 0, 1)[..., None]
        return image * (1 + 0.18 * fine)[..., None]
    image = base * (1 + 0.06 * coarse + 0.04 * fine)[..., None]
    if look.ground_kind in ("tiles", "room"):
        joint = (np.mod(x, JOINT) < 0.02) | (np.mod(y, JOINT) < 0.02)
        dark = (np.floor(x / JOINT) + np.floor(y / JOINT)) % 2
        image = image * np.where(joint, 0.8, 1 - 0.05 * dark)[..., None]
    return image


def _wall(look: CameraLook, x: np.ndarray, y: np.ndarray, z: np.ndarray, wall: np.ndarray) -> np.ndarray:
    """The room's second colour; each wall is lit a little differently; a skirting board at its foot."""
    light = 0.85 + 0.05 * (wall * 7 % 5)
    light = light * np.where(z < 0.12, 0.6, 0.92 + 0.05 * z) * (1 + 0.05 * _noise(x + y, z, 0.3))
    return (0.35 * np.float32(look.ground[1]) + 0.65 * np.float32(look.ground[2])) * light[..., None]


def _pictures_on_walls(image, plan: FloorPlan, wall, is_wall, x, y, z, rng: np.random.Generator) -> None:
    """Posters, cupboards and benches: a rectangle or two on every longer wall."""
    in_sight = set(np.unique(wall[is_wall]).tolist())
    for i, (x0, y0, x1, y1) in enumerate(plan.walls()):
        length = x1 - x0 + y1 - y0
        if length < 1.5:
            continue
        for _ in range(rng.integers(1, 3)):
            left, width = rng.uniform(0, length - 0.8), rng.uniform(0.4, 1.4)
            hangs = rng.random() < 0.6
            bottom = rng.uniform(1.0, 1.6) if hangs else 0.0
            top = bottom + (rng.uniform(0.4, 1.0) if hangs else rng.uniform(0.5, 2.0))
            colour = np.float32(thing_colour(rng))
            if i not in in_sight:
                continue  # drawn by lot all the same, so that all cameras see the same pictures
            along = (x - x0) + (y - y0)
            area = is_wall & (wall == i) & (along > left) & (along < left + width) & (z > bottom) & (z < top)
            image[area] = colour * (1 + 0.1 * _noise(x + y, z, 0.5)[area][:, None])


def _from_walls(plan: FloorPlan, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How far each point is from the nearest wall, m."""
    squared = np.full(x.shape, np.inf, np.float32)
    for x0, y0, x1, y1 in plan.walls().astype(np.float32):
        dx, dy = x - np.clip(x, x0, x1), y - np.clip(y, y0, y1)
        np.minimum(squared, dx * dx + dy * dy, out=squared)
    return np.sqrt(squared)


def _noise(x: np.ndarray, y: np.ndarray, scale: float) -> np.ndarray:
    """Cloudy noise laid over two coordinates in m, without end; `scale` 1 shows `PX_PER_METRE` px of it a metre."""
    period = 2 * noise.SIDE  # mirrored at its edges, so that there are no seams
    columns, rows = (np.mod(v * PX_PER_METRE * scale, period) for v in (x, y))
    columns, rows = (np.where(v < noise.SIDE, v, period - 1 - v).astype(np.float32) for v in (columns, rows))
    return cv2.remap(noise.cloudy(), columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
