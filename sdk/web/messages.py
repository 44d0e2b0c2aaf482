"""What a page's server takes and gives: requests, answers and refusals, whatever carries them."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

HTML, CSS, SCRIPT = "text/html; charset=utf-8", "text/css; charset=utf-8", "text/javascript; charset=utf-8"
JSON, TEXT, JPEG, PNG = "application/json", "text/plain; charset=utf-8", "image/jpeg", "image/png"


class Headers(Mapping[str, str]):
    """Of a request; names in any case. What came twice is joined, so that it equals nothing that is expected."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()):
        self._values: dict[str, str] = {}
        for name, value in pairs:
            name = name.lower()
            before = self._values.get(name)
            self._values[name] = value if before is None else before + ("; " if name == "cookie" else ", ") + value

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True)
class Request:
    """One request that has come in whole."""

    method: str
    path: str
    """As it was sent: nothing is decoded, so nothing but the path itself means it."""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    peer: str = ""
    """Address at the other end of the connection: the client's, or its proxy's."""


@dataclass(frozen=True)
class Answer:
    """To a request. Content that is an iterator is sent piece by piece, until it ends or the client hangs up."""

    content: bytes | Iterator[bytes] = b""
    kind: str | None = None
    """Content-Type."""
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """Raised by what handles a request: it is answered with a status and a reason in plain words."""

    def __init__(self, status: HTTPStatus, reason: str, headers: Mapping[str, str] | None = None):
        super().__init__(reason)
        self.answer = Answer(reason.encode(), TEXT, status, headers or {})


def json_answer(
    content: object, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Answer:
    """An answer in JSON."""
    return Answer(json.dumps(content, default=str).encode(), JSON, status, headers or {})


def json_object(request: Request) -> dict:
    """The JSON object in a request's body. Raises `Refusal` for anything else.

    A form on another site can post, but not with this type.
    """
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != JSON:
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "an action is application/json")
    try:
        content = json.loads(request.body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise Refusal(HTTPStatus.BAD_REQUEST, "an action is a JSON object")
    return content
