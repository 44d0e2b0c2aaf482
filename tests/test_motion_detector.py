"""The parts of the motion detector: the background, people's heights, and bodies in a silhouette."""

import numpy as np
import pytest

from sdk.simulation.site import Site
from sdk.tracking import MotionDetector
from sdk.tracking.detectors.background import STILL, WARM_UP, WHOLE, Background
from sdk.tracking.detectors.bodies import body_boxes, find_people
from sdk.tracking.detectors.heights import LEAST, Heights
from sdk.tracking.detectors.silhouettes import ALONE, Silhouettes
from tests.test_detectors import iou

SHAPE = (240, 320)


def picture(seed, light=1.0):
    rng = np.random.default_rng(seed)
    room = np.random.default_rng(99).uniform(60, 140, (*SHAPE, 3))
    return np.clip(room * light + rng.normal(0, 2, room.shape), 0, 255).astype(np.uint8)


def test_the_background_follows_the_light_and_keeps_who_stands_there():
    """A fifth brighter within 20 s, while somebody sways on the spot."""
    background = Background()
    for frame in range(WARM_UP + 5):
        background.update(picture(frame))
    for frame in range(200):
        image = picture(frame, 1 + 0.2 * frame / 200)
        x = 100 + frame % 7
        image[80:200, x : x + 40] = np.random.default_rng(frame).integers(180, 230, (120, 40, 3))
        mask = background.update(image)
    assert (mask[80:200, 110:135] == 255).mean() > 0.9
    elsewhere = np.ones(SHAPE, bool)
    elsewhere[75:205, 95:150] = False
    assert (mask[elsewhere] == 255).mean() < 0.02


def test_where_somebody_stood_at_the_start_is_background_soon():
    """And what was learnt is the floor that was behind them, so that the next one who comes there stands out."""
    background = Background()
    for frame in range(WARM_UP + 2):
        image = picture(frame)
        image[80:200, 100:140] = (20, 30, 200)
        background.update(image)
    masks = [background.update(picture(frame)) for frame in range(2 * STILL)]
    assert (masks[0][80:200, 100:140] == 255).mean() > 0.9, "a ghost"
    assert (masks[-1] == 255).mean() < 0.001
    image = picture(0)
    image[80:200, 100:140] = (200, 60, 20)
    assert (background.update(image)[80:200, 100:140] == 255).mean() > 0.9


def test_what_was_put_down_is_a_thing_and_who_stands_is_not():
    background = Background()
    for frame in range(WARM_UP + 2):
        background.update(picture(frame))
    for frame in range(2 * STILL + WHOLE):
        image = picture(frame)
        image[150:200, 30:60] = (200, 60, 20)
        sway = round(2 * np.sin(frame / 3))
        image[80:200, 200 + sway : 240 + sway] = np.arange(120)[:, None, None] * 2 % 256
        mask = background.update(image)
    assert (mask[150:200, 30:60] == 255).mean() < 0.01
    assert (mask[80:200, 205:235] == 255).mean() > 0.5


def test_another_resolution_is_another_background():
    background = Background()
    for frame in range(WARM_UP + 1):
        mask = background.update(picture(frame))
    assert mask.shape == SHAPE
    assert background.update(picture(0)[::2, ::2].copy()) is None


@pytest.mark.parametrize("seed", range(3))
def test_heights_are_learned_among_people_who_hide_each_other(seed):
    """A quarter of the silhouettes are of two, half as tall again; people's own heights differ by 5%."""
    rng = np.random.default_rng(seed)
    heights = Heights(240)
    for number in range(300):
        feet = rng.uniform(90, 230)
        height = (-20 + 0.6 * feet) * rng.normal(1, 0.05) * (rng.uniform(1.3, 1.6) if number % 4 == 0 else 1)
        heights.add(feet, height)
    feet = np.array([100.0, 160, 220])
    assert heights.known
    np.testing.assert_allclose(heights.at(feet), -20 + 0.6 * feet, rtol=0.05)


