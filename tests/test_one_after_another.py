"""People who come one after the other, with pauses of seconds, each have one identity of their own."""

import numpy as np
import pytest

from sdk import MultiCameraTracker, ReIdentifier
from sdk.simulation.crops import paste
from sdk.simulation.figure import draw_person
from sdk.simulation.person import Person

SIZE = (240, 320)
FRAME_RATE = 10
CROSSING, PAUSE = 26, 35
"""Frames: who crosses the picture in 2.6 s, and nobody for 3.5 s."""


def frames_of(people, seed, brightness):
    """One camera's frames: everybody in turn walks through from left to right. A camera has its own light."""
    rng = np.random.default_rng(seed)
    floor = rng.uniform(70, 120, (SIZE[0] // 40, SIZE[1] // 40, 3)).repeat(40, 0).repeat(40, 1)
    yield from (noisy(floor, rng, brightness) for _ in range(20))
    for person in people:
        for step in range(CROSSING):
            image = floor.astype(np.float32)
            figure = draw_person(person, np.pi / 2 + 0.4 * (seed - 0.5), (0.17 * step) % 1, 170)
            paste(image, figure, np.float32([[1, 0, -60 + 14 * step], [0, 1, 50]]))
            yield noisy(image, rng, brightness)
        yield from (noisy(floor, rng, brightness) for _ in range(PAUSE))


def noisy(image, rng, brightness):
    return np.clip(image * brightness + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("order", [[0, 2, 4], [0, 2, 0, 4]])
def test_each_has_one_identity_of_their_own(order):
    """And the same one on coming back, and in a second camera, which they come to while the next is in the first."""
    people = [Person.sample(5, number) for number in range(5)]
    tracker = MultiCameraTracker(ReIdentifier(), "motion", frame_rate=FRAME_RATE)
    found, called = {"dock": {}, "lobby": {}}, {}
    dock = list(frames_of([people[i] for i in order], 0, 1.0))
    lobby = list(frames_of([people[i] for i in order], 1, 0.85))
    later = 20 + CROSSING + PAUSE
    lobby = [lobby[i % 20] for i in range(later)] + lobby[20:]
    for tick in range(len(lobby)):
        frames = {"lobby": lobby[tick]} | ({"dock": dock[tick]} if tick < len(dock) else {})
        for camera, detections in tracker.update(frames, tick / FRAME_RATE).items():
            start = 20 if camera == "dock" else later
            turn = (tick - start) // (CROSSING + PAUSE)
            for track in detections.tracker_id.tolist():
                found[camera].setdefault(turn, set()).add(track)
        if tick == len(lobby) - 1:
            tracker.finish()
        everybody = ((camera, t) for camera, turns in found.items() for tracks in turns.values() for t in tracks)
        called |= {key: name for key in everybody if (name := tracker.identity_of(*key))}
    names = {}
    for camera, turns in found.items():
        for turn, tracks in turns.items():
            bearing = {called[camera, track] for track in tracks if (camera, track) in called}
            assert len(bearing) == 1, f"{camera}, turn {turn}"
            names.setdefault(order[turn], set()).update(bearing)
    assert len(names) == len(set(order))
    assert all(len(theirs) == 1 for theirs in names.values())
    assert len(set.union(*names.values())) == len(names)
