"""Words as grey pictures, in any script that a font of this machine has.

OpenCV's own letters are ASCII. Pillow comes with supervision, and the font DejaVu (Latin, Greek, Cyrillic, Arabic,
Hebrew, Georgian, Armenian) with its matplotlib; fonts for other scripts are the system's, where they are installed. A
letter that no font has is told by its number, `U+5F20`.
"""

import importlib.util
import unicodedata
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np

from sdk.errors import missing_package

try:
    from PIL import Image, ImageDraw, ImageFont
except ImportError:
    raise missing_package("pillow", "track", "drawing names into pictures") from None

FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "DroidSansFallbackFull.ttf",
    "wqy-microhei.ttc",
    "NotoSansArabic-Regular.ttf",
    "NotoSansHebrew-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansBengali-Regular.ttf",
    "NotoSansTamil-Regular.ttf",
    "NotoSansThai-Regular.ttf",
    "NotoSansEthiopic-Regular.ttf",
)
"""File names, wherever the system keeps its fonts; the first that has a letter draws it."""
NO_LETTER = "\uffff"
"""Unicode promises that this never is one, so a font draws it as it draws all that it has not."""
ABOVE, BELOW = 0.95, 0.25
"""Room above and below the base line, in sizes."""


def word_height(size: int) -> int:
    """px of what `draw_word` gives for a size in px."""
    return round(ABOVE * size) + round(BELOW * size)


@lru_cache(1024)
def draw_word(text: str, size: int) -> np.ndarray:
    """The ink of one line, uint8 `[word_height(size), W]`, 0 to 255, read-only. size: px from line to line."""
    pieces = [np.zeros((word_height(size), 0), np.uint8)]
    for face, letters in groupby(readable(text), _face_of):
        run, font = "".join(letters), _sized(face, size)
        picture = Image.new("L", (max(1, int(np.ceil(font.getlength(run)))), word_height(size)))
        ImageDraw.Draw(picture).text((0, round(ABOVE * size)), run, fill=255, font=font, anchor="ls")
        pieces.append(np.asarray(picture))
    ink = np.hstack(pieces)
    ink.flags.writeable = False
    return ink


def readable(text: str) -> str:
    """One line of letters that can be drawn here; the others by their numbers, and those that only steer left out."""
    letters = []
    for letter in " ".join(text.split()):
        if unicodedata.category(letter) == "Cf":  # joiners, marks of direction
            continue
        letters.append(letter if any(_has(face, letter) for face in range(len(_faces()))) else f"U+{ord(letter):04X}")
    return "".join(letters)


@lru_cache(1)
def _faces() -> tuple:
    """The fonts that are here; the last, Pillow's own, always is."""
    found = []
    for name in FONTS:
        for place in (name, *_with_matplotlib(name)):
            try:
                found.append(ImageFont.truetype(place, 16))
                break
            except OSError:
                continue
    return (*found, ImageFont.load_default(16))


def _with_matplotlib(name: str) -> list[str]:
    spec = importlib.util.find_spec("matplotlib")
    places = spec.submodule_search_locations or () if spec else ()
    return [str(Path(place) / "mpl-data" / "fonts" / "ttf" / name) for place in places]


@lru_cache(64)
def _sized(face: int, size: int):
    font = _faces()[face]
    return font.font_variant(size=size) if face < len(_faces()) - 1 else ImageFont.load_default(size)


@lru_cache(4096)
def _has(face: int, letter: str) -> bool:
    if letter == " ":
        return True
    if unicodedata.category(letter)[0] == "C":  # control, unassigned, half of a pair
        return False
    font = _faces()[face]
    ink, none = font.getmask(letter), font.getmask(NO_LETTER)
    return ink.size != none.size or bytes(ink) != bytes(none)


def _face_of(letter: str) -> int:
    return next(face for face in range(len(_faces())) if _has(face, letter))
