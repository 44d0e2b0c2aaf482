"""What each address of the live page answers, and to whom. See docs/watching.md for the addresses."""

import json
import re
import threading
import time as clock
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from sdk.colours import colour_of
from sdk.errors import ReIDError
from sdk.serve.access import Access
from sdk.serve.guesses import SECONDS
from sdk.serve.metrics import CONTENT_TYPE, render_metrics
from sdk.serve.site import LiveSite
from sdk.web import common_script, look
from sdk.web.messages import CSS, HTML, JPEG, SCRIPT, Answer, Refusal, Request, json_answer, json_object
from sdk.web.routes import Route, find_answer

PAGE = Path(__file__).parent / "page"
STREAM_RATE = 10.0
"""Frames a second of a stream at most."""
REPEAT_SECONDS = 5.0
"""After this long without a new frame a stream sends the last one again, and so learns whether anybody still looks."""

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
    "/page.css": (_page("page.css"), CSS),
    "/page.js": (_page("page.js"), SCRIPT),
    "/zones.css": (_page("zones.css"), CSS),
    "/zones.js": (_page("zones.js"), SCRIPT),
}
OPEN_FILES = {
    "/look.css": (look().encode(), CSS),
    "/common.js": (common_script().encode(), SCRIPT),
    "/sign-in": (_page("sign-in.html"), HTML),
    "/sign-in.js": (_page("sign-in.js"), SCRIPT),
}
"""What everybody may have: they say nothing about the site."""
FRONT = _page("index.html")


