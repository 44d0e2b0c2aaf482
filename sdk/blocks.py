"""Work in blocks: what bounds the memory of large matrices, and shares them among the cores."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor


def steps(number: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover `range(number)`."""
    return (slice(start, min(start + size, number)) for start in range(0, number, size))


def on_all_cores(work: Callable[[slice], None], number: int, size: int) -> None:
    """Call `work` with every slice of `steps(number, size)`, on a thread a core. Raises what the first one raised.

    For NumPy's calls, which let other threads run. Products of matrices are not for `work`: they have threads of their
    own, and those of several callers wait for each other.
    """
    parts = list(steps(number, size))
    if len(parts) < 2 or cores() < 2:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(min(cores(), len(parts))) as pool:
        list(pool.map(work, parts))


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
