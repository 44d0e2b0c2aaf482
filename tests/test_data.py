"""The folder layout, the split by identity, P×K batches, augmentation."""

import cv2
import numpy as np
import pytest

from sdk.errors import DataError
from sdk.simulation.crops import draw_crop
from sdk.simulation.population import Population
from training.config import ModelConfig, RunConfig, TrainConfig
from training.data import PeopleDataset, SimulatedPeople
from training.data.augment import Chances, augment, degraded, grey_patch, random_erasing
from training.data.loader import training_loader
from training.data.sampler import PKSampler


def write_image(path, value=128):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((32, 16, 3), value, np.uint8))


def test_folder_reads_identity_and_camera_from_the_path(tmp_path):
    write_image(tmp_path / "ann" / "dock_1.png")
    write_image(tmp_path / "ann" / "lobby_x_2.jpg")
    write_image(tmp_path / "bob" / "dock_1.PNG")
    write_image(tmp_path / "bob" / "hall_1.bmp", 60)
    write_image(tmp_path / "bob" / "hall_2.webp", 60)
    (tmp_path / "bob" / "hall_2.webp").rename(tmp_path / "bob" / "hall_2.WEBP")
    (tmp_path / "bob" / "notes.txt").write_text("not an image")
    (tmp_path / "bob" / "._hall_2.webp").write_text("of another system")
    people = PeopleDataset.from_folder(tmp_path)
    assert people.identities == ("ann", "bob")
    assert people.labels.tolist() == [0, 0, 1, 1, 1]
    assert people.cameras.tolist() == ["dock", "lobby", "dock", "hall", "hall"]
    assert people.read(0).shape == (32, 16, 3)
    for row in (3, 4):
        assert people.read(row).mean() == pytest.approx(60, abs=2)


@pytest.mark.parametrize("what", ["missing", "empty", "no camera", "broken"])
def test_a_bad_folder_is_named(tmp_path, what):
    root = tmp_path / "people"
    if what != "missing":
        root.mkdir()
    if what == "no camera":
        write_image(root / "ann" / "picture.png")
    if what == "broken":
        (root / "ann").mkdir()
        (root / "ann" / "dock_1.png").write_bytes(b"not a png")
    with pytest.raises(DataError, match="people"):
        PeopleDataset.from_folder(root).read(0)


def test_hold_out_splits_by_identity_and_by_seed(drawn_people):
    people = PeopleDataset.from_folder(drawn_people)
    training, test = people.hold_out(4, seed=0)
    assert len(test.identities) == 4
    assert set(training.identities).isdisjoint(test.identities)
    assert len(training) + len(test) == len(people)
    assert people.hold_out(4, seed=0)[1].identities == test.identities
    assert {people.hold_out(4, seed=s)[1].identities for s in range(5)} != {test.identities}
    with pytest.raises(DataError, match="at least 2"):
        people.hold_out(11, seed=0)


def test_a_batch_has_p_identities_with_k_images_over_their_cameras():
    labels = np.repeat(np.arange(10), 8)
    cameras = np.tile(np.repeat(["a", "b"], 4), 10)
    sampler = PKSampler(labels, cameras, identities_per_batch=4, images_per_identity=4, seed=0)
    batches = list(sampler)
    assert len(batches) == len(sampler) == 5
    for batch in batches:
        assert len(set(batch)) == 16
        identities, counts = np.unique(labels[batch], return_counts=True)
        assert len(identities) == 4
        assert set(counts) == {4}
        for identity in identities:
            assert sorted(cameras[i] for i in batch if labels[i] == identity) == ["a", "a", "b", "b"]
    assert set(labels[np.concatenate(batches)]) == set(range(10))
    assert list(sampler) == batches, "an epoch can be repeated"
    sampler.epoch = 1
    assert list(sampler) != batches


def test_few_images_are_repeated_and_few_identities_shrink_the_batch():
    sampler = PKSampler(np.array([0, 0, 1]), np.array(["a", "b", "a"]), 16, 4, seed=0)
    (batch,) = list(sampler)
    assert sorted(batch) == [0, 0, 1, 1, 2, 2, 2, 2]


