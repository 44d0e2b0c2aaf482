"""The tracker's own clock: seconds that go forward, whatever times its caller gives, or gives none."""

import time as system
from numbers import Real

from sdk.errors import DataError

ROUNDING = 1e-4
"""Seconds by which times that are meant to be equal may differ: stamps are rounded, and sums of them more so."""
SET_BACK = 1.0
"""Seconds by which a time must be behind for the clock to have been set back; less is frames in a wrong order."""
USUAL_STEP = 0.04
"""Seconds a frame, where nothing is known yet."""
FARTHEST = 1e11
"""Seconds from 0 (3 000 years): more is milliseconds, or nonsense."""


class Clock:
    """Two times of every call: the one that is written down, and `now`, which never goes back.

    They run alike. When the caller's times go back, `now` goes on a frame later, and alike from there.
    """

    def __init__(self, frame_rate: float | None = None):
        """frame_rate: frames that come without a time are this many a second; None: they are live, and the system's
        clock is asked, once, and its steady one from then on: it may be set at any moment."""
        self.time = 0.0
        """As it is written down, s."""
        self.now = 0.0
        """Seconds that only go forward."""
        self._step = None if frame_rate is None else 1 / frame_rate
        self._begin: tuple[float, float] | None = None
        """The system's clock, and the steady one, when they were first asked."""
        self._offset: float | None = None
        """What makes `now` of a time."""

    def advance(self, time: float | None, again: bool = False) -> float | None:
        """Take the time of the next frames, s. again: a camera among them had a frame at `now`, so it must go on.

        Returns by how many seconds the times have been set back, if they were; else None. Raises `DataError` for a
        time that is none, and stays where it is.
        """
        time = self._unspoken() if time is None else checked(time)
        if self._offset is None:
            self._offset = -time
        elif time + self._offset < self.now - SET_BACK:
            behind = self.now - self._offset - time
            self.time, self.now = time, self.now + (self._step or USUAL_STEP)
            self._offset = self.now - time
            return behind
        ahead = time + self._offset
        if ahead <= self.now and again:
            ahead = self.now + (self._step or USUAL_STEP)
        self.time, self.now = time, max(self.now, ahead)
        return None

    def _unspoken(self) -> float:
        if self._step is not None and self._offset is not None:
            return self.time + self._step
        if self._begin is None:
            self._begin = system.time(), system.monotonic()
        began, steady = self._begin
        return began + system.monotonic() - steady


def checked(time: float) -> float:
    """The time as a float, s. Raises `DataError` if it is none."""
    if not isinstance(time, Real) or not abs(float(time)) < FARTHEST:
        raise DataError(f"the time is {time!r}; give seconds, a finite number, or None")
    return float(time)
