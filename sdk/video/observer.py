"""Who sees a run while it goes on, and how a run ends."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import supervision as sv

ENDED, INTERRUPTED = "the sources have ended", "interrupted"
"""Why a run ended in order; else the reason is an error's."""


class Observer(Protocol):
    """Sees a run, tick by tick, from the thread that it runs in."""

    def take(
        self, time: float, frames: Mapping[str, np.ndarray], tracks: Mapping[str, sv.Detections], seconds: float
    ) -> None:
        """One tick: its time (s), the frames and what was tracked in them, and how many seconds that took."""

    def end(self, reason: str) -> None:
        """No further tick comes, and why. All tracks have been decided."""
