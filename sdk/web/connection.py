"""One client's connection: requests within limits of size and time, answered one after another.

h11 reads and frames the messages, and so decides where a request ends: two readings of that are how one request is
smuggled in another past a proxy. What it finds malformed is refused, and so is a request with two ways to tell its
length; then the connection is closed, for nobody knows what the rest of it means.
"""

import socket
import ssl
import time as clock
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import parse_qs

import h11

from sdk.confidential import why
from sdk.terminal import notes
from sdk.web.messages import Answer, Headers, Refusal, Request

REQUEST_SECONDS = 10.0
"""For a whole request, and for shaking hands before the first."""
IDLE_SECONDS = 30.0
"""Between two requests."""
ANSWER_SECONDS = 20.0
"""For a client to take an answer, or one piece of a stream."""
LINGER_SECONDS = 1.0
"""For a client that is refused in the middle of its request to read why."""
MAX_HEAD = 16 << 10
"""Bytes of a request's line and headers."""
MAX_BODY = 4096
"""Bytes of a request's body; a name has at most a hundred letters."""


class Connection:
    """Made for an accepted socket; `run` returns when it has ended."""

    def __init__(
        self,
        accepted: socket.socket,
        peer: str,
        answer: Callable[[Request], Answer],
        headers: Mapping[str, str],
        context: ssl.SSLContext | None = None,
    ):
        """answer: may raise `Refusal`. headers: on every answer, refusals too. context: to speak TLS.

        Raises `OSError` if the client has hung up already.
        """
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or a body waits for its headers' receipt
        if context is not None:  # shaking hands is left to the connection's own thread
            accepted = context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
        self.peer = peer
        self.waiting_since: float | None = clock.monotonic()
        """Since when it has had no whole request, seconds of the monotonic clock; None: one is being answered."""
        self._socket = accepted
        self._answer = answer
        self._headers = headers
        self._http = h11.Connection(h11.SERVER, MAX_HEAD)
        self._with_content = True  # of the answer to the request that is being read: one to HEAD has none

    def hang_up(self) -> None:
        """End it from another thread."""
        with suppress(OSError):  # the plain socket's: TLS has its say in the connection's thread alone
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Instead of `run`, where there is no room."""
        self._socket.close()

    def run(self) -> None:
        """Answer requests until the client has hung up or breaks a limit."""
        with suppress(OSError), self._socket:
            until = clock.monotonic() + REQUEST_SECONDS
            if isinstance(self._socket, ssl.SSLSocket):
                self._socket.settimeout(REQUEST_SECONDS)
                self._socket.do_handshake()
            while self._serve_one(until):
                until = None

    def _serve_one(self, until: float | None) -> bool:
        """Answer one request, which must have come by `until`; None: it may begin later. Whether more may come."""
        try:
            request = self._read(until)
        except h11.RemoteProtocolError as error:
            status = HTTPStatus(error.error_status_hint)
            self._refuse_and_close(Refusal(status, f"this is not HTTP as it should be: {error}"))
            return False
        except Refusal as refusal:
            self._refuse_and_close(refusal)
            return False
        if request is None:
            return False
        self.waiting_since = None
        try:
            answer = self._answer(request)
        except Refusal as refusal:
            answer = refusal.answer
        except Exception as error:
            notes.print(f"the page failed: {type(error).__name__}: {why(error)}")
            answer = Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "this went wrong here; the program says why").answer
        if isinstance(answer.content, Iterator):
            self._stream(answer)
            return False
        self._send_whole(answer)
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        self.waiting_since = clock.monotonic()
        return True

    def _read(self, until: float | None) -> Request | None:
        """The next request, with its body; None: the client has hung up."""
        idle_until = clock.monotonic() + IDLE_SECONDS
        head, body, self._with_content = None, bytearray(), True
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    self._send(self._http.send(h11.InformationalResponse(status_code=100, headers=[])))
                data = self._receive(until or idle_until)
                until = until or clock.monotonic() + REQUEST_SECONDS
                self._http.receive_data(data)
            elif isinstance(event, h11.Request):
                head, self._with_content = event, event.method != b"HEAD"
                _check_head(head)
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_BODY:
                    raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request has at most {MAX_BODY} bytes")
            elif isinstance(event, h11.EndOfMessage):
                return _request(head, bytes(body), self.peer)
            else:
                return None

    def _receive(self, until: float) -> bytes:
        self._socket.settimeout(max(until - clock.monotonic(), 0.001))
        return self._socket.recv(1 << 14)

    def _send(self, data: bytes) -> None:
        until, rest = clock.monotonic() + ANSWER_SECONDS, memoryview(data)
        while rest:
            self._socket.settimeout(max(until - clock.monotonic(), 0.001))
            rest = rest[self._socket.send(rest) :]

    def _fields(self, answer: Answer) -> list[tuple[str, str]]:
        kind = {} if answer.kind is None else {"Content-Type": answer.kind}
        return list({"Date": formatdate(usegmt=True), **self._headers, **kind, **answer.headers}.items())

    def _send_whole(self, answer: Answer, more: list[tuple[str, str]] | None = None) -> None:
        fields = self._fields(answer) + (more or [])
        if answer.status != HTTPStatus.NO_CONTENT:
            fields.append(("Content-Length", str(len(answer.content))))
        data = self._http.send(h11.Response(status_code=answer.status, headers=fields, reason=answer.status.phrase))
        if self._with_content and answer.content:
            data += self._http.send(h11.Data(data=answer.content))
        self._send(data + self._http.send(h11.EndOfMessage()))

    def _stream(self, answer: Answer) -> None:
        """Pieces as they come, and no length: the end is where the connection ends, which every client knows."""
        fields = [*self._fields(answer), ("Connection", "close")]
        lines = [
            f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
            *(f"{name}: {value}" for name, value in fields),
        ]
        try:
            self._send("".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii"))
            for piece in answer.content if self._with_content else ():
                self._send(piece)
        finally:
            if isinstance(answer.content, Generator):
                answer.content.close()

    def _refuse_and_close(self, refusal: Refusal) -> None:
        """Say why, and wait a little while the client still sends, or it would see a broken connection instead."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        self._send_whole(refusal.answer, [("Connection", "close")])
        socket.socket.shutdown(self._socket, socket.SHUT_WR)
        until = clock.monotonic() + LINGER_SECONDS
        while clock.monotonic() < until and self._receive(until):
            pass


def _check_head(head: h11.Request) -> None:
    """Raises `Refusal` if a request tells its length in two ways, or in one that its version does not have."""
    if head.http_version not in (b"1.0", b"1.1"):
        raise Refusal(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1 is spoken here")
    names = [name for name, _ in head.headers]
    if b"transfer-encoding" in names and (b"content-length" in names or head.http_version < b"1.1"):
        raise Refusal(HTTPStatus.BAD_REQUEST, "a request has one length: Content-Length or Transfer-Encoding")


def _request(head: h11.Request, body: bytes, peer: str) -> Request:
    path, _, query = head.target.decode("ascii").partition("?")
    try:
        fields = parse_qs(query, keep_blank_values=True, max_num_fields=8)
    except ValueError:
        fields = {}
    headers = Headers((name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers)
    first = {key: values[0] for key, values in fields.items()}
    return Request(head.method.decode("ascii"), path, first, headers, body, peer)
