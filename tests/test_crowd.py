"""Everybody side by side: worked out once, and anew where anything has changed; who it cannot be, for all at once."""

import numpy as np
import pytest

from sdk.tracking.apart import Apart
from sdk.tracking.crowd import Crowd, witnesses
from sdk.tracking.people import Person
from sdk.tracking.site import SiteModel
from sdk.tracking.tracklet import Tracklet
from sdk.tracking.travel import TravelTimes

DIM = 16


def crowd(rng, count=12):
    """People of a few tracklets each, of now and of the past."""
    people = []
    for number in range(count):
        person = Person(f"person-{number}", 0.0)
        for turn in range(int(rng.integers(1, 4))):
            camera, first = f"c{rng.integers(3)}", float(rng.uniform(0, 30))
            tracklet = Tracklet(camera, 10 * number + turn, first, first + float(rng.uniform(0, 8)), person.name)
            for _ in range(3):
                see(rng, tracklet)
            person.members[camera, tracklet.track] = tracklet
            if turn == 2:
                person.retire(tracklet)
        people.append(person)
    return people


def see(rng, tracklet):
    look = rng.normal(size=DIM).astype(np.float32)
    tracklet.add(1.0, look / np.linalg.norm(look), tracklet.last)


def as_if_new(people, site):
    rows = [row for p in people for row in (*p.past, *p.members.values())]
    return site.prepare(witnesses(rows))


def test_what_was_worked_out_before_is_what_would_be_now():
    rng = np.random.default_rng(0)
    people, site = crowd(rng), SiteModel()
    for turn in range(12):
        found = Crowd.of(people, site)
        for part, expected in zip(found.pairing, as_if_new(people, site), strict=True):
            assert np.array_equal(part, expected), turn
        assert found.names == [person.name for person in people]
        some = people[turn % len(people)]
        member = next(iter(some.members.values()), None)
        if turn % 4 == 0 and member:
            see(rng, member)
        elif turn % 4 == 1:
            site.settled("c1", rng.normal(size=DIM), 0)
        elif turn % 4 == 2 and member:
            some.retire(member)
        else:
            open_ = [(t.camera, t.embedding, p.name) for p in people for t in p.members.values()]
            site.observe(open_, {p.name: p.passes for p in people})
            member = next(iter(people[-1].members.values()))
            member.last += 1.0


def test_what_a_site_has_forgotten_counts_no_longer():
    rng = np.random.default_rng(1)
    people, site = crowd(rng), SiteModel()
    for _ in range(20):
        site.settled("c1", rng.normal(size=DIM), 0)
    before = Crowd.of(people, site).pairing.features
    site.forget(50)
    after = Crowd.of(people, site).pairing.features
    assert np.array_equal(after, as_if_new(people, site).features)
    assert not np.array_equal(after, before)


@pytest.mark.parametrize("travel", [None, TravelTimes({("c0", "c1"): 6.0})])
@pytest.mark.parametrize("tolerance", [0.0, 2.0])
def test_who_it_cannot_be_is_the_same_for_all_at_once_as_one_by_one(travel, tolerance):
    rng, apart = np.random.default_rng(2), Apart(tolerance, travel)
    people = crowd(rng, 30)
    asking = [t for person in people for t in person.members.values()]
    asking += [Tracklet(f"c{rng.integers(3)}", 1000 + n, first, first + 3) for n, first in enumerate(range(30))]
    expected = [[p.name for p in people if apart.tracklet_and_person(t, p)] for t in asking]
    assert apart.barred(asking, people) == expected
    assert 20 < sum(map(len, expected)) < 0.9 * len(asking) * len(people)


def test_a_tracklet_knows_its_mean_until_there_is_another_crop():
    rng, tracklet = np.random.default_rng(3), Tracklet("c", 1, 0.0, 0.0)
    for _ in range(4):
        see(rng, tracklet)
        mean = tracklet.embedding
        assert mean is tracklet.embedding
        np.testing.assert_allclose(mean, tracklet.total / np.linalg.norm(tracklet.total), rtol=1e-6)
    other = tracklet.split(2)
    assert not np.allclose(tracklet.embedding, mean)
    assert other.embedding.shape == (DIM,)