def test_heights_are_not_known_of_few_or_of_anything():
    heights = Heights(240)
    for _ in range(LEAST - 1):
        heights.add(200, 100)
    assert not heights.known
    rng = np.random.default_rng(0)
    heights = Heights(240)
    for feet, height in rng.uniform([100, 20], [230, 200], (200, 2)):
        heights.add(feet, height)
    assert not heights.known


def body(mask, feet, middle, height):
    """Head, trunk and legs apart, in foreground."""
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
    y, x = (rows - feet) / height + 1, np.abs(columns - middle) / height
    legs = (y > 0.5) & (y < 1) & (x < 0.04 + 0.12 * (y - 0.5)) & (x > 0.3 * (y - 0.6))
    mask |= ((y > 0) & (y < 0.15) & (x < 0.06)) | ((y >= 0.13) & (y <= 0.55) & (x < 0.14)) | legs


def level_floor():
    heights = Heights(240)
    for feet in np.linspace(80, 230, 60):
        heights.add(feet, -20 + 0.6 * feet)
    return heights


def test_people_who_overlap_are_taken_apart():
    """Two side by side, one before another who shows head and shoulders, and one apart."""
    true = [
        (200.0, 60.0, 100.0),
        (195.0, 88.0, 97.0),
        (220.0, 180.0, 112.0),
        (150.0, 195.0, 70.0),
        (170.0, 280.0, 82.0),
    ]
    foreground = np.zeros(SHAPE, bool)
    for person in true:
        body(foreground, *person)
    people, showing = find_people(foreground, ~foreground, level_floor(), 24)
    assert len(people) == len(true)
    found = body_boxes(people, foreground)
    for feet, middle, height in true:
        box = np.array([middle - 0.2 * height, feet - height, middle + 0.2 * height, feet])
        assert max(iou(box, other) for other in found) > 0.5
    hidden = min(range(len(people)), key=lambda n: people[n].feet)
    assert showing[hidden] == showing.min() < 0.7
    assert showing.max() == 1


def test_nobody_is_found_where_nothing_or_little_stands_out():
    nothing = np.zeros(SHAPE, bool)
    assert find_people(nothing, ~nothing, level_floor(), 24)[0] == []
    specks = nothing.copy()
    specks[100:103, 50:53] = specks[180:184, 200:203] = True
    people, showing = find_people(specks, ~specks, level_floor(), 24)
    assert people == []
    assert len(showing) == 0
    assert body_boxes(people, specks).shape == (0, 4)


def test_two_abreast_are_no_person_alone():
    mask = np.zeros(SHAPE, np.uint8)
    mask[50:150, 20:60] = 1  # one
    mask[50:150, 100:180] = 1  # two, or a car
    mask[200:240, 250:266] = 1  # cut by the edge
    silhouettes = Silhouettes.of(mask)
    assert silhouettes.like_a_person().tolist() == [True, True, True]
    assert silhouettes.like_a_person(ALONE).tolist() == [True, False, True]
    assert silhouettes.whole().tolist() == [True, True, False]
    assert silhouettes.of_pixel[60, 30] == 0
    assert silhouettes.of_pixel[0, 0] == -1


def test_the_motion_detector_takes_people_who_meet_apart():
    """A drawn camera with a dozen people in 30 s, of whom seven are in view on average."""
    detector = MotionDetector()
    found = wanted = false = total = 0
    for tick, (_, frames, truth) in enumerate(Site(seed=7, cameras=1, people=12, seconds=30)):
        boxes = detector(frames["camera-1"]).xyxy
        if tick < 150:  # while it learns how tall people are
            continue
        people = truth["camera-1"]
        visible = people.boxes[people.visibility > 0.5]
        total += len(boxes)
        wanted += len(visible)
        found += sum(max((iou(person, box) for box in boxes), default=0) > 0.5 for person in visible)
        false += sum(max((iou(person, box) for person in people.boxes), default=0) < 0.3 for box in boxes)
    assert wanted > 300
    assert found / wanted > 0.75
    assert false / total < 0.1
