"""Drawn people: the same for the same seed, different from one another, in the layout that training reads."""

import dataclasses
import itertools

import cv2
import numpy as np
import pytest

from sdk.errors import DataError
from sdk.folder import read_folder
from sdk.simulation.camera import CameraLook, apply_look
from sdk.simulation.crops import draw_crop
from sdk.simulation.figure import draw_person
from sdk.simulation.person import Person
from sdk.simulation.population import Population, write_people


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
        **{
            "hat_kind": "none",
            "scarf": None,
            "hood": None,
            "bag_kind": "none",
            "open_front": 0.0,
            "pattern": "plain",
            "lower_kind": "trousers",
            "upper_kind": "t-shirt",
            "upper_hem": 0.52,
            "stride": 1.0,
            **changes,
        },
    )


RED, GREEN = (20.0, 20.0, 220.0), (20.0, 220.0, 20.0)


def share(figure, colour):
    """The share of the picture in which the channel of `colour` dominates."""
    channel = int(np.argmax(colour))
    others = [c for c in range(3) if c != channel]
    figure = figure.astype(int)
    return float(((figure[..., channel] > 2 * figure[..., others].max(axis=2)) & (figure[..., 3] > 200)).mean())


def test_front_and_back_differ_as_in_reality():
    grey = {"upper": (90.0, 90.0, 90.0), "sleeves": (90.0, 90.0, 90.0), "lower": (60.0, 60.0, 60.0)}
    grey |= {"skin": (100.0, 110.0, 120.0), "shoes": (50.0, 50.0, 50.0), "hair": (20.0, 20.0, 20.0)}
    backpack = plain(**grey, bag_kind="backpack", bag=RED, bag_accent=RED)
    seen = {view: share(draw_person(backpack, view, 0.1, 256), RED) for view in (0, np.pi / 2, np.pi)}
    assert seen[np.pi] > 2 * seen[0] > 0, "straps in front, the bag behind"
    assert seen[np.pi / 2] > 0.01
    coat = plain(**grey, upper_kind="coat", upper_hem=0.7, open_front=0.6, inner=GREEN)
    assert share(draw_person(coat, 0, 0.1, 256), GREEN) > 0.01
    assert share(draw_person(coat, np.pi, 0.1, 256), GREEN) == 0
    maned = plain(**(grey | {"hair": RED}), hair_style="long", hair_length=0.3)
    assert share(draw_person(maned, np.pi, 0.1, 256), RED) > 2 * share(draw_person(maned, 0, 0.1, 256), RED) > 0


def test_every_one_of_eight_views_is_another_picture():
    person = plain(bag_kind="shoulder")
    views = [draw_person(person, k * np.pi / 4, 0.2, 128).astype(int) for k in range(8)]
    for i in range(8):
        for j in range(i):
            assert np.abs(views[i] - views[j]).mean() > 1


def test_walking_moves_the_legs_and_turning_narrows_the_body():
    person = plain()
    lower = slice(190, 250)
    passing, striding = (draw_person(person, np.pi / 2, phase, 256)[lower, :, 3] > 127 for phase in (0.5, 0.25))
    assert np.ptp(np.nonzero(striding)[1]) > 1.5 * np.ptp(np.nonzero(passing)[1])
    chest = slice(75, 90)
    front, side = (draw_person(person, view, 0.0, 256)[chest, :, 3] > 127 for view in (0.0, np.pi / 2))
    assert front.sum() > 1.2 * side.sum()


def test_a_figure_fills_its_height_and_has_soft_edges_of_its_own_colour():
    figure = draw_person(plain(upper=RED, sleeves=RED), 0.4, 0.2, 200)
    assert figure.dtype == np.uint8
    assert figure.shape == (200, 148, 4)
    alpha = figure[..., 3]
    rows = np.nonzero((alpha > 127).any(axis=1))[0]
    assert rows[0] < 20
    assert rows[-1] > 180
    assert not alpha[:, [0, -1]].any()
    edge = (alpha > 40) & (alpha < 200)
    edge[100:] = edge[:40] = False  # chest and arms alone
    assert edge.any()
    # Straight alpha: an edge is as bright as the cloth beside it, not darkened by its transparency.
    assert figure[edge][:, 2].mean() > 100


