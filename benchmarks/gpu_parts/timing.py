"""What one of many calls takes."""

import time
from collections.abc import Callable
from statistics import median

LEAST = 0.3
"""Seconds that are spent on one figure, at least; a rehearsal, in which figures mean nothing, spends none."""
ROUNDS = 5


def seconds_each(work: Callable[[], None], wait: Callable[[], None] = lambda: None) -> float:
    """Median over rounds of what one of many queued calls takes, the GPU's work included. wait: until all are done."""
    work()  # what is done once only
    wait()
    count, taken = 1, 0.0
    while taken < LEAST / ROUNDS:
        started = time.perf_counter()
        for _ in range(count):
            work()
        wait()
        taken = time.perf_counter() - started
        count *= 2
    rates = []
    for _ in range(ROUNDS if LEAST else 1):
        started = time.perf_counter()
        for _ in range(count):
            work()
        wait()
        rates.append((time.perf_counter() - started) / count)
    return median(rates)
