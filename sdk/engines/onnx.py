"""ONNX Runtime: the engine that runs everywhere."""

from pathlib import Path

import numpy as np
import onnxruntime

from sdk.engines.metadata import KEY, Metadata
from sdk.errors import EngineError

INPUT = "crops"
EMBEDDING = "embedding"
STRIPES = "stripes"


class OnnxEngine:
    """An `.onnx` file of `reid convert` on the CPU. `run` may be called from several threads."""

    def __init__(self, path: str | Path):
        """Raises `EngineError` if ONNX Runtime cannot load the file or it does not keep the contract."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only: its warnings name nodes that a user has never heard of
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own exceptions share no public base class
            reason = str(error).strip().splitlines()[0]
            raise EngineError(f"{path}: ONNX Runtime cannot load it ({reason}); was it copied whole?") from error
        self.metadata = Metadata.from_json(self._session.get_modelmeta().custom_metadata_map.get(KEY), str(path))
        inputs = {node.name: node for node in self._session.get_inputs()}
        outputs = [node.name for node in self._session.get_outputs()]
        if list(inputs) != [INPUT] or inputs[INPUT].type != "tensor(uint8)" or EMBEDDING not in outputs:
            raise EngineError(f"{path}: expected one uint8 input '{INPUT}' and an output '{EMBEDDING}'")
        self._outputs = [EMBEDDING, STRIPES] if STRIPES in outputs else [EMBEDDING]

    def run(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """uint8 BGR `[B, H, W, 3]` → embedding float32 `[B, D]` at unit length, and stripes `[B, S, d]` or None."""
        results = self._session.run(self._outputs, {INPUT: crops})
        return results[0], results[1] if len(results) > 1 else None
