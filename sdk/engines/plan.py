"""What a TensorRT plan says of itself, read from its bytes: no GPU, no TensorRT, nothing deserialised.

A plan begins with a header of 28 bytes, the same for TensorRT and TensorRT-RTX: the magic tag at 0, its whole size in
bytes at 16 (uint64), the version that wrote it at 24 (four bytes). NVIDIA tells of the version in
https://github.com/NVIDIA/TensorRT/issues/3073. The network's name stands further in, as plain text, and ours is the
metadata: `{"aligned_reid": {…}}`.

TensorRT cuts a name at 4 096 characters, and TensorRT-RTX refuses a longer one. Metadata that are too long for that,
such as the statistics of a site's cameras, lie in a file beside the plan, model.engine.json, whose hash is in the name:
`{"aligned_reid": {…}, "beside": "…"}`. They are not appended to the plan: TensorRT, and trtexec with it, refuses one
that is not as long as its header says.
"""

import hashlib
import json
import mmap
import struct
from dataclasses import asdict, dataclass, replace
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

MOST_NAME = 2048
"""Characters of a name: half of what TensorRT keeps."""
LONG = ("cameras", "site_prior", "evaluation", "precision_report")
"""Fields of the metadata that may be long; without all others a plan is not loaded."""
BESIDE = "beside"

REMEDY = "make it again on the machine that runs it: reid convert model.onnx -o model.engine"
_LARGEST = 1 << 40
"""Bytes; a size field above it is not one."""
_LONGEST_NAME = 4096
"""Characters that TensorRT keeps."""


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
    """The name that carries `metadata` in a plan: ASCII, so that its bytes in the file are its characters.

    Where they are too long, the hash of what lies beside (`beside`) stands for that. Raises `EngineError` where even
    the rest is too long.
    """
    rest = beside(metadata)
    if rest is None:
        return _name(metadata)
    name = _name(short(metadata), hashlib.sha256(rest).hexdigest())
    if len(name) > MOST_NAME:
        raise EngineError(
            f"the model's metadata are too long for an engine: {len(name)} characters without {', '.join(LONG)}, and "
            f"{MOST_NAME} is the limit; convert the model again from its checkpoint"
        )
    return name


def beside(metadata: Metadata) -> bytes | None:
    """What has to lie beside a plan with these metadata; None where its name holds all."""
    if len(_name(metadata)) <= MOST_NAME:
        return None
    found = {name: value for name, value in asdict(metadata).items() if name in LONG and value is not None}
    return json.dumps({KEY: found}, sort_keys=True).encode()


def beside_path(path: Path) -> Path:
    """Where it lies: model.engine.json beside model.engine."""
    return path.with_name(f"{path.name}.json")


def plan_files(path: Path, content: bytes, metadata: Metadata) -> dict[Path, bytes]:
    """All files of a built plan, itself first."""
    rest = beside(metadata)
    return {path: content} if rest is None else {path: content, beside_path(path): rest}


def short(metadata: Metadata) -> Metadata:
    """Without what may be long."""
    return replace(metadata, **dict.fromkeys(LONG))


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
    """The metadata of a plan: of its network's name, and of the file beside it where the name asks for one.

    Raises `EngineError` where there are none, or the file beside is missing or another one.
    """
    path = Path(path)
    metadata, expected = read_name(path)
    if expected is None:
        return metadata
    other = beside_path(path)
    try:
        rest = other.read_bytes()
    except OSError as error:
        raise EngineError(
            f"{path}: {other.name}, which holds the rest of its metadata, cannot be read beside it ({error.strerror}); "
            f"copy the two together, or {REMEDY}"
        ) from error
    if hashlib.sha256(rest).hexdigest() != expected:
        raise EngineError(f"{path}: {other.name} is of another engine; copy the two together, or {REMEDY}")
    try:
        found = {name: value for name, value in json.loads(rest)[KEY].items() if name in LONG}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise EngineError(f"{other}: damaged ({error}); {REMEDY}") from error
    return Metadata.from_json(json.dumps({**asdict(metadata), **found}), str(other))


def metadata_if_any(path: str | Path) -> Metadata | None:
    """As `read_plan_metadata`; None for a plan that was made by hand. Raises `EngineError` for what is no plan."""
    read_header(path)
    try:
        return read_plan_metadata(path)
    except EngineError:
        return None


def read_name(path: str | Path) -> tuple[Metadata, str | None]:
    """The metadata in the network's name, and the hash of the file that must lie beside the plan or None.

    Raises `EngineError` where there are none.
    """
    with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        text, expected = find_name(content) or (None, None)
    return Metadata.from_json(text, str(path)), expected


def find_metadata(content: bytes | mmap.mmap) -> str | None:
    """The metadata's JSON in the bytes of a plan, as far as its network's name has it; None where there is none."""
    found = find_name(content)
    return found[0] if found else None


def find_name(content: bytes | mmap.mmap) -> tuple[str, str | None] | None:
    """In the bytes of a plan the metadata's JSON, and the hash of what lies beside or None.

    None where there is no name of ours.
    """
    marker = f'{{"{KEY}": '.encode()
    at = content.find(marker)
    while at >= 0:
        # The plan says nowhere how long its name is that we could rely on; the JSON itself says where it ends.
        try:
            name = json.JSONDecoder().raw_decode(content[at : at + _LONGEST_NAME].decode("latin-1"))[0]
            expected = name.get(BESIDE)
            return json.dumps(name[KEY], sort_keys=True), expected if isinstance(expected, str) else None
        except (json.JSONDecodeError, RecursionError):
            at = content.find(marker, at + 1)
    return None


def _name(metadata: Metadata, expected: str | None = None) -> str:
    more = "" if expected is None else f', "{BESIDE}": "{expected}"'
    return f'{{"{KEY}": {metadata.to_json()}{more}}}'


def _what_it_is(start: bytes) -> str:
    if start[:1] == b"\x08":  # the first field of an ONNX file, its version
        return "it looks like an ONNX file: name it .onnx, or convert it with: reid convert model.onnx -o model.engine"
    if start[:2] == b"PK":
        return "it looks like a checkpoint of PyTorch; convert it with: reid convert checkpoint.pt -o model.engine"
    return REMEDY
