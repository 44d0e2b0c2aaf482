"""Engines run an exported model: `load_engine(path)` picks the runtime by the file."""

from pathlib import Path
from typing import Protocol

import numpy as np

from sdk.engines.metadata import Metadata
from sdk.errors import EngineError

__all__ = ["DEFAULT_MODEL", "Engine", "Metadata", "load_engine"]

DEFAULT_MODEL = Path(__file__).parents[1] / "models" / "default.onnx"
"""The model that ships with the package, trained on drawn people only (docs/default-model.md)."""


class Engine(Protocol):
    """What `ReIdentifier` needs of a runtime."""

    metadata: Metadata

    def run(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """uint8 BGR `[B, H, W, 3]` → embedding float32 `[B, D]` at unit length, and stripes `[B, S, d]` or None."""
        ...


def load_engine(path: str | Path | None = None) -> Engine:
    """Open a model file: `.onnx` in ONNX Runtime; no path means the model that ships with the package.

    Raises `EngineError` if the file is missing, of an unknown kind, or was not written by `reid convert`.
    """
    path = DEFAULT_MODEL if path is None else Path(path)
    if not path.is_file():
        raise EngineError(f"{path}: no such model file; `reid convert` writes one")
    if path.suffix == ".onnx":
        from sdk.engines.onnx import OnnxEngine

        return OnnxEngine(path)
    remedy = "; convert a checkpoint with: reid convert checkpoint.pt -o model.onnx"
    raise EngineError(f"{path}: unknown kind of model '{path.suffix}', this release runs .onnx files" + remedy)
