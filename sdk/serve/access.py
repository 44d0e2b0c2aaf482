"""Who may see the page and act on it."""

import hmac
import secrets
import threading
import time as clock
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie

from sdk.errors import DataError

SESSION_SECONDS = 12 * 3600
"""For how long who has signed in stays so."""
MOST_SESSIONS = 200
SHORTEST_TOKEN = 16
"""Letters; what is shorter can be guessed."""
FAILURES, FAILURE_SECONDS = 10, 60.0
"""So many wrong tokens in so many seconds; after that none is looked at."""
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Access:
    """Without a token: everybody on this machine. With one: who shows it, as `Authorization: Bearer` or by a cookie.

    Actions ask for more, because a browser sends cookies, and requests to this machine, for any page that is open in
    it: a secret that only our own page can read, and no other page's `Origin`.
    """

    def __init__(self, token: str | None = None):
        """Raises `DataError` for a token that is too short."""
        if token is not None and (len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable()):
            raise DataError(f"a token has at least {SHORTEST_TOKEN} letters, all ASCII; leave it out to have one made")
        self.token = token
        self.secret = secrets.token_urlsafe(24)
        """What our page sends along with an action."""
        self.cookie = f"reid-{secrets.token_hex(4)}"
        """Its name; a browser does not tell ports apart, and there may be several servers on a machine."""
        self._sessions: dict[str, float] = {}
        self._failures: list[float] = []
        self._lock = threading.Lock()

    def is_for_us(self, headers: Mapping[str, str], port: int) -> bool:
        """Whether a request means this server: not if another site's name was made to point here.

        With a token there is no need: a browser keeps the cookie for the name under which it was given.
        """
        if self.token is not None:
            return True
        host = (headers.get("Host") or "").lower()
        return host in {f"{name}:{port}" for name in LOOPBACK} or (port == 80 and host in LOOPBACK)

    def may_see(self, headers: Mapping[str, str]) -> bool:
        """Whether a request comes from who may see the page. Other sites' pages may not, whatever cookie is sent."""
        if headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
            return False
        return self.token is None or self._bears_token(headers) or self._has_session(headers)

    def may_act(self, headers: Mapping[str, str], scheme: str) -> bool:
        """Whether a request that `may_see` may change something too."""
        origin = headers.get("Origin")
        if origin is not None and origin.lower() != f"{scheme}://{headers.get('Host', '')}".lower():
            return False
        return self._bears_token(headers) or _same(headers.get("X-Reid-Secret") or "", self.secret)

    def sign_in(self, token: str) -> str | None:
        """A cookie's value for the right token; None for a wrong one, or after too many wrong ones."""
        now = clock.monotonic()
        with self._lock:
            self._failures = [at for at in self._failures if now - at < FAILURE_SECONDS]
            if self.token is None or len(self._failures) >= FAILURES:
                return None
            if not _same(token, self.token):
                self._failures.append(now)
                return None
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

    def _bears_token(self, headers: Mapping[str, str]) -> bool:
        kind, _, token = (headers.get("Authorization") or "").partition(" ")
        return self.token is not None and kind.lower() == "bearer" and _same(token.strip(), self.token)

    def _has_session(self, headers: Mapping[str, str]) -> bool:
        with self._lock:
            return self._sessions.get(self._session(headers), 0.0) > clock.monotonic()

    def _session(self, headers: Mapping[str, str]) -> str:
        try:
            morsel = SimpleCookie(headers.get("Cookie") or "").get(self.cookie)
        except CookieError:
            return ""
        return morsel.value if morsel else ""


def _same(given: str, expected: str) -> bool:
    """Compared in a time that does not tell how much of it is right."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