def test_augmentation_changes_the_picture_and_depends_on_the_generator_alone():
    crop = np.random.default_rng(0).integers(0, 256, (64, 32, 3), np.uint8)
    original = crop.copy()
    first, again, other = (augment(crop, (128, 64), np.random.default_rng(s)) for s in (1, 1, 2))
    assert first.shape == (128, 64, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 1
    np.testing.assert_array_equal(crop, original)


def test_erasing_covers_a_rectangle_as_often_as_asked():
    crop = np.full((128, 64, 3), 7, np.uint8)
    rectangles = [(random_erasing(crop, np.random.default_rng(s)) != 7).any(axis=2).mean() for s in range(200)]
    assert 0.01 < min(rectangles) < max(rectangles) < 0.45
    generators = [np.random.default_rng(s) for s in range(200)]
    erased = [
        len(np.unique(augment(crop, (128, 64), rng, Chances(erasing=0.5)).reshape(-1, 3), axis=0)) > 9
        for rng in generators
    ]
    assert 0.35 < np.mean(erased) < 0.65


def test_erasing_with_the_mean_makes_one_flat_rectangle_of_that_colour():
    crop = np.random.default_rng(0).integers(0, 256, (64, 32, 3), np.uint8)
    erased = random_erasing(crop, np.random.default_rng(1), "mean")
    changed = (erased != crop).any(axis=2)
    assert 0.02 < changed.mean() < 0.4
    assert (erased[changed] == crop.mean((0, 1)).astype(np.uint8)).all()


def test_a_grey_patch_keeps_brightness_and_takes_colour_from_a_part_or_now_and_then_all():
    crop = np.full((64, 32, 3), (40, 90, 200), np.uint8)
    brightness = cv2.cvtColor(crop[:1, :1], cv2.COLOR_BGR2GRAY)[0, 0]
    shares = []
    for seed in range(60):
        patched = grey_patch(crop, np.random.default_rng(seed))
        changed = (patched != crop).any(axis=2)
        assert (patched[changed] == brightness).all()
        shares.append(changed.mean())
    assert 0 < np.mean(np.array(shares) == 1) < 0.4
    assert min(shares) < 0.1


def test_a_degraded_crop_has_lost_its_fine_detail_and_kept_its_colours():
    crop = np.random.default_rng(0).integers(0, 256, (128, 64, 3), np.uint8)
    crop[:64] //= 2
    for seed in range(20):
        far = degraded(crop, np.random.default_rng(seed))
        assert (far.shape, far.dtype) == (crop.shape, np.uint8)
        assert np.abs(np.diff(far.astype(int), axis=1)).mean() < 0.5 * np.abs(np.diff(crop.astype(int), axis=1)).mean()
        np.testing.assert_allclose(far[8:56].mean((0, 1)), crop[8:56].mean((0, 1)), atol=6)


def test_new_cameras_see_the_same_people_in_every_epoch():
    population = Population(3, cameras=2, site_cameras=4, views=1, seed=3, size=(64, 32))
    people = SimulatedPeople.of(population, new_cameras=True)
    number, camera, view = list(population)[1]
    np.testing.assert_array_equal(people.read(1, epoch=2), population.draw(number, camera + 8, view + 2))
    np.testing.assert_array_equal(people.read(1), SimulatedPeople.of(population).read(1))
    assert "new cameras" in people.source


def test_simulated_people_are_drawn_when_they_are_read():
    population = Population(5, cameras=2, site_cameras=6, views=2, seed=3, size=(64, 32))
    people = SimulatedPeople.of(population)
    assert len(people) == 20
    assert people.identities == ("00000", "00001", "00002", "00003", "00004")
    assert len(set(people.cameras)) > 2
    camera = population.cameras_of(1)[0]
    np.testing.assert_array_equal(people.read(5), draw_crop(3, 1, camera, 1, (64, 32)))
    np.testing.assert_array_equal(people.read(5, epoch=2), draw_crop(3, 1, camera, 5, (64, 32)))
    training, test = people.hold_out(2, seed=0)
    assert len(training) == 12
    np.testing.assert_array_equal(test.read(0), people.read(2 * 2 * int(test.identities[0])))


@pytest.mark.parametrize("kind", ["folder", "simulated"])
def test_batches_do_not_depend_on_the_number_of_workers(kind, drawn_people):
    if kind == "folder":
        people = PeopleDataset.from_folder(drawn_people)
    else:
        people = SimulatedPeople.of(Population(8, size=(64, 32)))
    config = RunConfig(ModelConfig(input_size=(64, 32)), TrainConfig(identities_per_batch=4, images_per_identity=2))
    (alone, first), (helped, second) = (training_loader(people, config, workers) for workers in (0, 2))
    first.epoch = second.epoch = 3
    for (a, labels_a), (b, labels_b) in zip(alone, helped, strict=True):
        assert a.equal(b)
        assert labels_a.equal(labels_b)


def test_settings_that_triplets_cannot_use_are_refused():
    with pytest.raises(ValueError, match="2 images"):
        TrainConfig(images_per_identity=1)
    with pytest.raises(ValueError, match="epochs"):
        TrainConfig(epochs=0)


def test_the_same_people_can_be_drawn_in_worse_boxes():
    people = SimulatedPeople.of(Population(4, cameras=2, site_cameras=2, seed=3, size=(64, 32), misalignment=0.0))
    training, held_out = people.hold_out(2, seed=0)
    worse = held_out.misaligned(1.0)
    assert worse.identities == held_out.identities != training.identities
    np.testing.assert_array_equal(worse.cameras, held_out.cameras)
    differences = [np.abs(worse.read(i).astype(int) - held_out.read(i)).mean() for i in range(len(worse))]
    assert np.mean(differences) > 10
