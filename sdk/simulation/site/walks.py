"""How people walk through a site: in by a door, from room to room, around each other, out and in again."""

from dataclasses import dataclass

import numpy as np

from sdk.simulation.site.plan import FloorPlan, Point

STEP = 0.1
"""Seconds between two positions that are worked out; frames in between are interpolated."""
EMPTY_SECONDS = 2.0
"""Before anybody comes: time to learn the background."""
AWAY = (6.0, 18.0)
"""Seconds outside between two visits."""
STOPS = (3, 6)
"""Places that somebody goes to in one visit."""
STAND = (1.0, 3.0)
"""Seconds at a place, if they stop there at all."""
CYCLE = 1.45
"""Metres to two steps of somebody of average height."""
TOGETHER = 0.2
"""Share of people who come with the one before and walk at their side."""
PERSONAL, FROM_WALL = 0.75, 0.45
"""Distances in metres at which people begin to give way to each other, and to walls."""


@dataclass(frozen=True)
class Walks:
    """Where everybody is at every step of `STEP` seconds."""

    position: np.ndarray
    """`[T, P, 2]` m; NaN while outside."""
    heading: np.ndarray
    """`[T, P, 2]`: unit vector that the body faces."""
    walked: np.ndarray
    """`[T, P]` m since the beginning: drives the legs."""
    speed: np.ndarray
    """`[T, P]` m/s."""

    def at(self, time: float, person: int) -> tuple[np.ndarray, np.ndarray, float, float] | None:
        """(position, heading, metres walked, speed) at a time in seconds; None while outside."""
        step = min(time / STEP, len(self.position) - 1)
        before = int(step)
        after = min(before + 1, len(self.position) - 1)
        if np.isnan(self.position[[before, after], person]).any():
            return None
        share = step - before
        values = (self.position, self.heading, self.walked, self.speed)
        position, heading, walked, speed = (v[before, person] * (1 - share) + v[after, person] * share for v in values)
        return position, heading, float(walked), float(speed)


class _Walker:
    """One person's plans; where they are is in the arrays of `simulate_walks`."""

    def __init__(self, plan: FloorPlan, arrival: float, rng: np.random.Generator, beside: Point):
        self.plan, self.rng = plan, rng
        self.arrival = arrival
        self.beside = np.array(beside)
        """How far from their companion they keep, m."""
        self.pace = float(rng.uniform(0.9, 1.4))
        self.route: list[np.ndarray] = []
        self.room = -1
        """Where the route ends; −1 outside."""
        self.stops = 0
        self.waits_until = 0.0
        self.patience = 0.0

    def enter(self, time: float) -> np.ndarray:
        """Choose a door and start behind it; returns the place."""
        door = self.plan.doors[self.rng.integers(len(self.plan.doors))]
        self.room = door.rooms[1]
        self.stops = int(self.rng.integers(STOPS[0], STOPS[1] + 1))
        self.route = [np.array(door.beside(self.room, 0.9))]
        self._stop_in(self.room)
        self.patience = time + 15
        return np.array(door.beside(-1, 1.2)) + 0.3 * self.beside

    def next(self, time: float, place: np.ndarray) -> bool:
        """Take up what comes after the end of the route, or instead of one that is blocked; False: they have left."""
        if self.route:
            self.route, self.room = [], int(self.plan.room_at(*place))
        if self.room == -1:
            return False
        if self.rng.random() < 0.4:
            self.waits_until = time + self.rng.uniform(*STAND)
        self.patience = time + 25
        self.stops -= 1
        if self.stops > 0:
            self._go_to(int(self.rng.integers(len(self.plan.rooms))))
            self._stop_in(self.room)
            return True
        door = self.plan.doors[self.rng.integers(len(self.plan.doors))]
        self._go_to(door.rooms[1])
        self.route += [np.array(door.beside(self.room, 0.9)), np.array(door.beside(-1, 1.2))]
        self.room = -1
        return True

    def _go_to(self, room: int) -> None:
        for passage in self.plan.way(self.room, room):
            self.route.append(np.array(passage.beside(self.room, 0.7)))
            self.room = passage.rooms[passage.rooms[0] == self.room]
            self.route.append(np.array(passage.beside(self.room, 0.7)))

    def _stop_in(self, number: int) -> None:
        room = self.plan.rooms[number]
        place = self.rng.uniform((room.left + 1.0, room.top + 1.0), (room.right - 1.0, room.bottom - 1.0))
        self.route.append(place + 0.7 * self.beside)


