"""Engines run an exported model: `load_engine(path)` picks the runtime by the file."""

import os
from pathlib import Path
from typing import Protocol

import numpy as np

from sdk.engines.kinds import explain_kind, is_onnx
from sdk.engines.metadata import Metadata
from sdk.engines.plan import SUFFIXES
from sdk.errors import EngineError

__all__ = ["DEFAULT_MODEL", "Engine", "Metadata", "load_engine", "read_metadata"]

DEFAULT_MODEL = Path(__file__).parents[1] / "models" / "default.onnx"
"""The model that ships with the package, trained on drawn people only (docs/default-model.md)."""


class Engine(Protocol):
    """What `ReIdentifier` needs of a runtime."""

    metadata: Metadata

    def run(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """uint8 BGR `[B, H, W, 3]` → embedding float32 `[B, D]` at unit length, and stripes `[B, S, d]` or None."""
        ...


def load_engine(
    path: str | Path | None = None,
    *,
    rebuild: bool = False,
    sha256: str | None = None,
    host_code: bool = False,
    graphs: bool = False,
) -> Engine:
    """Open a model file; no path means the model that ships with the package.

    `.onnx` runs in ONNX Runtime, `.engine`, `.plan` and `.trt` in TensorRT or TensorRT-RTX, whichever wrote it.

    **An engine is code.** TensorRT trusts what it deserialises, so load none that you, or somebody you trust, did not
    build; `sha256` (hexadecimal) says which file you mean, and no other is opened. `reid convert` prints it.

    What can be known of an engine without deserialising it is checked first: that it is whole, of the library and
    version that are here, and for this GPU. rebuild: where it is not, build it again from the ONNX file beside it, of
    the same name, if that is the one that it was built from. host_code: let an engine that was built with
    `--version-compatible` run the code for the processor that it brings; it is refused without. graphs: launch an
    engine's work as CUDA graphs, which should pay for small models and batches; a model on the processor has none.

    Raises `EngineError` if the file is missing, of an unknown kind, not the one that `sha256` names, not written by
    `reid convert`, or does not fit this machine; `MissingPackageError` where the runtime is not installed.
    """
    path = DEFAULT_MODEL if path is None else Path(path)
    _check_is_file(path)
    if sha256 is not None:
        from sdk.engines.loading import check_sha256

        check_sha256(path, sha256)
    if is_onnx(path):
        from sdk.engines.onnx import OnnxEngine

        return OnnxEngine(path)
    if path.suffix.lower() in SUFFIXES:
        from sdk.engines.loading import open_plan

        return open_plan(path, rebuild, host_code, graphs)
    raise _unknown_kind(path)


def read_metadata(path: str | Path) -> Metadata:
    """What a model file says of itself, without a GPU and whatever is installed. Raises `EngineError`."""
    path = Path(path)
    _check_is_file(path)
    if is_onnx(path):
        from sdk.engines.onnx import read_onnx_metadata

        return read_onnx_metadata(path)
    if path.suffix.lower() in SUFFIXES:
        from sdk.engines.plan import read_header, read_plan_metadata

        read_header(path)
        return read_plan_metadata(path)
    raise _unknown_kind(path)


def _check_is_file(path: Path) -> None:
    if not os.path.isfile(path):  # False, too, for what no file can be called
        raise EngineError(f"{path}: no such model file; `reid convert` writes one")


def _unknown_kind(path: Path) -> EngineError:
    if explained := explain_kind(path):
        return EngineError(explained)
    return EngineError(
        f"{path}: unknown kind of model '{path.suffix}', known are .onnx, {', '.join(SUFFIXES)}; convert a checkpoint "
        f"with: reid convert {path.name} -o model.onnx (--from PROJECT where another project's)"
    )
