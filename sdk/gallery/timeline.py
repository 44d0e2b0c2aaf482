"""How much time a gallery has seen pass: what retention counts by, since a clock can be wrong.

The clock of a small board is set late, or wrongly, and a mistake of 40 days must not delete what 40 days more would. So
retention goes by a time that only moves forward, and only as far as it was seen: as the clock goes while this machine
is on, and over pauses of up to a day. Where the clock jumps, a new stretch begins: its times mean something else than
those of the stretch before. What the clock is ahead by then is not counted until somebody says that it has passed.
"""

import os
import struct
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

JUMP = 3600.0
"""Seconds by which the clock may be put right at once without being asked about it."""
PAUSE = 86400.0
"""Seconds that may have passed while the machine was off, and nobody saw it."""
MOST = 250
"""Stretches that are kept."""
OLDEST = 1577836800.0
"""2020-01-01: a clock before that was never set."""

_HEAD = struct.Struct("<d d d 16s d B H")
_START = struct.Struct("<d d")
SIZE = _HEAD.size + MOST * _START.size
"""Bytes that a time line is packed into."""

try:
    _BOOT = uuid.UUID(Path("/proc/sys/kernel/random/boot_id").read_text().strip()).bytes
except (OSError, ValueError):  # elsewhere every process counts as a start of the machine
    _BOOT = os.urandom(16)


def uptime() -> tuple[bytes, float]:
    """(which start of this machine, seconds since then), which no setting of the clock changes."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return _BOOT, time.clock_gettime(time.CLOCK_BOOTTIME)
    return _BOOT, time.monotonic()


@dataclass
class Timeline:
    """All times are seconds; the clock's are since 1970, those that were seen pass begin as the clock did."""

    starts: list[tuple[float, float]] = field(default_factory=list)
    """Of each stretch: (clock, time seen to pass)."""
    high: float = 0.0
    """The clock's highest in the last stretch."""
    clock: float = 0.0
    """At the last look, as `boot` and `up`."""
    boot: bytes = bytes(16)
    up: float = 0.0
    base: float = 0.0
    """By how much the clock may be ahead of `seen`: what somebody has said about it."""
    cut: bool = False
    """Whether there were stretches that are not kept any more."""

    @property
    def seen(self) -> float:
        """The time that was seen to pass."""
        clock, seen = self.starts[-1]
        return seen + self.high - clock

    @property
    def ahead(self) -> float:
        """Seconds by which the clock is ahead of that; negative: behind."""
        return self.clock - self.seen - self.base if self.starts else 0.0

    def look(self, clock: float, boot: bytes, up: float) -> float:
        """Take the time; by how many seconds the clock has jumped since the last look, or 0."""
        passed, gap = 0.0, clock - self.clock
        if not self.starts:
            self.starts, jump = [(clock, clock)], 0.0
            self.high = clock
        elif boot == self.boot and up >= self.up:
            passed = up - self.up
            jump = gap - passed if abs(gap - passed) > JUMP else 0.0
        else:
            jump = 0.0 if -JUMP <= gap <= PAUSE else gap
        if jump:
            self.starts.append((clock, self.seen + passed))
            self.high = clock
            if len(self.starts) > MOST:
                self.starts, self.cut = self.starts[-MOST:], True
        self.high = max(self.high, clock)
        self.clock, self.boot, self.up = clock, boot, up
        return jump

    def ages(self, added: np.ndarray) -> np.ndarray:
        """How long ago, as far as was seen, the clock showed these times: float64 `[N]`, s, never negative.

        In doubt the younger: of two stretches that both showed a time the later, and of a time that none has shown the
        next one's beginning.
        """
        added = np.asarray(added, np.float64)
        first_clock, first_seen = self.starts[0]
        when = np.full(added.shape, self.seen)
        ends = [seen for _, seen in self.starts[1:]] + [self.seen]
        for clock, seen in self.starts:
            when[added < clock] = seen
        known = (added < first_clock) & (added >= OLDEST) & (not self.cut)
        when[known] = first_seen - (first_clock - added[known])
        when[(added < first_clock) & ~known] = first_seen
        for (clock, seen), end in zip(self.starts, ends, strict=True):
            inside = (added >= clock) & (added - clock <= end - seen + JUMP)
            when[inside] = np.minimum(seen + (added[inside] - clock), end)
        return np.maximum(self.seen - when, 0.0)

    def settle(self, passed: bool) -> float:
        """Say of what the clock is ahead by whether that time has passed, or the clock was merely set; how much."""
        ahead = self.ahead
        if not passed or ahead < 0:
            self.base += ahead
            return ahead
        late = len(self.starts) - 1  # from which stretch on the clock has been ahead
        while late > 1 and self.starts[late - 1][0] - self.starts[late - 1][1] - self.base > JUMP:
            late -= 1
        self.starts[late:] = [(clock, seen + ahead) for clock, seen in self.starts[late:]]
        return ahead

    def pack(self) -> bytes:
        """`SIZE` bytes."""
        head = _HEAD.pack(self.high, self.clock, self.up, self.boot, self.base, self.cut, len(self.starts))
        return (head + b"".join(_START.pack(*start) for start in self.starts)).ljust(SIZE, b"\0")

    @classmethod
    def unpack(cls, content: bytes) -> "Timeline":
        """What `pack` gave."""
        high, clock, up, boot, base, cut, count = _HEAD.unpack_from(content)
        starts = [_START.unpack_from(content, _HEAD.size + i * _START.size) for i in range(count)]
        return cls(starts, high, clock, boot, up, base, bool(cut))
