"""What a gallery's file is set to: a plain table for everybody to read, and a sealed copy of it to trust.

The plain one says how the file is encrypted, so it cannot be sealed itself. Where the two differ, one of them is
damaged, and the sealed one holds.
"""

import json
import re
import sqlite3

from sdk.errors import GalleryError

PLAIN = ("salt", "check")
"""What must be known before anything can be unsealed; not in the copy."""
COPY = 4000
"""Bytes of the copy's body."""

_KINDS = {
    "created": (int, float), "dim": int, "stripes": str, "model": str, "max_exemplars": int, "retention": (int, float),
    "store_crops": int, "site": str, "store": str, "salt": bytes, "check": bytes,
}  # fmt: skip


def read_plain(connection: sqlite3.Connection, problems: list[str]) -> dict:
    """The plain table. What cannot be a setting is left out, and told in `problems`."""
    try:
        rows = connection.execute("SELECT key, value FROM meta").fetchall()
    except sqlite3.DatabaseError as error:
        problems.append(f"the settings cannot be read ({error})")
        return {}
    found = {}
    for key, value in rows:
        if key in _KINDS and isinstance(value, _KINDS[key]) and _possible(key, value):
            found[key] = value
        else:
            problems.append(f"a setting is damaged ({str(key)[:20]!r})")
    return found


def _possible(key: str, value) -> bool:
    if key == "stripes":
        return bool(re.fullmatch(r"|[0-9]{1,4}x[0-9]{1,5}", value, re.ASCII))
    limits = {"dim": (1, 1 << 20), "max_exemplars": (1, 1 << 40), "retention": (0, float("inf")), "store_crops": (0, 1)}
    low, high = limits.get(key, (None, None))
    return low is None or low <= value <= high


def to_copy(meta: dict) -> bytes:
    """The body of the sealed copy. Raises `GalleryError` if they are more than fit in."""
    text = json.dumps({key: value for key, value in meta.items() if key not in PLAIN}).encode()
    if len(text) > COPY - 2:
        raise GalleryError(f"the settings take {len(text)} bytes, a gallery has room for {COPY - 2}; shorten them")
    return len(text).to_bytes(2, "little") + text.ljust(COPY - 2, b"\0")


def from_copy(body: bytes) -> dict:
    """The settings in it."""
    return json.loads(body[2 : 2 + int.from_bytes(body[:2], "little")])
