"""The web server: a handful of fixed addresses, no files by name, nothing from elsewhere."""

import json
import re
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from sdk.colours import colour_of
from sdk.confidential import why
from sdk.errors import DataError, ReIDError
from sdk.serve.access import SESSION_SECONDS, Access
from sdk.serve.metrics import CONTENT_TYPE, render_metrics
from sdk.serve.site import LiveSite
from sdk.terminal import notes
from sdk.web import common_script, look

HOST = "127.0.0.1"
PAGE = Path(__file__).parent / "page"
MAX_BODY = 4096
"""Bytes of a request's body; a name has at most a hundred letters."""
MAX_CONNECTIONS = 64
"""At once; a browser has six at most."""
STREAM_RATE = 10.0
"""Frames a second of a stream at most."""

HTML, CSS, SCRIPT = "text/html; charset=utf-8", "text/css; charset=utf-8", "text/javascript; charset=utf-8"
JSON, TEXT, JPEG = "application/json", "text/plain; charset=utf-8", "image/jpeg"

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def _page(name: str) -> bytes:
    return (PAGE / name).read_bytes()


FILES = {
    "/": (HTML, _page("index.html")),
    "/page.css": (CSS, _page("page.css")),
    "/page.js": (SCRIPT, _page("page.js")),
}
OPEN_FILES = {
    "/look.css": (CSS, look().encode()),
    "/common.js": (SCRIPT, common_script().encode()),
    "/sign-in": (HTML, _page("sign-in.html")),
    "/sign-in.js": (SCRIPT, _page("sign-in.js")),
}
"""What everybody may have: they say nothing about the site."""


