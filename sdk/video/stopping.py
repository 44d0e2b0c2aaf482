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


@contextlib.contextmanager
def noted_signals() -> Iterator[Callable[[], None]]:
    """While inside, SIGTERM and SIGINT (Ctrl-C) are noted and break nothing off; a second one does, by
    `KeyboardInterrupt`. What runs in `stop_on_signals` inside hears them itself.

    Gives a function that returns when one has been noted. Outside the main thread none is.
    """
    asked: list[bool] = []  # not an Event, whose lock the handler could find taken by its own thread

    def note(*_) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(True)

    def wait() -> None:
        while not asked:
            time.sleep(0.1)

    heard = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, note) for number in heard}
    try:
        yield wait
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
