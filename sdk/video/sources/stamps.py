"""A file's time stamps, which may be anything, as a clock that begins at 0 and only goes forward."""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

T = TypeVar("T")

LONG = 60.0
"""Seconds without a frame that are worth telling."""
ALONE = 10
"""How many times farther the second frame is from the first than from the third, if the first has a wrong stamp."""
FARTHEST = 1e10
"""Seconds (300 years): more is no time stamp."""


class Placed(NamedTuple):
    """Something that was stamped, in its place."""

    time: float
    """s."""
    item: object
    said: str
    """What had to be done about its stamp, in words, the first time that it had to be done; else empty."""


def forward(stamped: Iterable[tuple[float | None, T | None]], rate: float) -> Iterator[Placed]:
    """Give every (stamp in seconds, item) its time. rate: frames a second, for stamps that are missing.

    The first is at 0. Gaps are kept: nothing was recorded. A stamp that goes back, as where recordings were put one
    after the other, is one frame after the last, and those after it go on from there. One that is out of line with
    those before and after it lies between them. A stamp that is missing, no number, or the same as the last is a frame
    after that. An item that is None is something that could not be read; without a stamp it takes no time of its own,
    where the next one's stamp will say how much has passed.

    Looks two ahead. What `stamped` raises is raised after the last item before.
    """
    clock, failure = _Clock(1 / rate), None
    source: Iterator | None = iter(stamped)
    ahead: deque[tuple[float | None, T | None]] = deque()
    while True:
        while source is not None and len(ahead) < 3:
            try:
                stamp, item = next(source)
                ahead.append((_valid(stamp), item))
            except StopIteration:
                source = None
            except Exception as error:  # whatever a decoder throws
                source, failure = None, error
        if not ahead:
            break
        stamp, item = ahead.popleft()
        second, third = ([stamp for stamp, _ in ahead] + [None, None])[:2]
        time, said = clock.place(stamp, second, third, known=item is not None)
        yield Placed(time, item, said)
    if failure is not None:
        raise failure


def _valid(stamp: float | None) -> float | None:
    return stamp if stamp is not None and math.isfinite(stamp) and abs(stamp) < FARTHEST else None


class _Clock:
    def __init__(self, step: float):
        self._step = step
        self._last: float | None = None
        """The last time that was given."""
        self._stamp: float | None = None
        """The last stamp that was believed."""
        self._offset = 0.0
        """What makes a time of a stamp."""
        self._told: set[str] = set()

    def place(self, stamp: float | None, second: float | None, third: float | None, known: bool) -> tuple[float, str]:
        """The time of a frame, with the stamps of the next two; and what there is to say."""
        if self._last is None:
            time, said = 0.0, ""
            if stamp is not None and self._is_alone(stamp, second, third):
                said = self._tell("first", f"the first frame is stamped {second - stamp:.0f} s before the second")
                stamp = second - self._step
            self._believe(stamp, time)
        else:
            time, said = self._place(stamp, second, known)
        self._last = time
        return time, said

    def _place(self, stamp: float | None, second: float | None, known: bool) -> tuple[float, str]:
        last, expected = self._last, self._last + self._step
        if stamp is None and not known and self._stamp is not None and "missing" not in self._told:
            return last, ""
        if stamp is None or stamp == self._stamp:
            rate = f"{1 / self._step:g} a second are counted"
            text = f"from {last:.1f} s on frames have no time stamps of their own; {rate}"
            return self._between(second), self._tell("missing", text) if known else ""
        if self._stamp is None:
            self._believe(stamp, expected)
            return expected, ""
        here = stamp + self._offset
        there = None if second is None else second + self._offset
        if here <= last and stamp > self._stamp:  # counted by the rate, we are ahead of it
            self._stamp = stamp
            return self._between(second), ""
        if there is not None and there > last and not last < here <= there:
            text = f"after {last:.1f} s comes a time stamp that is {here - last:+.1f} s off"
            return self._between(second), self._tell("order", text)
        if here > last:
            self._believe(stamp, here)
            text = f"nothing was recorded for {here - last:.0f} s after {last:.1f} s"
            return here, self._tell("gap", text) if here - last > LONG else ""
        self._believe(stamp, expected)
        return expected, self._tell("back", f"time stamps go back by {last - here:.1f} s after {last:.1f} s")

    @staticmethod
    def _is_alone(first: float, second: float | None, third: float | None) -> bool:
        """Whether the first frame's 0 means that it has no stamp."""
        if first != 0 or second is None or third is None:
            return False
        return second > LONG and second > ALONE * abs(third - second)

    def _between(self, second: float | None) -> float:
        """One frame on, but before the next one."""
        there = math.inf if second is None else second + self._offset
        return self._last + (min(self._step, (there - self._last) / 2) if there > self._last else self._step)

    def _believe(self, stamp: float | None, time: float) -> None:
        self._stamp = stamp
        if stamp is not None:
            self._offset = time - stamp

    def _tell(self, kind: str, text: str) -> str:
        if kind in self._told:
            return ""
        self._told.add(kind)
        return text
