"""What the pages of this room have in common: their look, small functions, and how they are put together."""

import base64
import hashlib
from pathlib import Path

HERE = Path(__file__).parent


def look() -> str:
    """The style sheet that every page begins with."""
    return (HERE / "look.css").read_text(encoding="utf-8")


def common_script() -> str:
    """The functions that every page's script may use."""
    return (HERE / "common.js").read_text(encoding="utf-8")


def source_hash(text: str) -> str:
    """How a content security policy names an inline script or style with exactly this text."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
