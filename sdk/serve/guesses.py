"""Wrong tokens, counted by who showed them: who guesses is not looked at for a while, and keeps nobody else out."""

import threading
import time as clock
from collections import OrderedDict

MOST_WRONG, SECONDS = 10, 60.0
"""So many wrong tokens in so many seconds; after that none from there is looked at."""
MOST_ADDRESSES = 1000
"""That are remembered; those of which nothing was heard for longest are dropped."""


class Guesses:
    """For several threads at once."""

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()
        """Address → moments, seconds of the monotonic clock."""
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many addresses are remembered."""
        return len(self._wrong)

    def too_many(self, address: str) -> bool:
        """Whether tokens from an address are not to be looked at."""
        with self._lock:
            return len(self._recent(address)) >= MOST_WRONG

    def note_wrong(self, address: str) -> None:
        """Count one."""
        with self._lock:
            self._wrong[address] = [*self._recent(address), clock.monotonic()]
            self._wrong.move_to_end(address)
            while len(self._wrong) > MOST_ADDRESSES:
                self._wrong.popitem(last=False)

    def _recent(self, address: str) -> list[float]:
        since = clock.monotonic() - SECONDS
        return [moment for moment in self._wrong.get(address, ()) if moment > since]
