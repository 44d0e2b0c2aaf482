"""Draws a person from one side, in one phase of a step: tapered limbs and garments, far parts before near ones."""

import cv2
import numpy as np

from sdk.simulation.colours import Colour, shade
from sdk.simulation.person import Person

WIDTH = 0.56
"""Width of the picture as a share of its height: room for a stride and a bag."""
OVERSAMPLING = 2
"""The figure is drawn this much larger and reduced, which makes its edges soft."""

HIP, KNEE, ANKLE, SHOULDER, CHIN = 0.49, 0.72, 0.95, 0.185, 0.135


class _Canvas:
    """Polygons in body coordinates: x from the middle of the body, y down from the crown, in body heights."""

    def __init__(self, height: int):
        self.scale = height * OVERSAMPLING
        self.width = round(WIDTH * self.scale)
        self.image = np.zeros((self.scale, self.width, 4), np.uint8)

    def pixels(self, points) -> np.ndarray:
        xy = np.asarray(points, float) * self.scale
        xy[:, 0] += self.width / 2
        return np.round(xy).astype(np.int32)

    def polygon(self, points, colour: Colour) -> None:
        cv2.fillPoly(self.image, [self.pixels(points)], (*colour, 255))

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour, span=(0, 360)) -> None:
        (centre,) = self.pixels([(x, y)])
        axes = (max(1, round(rx * self.scale)), max(1, round(ry * self.scale)))
        cv2.ellipse(self.image, tuple(map(int, centre)), axes, 0, *span, (*colour, 255), -1)

    def limb(self, a, b, width_a: float, width_b: float, colour: Colour) -> None:
        """A tapered piece with round ends from a to b."""
        ax, ay = a
        bx, by = b
        length = max(1e-6, float(np.hypot(bx - ax, by - ay)))
        nx, ny = (ay - by) / length / 2, (bx - ax) / length / 2
        self.polygon(
            [
                (ax + nx * width_a, ay + ny * width_a),
                (bx + nx * width_b, by + ny * width_b),
                (bx - nx * width_b, by - ny * width_b),
                (ax - nx * width_a, ay - ny * width_a),
            ],
            colour,
        )
        self.ellipse(ax, ay, width_a / 2, width_a / 2, colour)
        self.ellipse(bx, by, width_b / 2, width_b / 2, colour)

    def textured(self, points, person: Person, colour: Colour) -> None:
        """A polygon in the person's pattern, which runs over the garment, not over the picture."""
        if person.pattern == "plain":
            self.polygon(points, colour)
            return
        corners = self.pixels(points)
        x0, y0 = np.maximum(corners.min(axis=0), 0)
        x1, y1 = np.minimum(corners.max(axis=0) + 1, (self.width, self.scale))
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillPoly(mask, [corners - (x0, y0)], 1)
        y = (np.arange(y0, y1) / self.scale)[:, None]
        x = ((np.arange(x0, x1) - self.width / 2) / self.scale)[None]
        second = np.broadcast_to(_pattern(person, x, y), mask.shape)
        patch = self.image[y0:y1, x0:x1]
        patch[mask > 0] = (*colour, 255)
        patch[(mask > 0) & second] = (*person.pattern_colour, 255)


