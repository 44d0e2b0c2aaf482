"""What the tracker remembers of a person."""

import numpy as np

from sdk.tracking.people import PAST, Person
from sdk.tracking.tracklet import GROUP, Tracklet


def unit(*values):
    return np.float32(values) / np.linalg.norm(values)


def tracklet(number, embedding, quality=0.9, crops=GROUP):
    made = Tracklet("dock", number, 0, 10)
    for tick in range(crops):
        made.add(quality, embedding, tick)
    return made


def person(*tracklets):
    return Person("ann", 0, members={(t.camera, t.track): t for t in tracklets})


def test_the_picture_is_the_mean_of_the_tracklets_and_stays_when_they_are_forgotten():
    east, north = tracklet(1, unit(1, 0)), tracklet(2, unit(0, 1))
    ann = person(east, north)
    np.testing.assert_allclose(ann.picture(), unit(1, 1), rtol=1e-6)
    np.testing.assert_allclose(ann.picture(without=east), [0, 1])
    ann.retire(east)
    np.testing.assert_allclose(ann.picture(), unit(1, 1), rtol=1e-6)
    assert {camera: [(span.first, span.last) for span in spans] for camera, spans in ann.seen().items()} == {
        "dock": [(0, 10), (0, 10)]
    }
    assert ann.passes == {"dock": 1}
    assert person().picture() is None


def test_what_was_somebody_elses_counts_when_they_are_one():
    ann, bob = person(tracklet(1, unit(1, 0))), Person("bob", 0)
    other = tracklet(2, unit(0, 1))
    bob.members["dock", 2] = other
    bob.retire(other)
    ann.absorb(bob)
    np.testing.assert_allclose(ann.picture(), unit(1, 1), rtol=1e-6)
    assert ann.passes == {"dock": 1}


def test_the_past_is_bounded():
    ann = person()
    for number in range(PAST + 3):
        ann.members["dock", number] = tracklet(number, unit(1, number))
        ann.retire(ann.members["dock", number])
    assert len(ann.past) == PAST
    assert ann.past[0].features[1] > 0, "the oldest are forgotten"
    assert ann.passes["dock"] == PAST + 3
