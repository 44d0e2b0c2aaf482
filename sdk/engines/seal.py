"""A seal in a model file: a digest of the file itself, so that weights that were damaged are noticed.

A flipped bit of a weight makes other features, or none, and nothing else shows it. The seal is SHA-256 over the file's
bytes with the seal's own 64 characters as zeros. It keeps nobody out: who means to change a model can seal it again.
"""

import hashlib
import re

from sdk.errors import EngineError

SEAL_KEY = "aligned_reid_seal"
"""Of the seal among an ONNX file's properties."""
UNSEALED = "sealed with " + "0" * 64
"""The property's value before `seal`."""
_SEAL = re.compile(rb"sealed with ([0-9a-f]{64})")


def seal(content: bytes) -> bytes:
    """The bytes of a model file with its seal, for a file that holds `UNSEALED`. Raises `ValueError` if it does not."""
    blank = _blank(content)
    if blank is None:
        raise ValueError("the file has no place for a seal, or several")
    return content.replace(UNSEALED.encode(), b"sealed with " + _digest(blank).encode())


def check_seal(content: bytes, source: str) -> None:
    """Raise `EngineError` if the file `source` has a seal that is not of these bytes; files without one pass."""
    blank = _blank(content)
    if blank is not None and _SEAL.search(content)[1].decode() != _digest(blank):
        raise EngineError(
            f"{source}: is not what was written: its weights, or what it says of itself, have changed since; copy it "
            "again, or make it again with reid convert"
        )


def _blank(content: bytes) -> bytes | None:
    """The file with zeros for its seal; None if it has none, or more than one, of which nobody knows which holds."""
    return _SEAL.sub(UNSEALED.encode(), content) if len(_SEAL.findall(content)) == 1 else None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
