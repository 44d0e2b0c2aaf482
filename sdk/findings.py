"""What `reid doctor` finds: one thing that was looked at, its state, and what to do."""

from dataclasses import dataclass

OK, MISSING, BROKEN = "ok", "missing", "broken"
"""Missing: something cannot be done without it. Broken: it is here but does not work."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    state: str
    """`OK`, `MISSING` or `BROKEN`."""
    found: str
    remedy: str = ""
    """What its absence costs, and how to get it."""
    step: bool = False
    """Whether it is one of the steps of docs/jetson.md, which are done one after the other."""
