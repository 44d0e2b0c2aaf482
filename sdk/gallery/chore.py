"""What a gallery does again and again in the background."""

import threading
import weakref
from collections.abc import Callable


class Chore:
    """A thread that ends when nothing is left to do, or when the gallery is there no more."""

    def __init__(self, again: Callable[[], bool], seconds: float, name: str):
        """again: a method, called every so many seconds until it says that nothing is left to do; it is not kept
        alive. name: of the thread."""
        self._again, self._seconds = weakref.WeakMethod(again), seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            again = self._again()
            if again is None or again():
                return
            del again  # or it would live until the next time

    def stop(self) -> None:
        """Not from within `again`; does not wait."""
        self._stop.set()
