"""What happens at a site, as it happens: one record an event, for programs that act on it.

The tracker and the video sources tell events to a listener, any callable that takes an `Event`; where they go (a file,
a message broker, a page) is the listener's business. A listener is called from the thread that the event happens in,
and must be quick.
"""

import contextlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, runtime_checkable

from sdk.confidential import why
from sdk.names import visible
from sdk.terminal import notes

KINDS = {
    "identified": "a track has got its identity; detail: distance, runner_up, margin, new (nobody knew them before), "
    "nearest, stranger (how far strangers are apart), evidence, look, odds (nats, for being the nearest); "
    "of a second pass: second_pass (true), before (the name until then)",
    "withdrawn": "a second pass leaves a track without identity; detail: second_pass, before",
    "left": "a track has ended; detail: first, last (seconds)",
    "entered": "somebody has come into a zone; detail: zone (its name)",
    "left_zone": "they have left it, or their track has ended in it; detail: zone, seconds (how long they were there), "
    "first (since when)",
    "crossed": "somebody has crossed a line; detail: line (its name), direction (in or out)",
    "merged": "two identities are one person; identity is the one that stays; detail: other, second_pass, by_hand "
    "(true: somebody said so)",
    "renamed": "somebody was given another name, identity; detail: other (the name until then)",
    "split": "a track has passed to another person and goes on under a new number; detail: new_track",
    "associated": "a second pass over the whole run is done: records bear its names, those merged before too; "
    "detail: tracks, changed, people (how many)",
    "camera_lost": "a camera gives no frames; detail: reason",
    "camera_back": "it gives frames again; detail: seconds it was away",
    "camera_frozen": "its picture has not changed for a while; detail: seconds",
    "camera_changed": "its resolution has changed; detail: before, now ([height, width] px)",
    "camera_clock": "the times of frames jump, go back, or are missing; detail: what (in words; told once a kind)",
    "camera_ended": "it will give no more frames; detail: reason",
}
"""What can happen, and what its `detail` holds."""


@dataclass(frozen=True)
class Event:
    """One thing that happened. Raises `ValueError` for a kind that is not in `KINDS`."""

    time: float
    """Seconds, on the clock of the frames."""
    kind: str
    camera: str | None = None
    track: int | None = None
    """The track's number in its camera."""
    identity: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    """What else there is to say; plain JSON values."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"'{self.kind}' is no kind of event; there are {', '.join(KINDS)}")

    def to_json(self) -> str:
        """One line, without a line break; hidden characters in names are written as JSON escapes."""
        return visible(json.dumps(asdict(self), ensure_ascii=False))


Listener = Callable[[Event], None]


@runtime_checkable
class Teller(Protocol):
    """What events come from: a tracker, or cameras."""

    def add_listener(self, listener: Listener) -> None:
        """Tell this one too, from now on."""

    def remove_listener(self, listener: Listener) -> None:
        """Tell this one no more, if it is still told."""


class Listeners:
    """A listener that passes every event on to others, one event at a time.

    Who was added twice is told once. A listener that raises an error is told of no further event, and a note says so:
    it must not end the run.
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
            told: list[Listener] = []
            for listener in list(self._listeners):
                if listener in told:
                    continue
                told.append(listener)
                try:
                    listener(event)
                except Exception as error:
                    self._listeners = [other for other in self._listeners if other != listener]
                    name = getattr(listener, "__qualname__", type(listener).__qualname__)
                    notes.print(f"{name} failed and is told of no further event: {why(error)}")


@contextlib.contextmanager
def listening(tellers: Iterable[object], listeners: Iterable[Listener]) -> Iterator[None]:
    """While inside, all of `tellers` that are a `Teller` tell all of `listeners`, beside whoever listens already."""
    pairs = [(t, listener) for t in tellers if isinstance(t, Teller) for listener in listeners]
    with contextlib.ExitStack() as stack:
        for teller, listener in pairs:
            teller.add_listener(listener)
            stack.callback(teller.remove_listener, listener)
        yield
