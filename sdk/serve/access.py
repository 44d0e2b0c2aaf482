"""Who may see the page and act on it."""

import hmac
import secrets
import threading
import time as clock
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from sdk.errors import DataError
from sdk.serve.guesses import Guesses
from sdk.web.addresses import group_of, is_loopback

SESSION_SECONDS = 12 * 3600
"""For how long who has signed in stays so."""
MOST_SESSIONS = 200
SHORTEST_TOKEN = 16
"""Letters; what is shorter can be guessed."""
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Access:
    """Without a token: everybody on this machine. With one: who shows it, as `Authorization: Bearer` or by a cookie.

    Actions ask for more, because a browser sends cookies, and requests to this machine, for any page that is open in
    it: a secret that only our own page can read, and no other page's `Origin`.
    """

    def __init__(self, token: str | None = None, public_url: str | None = None):
        """public_url: scheme and host under which a proxy shows the page, such as `https://reid.example`.

        Raises `DataError` for a token that is too short, for a public address that is none or has a path, or for one
        without a token: a proxy shows the page to others.
        """
        if token is not None and (len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable()):
            raise DataError(f"a token has at least {SHORTEST_TOKEN} letters, all ASCII; leave it out to have one made")
        if public_url is not None and token is None:
            raise DataError("through a proxy others can reach the page; give it a token: Access(token, public_url)")
        self.token = token
        self.public_origin = None if public_url is None else _origin(public_url)
        """As browsers write it; None: there is no proxy."""
        self.secret = secrets.token_urlsafe(24)
        """What our page sends along with an action."""
        self.cookie = f"reid-{secrets.token_hex(4)}"
        """Its name; a browser does not tell ports apart, and there may be several servers on a machine."""
        self._sessions: dict[str, float] = {}
        self._guesses = Guesses()
        self._lock = threading.Lock()

    def client(self, headers: Mapping[str, str], peer: str) -> str:
        """Whose request it is: the peer's, or, where the peer is our proxy, theirs for whom it asks.

        A proxy adds the address that it sees at the end of `X-Forwarded-For`; what stands before that is hearsay.
        """
        if self.public_origin is None or not is_loopback(peer):
            return peer
        told = (headers.get("X-Forwarded-For") or "").rpartition(",")[2].strip()
        return group_of(told) if told else peer

    def is_for_us(self, headers: Mapping[str, str], port: int) -> bool:
        """Whether a request means this server: not if another site's name was made to point here.

        With a token there is no need: a browser keeps the cookie for the name under which it was given.
        """
        return self.token is not None or _is_local(headers, port)

    def may_see(self, headers: Mapping[str, str], address: str = "") -> bool:
        """Whether a request comes from who may see the page. Other sites' pages may not, whatever cookie is sent.

        address: whose request it is; a wrong token counts as theirs.
        """
        if headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
            return False
        if self.token is None or self._has_session(headers):
            return True
        return headers.get("Authorization") is not None and self._is_right(_bearer(headers), address)

    def is_kept_out(self, address: str) -> bool:
        """Whether no token from an address is looked at, because of wrong ones before."""
        return self._guesses.too_many(address)

    def may_act(self, headers: Mapping[str, str], scheme: str, port: int = 0) -> bool:
        """Whether a request that `may_see` may change something too. scheme, port: of this server."""
        origin = headers.get("Origin")
        if origin is not None and origin.lower() not in self._own_origins(headers, scheme, port):
            return False
        return self._bears_token(headers) or _same(headers.get("X-Reid-Secret") or "", self.secret)

    def _own_origins(self, headers: Mapping[str, str], scheme: str, port: int) -> set[str]:
        """Of pages that are ours. Behind a proxy it says which, and at this machine itself the server does."""
        here = f"{scheme}://{headers.get('Host', '')}".lower()
        if self.public_origin is None:
            return {here}
        return {self.public_origin, here} if _is_local(headers, port) else {self.public_origin}

    def sign_in(self, token: str, address: str = "") -> str | None:
        """A cookie's value for the right token; None for a wrong one, or after too many wrong ones from `address`."""
        if self.token is None or not self._is_right(token, address):
            return None
        now = clock.monotonic()
        with self._lock:
            self._sessions = {key: end for key, end in self._sessions.items() if end > now}
            while len(self._sessions) >= MOST_SESSIONS:
                del self._sessions[min(self._sessions, key=self._sessions.get)]
            session = secrets.token_urlsafe(32)
            self._sessions[session] = now + SESSION_SECONDS
            return session

    def sign_out(self, headers: Mapping[str, str]) -> None:
        """End the session of a request."""
        with self._lock:
            self._sessions.pop(self._session(headers), None)

    def set_cookie(self, session: str | None, scheme: str) -> str:
        """What to send as `Set-Cookie` for a session; None: the cookie is taken back. scheme: of this server."""
        secure = "; Secure" if scheme == "https" or (self.public_origin or "").startswith("https:") else ""
        seconds = 0 if session is None else SESSION_SECONDS
        return f"{self.cookie}={session or ''}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"

    def _is_right(self, token: str, address: str) -> bool:
        """Whether that is the token; a wrong one is counted, and after too many none is looked at."""
        if self._guesses.too_many(address):
            return False
        if _same(token, self.token):
            return True
        self._guesses.note_wrong(address)
        return False

    def _bears_token(self, headers: Mapping[str, str]) -> bool:
        return self.token is not None and _same(_bearer(headers), self.token)

    def _has_session(self, headers: Mapping[str, str]) -> bool:
        with self._lock:
            return self._sessions.get(self._session(headers), 0.0) > clock.monotonic()

    def _session(self, headers: Mapping[str, str]) -> str:
        try:
            morsel = SimpleCookie(headers.get("Cookie") or "").get(self.cookie)
        except CookieError:
            return ""
        return morsel.value if morsel else ""


def _bearer(headers: Mapping[str, str]) -> str:
    kind, _, token = (headers.get("Authorization") or "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def _is_local(headers: Mapping[str, str], port: int) -> bool:
    host = (headers.get("Host") or "").lower()
    return host in {f"{name}:{port}" for name in LOOPBACK} or (port == 80 and host in LOOPBACK)


def _origin(public_url: str) -> str:
    """What a browser sends as `Origin` from pages at that address."""
    try:
        parts = urlsplit(public_url.strip())
        scheme, host, port = parts.scheme.lower(), (parts.hostname or "").lower(), parts.port
    except ValueError:
        scheme, host, port, parts = "", "", None, urlsplit("")
    more = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if scheme not in ("http", "https") or not host or more or not host.isascii():
        raise DataError("a public address is scheme and host alone, such as https://reid.example")
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" + ("" if port in (None, {"http": 80, "https": 443}[scheme]) else f":{port}")


def _same(given: str, expected: str) -> bool:
    """Compared in a time that does not tell how much of it is right."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
