"""The questionnaire's web server: for this machine alone, one page, no files by name."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

from sdk.errors import ReIDError
from sdk.web.messages import HTML, PNG, Answer, Refusal, Request, json_answer, json_object
from sdk.web.routes import Route, find_answer
from sdk.web.server import listen, serving
from training.human.questionnaire import OutOfTurnError, Questionnaire

HOST = "127.0.0.1"

PAGE = (Path(__file__).parent / "page.html").read_bytes()

HEADERS = {
    # Crops are named by number alone, and the next questionnaire has others under the same names.
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; connect-src 'self'; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Pages:
    """GET /, /state, /crop/<question>/<position>.png; POST /answer."""

    def __init__(self, questionnaire: Questionnaire, port: int):
        self._questionnaire = questionnaire
        self._hosts = {f"{HOST}:{port}", f"localhost:{port}"}
        self._port = port
        self._routes = [
            Route("GET", "/", lambda request: Answer(PAGE, HTML)),
            Route("GET", "/state", lambda request: json_answer(questionnaire.state())),
            # Question (from 1) and position: 0 the query, 1 to 10 the candidates.
            Route("GET", r"/crop/([0-9]{1,6})/([0-9]{1,2})\.png", self._crop),
            Route("POST", "/answer", self._take),
        ]

    def answer(self, request: Request) -> Answer:
        """Raises `Refusal` for what is not there, and for other sites: by a name made to point here, or from a page."""
        host = request.headers.get("Host", "")
        if host not in self._hosts or request.headers.get("Origin", f"http://{host}") != f"http://{host}":
            raise Refusal(HTTPStatus.FORBIDDEN, f"open http://{HOST}:{self._port}/")
        return find_answer(self._routes, request)

    def _take(self, request: Request) -> Answer:
        number, choice = _read_answer(request)
        try:
            self._questionnaire.answer(number, choice)
        except ValueError as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, str(error)) from error
        except OutOfTurnError:
            return json_answer(self._questionnaire.state(), HTTPStatus.CONFLICT)
        except OSError as error:
            reason = f"the answer cannot be written: {error.strerror or error}"
            raise Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, reason) from error
        return json_answer(self._questionnaire.state())

    def _crop(self, request: Request, number: str, position: str) -> Answer:
        try:
            png = self._questionnaire.crop(int(number), int(position))
        except ReIDError:  # its message would name the file, and so the person
            raise Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "the image cannot be read") from None
        if png is None:
            raise Refusal(HTTPStatus.NOT_FOUND, "no such image")
        return Answer(png, PNG)


def _read_answer(request: Request) -> tuple[int, int]:
    """Question and position. Raises `Refusal` for anything but JSON `{"question": …, "choice": …}`."""
    answer = json_object(request)
    if set(answer) != {"question", "choice"}:
        raise Refusal(HTTPStatus.BAD_REQUEST, "an answer has question and choice")
    numbers = answer["question"], answer["choice"]
    if any(type(number) is not int for number in numbers):
        raise Refusal(HTTPStatus.BAD_REQUEST, "question and choice are whole numbers")
    return numbers


@contextmanager
def serve(questionnaire: Questionnaire, port: int = 0) -> Iterator[str]:
    """Serve in threads of its own; yields the address of the page. port 0: any that is free.

    Raises `DataError` if the port cannot be had.
    """
    with listen(HOST, port) as listener:
        port = listener.getsockname()[1]
        with serving(listener, Pages(questionnaire, port).answer, HEADERS):
            yield f"http://{HOST}:{port}/"