def _pattern(person: Person, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Where the pattern's second colour lies."""
    period = person.pattern_period
    if person.pattern == "stripes":
        return (y % period) < period * 0.4
    if person.pattern == "checks":
        return ((y % period) < period * 0.3) | ((x % period) < period * 0.3)
    if person.pattern == "block":
        return y > SHOULDER + 2.6 * period + 0.06
    return (np.abs(x) < 0.04) & (np.abs(y - 0.28) < 0.03)  # logo


def draw_person(person: Person, view: float, phase: float, height: int, lean: float = 0.0) -> np.ndarray:
    """The figure, uint8 BGRA `[height, 0.56·height, 4]`, colours already multiplied by alpha (soft edges).

    view: radians the body is turned from facing the camera (0) over its left (π/2, walking to the right of the
    picture) to its back (π). phase: place in the walking cycle, 0 to 1. lean: sideways tilt, share of the height.
    """
    canvas = _Canvas(height)
    front, side = float(np.cos(view)), float(np.sin(view))
    swing = float(np.sin(2 * np.pi * phase)) * person.stride
    thickness = float(np.hypot(front, 0.62 * side))  # of the body seen at this angle, 1 in front
    for is_near in (False, True):
        leg = 1 if (side > 0) != is_near else -1  # walking to the right, the left leg is the far one
        _leg(canvas, person, leg, front, side, swing * leg, near=is_near)
        if not is_near:
            _arm(canvas, person, leg, front, side, -swing * leg, near=False)
            if person.bag_kind == "hand" and person.bag_side == leg:
                _hand_bag(canvas, person, leg, front, side, -swing * leg)
    if person.bag_kind == "backpack" and front > 0:
        _backpack(canvas, person, front, side, thickness)
    _skirt(canvas, person, thickness, swing * side)
    _torso(canvas, person, front, side, thickness)
    if person.bag_kind == "backpack" and front <= 0:
        _backpack(canvas, person, front, side, thickness)
    near = -1 if side > 0 else 1
    _arm(canvas, person, near, front, side, -swing * near, near=True)
    if person.bag_kind == "hand" and person.bag_side == near:
        _hand_bag(canvas, person, near, front, side, -swing * near)
    if person.bag_kind == "shoulder":
        _shoulder_bag(canvas, person, front, side, thickness)
    _head(canvas, person, front, side)
    image = canvas.image
    if lean:
        matrix = np.float32([[1, lean, -lean * canvas.scale / 2], [0, 1, 0]])
        image = cv2.warpAffine(image, matrix, (canvas.width, canvas.scale))
    return cv2.resize(image, (round(WIDTH * height), height), interpolation=cv2.INTER_AREA)


def _leg(canvas, person: Person, leg: int, front: float, side: float, swing: float, near: bool) -> None:
    light = 1.0 if near else 0.78
    hip_x = leg * 0.045 * front * person.build
    reach = 0.17 * swing
    knee = (hip_x + side * reach * 0.55, KNEE - 0.008 * abs(swing))
    lift = 0.02 * max(0.0, -swing) + 0.01 * (1 - abs(swing))
    # In front view a step shows as one foot higher in the picture than the other.
    ankle = (hip_x * 1.05 + side * (reach - 0.03 * max(0.0, -swing)), ANKLE - lift - 0.02 * front * swing)
    bare = person.lower_kind in ("shorts", "skirt", "dress")
    colour = shade(person.skin if bare else person.lower, light)
    wide = person.leg_width * (0.85 + 0.15 * person.build)
    canvas.limb((hip_x, HIP + 0.02), knee, 0.098 * wide, 0.072 * wide, colour)
    canvas.limb(knee, ankle, 0.070 * wide, (0.040 if bare else 0.052) * wide, shade(colour, 0.95))
    if person.lower_kind == "shorts":
        share = (person.lower_hem - HIP) / (KNEE - HIP)
        end = (hip_x + (knee[0] - hip_x) * share, HIP + (knee[1] - HIP) * share)
        canvas.limb((hip_x, HIP + 0.02), end, 0.105 * wide, 0.095 * wide, shade(person.lower, light))
    if person.side_stripe and not bare:
        canvas.limb((hip_x + leg * 0.03 * front, HIP + 0.04), ankle, 0.012, 0.010, (230, 230, 230))
    shoe = shade(person.shoes, light)
    toe = (ankle[0] + side * 0.055, min(0.985, ankle[1] + 0.028 + 0.012 * max(0.0, front)))
    if person.boots:
        canvas.limb((ankle[0], ankle[1] - 0.09), ankle, 0.056, 0.050, shoe)
    canvas.limb((ankle[0], ankle[1] + 0.018), toe, 0.042, 0.032, shoe)


def _arm(canvas, person: Person, arm: int, front: float, side: float, swing: float, near: bool) -> None:
    light = 0.93 if near else 0.75
    shoulder = (arm * 0.108 * front * person.build, SHOULDER + 0.03)
    elbow = (shoulder[0] * 1.15 + side * 0.07 * swing, 0.345)
    hand = (shoulder[0] * 1.12 + side * (0.15 * swing + 0.03), 0.47 - 0.02 * abs(swing))
    thick = 0.058 * (0.7 + 0.3 * person.build) * (1.15 if person.upper_kind in ("coat", "jacket", "hoodie") else 1.0)
    sleeve, skin = shade(person.sleeves, light), shade(person.skin, light)
    if person.short_sleeves:
        middle = ((shoulder[0] + elbow[0]) / 2, (shoulder[1] + elbow[1]) / 2 + 0.02)
        canvas.limb(shoulder, elbow, 0.045, 0.036, skin)
        canvas.limb(elbow, hand, 0.036, 0.028, skin)
        canvas.limb(shoulder, middle, thick, thick * 0.9, sleeve)
    else:
        canvas.limb(shoulder, elbow, thick, thick * 0.85, sleeve)
        canvas.limb(elbow, hand, thick * 0.82, thick * 0.62, shade(sleeve, 0.95))
    canvas.ellipse(hand[0], hand[1] + 0.012, 0.016, 0.022, skin)


def _torso(canvas, person: Person, front: float, side: float, thickness: float) -> None:
    build = person.build
    top, waist = 0.122 * thickness * build, 0.100 * thickness * build
    hem = person.upper_hem
    flare = {"coat": 0.125, "jacket": 0.112, "hoodie": 0.112}.get(person.upper_kind, 0.104) * thickness * build
    flare += 0.03 * max(0.0, hem - 0.56)
    outline = [
        (-0.04, CHIN + 0.02), (-top * 0.85, SHOULDER - 0.018), (-top, SHOULDER + 0.02), (-waist, 0.38), (-flare, hem),
        (flare, hem), (waist, 0.38), (top, SHOULDER + 0.02), (top * 0.85, SHOULDER - 0.018), (0.04, CHIN + 0.02),
    ]  # fmt: skip
    canvas.textured(outline, person, person.upper)
    if person.open_front and front > -0.1:
        # The opening turns with the body and narrows towards the side.
        middle, half = 0.075 * side * build, 0.052 * max(0.15, front) * build
        canvas.polygon(
            [(middle - half * 0.7, CHIN + 0.03), (middle - half, hem - 0.03), (middle + half, hem - 0.03),
             (middle + half * 0.7, CHIN + 0.03)],
            person.inner,
        )  # fmt: skip
    if person.upper_kind == "shirt" and front > 0.2:
        canvas.polygon([(-0.03, CHIN + 0.01), (0.0, SHOULDER + 0.05), (0.03, CHIN + 0.01)], person.skin)
    if person.upper_kind == "hoodie" and front < 0.5:
        canvas.ellipse(-0.03 * side, SHOULDER - 0.01, 0.065, 0.036, shade(person.upper, 0.85))
    if person.upper_kind in ("t-shirt", "sweater", "shirt") and hem < HIP + 0.06 and person.lower_kind != "dress":
        canvas.polygon([(-flare, hem), (-flare, hem + 0.012), (flare, hem + 0.012), (flare, hem)], person.lower)
    if person.scarf is not None:
        canvas.ellipse(0.01 * side, CHIN + 0.035, 0.06, 0.03, person.scarf)
        if front > 0:
            canvas.limb((0.02 * front, CHIN + 0.04), (0.03 * front, 0.32), 0.035, 0.03, shade(person.scarf, 0.9))


def _skirt(canvas, person: Person, thickness: float, swing: float) -> None:
    hips = 0.100 * thickness * person.build
    if person.lower_kind in ("skirt", "dress"):
        flare = hips + 0.10 * (person.lower_hem - HIP) + 0.01
        canvas.polygon(
            [(-hips, 0.44), (-flare + 0.02 * swing, person.lower_hem), (flare + 0.02 * swing, person.lower_hem),
             (hips, 0.44)],
            person.lower,
        )  # fmt: skip
    else:
        canvas.polygon(
            [(-hips, 0.44), (-hips * 1.02, HIP + 0.05), (hips * 1.02, HIP + 0.05), (hips, 0.44)], person.lower
        )


def _backpack(canvas, person: Person, front: float, side: float, thickness: float) -> None:
    size = person.bag_size
    # On the back: seen whole from behind, as a bulge behind the body from the side, as straps in front.
    x = -side * 0.115
    half = (0.085 * abs(front) + 0.055 * abs(side)) * size
    if front > 0.3:
        for strap in (-1, 1):
            canvas.limb((strap * 0.062 * front, SHOULDER - 0.02), (strap * 0.07 * front, 0.33), 0.02, 0.018, person.bag)
        half *= 0.55
    top, bottom = SHOULDER - 0.005, SHOULDER + 0.24 * size
    canvas.polygon(
        [(x - half * 0.7, top), (x - half, top + 0.05), (x - half, bottom), (x + half, bottom), (x + half, top + 0.05),
         (x + half * 0.7, top)],
        person.bag,
    )  # fmt: skip
    if front < -0.2:
        canvas.polygon(
            [(x - half * 0.7, bottom - 0.10), (x - half * 0.7, bottom - 0.02), (x + half * 0.7, bottom - 0.02),
             (x + half * 0.7, bottom - 0.10)],
            shade(person.bag, 0.75),
        )  # fmt: skip


def _hand_bag(canvas, person: Person, arm: int, front: float, side: float, swing: float) -> None:
    x = arm * 0.125 * front * person.build + side * (0.15 * swing + 0.03)
    half, tall = 0.055 * person.bag_size, 0.10 * person.bag_size
    canvas.polygon([(x - half, 0.51), (x - half, 0.51 + tall), (x + half, 0.51 + tall), (x + half, 0.51)], person.bag)


def _shoulder_bag(canvas, person: Person, front: float, side: float, thickness: float) -> None:
    # `bag_side` is a side of the body; it is hidden when that side is turned away.
    x = person.bag_side * 0.115 * front * person.build
    if person.bag_side * side > 0.5:
        return
    canvas.limb((-x * 0.6, SHOULDER), (x, 0.45), 0.014, 0.014, shade(person.bag, 0.8))
    half, tall = 0.05 * person.bag_size * (0.6 + 0.4 * abs(side)), 0.10 * person.bag_size
    canvas.polygon([(x - half, 0.44), (x - half, 0.44 + tall), (x + half, 0.44 + tall), (x + half, 0.44)], person.bag)


def _head(canvas, person: Person, front: float, side: float) -> None:
    x = 0.012 * side
    canvas.limb((0, SHOULDER - 0.02), (x, CHIN - 0.01), 0.052, 0.048, shade(person.skin, 0.85))
    if person.hair_style in ("long", "neck") and front > -0.3:
        bottom = 0.25 if person.hair_style == "long" else 0.165
        canvas.limb((x - 0.018 * side, 0.06), (x - 0.03 * side, bottom), 0.092, 0.085, shade(person.hair, 0.9))
    canvas.ellipse(x, 0.073, 0.046, 0.066, person.skin)
    if person.hair_style != "bald":
        # The cap of hair slides from the forehead over the ear to the whole back of the head.
        canvas.ellipse(x - 0.014 * side, 0.052, 0.050, 0.052, person.hair, (180, 360))
        if front < 0.2:
            canvas.ellipse(x - 0.012 * side, 0.066, 0.046 * max(0.45, -front), 0.062, person.hair)
        elif abs(side) > 0.5:
            canvas.ellipse(x - 0.030 * side, 0.066, 0.026, 0.052, person.hair)
    if front <= -0.3 and person.hair_style in ("long", "neck"):
        bottom = 0.27 if person.hair_style == "long" else 0.165
        canvas.limb((x, 0.06), (x - 0.02 * side, bottom), 0.094, 0.088, person.hair)
    if person.hair_style == "tail" and front < 0.3:
        canvas.limb((x - 0.05 * side, 0.07), (x - 0.055 * side, 0.21), 0.035, 0.022, person.hair)
    if person.hat is not None:
        canvas.ellipse(x, 0.048, 0.054, 0.048, person.hat, (180, 360))
        canvas.limb((x - 0.05, 0.05), (x + 0.05 + 0.03 * side, 0.05), 0.014, 0.014, shade(person.hat, 0.8))
