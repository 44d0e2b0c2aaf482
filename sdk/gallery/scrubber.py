"""Tries again, in the background, to overwrite what was erased."""

import logging
import threading
from collections.abc import Callable

RETRY = 5.0
"""Seconds between two tries."""

log = logging.getLogger("aligned_reid.gallery")


class Scrubber:
    """A thread that ends when it has nothing left to do."""

    def __init__(self, again: Callable[[], bool], where: str):
        """again: tries it, without waiting, and says whether it is done; where: how messages call the gallery."""
        self._again, self._where = again, where
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gallery-scrub", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(RETRY):
            if self._again():
                if not self._stop.is_set():
                    log.warning("%s: nothing of what was erased is left in its files now", self._where)
                return

    def stop(self) -> None:
        """Not from within `again`; does not wait."""
        self._stop.set()
