"""The floor plan as a picture."""

import cv2
import numpy as np

from sdk.simulation.site.plan import FloorPlan
from sdk.simulation.site.walks import Walks

SCALE = 60
"""px per metre."""
MARGIN = 1.6
"""m around the rooms, where people come from."""
CONE = 3.5
"""How far the field of view of a camera is drawn, m."""
INK, FLOOR, CAMERA = (40, 40, 40), (255, 255, 255), (40, 40, 220)


def draw_plan(plan: FloorPlan, names: list[str], walks: Walks | None = None) -> np.ndarray:
    """Rooms, doors, pillars, the cameras with their `names` and fields of view, and where people walked.

    uint8 BGR `[H, W, 3]`, 60 px a metre. Everybody's way has a colour of its own.
    """
    width, depth = plan.size
    picture = np.full((round((depth + 2 * MARGIN) * SCALE), round((width + 2 * MARGIN) * SCALE), 3), 235, np.uint8)
    for room in plan.rooms:
        cv2.rectangle(picture, _px((room.left, room.top)), _px((room.right, room.bottom)), FLOOR, -1)
    for placement in plan.cameras:
        towards = np.arctan2(*(np.array(placement.target) - placement.position)[::-1])
        half = placement.field_of_view / 2
        angles = np.linspace(towards - half, towards + half, 12)
        rim = np.array(placement.position) + CONE * np.column_stack([np.cos(angles), np.sin(angles)])
        cone = picture.copy()
        cv2.fillPoly(cone, [np.array([_px(placement.position), *map(_px, rim)], np.int32)], CAMERA)
        cv2.addWeighted(cone, 0.18, picture, 0.82, 0, picture)
    for person in range(walks.position.shape[1] if walks is not None else 0):
        _draw_way(picture, walks.position[:, person], person)
    for x0, y0, x1, y1 in plan.walls():
        cv2.line(picture, _px((x0, y0)), _px((x1, y1)), INK, 5)
    for placement, name in zip(plan.cameras, names, strict=True):
        x, y = _px(placement.position)
        cv2.circle(picture, (x, y), 9, CAMERA, -1, cv2.LINE_AA)
        (wide, _), _ = cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, 0.55, 1)
        at = (min(x + 14, picture.shape[1] - wide - 4), y + 5)
        cv2.putText(picture, name, at, cv2.FONT_HERSHEY_SIMPLEX, 0.55, INK, 1, cv2.LINE_AA)
    left, bottom = _px((0, 0))[0], picture.shape[0] - 14
    cv2.line(picture, (left, bottom), (left + 2 * SCALE, bottom), INK, 2)
    cv2.putText(picture, "2 m", (left + 2 * SCALE + 8, bottom + 5), cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA)
    return picture


def _draw_way(picture: np.ndarray, places: np.ndarray, person: int) -> None:
    hue = np.uint8([[[person * 67 % 180, 200, 190]]])
    colour = tuple(map(int, cv2.cvtColor(hue, cv2.COLOR_HSV2BGR)[0, 0]))
    here = ~np.isnan(places[:, 0])
    # A stretch of presence a line.
    for stretch in np.split(np.arange(len(places)), np.flatnonzero(np.diff(here)) + 1):
        if here[stretch[0]]:
            points = np.array([_px(place) for place in places[stretch]], np.int32)
            cv2.polylines(picture, [points], False, colour, 1, cv2.LINE_AA)


def _px(place) -> tuple[int, int]:
    return round((float(place[0]) + MARGIN) * SCALE), round((float(place[1]) + MARGIN) * SCALE)
