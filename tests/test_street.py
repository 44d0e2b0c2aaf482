"""The street in drawn crops: what it adds, and that nothing else changes."""

import numpy as np
import pytest

from sdk.errors import DataError
from sdk.simulation.crops import draw_crop
from sdk.simulation.person import Person
from sdk.simulation.population import Population
from sdk.simulation.street import cast_light, put_things_behind, street_look, street_person


def test_without_the_street_crops_are_drawn_as_ever():
    """What sites, demos and the model that ships were made with: figures of the drawing before it had streets."""
    means = [draw_crop(7, identity, identity % 3, identity).mean() for identity in range(6)]
    assert means == pytest.approx([83.85, 39.13, 133.1, 86.62, 84.65, 113.59], abs=0.3)


def test_a_street_crop_depends_on_its_arguments_alone():
    first = draw_crop(1, 5, 2, 3, street=1.0)
    draw_crop(1, 6, 0, 0, street=1.0)
    np.testing.assert_array_equal(draw_crop(1, 5, 2, 3, street=1.0), first)
    assert np.abs(first.astype(int) - draw_crop(1, 5, 2, 3)).mean() > 5
    population = Population(8, 2, 4, 1, seed=1, street=1.0)
    np.testing.assert_array_equal(population.draw(5, 2, 3), first)
    with pytest.raises(DataError, match="street is 2"):
        Population(8, street=2)


def test_the_share_of_street_crops_is_as_asked():
    """The people stay the same in all of them: an identity is drawn the same way in both kinds."""
    plain, street = ([draw_crop(2, 1, 0, view, street=share) for view in range(24)] for share in (0.5, 1.0))
    same = np.mean([np.array_equal(a, b) for a, b in zip(plain, street, strict=True)])
    assert 0.2 < same < 0.8


def test_most_wear_summer_clothes_and_the_others_what_they_wore():
    people = [(street_person(3, number), Person.sample(3, number)) for number in range(120)]
    changed = [one for one, other in people if one != other]
    assert 0.45 < len(changed) / len(people) < 0.75
    assert all(one.upper_kind in ("t-shirt", "shirt") and one.hood is None for one in changed)
    assert 0.2 < np.mean([one.lower_kind == "shorts" for one in changed]) < 0.7
    assert all(one.skin == other.skin and one.build == other.build for one, other in people)
    assert len({(one.upper, one.lower) for one in changed}) == len(changed)


def test_cameras_of_the_street_see_mostly_pavements_in_milder_colours():
    looks = [street_look(4, camera) for camera in range(120)]
    assert np.mean([look.ground_kind in ("asphalt", "tiles", "wall") for look in looks]) > 0.65
    assert np.std([look.contrast for look in looks]) < 0.25


def test_clutter_and_light_change_a_plain_picture_by_structure():
    edges, lit = [], []
    for seed in range(20):
        image = np.full((128, 64, 3), 120, np.float32)
        put_things_behind(image, np.random.default_rng(seed))
        edges.append(np.abs(np.diff(image, axis=1)).max())
        image[:] = 120
        cast_light(image, np.random.default_rng(seed))
        assert image.min() >= 0
        lit.append(np.ptp(image))
    assert np.mean(np.array(edges) > 10) > 0.6
    assert 0.3 < np.mean(np.array(lit) > 20) < 0.95
