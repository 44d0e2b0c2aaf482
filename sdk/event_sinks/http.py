"""Events to a program that listens for HTTP POST: one request an event, JSON."""

import http.client
import ssl
import uuid
from urllib.parse import quote

from sdk.confidential import Confidential, Url, take_apart
from sdk.errors import DataError
from sdk.event_sinks.delivery import Delivery, RefusedError, UnreachableError
from sdk.events import Event

TIMEOUT = 5.0
"""Seconds for connecting and for every answer."""
MAX_ANSWER = 1 << 16
"""Bytes of an answer that are read; a receiver has nothing to tell."""
TRY_AGAIN = {408, 425, 429}
"""Answers, besides 5xx, that say: not now."""


def http_sink(url: str, token: str | None = None, timeout: float = TIMEOUT, **settings) -> Delivery:
    """POST every event to `url`, http or https, as `application/json`.

    An answer of 2xx means taken; 408, 425, 429 and 5xx mean later (a `Retry-After` in seconds is kept to), any other
    means never. The header `X-Event-Id` is the same when an event is sent again. token: sent as `Authorization:
    Bearer`. settings: of `Delivery`. It is called by scheme and host: the path of a webhook is often its key.
    Raises `DataError` if `url` is no such address, or the token no header can hold.
    """
    parts = take_apart(url)
    if parts.scheme not in ("http", "https") or not parts.host:
        raise DataError(f"{parts.origin}: no address to send events to; expected http://HOST:PORT/PATH or https://…")
    if parts.user is not None:
        raise DataError("events over HTTP take no user in the address; give a token in REID_EVENTS_SECRET")
    if token and not (token.isascii() and token.isprintable()):
        raise DataError("the token for HTTP has letters that no header can hold; use ASCII without line breaks")
    return Delivery(parts.origin, _Post(parts, Confidential(token or ""), timeout), **settings)


class _Post:
    def __init__(self, parts: Url, token: Confidential, timeout: float):
        if parts.scheme == "https":
            context = ssl.create_default_context()
            self._connection = http.client.HTTPSConnection(parts.host, parts.port, timeout=timeout, context=context)
        else:
            self._connection = http.client.HTTPConnection(parts.host, parts.port, timeout=timeout)
        self._parts, self._token = parts, token
        self._run = uuid.uuid4().hex

    def send(self, event: Event, number: int) -> None:
        headers = {"Content-Type": "application/json", "User-Agent": "aligned-reid"}
        headers["X-Event-Id"] = f"{self._run}-{number}"
        if self._token:
            headers["Authorization"] = f"Bearer {self._token.reveal()}"
        body = event.to_json().encode()
        kept_open = self._connection.sock is not None
        try:
            response = self._post(body, headers)
        except (OSError, http.client.HTTPException) as error:
            if not kept_open:
                raise UnreachableError(_reason(error)) from None
            try:  # a receiver may close a connection that it kept open; that is no trouble
                response = self._post(body, headers)
            except (OSError, http.client.HTTPException) as error:
                raise UnreachableError(_reason(error)) from None
        if 200 <= response.status < 300:
            return
        # Not the reason in its own words, which may hold the path.
        answer = f"the receiver answered {response.status} {http.client.responses.get(response.status, '')}".rstrip()
        if response.status in TRY_AGAIN or response.status >= 500:
            raise UnreachableError(answer, _seconds(response.headers.get("Retry-After")))
        raise RefusedError(answer)

    def _post(self, body: bytes, headers: dict[str, str]) -> http.client.HTTPResponse:
        try:
            self._connection.request("POST", _target(self._parts), body, headers)
            response = self._connection.getresponse()
            response.read(MAX_ANSWER)
            if not response.isclosed():
                self._connection.close()
            return response
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        self._connection.close()


def _target(parts: Url) -> str:
    query = f"?{parts.query.reveal()}" if parts.query else ""
    return quote((parts.path.reveal() or "/") + query, safe="%/?:@!$&'()*+,;=~")


def _reason(error: Exception) -> str:
    """In the system's words alone; http.client's quote what was sent."""
    return getattr(error, "strerror", None) or type(error).__name__


def _seconds(retry_after: str | None) -> float:
    return float(retry_after) if retry_after and retry_after.isdecimal() else 0.0
