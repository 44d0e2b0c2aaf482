"""What the tracker remembers of a person."""

import numpy as np

from sdk.tracking.people import VIEWS, Person
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
    np.testing.assert_allclose(ann.look()[0], unit(1, 1), rtol=1e-6)
    np.testing.assert_allclose(ann.look(without=east)[0], [0, 1])
    ann.retire(east)
    np.testing.assert_allclose(ann.look()[0], unit(1, 1), rtol=1e-6)
    assert {camera: [(span.first, span.last) for span in spans] for camera, spans in ann.seen().items()} == {
        "dock": [(0, 10), (0, 10)]
    }
    assert person().look() is None


def test_the_picture_is_drawn_anew_whatever_changes():
    """Also where numbers stay the same: another tracklet, a split, somebody absorbed while the views are full."""
    east, north = tracklet(1, unit(1, 0)), tracklet(2, unit(0, 1))
    ann = person(east)
    ann.look()
    del ann.members["dock", 1]
    ann.members["dock", 2] = north
    np.testing.assert_allclose(ann.look()[0], [0, 1])
    other = north.split(3)
    for tick in range(other.count):
        north.add(0.8, unit(1, 0), 20 + tick)
    assert ann.look()[0][0] > 0.3
    ann.views.extend([unit(0, 1)] * VIEWS)
    before = ann.look()[0]
    bob = Person("bob", 0, past=100 * unit(1, 0))
    bob.views.append(unit(1, 0))
    ann.absorb(bob)
    assert ann.look()[0][0] > before[0] + 0.1
    assert len(ann.look()[1]) == VIEWS + len(north.views)
