"""What runs a detection model: ONNX Runtime or TensorRT, behind one small interface."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from sdk.errors import EngineError
from sdk.tracking.detectors.facts import Facts

PLANS = (".engine", ".plan", ".trt")
"""How the names of TensorRT's files end."""
_TRTEXEC = "trtexec --onnx=people.onnx --saveEngine=people.engine"


@dataclass(frozen=True)
class Input:
    """One input of a model."""

    name: str
    shape: tuple
    """int, or something else where any size will do."""
    dtype: np.dtype | None
    """None for a type that NumPy does not know."""


class Session(Protocol):
    """A loaded model. `run` may be called from several threads."""

    path: Path
    inputs: list[Input]
    outputs: list[str]
    facts: Facts
    """What the file says of itself."""

    def run(self, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs, in order, for the inputs by name. Raises `EngineError` if the runtime fails."""
        ...


def open_session(path: str | Path) -> Session:
    """Load `path` in the runtime that its ending tells. Raises `EngineError` saying what is wrong with it."""
    path = Path(path)
    if not path.is_file():
        raise EngineError(f"{path}: no such detector file")
    with path.open("rb") as file:
        start = file.read(64)
    for beginning, what in _NO_MODEL.items():
        if start.lstrip().lower().startswith(beginning):
            raise EngineError(f"{path}: is {what}")
    if not start:
        raise EngineError(f"{path}: is empty; was it copied whole?")
    return PlanSession(path) if path.suffix.lower() in PLANS else OnnxSession(path)


class OnnxSession:
    """An `.onnx` file in ONNX Runtime: on CUDA where the installed one has it, else on the CPU."""

    def __init__(self, path: Path):
        from sdk.onnx_runtime import onnxruntime, session_options

        self.path = path
        options = session_options(severity=4)
        wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
        providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # ONNX Runtime's own exceptions share no public base class
            remedy = "was it copied whole?"
            if "_TRT" in str(error):  # a node of TensorRT's, EfficientNMS_TRT, say
                remedy = "it has nodes of TensorRT; build a plan of it: trtexec --onnx=… --saveEngine=people.engine"
            raise EngineError(f"{path}: ONNX Runtime cannot load it ({_line(error)}); {remedy}") from error
        self.inputs = [
            Input(node.name, tuple(node.shape), _NUMPY.get(node.type)) for node in self._session.get_inputs()
        ]
        self.outputs = [node.name for node in self._session.get_outputs()]
        self.facts = Facts.of(self._session.get_modelmeta().custom_metadata_map)

    def run(self, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        try:
            return self._session.run(None, feed)
        except Exception as error:
            raise EngineError(f"{self.path}: ONNX Runtime cannot run it ({_line(error)})") from error


class PlanSession:
    """A TensorRT plan of one fixed size, as `trtexec --onnx=people.onnx --saveEngine=people.engine` makes it."""

    def __init__(self, path: Path):
        """Raises `EngineError` for a plan that cannot be loaded or takes several sizes, and `MissingPackageError`."""
        from sdk.engines.cuda import open_device
        from sdk.engines.tensorrt import Plan

        self.path, self.facts = path, Facts()
        with path.open("rb") as file:
            if file.read(5)[4:] == b"{":
                raise EngineError(
                    f"{path}: has a header before the plan, as Ultralytics writes it; build it from the .onnx file "
                    f"with: {_TRTEXEC}"
                )
        self._device = open_device()
        # One that brings code for the processor (--versionCompatible) is refused: nobody has said that it is trusted.
        self._plan = Plan(path, self._device, host_code=False, made_by=f"{_TRTEXEC} (for this version alone)")
        self.outputs = list(self._plan.outputs)
        names = [*self._plan.inputs, *self.outputs]
        shapes = {name: self._plan.shape(name) for name in names}
        if any(size < 0 for shape in shapes.values() for size in shape):
            raise EngineError(f"{path}: takes or gives several sizes; export the model for one size, batch 1")
        self.inputs = [Input(name, shapes[name], self._plan.dtype(name)) for name in self._plan.inputs]
        self._stream = self._device.stream()
        self._staged = {name: self._device.pinned(shapes[name], self._plan.dtype(name)) for name in names}
        self._memory = {name: self._device.allocate(staged.array.nbytes) for name, staged in self._staged.items()}
        self._work = self._plan.open_run()
        for name, memory in self._memory.items():
            self._work.bind(name, memory)
        for node in self.inputs:
            self._work.set_shape(node.name, node.shape)
        self._lock = threading.Lock()

    def run(self, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        with self._lock, self._device.active():
            for name, array in feed.items():
                self._staged[name].array[...] = array
                self._stream.upload(self._memory[name], self._staged[name].array)
            self._work.enqueue(self._stream)
            for name in self.outputs:
                self._stream.download(self._staged[name].array, self._memory[name])
            self._stream.synchronize()
            return [self._staged[name].array.copy() for name in self.outputs]


_NO_MODEL = {
    b"version https://git-lfs": "a git-lfs pointer, not the model; fetch the model itself with: git lfs pull",
    b"<!doctype": "a web page, not the model; download the file itself",
    b"<html": "a web page, not the model; download the file itself",
}
"""How files begin that are taken for a model by mistake, in small letters."""

_NUMPY = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(int32)": np.dtype(np.int32),
}


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300]