class Server(ThreadingHTTPServer):
    """One thread a connection, so many connections and no more."""

    daemon_threads = True
    request_queue_size = 32

    def __init__(self, site: LiveSite, access: Access, host: str, port: int, context: ssl.SSLContext | None):
        self.site = site
        self.access = access
        self.scheme = "http" if context is None else "https"
        self.closing = threading.Event()
        self._context = context
        self._room = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._open: set[socket.socket] = set()
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), Handler)

    def get_request(self):
        connection, address = super().get_request()
        if self._context is not None:  # shaking hands is left to the connection's own thread
            connection = self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def process_request(self, request, client_address) -> None:
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._open.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)
            self._room.release()

    def hang_up(self) -> None:
        """End the connections that browsers keep open: their threads would go on answering."""
        self.closing.set()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request, client_address) -> None:
        """A browser that hangs up is no error to print; anything else is one of ours."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            notes.print(f"the page failed: {type(error).__name__}: {why(error)}")


class Handler(BaseHTTPRequestHandler):
    """See docs/watching.md for the addresses."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 20  # s, of a client that sends nothing
    disable_nagle_algorithm = True  # or a body waits 40 ms for the client to acknowledge its headers
    server_version, sys_version = "reid", ""

    def do_GET(self) -> None:
        path, query = self._address()
        site = self.server.site
        if not self._is_for_us():
            return
        if path in OPEN_FILES:
            self._send(HTTPStatus.OK, *OPEN_FILES[path])
        elif not self.server.access.may_see(self.headers):
            if path == "/" and self.headers.get("Sec-Fetch-Site") not in ("cross-site", "same-site"):
                self._send(HTTPStatus.SEE_OTHER, TEXT, b"", {"Location": "/sign-in"})
            elif path == "/":  # a link on another page; the page asks again by itself, and then it is ours
                self._send(HTTPStatus.OK, HTML, b'<!doctype html><meta http-equiv="refresh" content="0;url=/">')
            else:
                self._refuse(HTTPStatus.UNAUTHORIZED, "sign in first, or send the token as Authorization: Bearer")
        elif path in FILES:
            self._send(HTTPStatus.OK, *FILES[path])
        elif path == "/api/state":
            signed_in = self.server.access.token is not None
            self._send_json(site.state() | {"secret": self.server.access.secret, "signed_in": signed_in})
        elif path == "/api/people":
            self._send_json(site.find(query.get("find", "")))
        elif path == "/api/person":
            self._send_or_none(site.history(query.get("identity", "")))
        elif path == "/picture":
            picture = site.picture(query.get("identity", ""))
            if picture is None:
                self._refuse(HTTPStatus.NOT_FOUND, "no picture of them")
            else:
                self._send(HTTPStatus.OK, JPEG, picture)
        elif path == "/metrics":
            self._send(HTTPStatus.OK, CONTENT_TYPE, render_metrics(site).encode())
        elif match := re.fullmatch(r"/camera/([0-9]{1,4})\.(jpg|mjpeg)", path, re.ASCII):
            self._send_camera(int(match[1]), match[2], query)
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "no such page")

    def do_POST(self) -> None:
        path, _ = self._address()
        access, site = self.server.access, self.server.site
        body = self._body()  # read even where it is refused, or the next request would begin in it
        if body is None or not self._is_for_us():
            return
        if path == "/sign-in":
            self._sign_in(body)
        elif not access.may_see(self.headers):
            self._refuse(HTTPStatus.UNAUTHORIZED, "sign in first, or send the token as Authorization: Bearer")
        elif not access.may_act(self.headers, self.server.scheme):
            self._refuse(HTTPStatus.FORBIDDEN, "reload the page: this request was not made by it")
        elif path == "/sign-out":
            access.sign_out(self.headers)
            self._send(HTTPStatus.OK, JSON, b"{}", {"Set-Cookie": self._cookie("", 0)})
        elif path == "/api/forget":
            self._act(body, ("identity",), lambda identity: site.forget(identity))
        elif path == "/api/rename":
            self._act(body, ("identity", "to"), lambda identity, to: {"identity": site.rename(identity, to)})
        elif path == "/api/merge":
            self._act(body, ("identity", "into"), lambda identity, into: site.merge(identity, into))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "no such action")

    def _address(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        try:
            query = parse_qs(parts.query, keep_blank_values=True, max_num_fields=8)
        except ValueError:
            query = {}
        return parts.path, {key: values[0] for key, values in query.items()}

    def _is_for_us(self) -> bool:
        port = self.server.server_address[1]
        if self.server.access.is_for_us(self.headers, port):
            return True
        self._refuse(HTTPStatus.FORBIDDEN, f"open {self.server.scheme}://{HOST}:{port}/")
        return False

    def _body(self) -> dict | None:
        """The JSON object of a request; refuses anything else and returns None."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,6}", length, re.ASCII) or int(length) > MAX_BODY:
            self.close_connection = True
            self._refuse(HTTPStatus.BAD_REQUEST, f"an action has a length, of at most {MAX_BODY} bytes")
            return None
        content = self.rfile.read(int(length))
        # A form on another site can post, but not with this type.
        if self.headers.get_content_type() != JSON:
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "an action is application/json")
            return None
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            self._refuse(HTTPStatus.BAD_REQUEST, "an action is a JSON object")
            return None
        return body

    def _act(self, body: dict, names: tuple[str, ...], action) -> None:
        if set(body) != set(names) or not all(isinstance(value, str) for value in body.values()):
            self._refuse(HTTPStatus.BAD_REQUEST, f"this action has {' and '.join(names)}, each a string")
            return
        try:
            result = action(**body)
        except ReIDError as error:
            self._refuse(HTTPStatus.CONFLICT, str(error))
        else:
            self._send_json(result or {})

    def _sign_in(self, body: dict) -> None:
        session = self.server.access.sign_in(str(body.get("token", "")))
        if session is None:
            self._refuse(HTTPStatus.FORBIDDEN, "that is not the token; after ten wrong ones wait a minute")
        else:
            self._send(HTTPStatus.OK, JSON, b"{}", {"Set-Cookie": self._cookie(session, SESSION_SECONDS)})

    def _cookie(self, value: str, seconds: int) -> str:
        secure = "; Secure" if self.server.scheme == "https" else ""
        return f"{self.server.access.cookie}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"

    def _send_camera(self, number: int, form: str, query: dict[str, str]) -> None:
        after = int(query["after"]) if re.fullmatch("[0-9]{1,15}", query.get("after", ""), re.ASCII) else -1
        try:
            found = self.server.site.snapshot(number, after, drawn=form == "mjpeg" or "drawn" in query)
        except IndexError:
            self._refuse(HTTPStatus.NOT_FOUND, "no such camera")
            return
        if form == "mjpeg":
            self._stream(number)
        elif found is None:
            self._send(HTTPStatus.NO_CONTENT, None, b"")
        else:
            count, jpeg, people = found
            people = people[:40]
            told = quote(json.dumps(people, ensure_ascii=False, separators=(",", ":")))
            colours = " ".join(colour_of(name) for _, name in people)
            more = {"X-Reid-Frame": str(count), "X-Reid-People": told, "X-Reid-Colours": colours}
            self._send(HTTPStatus.OK, JPEG, jpeg, more)

    def _stream(self, number: int) -> None:
        """Motion JPEG, for other programs; ends when the client hangs up."""
        self.close_connection = True
        self.send_response(HTTPStatus.OK)
        for name, value in {**HEADERS, "Content-Type": "multipart/x-mixed-replace; boundary=frame"}.items():
            self.send_header(name, value)
        self.end_headers()
        last = -1
        while not self.server.closing.wait(1 / STREAM_RATE):
            found = self.server.site.snapshot(number, last, drawn=True)
            if found is not None:
                last, jpeg, _ = found
                head = f"--frame\r\nContent-Type: {JPEG}\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")

    def _send_json(self, content: dict) -> None:
        self._send(HTTPStatus.OK, JSON, json.dumps(content, default=str).encode())

    def _send_or_none(self, content: dict | None) -> None:
        if content is None:
            self._refuse(HTTPStatus.NOT_FOUND, "nobody knows them")
        else:
            self._send_json(content)

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self._send(status, TEXT, reason.encode())

    def _send(
        self, status: HTTPStatus, content_type: str | None, content: bytes, more: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, **(more or {})}.items():
            self.send_header(name, value)
        if content_type is not None:
            self.send_header("Content-Type", content_type)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments) -> None:
        """Requests are nobody's news."""


@contextmanager
def serve(
    site: LiveSite,
    access: Access | None = None,
    host: str = HOST,
    port: int = 0,
    certificate: str | Path | None = None,
    key: str | Path | None = None,
) -> Iterator[str]:
    """Serve in threads of its own; yields the address of the page. port 0: any that is free.

    certificate and key: PEM files, for https. Raises `DataError` if the host is not this machine alone and `access`
    asks for no token, if the port cannot be had, or a certificate cannot be read.
    """
    access = access or Access()
    if access.token is None and not is_loopback(host):
        raise DataError(f"at {host} others can reach the page; give it a token: Access(token)")
    try:
        server = Server(site, access, host, port, _context(certificate, key))
    except (OSError, OverflowError) as error:
        raise DataError(f"{host} port {port} cannot be had ({error}); choose another, or 0 for any") from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"{server.scheme}://{shown}:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        server.hang_up()
        thread.join()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    return host in ("localhost", "::1") or host.startswith("127.")


def _context(certificate: str | Path | None, key: str | Path | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise DataError(f"{certificate}: no certificate with its key can be read from it ({error})") from error
    return context
