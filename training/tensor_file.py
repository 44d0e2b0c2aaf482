"""Files of tensors, read without running anything that is in them."""

from pathlib import Path

import numpy as np
import torch

from training.safetensors import is_safetensors, read_safetensors


def read_tensors(path: str | Path):
    """What `torch.save` wrote, on the CPU: tensors, texts, numbers (NumPy's too), lists and dictionaries of them; or
    the tensors of a file of safetensors.

    Raises `FileNotFoundError`, `DataError` for a damaged file of safetensors, or whatever torch raises for one that is
    damaged or holds anything else.
    """
    if is_safetensors(Path(path)):
        return read_safetensors(Path(path))
    with torch.serialization.safe_globals(_NUMBERS):
        return torch.load(path, map_location="cpu", weights_only=True)


def _numbers() -> list:
    """What a number of NumPy's is pickled as: torchreid keeps the rank-1 that it reached beside the weights.

    The functions stand in for NumPy's own, of old and new versions, and make numbers alone.
    """
    functions = []
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):

        def scalar(kind: np.dtype, content: bytes):
            return np.frombuffer(content, kind)[0]

        scalar.__module__, scalar.__qualname__, scalar.__name__ = module, "scalar", "scalar"
        functions.append(scalar)
    return [*functions, np.dtype, *{type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "?")}]


_NUMBERS = _numbers()
