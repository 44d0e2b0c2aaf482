"""Draws a person from any side, in any phase of a step: far parts first, near ones over them."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from sdk.simulation.colours import shade
from sdk.simulation.person import Person
from sdk.simulation.shapes import Canvas
from sdk.simulation.wardrobe import FOREARM, NECK, SHIN, SHOULDER, THIGH, UPPER_ARM, Wardrobe, wardrobe

WIDTH = 0.74
"""Width of the picture as a share of its height: room for a stride and a bag."""

Point = tuple[float, float, float]
"""In the body: to its left, down from the crown, forward; in body heights."""


def draw_person(
    person: Person,
    view: float,
    phase: float,
    height_px: int,
    elevation: float = 0.15,
    light: float = 0.0,
    bend: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """The figure, uint8 BGRA `[height_px, 0.74·height_px, 4]`, straight (not premultiplied) alpha with soft edges.

    view: radians the body is turned from facing the camera (0) over walking to the right of the picture (π/2) to
    showing its back (π). phase: place in the walking cycle of two steps, 0 to 1. elevation: sine of the angle from
    which the camera looks down. light: from the left (−1) to from the right (1). bend: how far the right and the
    left forearm are raised, 0 to 1, as to carry or to look at something.
    """
    body = _Body(person, view, phase, height_px, elevation, light, bend)
    for _, draw in sorted(body.parts(), key=lambda part: part[0]):
        draw()
    image = body.canvas.image
    alpha = image[..., 3]
    whole = 255 / np.maximum(alpha, 1)
    image *= cv2.merge([whole, whole, whole, np.ones_like(whole)])
    return cv2.convertScaleAbs(image)


class _Body:
    """One person in one posture, seen from one side."""

    def __init__(self, person: Person, view: float, phase: float, height: int, elevation: float, light: float, bend):
        self.person, self.view, self.light, self.elevation = person, view, light, elevation
        self.front, self.side = float(np.cos(view)), float(np.sin(view))
        self.canvas = Canvas(height, round(WIDTH * height))
        self.wear: Wardrobe = wardrobe(person)
        self.legs = {leg: self._leg_joints(leg, phase + (0.5 if leg > 0 else 0)) for leg in (-1, 1)}
        lowest = max(self.on_screen(p)[1] for joints in self.legs.values() for p in joints[2:])
        self.drop = 0.985 - lowest
        """The body rises and sinks so that the lower foot stands on the ground."""
        self.arms = {arm: self._arm_joints(arm, phase + (0 if arm > 0 else 0.5), bend[arm > 0]) for arm in (-1, 1)}

    def on_screen(self, point: Point, drop: float = 0.0) -> tuple[float, float]:
        left, down, forward = point
        towards = forward * self.front - left * self.side
        return left * self.front + forward * self.side, down + drop + self.elevation * towards

    def depth(self, point: Point) -> float:
        return point[2] * self.front - point[0] * self.side

    def _leg_joints(self, leg: int, phase: float) -> list[Point]:
        """Hip, knee, ankle, heel, toe."""
        swing = 0.42 * self.person.stride * np.sin(2 * np.pi * phase)
        flex = 0.08 + 0.85 * max(0.0, np.cos(2 * np.pi * (phase + 0.06))) ** 1.5
        lateral = leg * 0.046 * self.person.hips
        hip = (lateral, 0.48, 0.0)
        knee = (lateral, 0.48 + THIGH * np.cos(swing), THIGH * np.sin(swing))
        low = swing - flex
        ankle = (lateral * 0.85, knee[1] + SHIN * np.cos(low), knee[2] + SHIN * np.sin(low))
        pitch = -0.85 * low if low < 0 else -0.5 * low  # toes down behind, up in front
        heel = (lateral * 0.9, ankle[1] + 0.012, ankle[2] - 0.018)
        toe = (lateral * 1.35, ankle[1] + 0.014 + 0.095 * np.sin(pitch), ankle[2] + 0.085 * np.cos(pitch))
        return [hip, knee, ankle, heel, toe]

    def _arm_joints(self, arm: int, phase: float, bend: float) -> list[Point]:
        """Shoulder, elbow, wrist."""
        swing = 0.38 * self.person.stride * np.sin(2 * np.pi * phase) * (1 - 0.7 * bend) + 0.15 * bend
        flex = 0.18 + self.person.arm_bend + 0.35 * max(0.0, swing) + 1.7 * bend
        out = 0.016 + 0.02 * (self.person.fit - 0.9)
        lateral = arm * (0.090 * self.person.shoulders * (0.55 + 0.45 * self.person.build) + 0.3 * out)
        shoulder = (lateral, SHOULDER + 0.018, 0.0)
        elbow = (lateral + arm * 1.6 * out, shoulder[1] + UPPER_ARM * np.cos(swing), UPPER_ARM * np.sin(swing))
        raised = swing + flex
        wrist = (
            elbow[0] + arm * (0.3 * out - 0.05 * bend),
            elbow[1] + FOREARM * np.cos(raised),
            elbow[2] + FOREARM * np.sin(raised),
        )
        return [shoulder, elbow, wrist]

    def parts(self) -> list[tuple[float, Callable[[], None]]]:
        """What there is to draw and how near it is to the camera."""
        person, front = self.person, self.front
        parts: list[tuple[float, Callable[[], None]]] = [(0.0, self._trunk)]
        for joints in self.legs.values():
            parts.append((-0.5 + self.depth(joints[1]), lambda j=joints: self._leg(j)))
        for arm, joints in self.arms.items():
            near = self.depth(joints[1])
            parts.append((0.02 + near, lambda a=arm, j=joints: self._arm(a, j)))
            if person.bag_kind == "hand" and person.bag_side == arm:
                parts.append((0.01 + near, lambda j=joints: self._hand_bag(j[2])))
        parts.append((0.3, self._head))
        if person.bag_kind == "backpack":
            parts.append((0.25 if front < 0 else -0.2, self._backpack))
        elif person.bag_kind in ("shoulder", "cross"):
            at = (person.bag_side * 0.115 * person.build, 0.43, -0.03)
            parts.append((0.05 + 2 * self.depth(at), lambda: self._side_bag(at)))
        if self.wear.hair is not None and front > 0.25:
            parts.append((-0.1, self._hair))
        elif self.wear.hair is not None:
            parts.append((0.35, self._hair))
        if person.hood is not None and person.hat_kind != "beanie":
            parts.append((0.32 if front < 0.3 else 0.1, self._hood))
        if person.scarf is not None:
            parts.append((0.31, self._scarf))
        return parts

    def _brightness(self, joints: list[Point]) -> float:
        """Limbs on the far side lie in the body's shade."""
        return 0.95 + 0.9 * float(np.clip(self.depth(joints[0]), -0.12, 0.04))

    def _limb(self, limb, a: Point, b: Point, brightness: float) -> None:
        self.canvas.limb(limb, self.on_screen(a, self.drop), self.on_screen(b, self.drop), brightness)

    def _leg(self, joints: list[Point]) -> None:
        hip, knee, ankle, heel, toe = joints
        bright = self._brightness(joints)
        self._limb(self.wear.foot, heel, toe, bright)
        (hx, hy), (tx, ty) = self.on_screen(heel, self.drop), self.on_screen(toe, self.drop)
        sole = shade(self.person.sole, bright)
        angle = float(np.degrees(np.arctan2(ty - hy, tx - hx)))
        if abs(tx - hx) > 0.03:
            self.canvas.ellipse(((hx + tx) / 2, (hy + ty) / 2 + 0.017), (0.062, 0.006), sole, angle)
        self._limb(self.wear.shin, knee, ankle, bright)
        self._limb(self.wear.thigh, hip, knee, bright)
        outside = float(np.sign(hip[0])) * 0.03
        if self.person.lower_pattern == "side-stripe" and self.depth((outside, 0, 0)) > -0.024:
            seam = [(p[0] + outside * k, p[1], p[2]) for p, k in ((hip, 1.3), (knee, 1.0), (ankle, 0.8))]
            self.canvas.line([self.on_screen(p, self.drop) for p in seam], self.person.lower_accent, 0.011)

    def _arm(self, arm: int, joints: list[Point]) -> None:
        shoulder, elbow, wrist = joints
        bright = self._brightness(joints)
        x, y = self.on_screen(wrist, self.drop)
        ex, ey = self.on_screen(elbow, self.drop)
        reach = max(0.05, float(np.hypot(x - ex, y - ey)))
        hand = (x + (x - ex) / reach * 0.022, y + (y - ey) / reach * 0.022)
        self.canvas.ellipse(
            hand, (0.014, 0.024), shade(self.person.skin, bright), np.degrees(np.arctan2(ex - x, y - ey))
        )
        self._limb(self.wear.upper_arm, shoulder, elbow, bright)
        self._limb(self.wear.forearm, elbow, wrist, bright)

    def _profile(self, profile: np.ndarray) -> np.ndarray:
        moved = profile.copy()
        moved[:, 0] += self.drop
        return moved

    def _column(self, texture, profile, centre=(0.0, 0.0)) -> None:
        moved = replace(texture, top=texture.top + self.drop, bottom=texture.bottom + self.drop)
        self.canvas.column(moved, self._profile(profile), self.view, centre, self.light)

    def _trunk(self) -> None:
        self._column(self.wear.pelvis, self._over_the_legs(self.wear.pelvis_profile))
        self._limb(self.wear.neck, (0, 0.115, 0.005), (0, 0.165, -0.005), 1.0)
        self._column(self.wear.torso, self._over_the_legs(self.wear.torso_profile))

    def _over_the_legs(self, profile: np.ndarray) -> np.ndarray:
        """A long hem is pushed out in front and behind by the striding thighs."""
        hem = profile[-1, 0]
        if hem < 0.53:
            return profile
        share = min(1.0, (hem - 0.48) / THIGH)
        stride = max(abs(joints[1][2]) for joints in self.legs.values()) * share
        profile = profile.copy()
        profile[-1, 2] = max(profile[-1, 2], 0.9 * stride + 0.042)
        return profile

    def _head(self) -> None:
        offset = 0.012 * self.side
        person = self.person
        if person.hair_style == "tail" and self.front > 0.2:
            self._tail()
        self._column(self.wear.head, self.wear.head_profile, (offset, offset))
        if person.hair_style == "tail" and self.front <= 0.2:
            self._tail()
        if person.hair_style == "bun":
            x, y = self.on_screen((0, 0.03, -0.055), self.drop)
            if self.front < 0.4:
                self.canvas.ellipse((x, y), (0.026, 0.026), person.hair)
        if person.hat_kind != "none":
            self._hat(offset)

    def _hat(self, offset: float) -> None:
        person = self.person
        if person.hat_kind == "cap" and self.front > -0.5:
            x, y = self.on_screen((0, 0.034, 0.06), self.drop)
            self.canvas.ellipse((x, y), (0.034 + 0.012 * abs(self.front), 0.009), shade(person.hat, 0.75))
        self._column(self.wear.hat, self.wear.hat_profile, (offset, offset))
        if person.hat_kind == "brim":
            self.canvas.ellipse(
                (offset, 0.036 + self.drop), (0.088, 0.014 + 0.05 * self.elevation), shade(person.hat, 0.8)
            )

    def _tail(self) -> None:
        self._limb(self.wear.tail, (0, 0.05, -0.058), (0, self.person.hair_length, -0.068), 1.0)

    def _hair(self) -> None:
        back = -0.012 * self.side
        self._column(self.wear.hair, self.wear.hair_profile, (0.006 * self.side, back * 2))

    def _hood(self) -> None:
        x, y = self.on_screen((0, NECK + 0.022, -0.04), self.drop)
        self.canvas.ellipse((x, y), (0.062 * abs(self.front) + 0.04 * abs(self.side), 0.032), self.person.hood)
        if self.front < 0:
            self.canvas.ellipse((x, y - 0.012), (0.042 * abs(self.front), 0.014), shade(self.person.hood, 0.6))

    def _scarf(self) -> None:
        x, y = self.on_screen((0, 0.155, 0.005), self.drop)
        self.canvas.ellipse((x, y), (0.056, 0.026), self.person.scarf)
        if self.front > 0:
            self.canvas.ellipse(
                (x + 0.02 * self.front + 0.04 * self.side, y + 0.07), (0.02, 0.08), shade(self.person.scarf, 0.88)
            )

    def _backpack(self) -> None:
        behind = -(0.058 * self.person.build + 0.045 * self.person.bag_size) * self.side
        lean = behind * 1.15
        self._column(self.wear.backpack, self.wear.backpack_profile, (behind, lean))

    def _side_bag(self, at: Point) -> None:
        x, y = self.on_screen(at, self.drop)
        size = self.person.bag_size
        half = size * float(np.hypot(0.03 * self.front, 0.07 * self.side))
        self._box(x, y, half, 0.10 * size)

    def _hand_bag(self, wrist: Point) -> None:
        x, y = self.on_screen(wrist, self.drop)
        size = self.person.bag_size
        half = size * float(np.hypot(0.03 * self.front, 0.068 * self.side))
        top = y + 0.025 + 0.05 * size
        self.canvas.line([(x - half * 0.5, top), (x, y + 0.02), (x + half * 0.5, top)], self.person.bag_accent, 0.008)
        self._box(x, top, half, 0.095 * size)

    def _box(self, x: float, top: float, half: float, tall: float) -> None:
        """A bag: wider below, with a flap in the second colour."""
        bottom, flap = top + tall, top + 0.35 * tall
        upper = [(x - half * 0.85, top), (x + half * 0.85, top)]
        lower = [
            (x + half, bottom - 0.012),
            (x + half * 0.85, bottom),
            (x - half * 0.85, bottom),
            (x - half, bottom - 0.012),
        ]
        self.canvas.polygon(upper + lower, self.person.bag)
        self.canvas.polygon([*upper, (x + half * 0.9, flap), (x - half * 0.9, flap)], self.person.bag_accent)
