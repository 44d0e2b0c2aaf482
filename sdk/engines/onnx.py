"""ONNX Runtime: the engine that runs everywhere."""

from pathlib import Path

import numpy as np

from sdk.engines.contract import EMBEDDING, INPUT, STRIPES, check_batch
from sdk.engines.kinds import explain_kind
from sdk.engines.metadata import KEY, Metadata
from sdk.engines.seal import check_seal
from sdk.errors import CropError, EngineError
from sdk.onnx_runtime import onnxruntime, session_options


class OnnxEngine:
    """An `.onnx` file of `reid convert` on the CPU. `run` may be called from several threads."""

    def __init__(self, path: str | Path):
        """Raises `EngineError` if ONNX Runtime cannot load the file, if its weights are not those that were written, or
        if it does not keep the contract."""
        self._path, self._session = path, open_session(path)
        check_seal(Path(path).read_bytes(), str(path))
        self.metadata = _metadata_of(self._session, path)
        inputs = {node.name: node for node in self._session.get_inputs()}
        outputs = [node.name for node in self._session.get_outputs()]
        if list(inputs) != [INPUT] or inputs[INPUT].type != "tensor(uint8)" or EMBEDDING not in outputs:
            raise EngineError(f"{path}: expected one uint8 input '{INPUT}' and an output '{EMBEDDING}'")
        self._outputs = [EMBEDDING, STRIPES] if STRIPES in outputs else [EMBEDDING]
        self._check_finite()

    def run(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """uint8 BGR `[B, H, W, 3]` → embedding float32 `[B, D]` at unit length, and stripes `[B, S, d]` or None.

        Raises `CropError` for anything else than such an array, and for an empty batch; `EngineError` where ONNX
        Runtime fails.
        """
        check_batch(crops, self.metadata)
        _check_length(len(crops), self.metadata.max_batch)
        try:
            results = self._session.run(self._outputs, {INPUT: crops})
        except Exception as error:  # ONNX Runtime's own: of a graph whose parts do not fit together
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise EngineError(f"{self._path}: ONNX Runtime cannot run it ({reason}); was it copied whole?") from error
        return results[0], results[1] if len(results) > 1 else None

    def _check_finite(self) -> None:
        """Raise `EngineError` if the features of a grey crop are no numbers: so are everybody's then."""
        embedding, _ = self.run(np.full((1, *self.metadata.input_size, 3), 128, np.uint8))
        if not np.isfinite(embedding).all():
            raise EngineError(
                f"{self._path}: its features are no numbers (NaN or infinite); copy it again, or convert again"
            )


def open_session(content: str | Path | bytes, optimised: bool = True) -> onnxruntime.InferenceSession:
    """A session on the CPU, for a path or for the bytes of a file. Raises `EngineError` naming the cause."""
    options = session_options(severity=3)  # errors only: its warnings name nodes that a user has never heard of
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = content if isinstance(content, bytes) else str(content)
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions share no public base class
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if isinstance(content, bytes):  # no file that somebody could have copied
            raise EngineError(f"the graph: ONNX Runtime cannot load it ({reason})") from error
        raise EngineError(
            explain_kind(content) or f"{content}: ONNX Runtime cannot load it ({reason}); was it copied whole?"
        ) from error


def read_onnx_metadata(path: str | Path) -> Metadata:
    """What the file says of itself. Raises `EngineError` if it cannot be loaded or is not of `reid convert`."""
    return _metadata_of(open_session(path, optimised=False), path)


def _check_length(count: int, most: int | None) -> None:
    if not count:
        raise CropError("the batch is empty; this engine takes one crop or more")
    if most is not None and count > most:
        raise CropError(
            f"a batch of {count} crops; this engine was built for at most {most}: split it, use "
            "`ReIdentifier.embed`, which does, or convert again with a larger --max-batch"
        )


def own_metadata(session: onnxruntime.InferenceSession, path: str | Path) -> str | None:
    """What a file of `reid convert` says of itself; None for another. Raises `EngineError` where it cannot be read."""
    try:
        return session.get_modelmeta().custom_metadata_map.get(KEY)
    except UnicodeDecodeError as error:
        raise EngineError(f"{path}: its metadata are damaged ({error.reason}); was it copied whole?") from error


def _metadata_of(session: onnxruntime.InferenceSession, path: str | Path) -> Metadata:
    return Metadata.from_json(own_metadata(session, path), str(path))
