"""Files of safetensors: a header in JSON, and the tensors' bytes one after the other. Nothing in them could be run."""

import struct
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from sdk.errors import DataError
from sdk.reading import parse_json

LARGEST_HEADER = 100 << 20
"""Bytes; the format's own limit."""
FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
WHOLE = {"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8}
DTYPES = FLOATS | WHOLE | {"BOOL": torch.bool}


def is_safetensors(path: Path) -> bool:
    """Whether a file begins as they do: with the length of a JSON object, and the object. Raises `OSError`."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, by their names.

    Raises `DataError` unless the tensors it names fill it exactly: what is cut, overlaps or is left over is damaged.
    """
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    start = 8 + length
    if length > LARGEST_HEADER or start > len(content):
        raise DataError(f"{path}: a file of safetensors whose header is cut short; was it copied whole?")
    try:
        header = parse_json(content[8:start])
        header.pop("__metadata__", None)
        places = sorted((*entry["data_offsets"], name) for name, entry in header.items())
        tensors, end = {}, 0
        for first, last, name in places:
            if first != end:
                raise ValueError(f"{name} does not begin where the tensor before it ends")
            tensors[name] = _tensor(header[name], content[start + first : start + last], last - first)
            end = last
        if start + end != len(content):
            raise ValueError(f"it has {len(content) - start} bytes of tensors, and names {end}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise DataError(f"{path}: a damaged file of safetensors ({reason}); was it copied whole?") from error
    return tensors


def _tensor(entry: dict, content: bytes, size: int) -> Tensor:
    if entry["dtype"] not in DTYPES:
        raise ValueError(f"numbers of type {entry['dtype']!r} are not known here")
    dtype, shape = DTYPES[entry["dtype"]], entry["shape"]
    if not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError(f"shape {shape} is none")
    if not size == len(content) == prod(shape) * dtype.itemsize:
        raise ValueError(f"a tensor of {shape} {entry['dtype']} has {size} bytes")
    if not size:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(content), dtype=dtype).reshape(shape)  # a copy of its own, aligned
