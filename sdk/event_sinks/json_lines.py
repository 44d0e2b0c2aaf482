"""Events as JSON Lines, in a file or on standard output."""

import os
import sys
from pathlib import Path

from sdk.confidential import hide
from sdk.errors import DataError
from sdk.event_sinks.delivery import Delivery, UnreachableError
from sdk.events import Event


def json_lines_sink(path: str | Path | None = None, **settings) -> Delivery:
    """A line an event, at the end of the file `path`; None: to standard output.

    Every line is written at once; a last line that was never finished is ended first, so that it spoils no other.
    settings: of `Delivery`. Raises `DataError` if the file cannot be opened.
    """
    if path is None:
        # A descriptor of its own: a reader that does not read would hold the lock of sys.stdout for ever.
        return Delivery("standard output", _Lines(os.dup(sys.stdout.fileno())), **settings)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    except (OSError, ValueError) as error:  # the latter of what no file can be called
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{hide(path)}: events cannot be written there ({reason})") from error
    return Delivery(hide(path), _Lines(descriptor, torn=_is_torn(descriptor)), **settings)


def _is_torn(descriptor: int) -> bool:
    """Whether the file's last line was never finished: by a program that was killed, or on a full disk."""
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"


class _Lines:
    def __init__(self, descriptor: int, torn: bool = False):
        self._descriptor = descriptor
        self._torn = torn

    def send(self, event: Event, number: int) -> None:
        line = event.to_json().encode() + b"\n"
        line = b"\n" + line if self._torn else line
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
                self._torn = bool(line)
        except OSError as error:
            raise UnreachableError(f"cannot be written ({error.strerror})") from None

    def close(self) -> None:
        os.close(self._descriptor)
