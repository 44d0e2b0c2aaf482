"""Recordings at their own speed, as if they were live."""

import time as clock
from collections.abc import Callable, Iterable, Iterator

import numpy as np

LONGEST = 3.0
"""Seconds that a gap in a recording takes at the most: nobody waits ten hours for its next frame."""
NAP = 0.05
"""Seconds until it is asked again whether to stop."""

Ticks = Iterable[tuple[float, dict[str, np.ndarray]]]


class Pace:
    """When each moment of a recording is to be shown: gaps are cut short, the times in the recording stay."""

    def __init__(self):
        self._last: float | None = None
        self._shown = 0.0

    def __call__(self, time: float) -> float:
        """Seconds after the first moment at which `time` is shown. To be called with one moment after the other, s."""
        if self._last is not None:
            self._shown += min(time - self._last, LONGEST)
        self._last = time
        return self._shown


def paced(ticks: Ticks, stopped: Callable[[], bool] = lambda: False) -> Iterator[tuple[float, dict[str, np.ndarray]]]:
    """Each tick (time in s, frames) when its time has come; where who takes them is slower, they fall behind.

    stopped: asked while waiting; once it says so there are no more ticks.
    """
    started, pace = clock.monotonic(), Pace()
    for time, frames in ticks:
        due = started + pace(time)
        while not stopped() and (wait := due - clock.monotonic()) > 0:
            clock.sleep(min(wait, NAP))
        if stopped():
            return
        yield time, frames
