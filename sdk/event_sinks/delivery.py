"""Events handed on from a thread of its own: the tracker never waits for a disk or a network."""

import random
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

from sdk.confidential import why
from sdk.events import Event

CAPACITY = 1000
"""Events that wait at most; then the oldest is dropped, because the newest says how things are now."""
FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0
"""Seconds between attempts; they double from the first to the longest."""
CLOSE_SECONDS = 1.0
"""For how long `close` waits for what is still on its way."""


class UnreachableError(Exception):
    """The receiver could not take the event now; it is tried again. `seconds`: not before that."""

    def __init__(self, reason: str, seconds: float = 0.0):
        super().__init__(reason)
        self.seconds = seconds


class RefusedError(Exception):
    """The receiver will never take this event; the next may fare better."""


class Transport(Protocol):
    """One way to hand an event on. Both methods are called from the delivery's thread."""

    def send(self, event: Event, number: int) -> None:
        """Returns when the receiver has it. number: the same when the same event is tried again.

        Raises `UnreachableError` or `RefusedError`.
        """

    def close(self) -> None:
        """Release what it holds."""


class Delivery:
    """A listener that queues events and sends them, in order, each until it is taken. A context manager.

    An event may arrive twice (where the receiver took it but its answer was lost) and is lost only where `dropped`
    or `refused` counts it. Calling it takes microseconds, from any thread.
    """

    def __init__(
        self,
        name: str,
        transport: Transport,
        capacity: int = CAPACITY,
        delays: tuple[float, float] = (FIRST_DELAY, LONGEST_DELAY),
        tell: Callable[[str], None] | None = None,
        choose: Callable[[Event], Event | None] | None = None,
    ):
        """name: what to call it where people read it. delays: seconds between attempts, first and longest. tell: gets
        a line about the first event that cannot be handed on, once, from the delivery's thread. choose: makes of an
        event what is sent; None: it is no business of the receiver."""
        self.name = name
        self.delivered = self.dropped = self.refused = 0
        self.trouble: str | None = None
        """Why events wait, or why the last one was refused; None: all is well."""
        self._reason = ""  # of the last trouble, even where all is well again
        self._tell = tell
        self._choose = choose
        self._transport = transport
        self._capacity = capacity
        self._delays = delays
        self._queue: deque[Event] = deque()
        self._changed = threading.Condition()
        self._current: Event | None = None
        self._in_flight = self._closing = self._abandoned = False
        self._thread = threading.Thread(target=self._run, name=f"events to {name}", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Delivery":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    @property
    def waiting(self) -> int:
        """Events that are not delivered yet."""
        with self._changed:
            return len(self._queue) + self._in_flight

    @property
    def missed(self) -> str | None:
        """How many events the receiver never got, and why, in one line; None if it got all. To be asked at the end."""
        lost = self.dropped + self.refused
        if not lost:
            return None
        return (
            f"{lost} of {lost + self.delivered} events did not reach {self.name}: {self._reason or 'no time was left'}"
        )

    def __call__(self, event: Event) -> None:
        """Take an event. After `close` it is dropped."""
        if self._choose is not None and (event := self._choose(event)) is None:
            return
        with self._changed:
            if self._closing:
                self.dropped += 1
                return
            if len(self._queue) >= self._capacity:
                self._queue.popleft()
                self.dropped += 1
            self._queue.append(event)
            self._changed.notify()

    def drop_pictures(self, _: object = None) -> None:
        """Take the pictures out of all events that still wait: somebody is forgotten, who may be in one of them."""
        with self._changed:
            self._queue = deque(_without_picture(event) for event in self._queue)
            if self._current is not None:
                self._current = _without_picture(self._current)

    def close(self, seconds: float = CLOSE_SECONDS) -> int:
        """Wait up to `seconds` until all is delivered, give up the rest, and say how many that were."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(seconds)
        with self._changed:
            left = 0 if self._abandoned else len(self._queue) + self._in_flight
            self.dropped += left
            self._abandoned = True
            self._queue.clear()
            self._changed.notify()
        self._thread.join(CLOSE_SECONDS / 2)  # a thread that is stuck in a system call is left behind
        return left

    def _run(self) -> None:
        number = 0
        while self._next():
            number += 1
            attempt = 0
            while not self._try(number, attempt):
                attempt += 1
        self._transport.close()

    def _next(self) -> bool:
        with self._changed:
            while not self._queue:
                if self._closing:
                    return False
                self._changed.wait()
            self._in_flight = True
            self._current = self._queue.popleft()
            return True

    def _try(self, number: int, attempt: int) -> bool:
        """Send the event that is in flight once. Returns whether it is done with; otherwise when it is time for the
        next attempt."""
        try:
            self._transport.send(self._current, number)
        except UnreachableError as error:
            first, longest = self._delays
            delay = min(longest, max(error.seconds, first * 2 ** min(attempt, 30)))
            delay *= random.uniform(0.75, 1)  # so that many boxes do not come back in one moment
            self._note(f"events cannot reach {self.name} and wait", str(error))
            with self._changed:
                self.trouble = str(error)
                if not self._abandoned:
                    self._changed.wait_for(lambda: self._abandoned, min(delay, 0.1) if self._closing else delay)
                return self._abandoned
        except (RefusedError, TypeError, ValueError) as error:  # the latter two: a detail that is no JSON
            self._note(f"{self.name} refuses events", why(error))
            return self._done(refused=why(error))
        return self._done()

    def _note(self, what: str, reason: str) -> None:
        self._reason = reason
        if self._tell is not None:
            self._tell(f"{what}: {reason}")
            self._tell = None

    def _done(self, refused: str | None = None) -> bool:
        with self._changed:
            if not self._abandoned:  # `close` has counted it among the dropped
                self._in_flight, self._current = False, None
                self.trouble = refused
                if refused is None:
                    self.delivered += 1
                else:
                    self.refused += 1
        return True


def missed_events(sinks: Iterable[Delivery]) -> list[str]:
    """A line for each of the closed `sinks` whose receiver did not get every event."""
    return [missed for sink in sinks if (missed := sink.missed) is not None]


def _without_picture(event: Event) -> Event:
    if "picture" not in event.detail:
        return event
    return replace(event, detail={key: value for key, value in event.detail.items() if key != "picture"})