class Pages:
    """Answers requests to a site's page; for several threads at once."""

    def __init__(self, site: LiveSite, access: Access, scheme: str, port: int, closing: threading.Event):
        """scheme, port: of this server. closing: set when streams are to end."""
        self._site = site
        self._access = access
        self._scheme = scheme
        self._port = port
        self._closing = closing
        self._routes = [
            *(Route("GET", re.escape(path), _fixed(*file)) for path, file in OPEN_FILES.items()),
            *(Route("GET", re.escape(path), self._seen(_fixed(*file))) for path, file in FILES.items()),
            Route("GET", "/", self._front),
            Route("GET", "/api/state", self._seen(self._state)),
            Route("GET", "/api/people", self._seen(self._people)),
            Route("GET", "/api/person", self._seen(self._person)),
            Route("GET", "/picture", self._seen(self._picture)),
            Route("GET", "/plan", self._seen(self._plan)),
            Route("GET", "/metrics", self._seen(self._metrics)),
            Route("GET", r"/camera/([0-9]{1,4})\.jpg", self._seen(self._camera)),
            Route("GET", r"/camera/([0-9]{1,4})\.mjpeg", self._seen(self._stream)),
            Route("POST", "/sign-in", self._sign_in),
            Route("POST", "/sign-out", self._acting(self._sign_out)),
            Route("POST", "/api/forget", self._action(("identity",), site.forget)),
            Route("POST", "/api/rename", self._action(("identity", "to"), self._rename)),
            Route("POST", "/api/zone", self._acting(self._zone)),
            Route("POST", "/api/merge", self._action(("identity", "into"), site.merge)),
        ]

    def answer(self, request: Request) -> Answer:
        """Raises `Refusal` for what is not there, or not for who asks."""
        if not self._access.is_for_us(request.headers, self._port):
            raise Refusal(HTTPStatus.FORBIDDEN, f"open {self._scheme}://127.0.0.1:{self._port}/")
        return find_answer(self._routes, request)

    # Who may.

    def _seen(self, handler: Callable[..., Answer]) -> Callable[..., Answer]:
        """A handler for who may see the page alone."""

        def handle(request: Request, *groups: str) -> Answer:
            self._check_sight(request)
            return handler(request, *groups)

        return handle

    def _acting(self, handler: Callable[[Request], Answer]) -> Callable[[Request], Answer]:
        """A handler for requests of our own page, and of programs with the token."""

        def handle(request: Request) -> Answer:
            self._check_sight(request)
            if not self._access.may_act(request.headers, self._scheme, self._port):
                proxy = (
                    "" if request.headers.get("Origin") is None else "; behind a proxy, name its address: --public-url"
                )
                raise Refusal(HTTPStatus.FORBIDDEN, f"reload the page: this request was not made by it{proxy}")
            return handler(request)

        return handle

    def _check_sight(self, request: Request) -> None:
        client = self._access.client(request.headers, request.peer)
        if self._access.may_see(request.headers, client):
            return
        if request.headers.get("Authorization") is not None and self._access.is_kept_out(client):
            raise _too_many_guesses()
        raise Refusal(HTTPStatus.UNAUTHORIZED, "sign in first, or send the token as Authorization: Bearer")

    def _sign_in(self, request: Request) -> Answer:
        token = json_object(request).get("token", "")
        client = self._access.client(request.headers, request.peer)
        session = self._access.sign_in(str(token), client)
        if session is None and self._access.is_kept_out(client):
            raise _too_many_guesses()
        if session is None:
            raise Refusal(HTTPStatus.FORBIDDEN, "that is not the token; after ten wrong ones wait a minute")
        return json_answer({}, headers={"Set-Cookie": self._access.set_cookie(session, self._scheme)})

    def _sign_out(self, request: Request) -> Answer:
        json_object(request)
        self._access.sign_out(request.headers)
        return json_answer({}, headers={"Set-Cookie": self._access.set_cookie(None, self._scheme)})

    # What is seen.

    def _front(self, request: Request) -> Answer:
        if self._access.may_see(request.headers, self._access.client(request.headers, request.peer)):
            return Answer(FRONT, HTML)
        if request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
            # A link on another page; the page asks again by itself, and then it is ours.
            return Answer(b'<!doctype html><meta http-equiv="refresh" content="0;url=/">', HTML)
        raise Refusal(HTTPStatus.SEE_OTHER, "", {"Location": "/sign-in"})

    def _state(self, request: Request) -> Answer:
        signed_in = self._access.token is not None
        return json_answer(self._site.state() | {"secret": self._access.secret, "signed_in": signed_in})

    def _people(self, request: Request) -> Answer:
        return json_answer(self._site.find(request.query.get("find", "")))

    def _person(self, request: Request) -> Answer:
        history = self._site.history(request.query.get("identity", ""))
        if history is None:
            raise Refusal(HTTPStatus.NOT_FOUND, "nobody knows them")
        return json_answer(history)

    def _picture(self, request: Request) -> Answer:
        picture = self._site.picture(request.query.get("identity", ""))
        if picture is None:
            raise Refusal(HTTPStatus.NOT_FOUND, "no picture of them")
        return Answer(picture, JPEG)

    def _plan(self, request: Request) -> Answer:
        plan = self._site.plan
        if plan is None:
            raise Refusal(HTTPStatus.NOT_FOUND, "no plan of the site was given")
        return Answer(plan.image, plan.kind)

    def _metrics(self, request: Request) -> Answer:
        return Answer(render_metrics(self._site).encode(), CONTENT_TYPE)

    def _camera(self, request: Request, number: str) -> Answer:
        after = request.query.get("after", "")
        after = int(after) if re.fullmatch("[0-9]{1,15}", after, re.ASCII) else -1
        found = self._snapshot(int(number), after, "drawn" in request.query)
        if found is None:
            return Answer(status=HTTPStatus.NO_CONTENT)
        count, jpeg, people = found
        people = people[:40]
        told = quote(json.dumps(people, ensure_ascii=False, separators=(",", ":")))
        colours = " ".join(colour_of(name) for _, name in people)
        return Answer(
            jpeg, JPEG, headers={"X-Reid-Frame": str(count), "X-Reid-People": told, "X-Reid-Colours": colours}
        )

    def _stream(self, request: Request, number: str) -> Answer:
        """Motion JPEG, for other programs."""
        self._snapshot(int(number), -1, False)  # refuses a camera that is not there
        return Answer(self._parts(int(number)), "multipart/x-mixed-replace; boundary=frame")

    def _parts(self, number: int) -> Iterator[bytes]:
        last, part, sent = -1, b"", clock.monotonic()
        while not self._closing.wait(1 / STREAM_RATE):
            found = self._site.snapshot(number, last, drawn=True)
            if found is not None:
                last, jpeg, _ = found
                head = f"--frame\r\nContent-Type: {JPEG}\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                part = head.encode() + jpeg + b"\r\n"
            elif clock.monotonic() - sent < REPEAT_SECONDS:
                continue
            sent = clock.monotonic()
            yield part

    def _snapshot(self, number: int, after: int, drawn: bool) -> tuple[int, bytes, list] | None:
        try:
            return self._site.snapshot(number, after, drawn)
        except IndexError:
            raise Refusal(HTTPStatus.NOT_FOUND, "no such camera") from None

    # What is done.

    def _action(self, names: tuple[str, ...], action: Callable[..., dict | None]) -> Callable[[Request], Answer]:
        """A route's handler: the request's JSON has these names, each a text; they are the action's arguments."""

        def handle(request: Request) -> Answer:
            body = json_object(request)
            if set(body) != set(names) or not all(isinstance(value, str) for value in body.values()):
                raise Refusal(HTTPStatus.BAD_REQUEST, f"this action has {' and '.join(names)}, each a string")
            try:
                return json_answer(action(**body) or {})
            except ReIDError as error:
                raise Refusal(HTTPStatus.CONFLICT, str(error)) from error

        return self._acting(handle)

    def _zone(self, request: Request) -> Answer:
        """JSON: camera (its number), kind ("zones" or "lines"), name, points (shares of the picture; [] takes away)."""
        body, site = json_object(request), self._site
        camera, points = body.get("camera"), body.get("points")
        texts = isinstance(body.get("kind"), str) and isinstance(body.get("name"), str)
        if set(body) != {"camera", "kind", "name", "points"} or not texts or not isinstance(points, list):
            raise Refusal(HTTPStatus.BAD_REQUEST, "this action has camera, kind, name, and points, a list of [x, y]")
        if site.zones is None or type(camera) is not int or not 0 <= camera < len(site.cameras):
            raise Refusal(HTTPStatus.NOT_FOUND, "no such camera, or no zones here")
        try:
            site.zones.draw(site.cameras[camera].name, body["kind"], body["name"], points)
        except ReIDError as error:
            raise Refusal(HTTPStatus.CONFLICT, str(error)) from error
        return json_answer({})

    def _rename(self, identity: str, to: str) -> dict:
        name, traces = self._site.rename(identity, to), self._site.traces
        return {"identity": name, "traces": traces} if traces else {"identity": name}


def _fixed(content: bytes, kind: str) -> Callable[[Request], Answer]:
    answer = Answer(content, kind)
    return lambda request: answer


def _too_many_guesses() -> Refusal:
    wait = {"Retry-After": str(int(SECONDS))}
    return Refusal(HTTPStatus.TOO_MANY_REQUESTS, "too many wrong tokens came from there; wait a minute", wait)
