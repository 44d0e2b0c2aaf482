"""What a TensorRT plan says of itself, read from its bytes: no GPU, no TensorRT, nothing deserialised.

A plan begins with a header of 28 bytes, the same for TensorRT and TensorRT-RTX: the magic tag at 0, its whole size in
bytes at 16 (uint64), the version that wrote it at 24 (four bytes). NVIDIA tells of the version in
https://github.com/NVIDIA/TensorRT/issues/3073. The network's name stands further in, as plain text, and ours is the
metadata: `{"aligned_reid": {…}}`.
"""

import json
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

from sdk.engines.kinds import explain_kind
from sdk.engines.metadata import KEY, Metadata
from sdk.errors import EngineError

TENSORRT, RTX = "tensorrt", "tensorrt_rtx"
MAGIC = {b"ftrt": TENSORRT, b"vtrt": RTX}
"""Which library a plan is of, by its first bytes; the names are those under which Python imports them."""
TITLES = {TENSORRT: "TensorRT", RTX: "TensorRT-RTX"}
SUFFIXES = (".engine", ".plan", ".trt")
HEADER = struct.Struct("<4s4x8xQ4B")

REMEDY = "make it again on the machine that runs it: reid convert model.onnx -o model.engine"
_LARGEST = 1 << 40
"""Bytes; a size field above it is not one."""


@dataclass(frozen=True)
class PlanHeader:
    """The first 28 bytes."""

    library: str
    """`TENSORRT` or `RTX`."""
    version: tuple[int, int, int, int]
    size: int
    """Of the whole plan in bytes, as the header tells it."""

    @property
    def title(self) -> str:
        """Library and version for messages."""
        return f"{TITLES[self.library]} {'.'.join(map(str, self.version))}"


def network_name(metadata: Metadata) -> str:
    """The name that carries `metadata` in a plan: ASCII, so that its bytes in the file are its characters."""
    return f'{{"{KEY}": {metadata.to_json()}}}'


def read_header(path: str | Path) -> PlanHeader:
    """Raises `EngineError` for a file that is no plan, or only part of one."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(HEADER.size)
    except OSError as error:
        raise EngineError(f"{path}: cannot be read ({error.strerror})") from error
    if start[:4] not in MAGIC:
        if explained := explain_kind(path):
            raise EngineError(explained)
        raise EngineError(f"{path}: not a TensorRT plan, it begins with {start[:4]!r}; {_what_it_is(start)}")
    length = path.stat().st_size
    if len(start) < HEADER.size:
        raise EngineError(f"{path}: only {length} bytes of a TensorRT plan; copy it again, or {REMEDY}")
    magic, size, *version = HEADER.unpack(start)
    if length < size < _LARGEST:
        raise EngineError(f"{path}: truncated, {length} of {size} bytes are here; copy it again, or {REMEDY}")
    return PlanHeader(MAGIC[magic], tuple(version), size)


def read_plan_metadata(path: str | Path) -> Metadata:
    """The metadata that the plan carries as its network's name. Raises `EngineError` where there is none."""
    with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return Metadata.from_json(find_metadata(content), str(path))


def find_metadata(content: bytes | mmap.mmap) -> str | None:
    """The metadata's JSON in the bytes of a plan; None where there is none."""
    marker = f'{{"{KEY}": '.encode()
    at = content.find(marker)
    while at >= 0:
        # The plan says nowhere how long its name is that we could rely on; the JSON itself says where it ends.
        start, length = at + len(marker), 1 << 16
        text = content[start : start + length].decode("latin-1")
        while True:
            try:
                end = json.JSONDecoder().raw_decode(text)[1]
                return text[:end]
            except json.JSONDecodeError:
                if len(text) < length or length > 1 << 24:
                    break
            length *= 4
            text = content[start : start + length].decode("latin-1")
        at = content.find(marker, at + 1)
    return None


def _what_it_is(start: bytes) -> str:
    if start[:1] == b"\x08":  # the first field of an ONNX file, its version
        return "it looks like an ONNX file: name it .onnx, or convert it with: reid convert model.onnx -o model.engine"
    if start[:2] == b"PK":
        return "it looks like a checkpoint of PyTorch; convert it with: reid convert checkpoint.pt -o model.engine"
    return REMEDY
