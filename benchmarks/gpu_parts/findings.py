"""What a part of a benchmark finds out, told as it comes."""

import math
import time
from collections.abc import Callable
from pathlib import Path


class Unavailable(Exception):
    """A part needs what is not on this machine; the message says what, and how to get it."""


class Findings:
    """What a part is given: where to put its figures and checks, a folder to work in, and the time that it has."""

    def __init__(
        self,
        tell: Callable[[dict], None] = lambda entry: None,
        *,
        folder: Path = Path("out/gpu"),
        seconds: float = math.inf,
        small: bool = False,
    ):
        """tell: takes each figure and check as it comes. folder: the parts', where one leaves files for another.
        small: a rehearsal: small sizes, and no speed is judged."""
        self.folder, self.small = folder, small
        self.figures: dict[str, object] = {}
        self.checks: list[dict] = []
        self._tell = tell
        self._end = time.monotonic() + seconds

    def note(self, name: str, value: object) -> None:
        """A figure: a number, a text, or a dictionary or list of them."""
        self.figures[name] = _plain(value)
        self._tell({"figure": name, "value": self.figures[name]})

    def check(self, name: str, value: float, limit: float, at_least: bool = False) -> None:
        """Whether `value` keeps to `limit`; NaN never does."""
        holds = value >= limit if at_least else value <= limit
        limit_text = f"{'≥' if at_least else '≤'} {limit:g}"
        self._add({"check": name, "value": _plain(value), "limit": limit_text, "holds": bool(holds)})

    def check_speed(self, name: str, value: float, limit: float, at_least: bool = False) -> None:
        """As `check`, of what only a GPU can keep to: in a rehearsal it is not judged."""
        if not self.small:
            self.check(name, value, limit, at_least)

    def fails(self, name: str, why: str) -> None:
        """A check that does not hold, for a reason in words."""
        self._add({"check": name, "value": why, "limit": "", "holds": False})

    def left(self) -> float:
        """Seconds until this part is ended."""
        return self._end - time.monotonic()

    @property
    def holds(self) -> bool:
        return all(check["holds"] for check in self.checks)

    def _add(self, check: dict) -> None:
        self.checks.append(check)
        self._tell(check)


def _plain(value: object) -> object:
    """As JSON has it: NumPy's numbers as Python's, and what is no finite number in words."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