def simulate_walks(plan: FloorPlan, people: int, seconds: float, seed: int) -> Walks:
    """Everybody's way, the same for the same arguments.

    People come one after the other during the first half of the time; some come in pairs.
    """
    steps = int(np.ceil(seconds / STEP)) + 1
    walkers = _arrivals(plan, people, seconds, seed)
    walls = plan.walls()
    place, velocity = np.full((people, 2), np.nan), np.zeros((people, 2))
    heading, walked = np.tile([1.0, 0.0], (people, 1)), np.zeros(people)
    log = Walks(*(np.zeros((steps, people, *shape)) for shape in ((2,), (2,), (), ())))
    for step in range(steps):
        time = step * STEP
        for i, walker in enumerate(walkers):
            if np.isnan(place[i, 0]):
                if time >= walker.arrival:
                    place[i], velocity[i] = walker.enter(time), 0.0
            elif (not walker.route or time > walker.patience) and not walker.next(time, place[i]):
                place[i] = np.nan
                walker.arrival = time + walker.rng.uniform(*AWAY)
        here = ~np.isnan(place[:, 0])
        wanted = np.zeros((people, 2))
        for i in np.flatnonzero(here):
            walker = walkers[i]
            to_go = walker.route[0] - place[i]
            left = _length(to_go)
            if left < 0.35:
                walker.route.pop(0)
            if time >= walker.waits_until:
                wanted[i] = to_go / max(left, 0.1) * walker.pace
        wanted[here] += _give_way(place[here], walls)
        velocity += 0.35 * (wanted - velocity)
        speed = _length(velocity)
        velocity *= (np.minimum(speed, 1.7) / np.maximum(speed, 1e-9))[:, None]
        speed = np.minimum(speed, 1.7) * here
        place[here] += velocity[here] * STEP
        walked += speed * STEP
        moving = speed > 0.2
        turned = heading + 0.4 * (velocity / np.maximum(speed, 1e-9)[:, None] - heading)
        heading[moving] = (turned / np.maximum(_length(turned), 1e-9)[:, None])[moving]
        log.position[step], log.heading[step], log.walked[step], log.speed[step] = place, heading, walked, speed
    return log


def _arrivals(plan: FloorPlan, people: int, seconds: float, seed: int) -> list[_Walker]:
    """One after the other in the first half of the time; a companion draws the same plans as the one before."""
    gap = min(3.5, 0.5 * seconds / people)
    walkers: list[_Walker] = []
    alone = True
    for i in range(people):
        alone = not alone or i == 0 or np.random.default_rng([seed, i, 10]).random() >= TOGETHER
        leader, beside = (i, (0.0, 0.0)) if alone else (i - 1, (0.55, 0.55))
        arrival = EMPTY_SECONDS + gap * leader
        walkers.append(_Walker(plan, arrival, np.random.default_rng([seed, leader, 9]), beside))
    return walkers


def _give_way(place: np.ndarray, walls: np.ndarray) -> np.ndarray:
    """What to add to the wanted velocities `[N, 2]` so as not to run into people and walls."""
    from_people = place[:, None] - place[None]
    push = _away(from_people, PERSONAL)
    # The walls run along an axis, so the nearest point of one is a matter of clipping.
    nearest = np.clip(place[:, None], walls[None, :, :2], walls[None, :, 2:])
    return 1.2 * push + 1.6 * _away(place[:, None] - nearest, FROM_WALL)


def _away(offset: np.ndarray, reach: float) -> np.ndarray:
    """From offsets `[N, M, 2]` to what is in the way: the sum of steps away from it and, half as much, to the right."""
    far = _length(offset)
    strength = np.clip(1 - far / reach, 0, None) * (far > 1e-9) / np.maximum(far, 1e-9)
    away = offset * strength[..., None]
    return (away + 0.5 * np.stack([-away[..., 1], away[..., 0]], axis=-1)).sum(axis=1)


def _length(vector: np.ndarray) -> np.ndarray:
    return np.sqrt((vector * vector).sum(axis=-1))
