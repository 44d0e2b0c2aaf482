"""One colour a person, the same in videos, on the live page and in reports."""

import re
import zlib

INK = "#000000"
"""Of text on any of these colours."""
UNKNOWN = "#8a8a90"
"""Of somebody without a name yet."""
PALETTE = (
    "#f00010", "#5868f8", "#48a800", "#f838f0", "#e07828", "#0098d8",
    "#f80090", "#907800", "#b038f8", "#b85880", "#008868", "#a880e0",
)  # fmt: skip
"""As far apart from each other as a dozen can be that stand out from white and from near-black alike (a contrast of 3
to 1), and that black text can be read on (4.5 to 1). Those that follow each other differ most."""


def colour_of(name: str | None) -> str:
    """`#rrggbb` of an identity; None: of somebody without one.

    There are more people than colours: the name tells, the colour helps the eye.
    """
    return UNKNOWN if name is None else PALETTE[colour_number(name) % len(PALETTE)]


def colour_number(name: str) -> int:
    """Where a name stands in an endless palette: `person-12` at 12, so that neighbours differ; any other name where its
    letters put it, on every machine."""
    number = re.fullmatch(r"person-([0-9]{1,18})", name, re.ASCII)
    return int(number[1]) if number else zlib.crc32(name.encode("utf-8", "surrogatepass"))


def as_bgr(colour: str) -> tuple[int, int, int]:
    """`#rrggbb` as OpenCV takes it: blue, green, red, 0 to 255."""
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return blue, green, red
