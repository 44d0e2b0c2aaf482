"""What may be the name of a person."""

import unicodedata

from sdk.errors import GalleryError

LONGEST = 100
"""Letters of a name."""


def checked_name(name: object) -> str:
    """A name without spaces around it. Raises `GalleryError` for what is none."""
    if not isinstance(name, str) or not name.strip():
        raise GalleryError("a name has at least one letter")
    name = name.strip()
    if len(name) > LONGEST or any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in name):
        raise GalleryError(f"a name is one line of at most {LONGEST} letters")
    return name
