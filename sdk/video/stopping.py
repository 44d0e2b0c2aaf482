"""Ending a run when the system or the user asks for it."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator

GRACE = 0.8
"""Seconds that a tick may still take after the signal, until it is broken off."""


@contextlib.contextmanager
def stop_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """While inside, SIGTERM and SIGINT (Ctrl-C) call `stop`, so that the run ends after its present tick.

    A tick that takes longer than `GRACE` is broken off by `KeyboardInterrupt`, and so is everything by a second signal.
    Outside the main thread, where Python takes no signals, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    timer = hasattr(signal, "setitimer")
    asked = False

    def handle(*_) -> None:
        nonlocal asked
        if asked or not timer:
            raise KeyboardInterrupt
        asked = True
        stop()
        signal.setitimer(signal.ITIMER_REAL, GRACE)

    def break_off(*_) -> None:
        raise KeyboardInterrupt

    wanted = {signal.SIGINT: handle, signal.SIGTERM: handle}
    if timer:
        wanted[signal.SIGALRM] = break_off
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        if timer:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_for_signal(ready: Callable[[], None] = lambda: None) -> None:
    """Return when SIGTERM or SIGINT (Ctrl-C) comes. `ready` is called once one would be heard: to say so."""
    asked: list[bool] = []  # not an Event, whose lock the handler could find taken by its own thread
    with stop_on_signals(lambda: asked.append(True)):
        ready()
        while not asked:
            time.sleep(0.1)
