"""Names of people and cameras: what may be one, how it is shown, and how it becomes a file's.

Names come from outside. A new one holds no character that does something to the text around it; one that was given
before this rule is shown with such characters written out, and can be renamed and forgotten.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from sdk.errors import GalleryError

LONGEST = 100
"""Letters of a name."""
MOST_BYTES = 200
"""Of a name in UTF-8: what a gallery's record has room for, and what file systems take with an ending."""

HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters (Cc), line and paragraph separators (Zl, Zp), the controls of writing direction, halves of a
character (Cs)."""


def visible(text: str, but: str = "") -> str:
    r"""The text with its hidden characters written out as in JSON: `\u001b`. but: those that are left as they are."""
    return HIDDEN.sub(lambda found: found[0] if found[0] in but else f"\\u{ord(found[0]):04x}", text)


def checked_name(name: object, what: str = "a name") -> str:
    """The name, if it may be one. what: how the message calls it.

    Raises `GalleryError` unless it is text of one line with at most `LONGEST` letters and `MOST_BYTES` bytes, which is
    not all spaces, and has no hidden character.
    """
    if not isinstance(name, str):
        raise GalleryError(f"{what} is {visible(repr(name))}; a name must be a non-empty string")
    if wrong := _wrong(name):
        raise GalleryError(f"{what} '{_shortened(name)}' {wrong}")
    return name


def wrong_with_camera(name: str) -> str:
    """What keeps a text from being a camera's name, which is a file's too; empty if nothing does."""
    if "/" in name or "\\" in name or name.startswith("."):
        return "has a / or \\, or begins with a dot; files are named after a camera"
    return _wrong(name)


def camera_name(text: str) -> str:
    """A camera's name made of any text: letters and digits of every script, `_`, `-` and dots."""
    kept = (c if unicodedata.category(c)[0] in "LMN" or c in "_.-" else " " for c in unicodedata.normalize("NFC", text))
    return _cut("-".join("".join(kept).split()), 0).strip("-.") or "camera"


def distinct(wanted: Iterable[str]) -> list[str]:
    """The names, a second `door` as `door-2`; names that a file system may take for the same are the same here."""
    names: list[str] = []
    taken: set[str] = set()
    for first in wanted:
        name, count = first, 1
        while _folded(name) in taken:
            count += 1
            name = f"{_cut(first, len(str(count)) + 1)}-{count}"
        taken.add(_folded(name))
        names.append(name)
    return names


def one_called(text: str, names: Sequence[str]) -> str:
    """Whom `text` means: the name itself, or the one that is shown so."""
    shown = [] if text in names else [name for name in names if visible(name) == text]
    return shown[0] if len(shown) == 1 else text


def _wrong(name: str) -> str:
    if not name.strip():
        return "is empty; a name must be a non-empty string"
    if HIDDEN.search(name):
        return "has a line break, a control character or half a character in it; a name is one line of plain text"
    if len(name) > LONGEST or len(name.encode()) > MOST_BYTES:
        size = f"{len(name)} letters, {len(name.encode())} bytes"
        return f"has {size}; shorten the name to {LONGEST} letters and {MOST_BYTES} bytes"
    return ""


def _shortened(name: str) -> str:
    return visible(name if len(name) <= LONGEST else f"{name[:20]}…")


def _cut(text: str, room: int) -> str:
    """As much of it as a name may have, and `room` more letters beside."""
    text = text[: LONGEST - room]
    while len(text.encode(errors="replace")) > MOST_BYTES - room:
        text = text[:-1]
    return text


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
