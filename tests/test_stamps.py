"""Time stamps of files, which may be anything, as a clock that only goes forward; recordings at their own speed."""

import itertools
import time

import numpy as np
import pytest

from sdk.video.pace import LONGEST, Pace, paced
from sdk.video.sources.stamps import forward

NAN = float("nan")


def times(stamps, rate=10.0):
    """The time of each stamp, and what was said."""
    placed = list(forward([(stamp, object()) for stamp in stamps], rate))
    return [p.time for p in placed], [p.said for p in placed if p.said]


@pytest.mark.parametrize(
    ("stamps", "expected", "said"),
    [
        ([5.0, 5.1, 5.3, 5.4], [0, 0.1, 0.3, 0.4], ""),
        ([0.0, 0.5, 30.5, 30.6], [0, 0.5, 30.5, 30.6], ""),
        ([0.0, 0.1, 36000.1, 36000.2], [0, 0.1, 36000.1, 36000.2], "nothing was recorded for 36000 s after 0.1 s"),
        ([0.0, 0.1, 37600.0, 0.3, 0.4], [0, 0.1, 0.2, 0.3, 0.4], "after 0.1 s comes a time stamp that is +37599.9 s"),
        ([0.0, 1.0, 0.5, 2.0], [0, 0.1, 0.5, 2.0], "after 0.0 s comes a time stamp that is +1.0 s off"),
        ([3.0, 3.1, -40.0, 3.3], [0, 0.1, 0.2, 0.3], "after 0.1 s comes a time stamp that is -43.1 s off"),
        ([7.0, 7.1, 7.2, 0.0, 0.1, 0.3], [0, 0.1, 0.2, 0.3, 0.4, 0.6], "time stamps go back by 7.2 s after 0.2 s"),
        ([0.0, 9000.0, 9000.1, 9000.2], [0, 0.1, 0.2, 0.3], "the first frame is stamped 9000 s before the second"),
        ([0.0, 600.0, 1200.0, 1800.0], [0, 600, 1200, 1800], "nothing was recorded for 600 s after 0.0 s"),
        ([0.0] * 4, [0, 0.1, 0.2, 0.3], "frames have no time stamps of their own; 10 a second are counted"),
        ([None] * 3, [0, 0.1, 0.2], "frames have no time stamps of their own; 10 a second are counted"),
        ([4.0, NAN, 4.2, float("inf")], [0, 0.1, 0.2, 0.3], "from 0.0 s on frames have no time stamps"),
        ([None, None, 50.0, 50.1], [0, 0.1, 0.2, 0.3], "from 0.0 s on frames have no time stamps"),
        ([0, 0, 0, 1, 1], [0, 0.1, 0.2, 1.0, 1.1], "from 0.0 s on frames have no time stamps"),
        ([], [], ""),
        ([9.0], [0], ""),
    ],
    ids=[
        "begins late, uneven", "pauses", "jumps", "one far ahead", "two exchanged", "one far behind", "goes back",
        "the first alone", "a time lapse", "always nought", "none", "no numbers", "none at first", "whole seconds",
        "no frame", "one frame",
    ],
)  # fmt: skip
def test_stamps_become_a_clock_and_what_was_wrong_is_said(stamps, expected, said):
    found, told = times(stamps)
    assert found == pytest.approx(expected)
    assert len(told) == bool(said)
    assert said in "".join(told)


def test_each_kind_is_said_once_and_the_clock_goes_on():
    rounds = [0.0, 0.1, 0.2, 100.2, 100.3] * 5
    found, told = times(rounds)
    assert [text.split()[0] for text in told] == ["nothing", "time"]
    assert found == pytest.approx([100.4 * n + t for n in range(5) for t in (0, 0.1, 0.2, 100.2, 100.3)])


def test_whatever_the_stamps_the_clock_goes_forward():
    rng = np.random.default_rng(0)
    strange = [None, NAN, float("-inf"), 1e300, -5.0, 0.0, 3e9]
    for _ in range(100):
        regular = np.arange(40) / 10 + rng.choice([0.0, 1e4, -3.0])
        stamps = [strange[rng.integers(len(strange))] if rng.random() < 0.2 else float(s) for s in regular]
        stamps[rng.integers(40) :] = [s if s is None else s - 20.0 for s in stamps[rng.integers(40) :]]
        found, _ = times(stamps)
        assert len(found) == len(stamps)
        assert all(one < other < float("inf") for one, other in itertools.pairwise(found))


@pytest.mark.parametrize(
    ("stamps", "expected", "said"),
    [
        ([0.0, None, None, 0.05, 0.06], [0, 0, 0, 0.05, 0.06], 0),  # the rate would say more than there was
        ([None, None, None, 7.0, 7.1], [0, 0.1, 0.2, 0.3, 0.4], 0),
        ([0.0, 0.0, None, 0.0, 0.0], [0, 0.1, 0.2, 0.3, 0.4], 1),
    ],
    ids=["stamped", "none at first", "always nought"],
)
def test_the_time_of_frames_that_cannot_be_read_passes(stamps, expected, said):
    first = next(number for number, stamp in enumerate(stamps) if stamp is not None)
    items = [None if number < first or stamps[number] is None else "frame" for number in range(len(stamps))]
    placed = list(forward(zip(stamps, items, strict=True), 10.0))
    assert [p.time for p in placed] == pytest.approx(expected)
    assert [p.item for p in placed] == items
    assert sum(bool(p.said) for p in placed) == said


def test_what_a_decoder_raises_comes_after_the_frames_before_it():
    def decoder():
        yield 0.0, "a"
        yield 0.1, "b"
        raise RuntimeError("broken")

    placed = forward(decoder(), 10.0)
    assert [next(placed).item, next(placed).item] == ["a", "b"]
    with pytest.raises(RuntimeError, match="broken"):
        next(placed)


def test_a_long_gap_is_shown_as_a_short_one():
    pace = Pace()
    shown = [pace(moment) for moment in (1000.0, 1000.5, 37000.5, 37000.6, 37002.6)]
    assert shown == pytest.approx([0, 0.5, 0.5 + LONGEST, 0.6 + LONGEST, 2.6 + LONGEST])


def test_ticks_come_when_their_time_has_come_with_their_own_times():
    began = time.monotonic()
    assert [t for t, _ in paced([(5.0, {}), (5.1, {}), (5.3, {})], lambda: False)] == [5.0, 5.1, 5.3]
    assert time.monotonic() - began >= 0.29


def test_a_pause_ends_when_it_is_stopped():
    asked = iter([False] * 3)
    ticks = paced([(0.0, {}), (2.0, {})], lambda: next(asked, True))
    began = time.monotonic()
    assert [t for t, _ in ticks] == [0.0]
    assert time.monotonic() - began < 1.5