def test_the_population_has_near_twins_and_still_nobody_twice():
    people = [Person.sample(3, i) for i in range(200)]
    assert len(set(people)) == 200
    twins = [(a, b) for a, b in itertools.pairwise(people) if a.pattern_seed == b.pattern_seed]
    assert 8 <= len(twins) <= 40
    assert all(a.upper_kind == b.upper_kind and a.build != b.build for a, b in twins)


def test_cameras_differ_strongly_in_colour():
    """The same grey and the same red through twelve looks."""
    card = np.full((64, 32, 3), 128, np.float32)
    card[32:] = (40, 40, 180)
    seen = [apply_look(card, CameraLook.sample(0, camera), np.random.default_rng(0)) for camera in range(12)]
    grey = np.array([image[8:24].mean(axis=(0, 1)) for image in seen])
    red = np.array([image[40:56].mean(axis=(0, 1)) for image in seen])
    casts = grey[:, 0] / grey[:, 2]
    assert casts.max() / casts.min() > 1.4
    saturation = red[:, 2] / red[:, :2].mean(axis=1)
    assert saturation.max() / saturation.min() > 2
    assert all(image.shape == (64, 32, 3) and image.dtype == np.uint8 for image in seen)


def test_people_are_written_in_the_folder_layout(tmp_path):
    write_people(tmp_path / "new", Population(3, cameras=2, views=4, seed=1, size=(64, 32)))
    samples = read_folder(tmp_path / "new")
    assert len(samples) == 24
    assert {s.identity for s in samples} == {"00000", "00001", "00002"}
    assert {s.camera for s in samples} == {"00", "01"}
    image = cv2.imread(str(samples[5].path))
    np.testing.assert_array_equal(image, draw_crop(1, 0, 1, 1, (64, 32)))


def test_of_many_cameras_everybody_is_seen_by_some(tmp_path):
    write_people(tmp_path / "new", Population(6, cameras=2, site_cameras=10, views=1, seed=1, size=(64, 32)))
    cameras = {}
    for sample in read_folder(tmp_path / "new"):
        cameras.setdefault(sample.identity, set()).add(sample.camera)
    assert all(len(seen) == 2 for seen in cameras.values())
    assert len(set.union(*cameras.values())) > 4


def test_what_is_there_is_not_overwritten(tmp_path):
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(DataError, match="something else"):
        write_people(tmp_path, Population(1))
    assert [p.name for p in tmp_path.iterdir()] == ["kept.txt"]


def test_an_interrupted_folder_is_completed_by_the_same_population_only(tmp_path):
    population = Population(2, cameras=1, views=2, size=(64, 32))
    write_people(tmp_path / "new", population)
    first, second = tmp_path / "new/00000/00_00.png", tmp_path / "new/00001/00_01.png"
    whole = second.read_bytes()
    second.unlink()
    first.write_bytes(b"not drawn again")
    write_people(tmp_path / "new", population)
    assert second.read_bytes() == whole
    assert first.read_bytes() == b"not drawn again"
    with pytest.raises(DataError, match="something else"):
        write_people(tmp_path / "new", Population(2, cameras=1, views=2, size=(64, 32), seed=1))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"identities": 0}, "identities 0"),
        ({"identities": 1, "cameras": 2, "site_cameras": 1}, "2 of 1 cameras"),
        ({"identities": 1, "misalignment": 1.5}, "1.5"),
        ({"identities": 1, "size": (4, 2)}, "4×2"),
    ],
)
def test_an_impossible_population_is_refused(settings, named):
    with pytest.raises(DataError, match=named):
        Population(**settings)


def test_the_dial_goes_from_a_perfect_box_to_a_severe_one():
    """Aligned crops of one person in one camera resemble each other; the more the dial is turned, the less."""

    def spread(misalignment):
        crops = [draw_crop(3, i, 0, v, misalignment=misalignment).astype(float) for i in range(8) for v in (0, 8, 16)]
        stacks = np.array(crops).reshape(8, 3, 128, 64, 3)
        return (stacks - stacks.mean(axis=1, keepdims=True)).std()

    none, usual, severe = spread(0.0), spread(0.25), spread(1.0)
    assert none < usual < severe
    assert severe > 1.15 * none
    np.testing.assert_array_equal(draw_crop(3, 1, 0, 2), draw_crop(3, 1, 0, 2, misalignment=0.25))


@pytest.mark.parametrize("name", ["x" * 300, "x" * 5000, "\0"])
def test_a_folder_whose_name_cannot_be_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="cannot be written"):
        write_people(tmp_path / name, Population(1))
