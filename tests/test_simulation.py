"""Drawn people: the same for the same seed, different from one another, in the layout that training reads."""

import dataclasses
import itertools

import cv2
import numpy as np
import pytest

from sdk.errors import DataError
from sdk.folder import read_folder
from sdk.simulation.camera import CameraLook
from sdk.simulation.crops import draw_crop, write_people
from sdk.simulation.figure import draw_person
from sdk.simulation.person import Person
from sdk.simulation.scene import EMPTY_SECONDS, Scene


def test_a_crop_depends_on_its_arguments_alone():
    first = draw_crop(1, 5, 2, 3)
    draw_crop(1, 6, 0, 0)
    np.testing.assert_array_equal(draw_crop(1, 5, 2, 3), first)
    assert first.shape == (128, 64, 3)
    assert first.dtype == np.uint8
    assert draw_crop(1, 5, 2, 3, size=(256, 128)).shape == (256, 128, 3)
    for other in [(2, 5, 2, 3), (1, 6, 2, 3), (1, 5, 3, 3), (1, 5, 2, 4)]:
        assert np.abs(draw_crop(*other).astype(int) - first).mean() > 5


def plain(**changes):
    return dataclasses.replace(
        Person.sample(0, 0),
        **{"hat": None, "scarf": None, "bag_kind": "none", "open_front": False, "pattern": "plain", **changes},
    )


def colour_share(figure, colour):
    return float((np.abs(figure[..., :3].astype(int) - np.array(colour)).max(axis=2) < 8).mean())


def test_front_and_back_differ_as_in_reality():
    red, green = (0.0, 0.0, 255.0), (0.0, 255.0, 0.0)
    backpack = plain(bag_kind="backpack", bag=red)
    seen = {view: colour_share(draw_person(backpack, view, 0.1, 256), red) for view in (0, np.pi / 2, np.pi)}
    assert seen[np.pi] > 2 * seen[0] > 0, "straps in front, the bag behind"
    coat = plain(upper_kind="coat", open_front=True, inner=green)
    assert colour_share(draw_person(coat, 0, 0.1, 256), green) > 0.01
    assert colour_share(draw_person(coat, np.pi, 0.1, 256), green) == 0


def test_walking_moves_the_legs_and_turning_narrows_the_body():
    person = plain()
    lower = slice(150, 256)
    standing, striding = (draw_person(person, np.pi / 2, phase, 256)[lower, :, 3] > 127 for phase in (0.0, 0.25))
    assert np.ptp(np.nonzero(striding)[1]) > 1.5 * np.ptp(np.nonzero(standing)[1])
    chest = slice(60, 70)
    front, side = (draw_person(person, view, 0.0, 256)[chest, :, 3] > 127 for view in (0.0, np.pi / 2))
    assert front.sum() > 1.2 * side.sum()


def test_edges_are_soft_and_colours_are_multiplied_by_alpha():
    figure = draw_person(plain(), 0.4, 0.2, 128)
    alpha = figure[..., 3]
    assert ((alpha > 0) & (alpha < 255)).any()
    assert (figure[..., :3].max(axis=2) <= alpha.astype(int) + 1).all()


def test_the_population_has_near_twins_and_still_nobody_twice():
    people = [Person.sample(3, i) for i in range(200)]
    assert len(set(people)) == 200
    twins = [
        (a, b) for a, b in itertools.pairwise(people) if (a.inner, a.pattern_colour) == (b.inner, b.pattern_colour)
    ]
    assert 8 <= len(twins) <= 40
    assert all(a.upper_kind == b.upper_kind and a.build != b.build for a, b in twins)


def test_cameras_differ_strongly_in_colour():
    """The same people through two looks: their colours move by more than a little, as between real cameras."""
    casts = []
    for camera in range(12):
        look = CameraLook.sample(0, camera)
        blue, _, red = look.gains
        casts.append(blue / red)
    assert max(casts) / min(casts) > 1.2


def test_people_are_written_in_the_folder_layout(tmp_path):
    write_people(tmp_path / "new", identities=3, cameras=2, views=4, seed=1, size=(64, 32))
    samples = read_folder(tmp_path / "new")
    assert len(samples) == 24
    assert {s.identity for s in samples} == {"00000", "00001", "00002"}
    assert {s.camera for s in samples} == {"00", "01"}
    image = cv2.imread(str(samples[5].path))
    np.testing.assert_array_equal(image, draw_crop(1, 0, 1, 1, (64, 32)))


def test_of_many_cameras_everybody_is_seen_by_some(tmp_path):
    write_people(tmp_path / "new", identities=6, cameras=2, views=1, seed=1, size=(64, 32), site_cameras=10)
    cameras = {}
    for sample in read_folder(tmp_path / "new"):
        cameras.setdefault(sample.identity, set()).add(sample.camera)
    assert all(len(seen) == 2 for seen in cameras.values())
    assert len(set.union(*cameras.values())) > 4


def test_what_is_there_is_not_overwritten(tmp_path):
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty"):
        write_people(tmp_path, 1, 1, 1, 0)
    with pytest.raises(DataError, match="at least 1"):
        write_people(tmp_path / "new", 0, 1, 1, 0)
    with pytest.raises(DataError, match="2 of 1 cameras"):
        write_people(tmp_path / "new", 1, 2, 1, 0, site_cameras=1)
    assert [p.name for p in tmp_path.iterdir()] == ["kept.txt"]


@pytest.fixture(scope="module")
def scene():
    scene = Scene(seed=0, people=3, visits=2, size=(240, 320))
    return scene, list(scene)


def test_a_scene_begins_empty_and_everybody_visits_both_cameras(scene):
    scene, ticks = scene
    assert len(ticks) == scene.ticks
    visits = {}
    for time, frames, truth in ticks:
        for camera, frame in frames.items():
            assert frame.shape == (240, 320, 3)
            if time < EMPTY_SECONDS:
                assert truth[camera].identities == []
            for name in truth[camera].identities:
                visits.setdefault(name, set()).add(camera)
    assert visits == {f"true-{i}": {"camera-1", "camera-2"} for i in (1, 2, 3)}


def test_true_boxes_lie_on_what_was_drawn(scene):
    """Inside a box the picture differs from the empty scene; away from boxes it does not."""
    _, ticks = scene
    empty = ticks[3][1]
    checked = 0
    for _, frames, truth in ticks[:: len(ticks) // 25]:
        for camera, frame in frames.items():
            boxes = truth[camera].boxes
            assert ((boxes[:, :2] >= 0) & (boxes[:, 2:] <= (320, 240))).all()
            change = cv2.blur(np.abs(frame.astype(float) - empty[camera]).mean(axis=2), (5, 5)) > 15
            outside = change.copy()
            for x0, y0, x1, y1 in boxes.astype(int):
                if x1 - x0 > 15:
                    assert change[y0:y1, x0:x1].mean() > 0.15
                    checked += 1
                outside[max(0, y0 - 5) : y1 + 12, max(0, x0 - 22) : x1 + 22] = False  # shadows reach beyond
            assert outside.mean() < 0.005
    assert checked > 10


def test_who_stands_behind_somebody_is_less_visible(scene):
    visibility = [v for _, _, truth in scene[1] for t in truth.values() for v in t.visibility]
    assert all(0 <= v <= 1 for v in visibility)
    assert max(visibility) == 1


def test_a_scene_repeats(scene):
    scene, ticks = scene
    for (_, again, _), (_, frames, _) in zip(scene, ticks[:30], strict=False):
        for camera in frames:
            np.testing.assert_array_equal(again[camera], frames[camera])
