"""The questionnaire's web server: for this machine alone, one page, no files by name."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from sdk.errors import DataError, ReIDError
from training.human.questionnaire import OutOfTurnError, Questionnaire

HOST = "127.0.0.1"

PAGE = (Path(__file__).parent / "page.html").read_bytes()

CROP = re.compile(r"/crop/([0-9]{1,6})/([0-9]{1,2})\.png", re.ASCII)
"""Question (from 1) and position: 0 the query, 1 to 10 the candidates."""

MAX_BODY = 1024
"""Bytes of a request's body; an answer has about thirty."""

HEADERS = {
    # Crops are named by number alone, and the next questionnaire has others under the same names.
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; connect-src 'self'; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Server(ThreadingHTTPServer):
    """Listens on 127.0.0.1 only."""

    daemon_threads = True

    def __init__(self, questionnaire: Questionnaire, port: int):
        self.questionnaire = questionnaire
        super().__init__((HOST, port), Handler)

    def handle_error(self, request, client_address) -> None:
        """A browser that hangs up is no error to print."""


class Handler(BaseHTTPRequestHandler):
    """GET /, /state, /crop/<question>/<position>.png; POST /answer."""

    server: Server
    timeout = 10  # s, of a client that sends nothing
    server_version, sys_version = "reid", ""

    def do_GET(self) -> None:
        if not self._is_local():
            return
        if self.path == "/":
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", PAGE)
        elif self.path == "/state":
            self._send_state(HTTPStatus.OK)
        elif match := CROP.fullmatch(self.path):
            self._send_crop(*map(int, match.groups()))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "no such page")

    def do_POST(self) -> None:
        if not self._is_local():
            return
        if self.path != "/answer":
            self._refuse(HTTPStatus.NOT_FOUND, "no such page")
            return
        try:
            number, choice = self._read_answer()
            self.server.questionnaire.answer(number, choice)
        except ValueError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        except OutOfTurnError:
            self._send_state(HTTPStatus.CONFLICT)
        except OSError as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"the answer cannot be written: {error.strerror or error}")
        else:
            self._send_state(HTTPStatus.OK)

    def _is_local(self) -> bool:
        """Whether the request is meant for this server: another site's name that was made to point here is refused."""
        port = self.server.server_address[1]
        if self.headers.get("Host") in {f"{HOST}:{port}", f"localhost:{port}"}:
            return True
        self._refuse(HTTPStatus.FORBIDDEN, f"open http://{HOST}:{port}/")
        return False

    def _read_answer(self) -> tuple[int, int]:
        """Question and position. Raises `ValueError` for anything but JSON `{"question": …, "choice": …}`."""
        # A form on another site can post, but not with this type.
        if self.headers.get_content_type() != "application/json":
            raise ValueError("an answer is application/json")
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,6}", length) or int(length) > MAX_BODY:
            raise ValueError(f"an answer has a length, of at most {MAX_BODY} bytes")
        try:
            answer = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            raise ValueError("an answer is JSON") from None
        if not isinstance(answer, dict) or set(answer) != {"question", "choice"}:
            raise ValueError("an answer has question and choice")
        numbers = answer["question"], answer["choice"]
        if any(type(number) is not int for number in numbers):
            raise ValueError("question and choice are whole numbers")
        return numbers

    def _send_crop(self, number: int, position: int) -> None:
        try:
            png = self.server.questionnaire.crop(number, position)
        except ReIDError:  # its message would name the file, and so the person
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "the image cannot be read")
            return
        if png is None:
            self._refuse(HTTPStatus.NOT_FOUND, "no such image")
        else:
            self._send(HTTPStatus.OK, "image/png", png)

    def _send_state(self, status: HTTPStatus) -> None:
        self._send(status, "application/json", json.dumps(self.server.questionnaire.state()).encode())

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self._send(status, "text/plain; charset=utf-8", reason.encode())

    def _send(self, status: HTTPStatus, content_type: str, content: bytes) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": content_type, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments) -> None:
        """Requests are nobody's news."""


@contextmanager
def serve(questionnaire: Questionnaire, port: int = 0) -> Iterator[str]:
    """Serve in a thread of its own; yields the address of the page. port 0: any that is free.

    Raises `DataError` if the port cannot be had.
    """
    try:
        server = Server(questionnaire, port)
    except (OSError, OverflowError) as error:
        raise DataError(f"port {port} cannot be had ({error}); choose another, or 0 for any") from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
