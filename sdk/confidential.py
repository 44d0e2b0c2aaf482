"""What must not be read by whoever reads a message, a record or a page: users, passwords, keys in addresses.

One type carries it and does not print itself, and one function takes an address apart. What is shown of an address is
made of the parts that are known to be harmless, never by taking the harmful ones out.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from sdk.errors import DataError

HOW_TO_WRITE = (
    "in user and password write / as %2F, @ as %40, : as %3A, ? as %3F, # as %23, a space as %20 and % as %25; "
    "after the host, whose port is a number, write @ as %40"
)
"""Of an address that cannot be understood."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)
_PLACE = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[\w.-]*)(?::(\d{1,5}))?")
_HARMLESS = re.compile(r"[\w.~+-]*")
"""A step of a path that says nothing but where: no key=value, nothing percent-encoded."""
_AT = re.compile(r"@(?=[\w.\[:])")
"""Before a host."""
_SCHEME = re.compile(r"(?<![\w+.-])(?:(?![A-Za-z])[\w+.-])*([A-Za-z][\w+.-]*:/+)")
_BARE = re.compile(r"(?<![^\s'\"])()[^\s'\":]*:")
"""Where an address begins, also one whose scheme was forgotten. They look at a character once or twice, for the texts
may be long, and of others."""
_KEYS = r"user|usr|login|pass|pwd|passwd|passphrase|token|key|auth|secret|sig|streamid|credential"


class Confidential:
    """A text that is read with `reveal()` and in no other way: printed, it is `shown`; it cannot be pickled.

    Two are equal if their texts are.
    """

    __slots__ = ("_reveal", "shown")

    def __init__(self, text: str, shown: str = "…"):
        """shown: what stands for it where people read."""
        # In a closure: not even an object's inspection by attributes prints it.
        self._reveal = lambda: text
        self.shown = shown

    def reveal(self) -> str:
        """The text, for the call that needs it, and for nothing that is printed or written."""
        return self._reveal()

    def hidden_in(self, text: str) -> str:
        """A text that others wrote, without this one in it."""
        return text.replace(self._reveal(), "…") if self else text

    def __repr__(self) -> str:
        return f"<{self.shown}>"

    def __str__(self) -> str:
        return self.shown

    def __format__(self, form: str) -> str:
        return format(self.shown, form)

    def __bool__(self) -> bool:
        return bool(self._reveal())

    def __eq__(self, other: object) -> bool:
        return self._reveal() == other._reveal() if isinstance(other, Confidential) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._reveal())

    def __copy__(self) -> "Confidential":
        return self

    def __deepcopy__(self, _memo: dict) -> "Confidential":
        return self

    def __reduce__(self):
        raise TypeError("what is confidential cannot be pickled; hand the address on by other means")


@dataclass(frozen=True)
class Url:
    """An address `scheme://[user[:password]@][host][:port][/path][?query][#fragment]`, taken apart."""

    whole: Confidential
    """As it was written."""
    scheme: str
    """In small letters."""
    user: Confidential | None
    """Decoded; None if the address has no user."""
    password: Confidential | None
    """Decoded; None if the address has no password."""
    host: str
    """Without the brackets of IPv6; may be empty."""
    port: int | None
    path: Confidential
    """As it was written, from its / on; may be empty."""
    query: Confidential
    """As it was written, without its ?; may be empty."""
    fragment: Confidential
    """As it was written, without its #; may be empty."""
    origin: str
    """`scheme://host:port`, for messages."""
    shown: str
    """The origin and what is harmless of the path, for messages."""


def take_apart(text: str) -> Url:
    """Take a URL apart. What stands before the last @ before the first / is user and password.

    Raises `DataError` for what cannot be understood, with the remedy and without the text: an @ after the host (it may
    belong to a password with a / in it), a port that is no number, a character that no host has.
    """
    found = _URL.fullmatch(text)
    if not found:
        raise DataError("an address has the form scheme://host/path")
    scheme, authority, path, query, fragment = found[1], found[2], found[3], found[4] or "", found[5] or ""
    userinfo, at, place = authority.rpartition("@")
    where = _PLACE.fullmatch(place)
    unclear = "@" in path + query + fragment or not where or int(where[2] or 0) > 65535
    if unclear or not text.isprintable():
        raise DataError(f"{scheme}://…: this address cannot be understood; {HOW_TO_WRITE}")
    user, colon, password = userinfo.partition(":")
    origin = f"{scheme}://{place}"
    shown = origin
    for step in path.split("/")[1:]:
        shown += f"/{step if _HARMLESS.fullmatch(step) else '…'}"
        if shown.endswith("…"):
            break  # what follows may belong to it: a password with a / in it
    return Url(
        Confidential(text, shown),
        scheme.lower(),
        Confidential(unquote(user)) if at else None,
        Confidential(unquote(password)) if colon else None,
        where[1].strip("[]"),
        int(where[2]) if where[2] else None,
        Confidential(path),
        Confidential(query[1:]),
        Confidential(fragment[1:]),
        origin,
        shown,
    )


def shown_text(text: object) -> str:
    """Where a text of the user's points to, for messages: of an address the harmless parts, of other texts all but what
    may be confidential."""
    text = str(text)
    try:
        return take_apart(text).shown
    except DataError:
        found = re.match(r"\s*([A-Za-z][\w+.-]*://)", text)
        return f"{found[1]}…" if found else hide(text)


def hide(text: object) -> str:
    """A text that others wrote (a driver, a server, a user), without what may be confidential in it.

    Of an address nothing is left before its last @, nor after its ?; after `password=` and the like, and of an address
    that cannot be understood, nothing is left of the line. A text of our own, which has none of it, stays as it is.
    """
    return "\n".join(_hide(line) for line in str(text).split("\n"))


def _hide(line: str) -> str:
    for begins in (_SCHEME, _BARE):
        line = _without_user(line, begins)
    line = re.sub(r"(:/[^\s?]*\?)\S.*", r"\1…", line)
    return re.sub(rf"(?i)((?:{_KEYS})[\w-]*\s*(?:=|%3D)).*", r"\1…", line)


def _without_user(line: str, begins: re.Pattern) -> str:
    """Of an address what follows its last @, unless that may itself belong to a password."""
    at = max((found.start() for found in _AT.finditer(line)), default=-1)
    found = begins.search(line, 0, max(at, 0))
    if not found:
        return line
    kept, user = line[: found.end(1)], line[found.end(1) : at]
    return kept + ("…" if re.search("[/?#=]", user) else line[at + 1 :])


def why(error: BaseException) -> str:
    """A failure in one line, without what may be confidential."""
    text = str(error).strip()
    return hide(text.splitlines()[0]) if text else type(error).__name__
