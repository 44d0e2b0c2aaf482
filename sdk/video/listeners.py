"""Events of a run, told to any number of listeners."""

import contextlib
import threading
from collections.abc import Iterable
from pathlib import Path

from sdk.confidential import why
from sdk.events import Event, Listener
from sdk.terminal import notes


class Listeners:
    """A listener that passes every event on to others, one event at a time.

    A listener that raises an error is told of no further event, and a note says so: it must not end the run.
    """

    def __init__(self, listeners: Iterable[Listener] = ()):
        self._listeners = list(listeners)
        self._lock = threading.RLock()

    def add(self, listener: Listener) -> None:
        """Tell this one too, from now on."""
        with self._lock:
            self._listeners.append(listener)

    def remove(self, listener: Listener) -> None:
        """Tell this one no more, if it is still told."""
        with self._lock, contextlib.suppress(ValueError):
            self._listeners.remove(listener)

    def __call__(self, event: Event) -> None:
        with self._lock:
            for listener in list(self._listeners):
                try:
                    listener(event)
                except Exception as error:
                    self._listeners.remove(listener)
                    name = getattr(listener, "__qualname__", type(listener).__qualname__)
                    notes.print(f"{name} failed and is told of no further event: {why(error)}")


class EventFile:
    """Writes `events.jsonl`, a line an event, each on disk at once. A context manager and a listener."""

    def __init__(self, path: Path):
        self._file = path.open("w", encoding="utf-8", buffering=1)

    def __enter__(self) -> "EventFile":
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def __call__(self, event: Event) -> None:
        self._file.write(event.to_json() + "\n")


def print_trouble(event: Event) -> None:
    """Note on the terminal what happens to cameras."""
    detail = event.detail
    text = {
        "camera_lost": lambda: f"lost: {detail['reason']}",
        "camera_back": lambda: f"is back after {detail['seconds']:.1f} s",
        "camera_frozen": lambda: f"its picture stands still since {detail['seconds']:.0f} s; it is not tracked",
        "camera_changed": lambda: "resolution changed from {1}×{0} to {3}×{2}".format(
            *detail["before"], *detail["now"]
        ),
    }
    if event.kind in text:
        notes.print(f"{event.camera}: {text[event.kind]()}")
