"""The server of a page: a thread a connection, room for so many, and nobody who waits keeps others out."""

import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from sdk.errors import DataError
from sdk.web.addresses import group_of
from sdk.web.connection import Connection
from sdk.web.messages import Answer, Request

MOST_CONNECTIONS = 64
"""At once; a browser has six at most."""
MOST_OF_ONE = 32
"""Of one address; a proxy is one."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0: any that is free. Raises `DataError` if the port cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=MOST_CONNECTIONS)
    except (OSError, OverflowError) as error:
        raise DataError(f"{host} port {port} cannot be had ({error}); choose another, or 0 for any") from error


@contextmanager
def serving(
    listener: socket.socket,
    answer: Callable[[Request], Answer],
    headers: Mapping[str, str],
    context: ssl.SSLContext | None = None,
) -> Iterator[None]:
    """Answer requests in threads of its own until the end of the block.

    answer: called by several threads at once; may raise `Refusal`. headers: on every answer. context: to speak TLS.
    """
    server = _Server(listener, answer, headers, context)
    thread = threading.Thread(target=server.accept, name="page", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.close(thread)


class _Server:
    def __init__(self, listener: socket.socket, answer, headers: Mapping[str, str], context: ssl.SSLContext | None):
        listener.settimeout(0.1)
        self._listener = listener
        self._settings = answer, headers, context
        self._open: set[Connection] = set()
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def accept(self) -> None:
        """Take connections until `close`."""
        while not self._closing.is_set():
            try:
                accepted, address = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:  # a client that was gone again, or too many open files
                self._closing.wait(0.05)
                continue
            try:
                connection = Connection(accepted, group_of(address[0]), *self._settings)
            except OSError:
                accepted.close()
                continue
            if self._admit(connection):
                threading.Thread(target=self._run, args=(connection,), name="page connection", daemon=True).start()
            else:
                connection.close()

    def close(self, accepting: threading.Thread) -> None:
        """Take no more, and end the connections that browsers keep open: their threads would go on answering."""
        self._closing.set()
        accepting.join()
        self._listener.close()
        with self._lock:
            for connection in self._open:
                connection.hang_up()

    def _admit(self, new: Connection) -> bool:
        """Whether there is room. Where there is none, who has waited longest without a request makes it.

        Of all connections those of the address that has the most go first, so a crowd keeps out nobody but itself.
        """
        with self._lock:
            counts = Counter(connection.peer for connection in self._open)
            if counts[new.peer] >= MOST_OF_ONE:
                crowd = [connection for connection in self._open if connection.peer == new.peer]
            elif len(self._open) >= MOST_CONNECTIONS:
                crowd = list(self._open)
            else:
                crowd = None
            if crowd is not None:
                waiting = [(-counts[c.peer], since, c) for c in crowd if (since := c.waiting_since) is not None]
                if not waiting:
                    return False
                gone = min(waiting, key=lambda row: row[:2])[2]
                self._open.discard(gone)
                gone.hang_up()
            self._open.add(new)
            return True

    def _run(self, connection: Connection) -> None:
        try:
            connection.run()
        finally:
            with self._lock:
                self._open.discard(connection)
