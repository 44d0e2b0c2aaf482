"""A table of routes: which address takes which method, and who answers."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from sdk.web.messages import Answer, Refusal, Request


@dataclass(frozen=True)
class Route:
    """One row. What answers GET answers HEAD too; the server leaves the content out."""

    method: str
    path: str
    """A regular expression for the whole path; its groups are handed on."""
    handler: Callable[..., Answer]


def find_answer(routes: Sequence[Route], request: Request) -> Answer:
    """What the row for a request answers. Raises `Refusal` where there is none, or not for its method."""
    rows = [(route, match) for route in routes if (match := re.fullmatch(route.path, request.path, re.ASCII))]
    if not rows:
        raise Refusal(HTTPStatus.NOT_FOUND, "no such page")
    method = "GET" if request.method == "HEAD" else request.method
    for route, match in rows:
        if route.method == method:
            return route.handler(request, *match.groups())
    allowed = ", ".join("GET, HEAD" if route.method == "GET" else route.method for route, _ in rows)
    raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, f"this address takes {allowed}", {"Allow": allowed})
