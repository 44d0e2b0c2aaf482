"""Re-scoring by the aligned local distance: which of four ways this machine has, and one interface to all of them.

| way | computes with | gallery |
|---|---|---|
| `plugin` | FILE.rescore.engine in TensorRT, with the fused kernel inside | on the GPU |
| `kernel` | the same kernel as a library | on the GPU |
| `onnxruntime` | FILE.rescore.onnx, the graph of standard operators | in memory |
| `numpy` | `sdk.distances.local_distance_gathered` | in memory |

All take the same arrays and agree within rounding: half precision's on a GPU, about 1e-3 of the distance.
"""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from sdk.distances import local_distance_gathered
from sdk.errors import EngineError, MissingPackageError

__all__ = ["WAYS", "Rescorer", "Way", "available", "choose"]

WAYS = ("plugin", "kernel", "onnxruntime", "numpy")
"""In the order in which they are chosen."""

_OUTSIDE = "candidates reach from {} to {}; the gallery has {}"


@dataclass(frozen=True)
class Way:
    """One way of re-scoring on this machine."""

    name: str
    """One of `WAYS`."""
    usable: bool
    reason: str
    """What it would run with, or what is missing and how to get it."""


class Rescorer(Protocol):
    """What `choose` returns. May be used from several threads."""

    name: str
    reason: str
    """Why this one: what it runs with, and what better ways lack."""

    def hold(self, gallery_stripes: np.ndarray):
        """The gallery `[G, S, d]` where this way has it at hand, to be given to `distances`: on the GPU a
        `sdk.engines.stripes.GpuStripes`, to which people can be added; else the array itself."""
        ...

    def distances(self, query_stripes: np.ndarray, gallery_stripes, candidates: np.ndarray) -> np.ndarray:
        """Aligned local distance of each query to its own candidates.

        query_stripes `[B, S, d]`; gallery_stripes `[G, S, d]`, an array or what `hold` returned; candidates int
        `[B, K]` of gallery rows → float32 `[B, K]`. A candidate of −1 stands for "none" and gives +inf. Raises
        `IndexError` for one outside the gallery and `ValueError` for arrays that do not fit each other.
        """
        ...


def available(model: str | Path | None = None) -> list[Way]:
    """Each of `WAYS`, best first: usable or not, and why, in words. For `reid doctor`.

    model: the model file beside which FILE.rescore.engine and FILE.rescore.onnx are looked for; None: neither is there.
    """
    return [Way(name, *_PROBES[name](model)) for name in WAYS]


def choose(model: str | Path | None = None, way: str | None = None) -> Rescorer:
    """The best way that this machine has, or the one that `way` names.

    model: as for `available`. Raises `EngineError` if `way` is none of `WAYS` or cannot be used here.
    """
    if way is not None and way not in WAYS:
        raise EngineError(f"'{way}' is no way of re-scoring; there are {', '.join(WAYS)}")
    lacking = []
    for name in WAYS if way is None else (way,):
        usable, reason = _PROBES[name](model)
        if usable:
            try:
                rescorer = _MAKERS[name](model)
            except (EngineError, MissingPackageError) as error:  # what no probe can tell without starting it
                usable, reason = False, str(error)
            else:
                rescorer.reason = "; ".join([reason, *lacking])
                return rescorer
        lacking.append(f"not {name}: {reason}")
    raise EngineError(f"re-scoring by '{way}' cannot be used here: {reason}")


class NumpyRescorer:
    """`sdk.distances`: everywhere, and the definition of the others."""

    name = "numpy"
    reason = ""

    def hold(self, gallery_stripes: np.ndarray) -> np.ndarray:
        return gallery_stripes

    def distances(self, query_stripes: np.ndarray, gallery_stripes: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """See `Rescorer`."""
        query, candidates = _checked(query_stripes, gallery_stripes, candidates)
        gallery, rows = needed(gallery_stripes, candidates)
        if not len(gallery):
            return np.full(candidates.shape, np.inf, np.float32)
        return local_distance_gathered(query, gallery, rows)


class OnnxRescorer:
    """FILE.rescore.onnx in ONNX Runtime."""

    name = "onnxruntime"
    reason = ""

    def __init__(self, path: Path):
        """Raises `EngineError` if the file cannot be loaded or is no re-scoring graph."""
        from sdk.engines.onnx import open_session

        self._session = open_session(path)
        inputs = {node.name: node for node in self._session.get_inputs()}
        names = {"query_stripes", "gallery_stripes", "candidates"}
        if set(inputs) != names or [node.name for node in self._session.get_outputs()] != ["distance"]:
            raise EngineError(f"{path}: is no re-scoring graph; reid convert --rescore writes one")
        halves = {inputs[name].type == "tensor(float16)" for name in names - {"candidates"}}
        self._dtype = np.float16 if halves == {True} else np.float32

    def hold(self, gallery_stripes: np.ndarray) -> np.ndarray:
        return gallery_stripes

    def distances(self, query_stripes: np.ndarray, gallery_stripes: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """See `Rescorer`."""
        query, candidates = _checked(query_stripes, gallery_stripes, candidates)
        gallery, rows = needed(gallery_stripes, candidates)
        if not len(gallery):
            return np.full(candidates.shape, np.inf, np.float32)
        feed = {"query_stripes": query, "gallery_stripes": gallery}
        feed = {name: np.ascontiguousarray(array, self._dtype) for name, array in feed.items()}
        # What a graph's Gather makes of −1 is its own affair.
        feed["candidates"] = np.ascontiguousarray(np.maximum(rows, 0))
        distance = self._session.run(None, feed)[0]
        return np.where(rows < 0, np.float32(np.inf), distance.astype(np.float32))


class KernelRescorer:
    """The kernel's library."""

    name = "kernel"
    reason = ""

    def __init__(self, kernel=None, device=None):
        """kernel, device: of `sdk.engines`; None: those of this machine. Raises `EngineError` without them."""
        from sdk.engines.cuda import open_device
        from sdk.engines.stripes import Kernel

        self._kernel = Kernel() if kernel is None else kernel
        self._device = open_device() if device is None else device
        self._stream = self._device.stream()
        self._lock = threading.Lock()
        self._memory: dict[str, tuple] = {}

    def hold(self, gallery_stripes: np.ndarray):
        """On the GPU, with room for as many people again."""
        return _on_gpu(self._device, gallery_stripes)

    def distances(self, query_stripes: np.ndarray, gallery_stripes, candidates: np.ndarray) -> np.ndarray:
        """See `Rescorer`."""
        query, candidates = _checked(query_stripes, gallery_stripes, candidates)
        resident = _is_held(gallery_stripes)
        rows, gallery = candidates, None
        if not resident:
            gallery, rows = needed(gallery_stripes, candidates)
        if not candidates.size or (rows < 0).all():
            return np.full(candidates.shape, np.inf, np.float32)
        dtype = gallery_stripes.dtype if resident else _gpu_type(query, gallery)
        with self._lock, self._device.active():
            if resident:
                with gallery_stripes.lock:
                    if rows.max() >= len(gallery_stripes):
                        raise IndexError(_OUTSIDE.format(rows.min(), rows.max(), len(gallery_stripes)))
                    return self._run(query, gallery_stripes.memory, len(gallery_stripes), rows, dtype)
            return self._run(query, self._upload("gallery", gallery, dtype), len(gallery), rows, dtype)

    def _run(self, query: np.ndarray, gallery, entries: int, rows: np.ndarray, dtype: np.dtype) -> np.ndarray:
        distance, memory = self._space("distance", rows.shape, np.float32)
        self._kernel.launch(
            self._stream,
            self._upload("query", query, dtype),
            gallery,
            self._upload("candidates", rows, np.int32),
            memory,
            queries=len(query),
            entries=entries,
            per_query=rows.shape[1],
            stripes=query.shape[1],
            dim=query.shape[2],
            half=dtype == np.float16,
        )
        self._stream.download(distance, memory)
        self._stream.synchronize()
        return distance.copy()

    def _upload(self, name: str, array: np.ndarray, dtype):
        staged, memory = self._space(name, array.shape, dtype)
        staged[...] = array
        self._stream.upload(memory, staged)
        return memory

    def _space(self, name: str, shape: tuple[int, ...], dtype) -> tuple[np.ndarray, object]:
        """Pinned memory of this shape, and as much on the GPU; kept for the next call, with a reserve."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if name not in self._memory or self._memory[name][1].size < size:
            for owned in self._memory.pop(name, ()):
                owned.free()
            reserve = max(2 * size, 4096)
            self._memory[name] = (self._device.pinned((reserve,), np.uint8), self._device.allocate(reserve))
        pinned, memory = self._memory[name]
        return pinned.array[:size].view(dtype).reshape(shape), memory


class PluginRescorer:
    """FILE.rescore.engine in TensorRT."""

    name = "plugin"
    reason = ""

    def __init__(self, path: Path, device=None):
        """Raises `EngineError` if the plan cannot be loaded."""
        from sdk.engines.tensorrt import RescoringEngine

        self._engine = RescoringEngine(path, device=device)

    def hold(self, gallery_stripes: np.ndarray):
        """On the GPU, with room for as many people again."""
        return _on_gpu(self._engine.device, gallery_stripes)

    def distances(self, query_stripes: np.ndarray, gallery_stripes, candidates: np.ndarray) -> np.ndarray:
        """See `Rescorer`."""
        query, rows = _checked(query_stripes, gallery_stripes, candidates)
        if not rows.size or (rows < 0).all():
            return np.full(rows.shape, np.inf, np.float32)
        query = query.astype(np.float16)
        if _is_held(gallery_stripes):
            return self._engine.distances(query, gallery_stripes, rows)
        gallery, rows = needed(gallery_stripes, rows)
        held = self.hold(gallery)
        try:
            return self._engine.distances(query, held, rows)
        finally:
            held.close()


def needed(gallery_stripes: np.ndarray, candidates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of a gallery `[G, S, d]` the rows that are candidates, and the candidates as rows of those; −1 stays.

    What a call copies and converts is then as long as its candidates, not as the gallery.
    """
    rows, at = np.unique(candidates, return_inverse=True)
    none = int(rows.size > 0 and rows[0] == -1)  # `_checked` lets nothing lower through
    return gallery_stripes[rows[none:]], (at.reshape(candidates.shape) - none).astype(np.int32)


def _checked(query: np.ndarray, gallery, candidates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The query as an array and the candidates as int32 `[B, K]`, if they fit the gallery and each other."""
    query, candidates = np.asarray(query), np.asarray(candidates)
    if candidates.ndim != 2 or not np.issubdtype(candidates.dtype, np.integer):
        raise ValueError(f"candidates are integers [B, K], not {candidates.dtype} of shape {candidates.shape}")
    if query.ndim != 3 or len(query) != len(candidates) or tuple(gallery.shape[1:]) != query.shape[1:]:
        raise ValueError(
            f"query stripes {list(query.shape)}, gallery stripes {list(gallery.shape)} and candidates "
            f"{list(candidates.shape)} are not [B, S, d], [G, S, d] and [B, K]"
        )
    if candidates.size and (candidates.max() >= len(gallery) or candidates.min() < -1):
        raise IndexError(_OUTSIDE.format(candidates.min(), candidates.max(), len(gallery)))
    return query, candidates.astype(np.int32)


def _gpu_type(query: np.ndarray, gallery: np.ndarray) -> np.dtype:
    """Half precision where both sides are; what is rounded is not for a library to decide."""
    return np.dtype(np.float16 if query.dtype == gallery.dtype == np.float16 else np.float32)


def _is_held(gallery_stripes) -> bool:
    return not isinstance(gallery_stripes, np.ndarray)


def _on_gpu(device, stripes: np.ndarray):
    from sdk.engines.stripes import GpuStripes

    _, parts, dim = stripes.shape
    held = GpuStripes(parts, dim, capacity=max(16, 2 * len(stripes)), device=device)
    held.extend(stripes)
    return held


def _beside(model: str | Path | None, suffix: str) -> Path | None:
    return None if model is None else Path(model).with_name(f"{Path(model).stem}.rescore{suffix}")


def _probe_plugin(model: str | Path | None) -> tuple[bool, str]:
    path = _beside(model, ".engine")
    if path is None or not path.is_file():
        return (
            False,
            f"{path or 'FILE.rescore.engine'} is not there; reid convert --rescore … -o model.engine writes it",
        )
    from sdk.engines.plugin import plugin_state
    from sdk.engines.tensorrt import library_of

    try:
        library = library_of(path).__name__
    except (EngineError, MissingPackageError) as error:
        return False, str(error)
    if (gpu := _gpu())[0] is False:
        return gpu
    there, words = plugin_state()
    return True, f"{path} in {library}; plugin: {words if there else 'not built'}"


def _probe_kernel(_: str | Path | None) -> tuple[bool, str]:
    from sdk.engines.native import KERNEL, find_library, how_to_build

    path = find_library(KERNEL)
    if path is None:
        return False, how_to_build(KERNEL)
    usable, words = _gpu()
    return usable, f"{path} on {words}" if usable else words


def _probe_onnx(model: str | Path | None) -> tuple[bool, str]:
    path = _beside(model, ".onnx")
    if path is None or not path.is_file():
        return False, f"{path or 'FILE.rescore.onnx'} is not there; reid convert --rescore … -o model.onnx writes it"
    return True, f"{path} in ONNX Runtime on the CPU"


def _probe_numpy(_: str | Path | None) -> tuple[bool, str]:
    return True, f"NumPy {np.__version__}"


def _gpu() -> tuple[bool, str]:
    from sdk.engines.cuda import open_device

    try:
        device = open_device()
        return True, f"{device.name}, CUDA {device.driver_version}"
    except (EngineError, MissingPackageError) as error:
        return False, str(error)


_PROBES = {"plugin": _probe_plugin, "kernel": _probe_kernel, "onnxruntime": _probe_onnx, "numpy": _probe_numpy}
_MAKERS = {
    "plugin": lambda model: PluginRescorer(_beside(model, ".engine")),
    "kernel": lambda model: KernelRescorer(),
    "onnxruntime": lambda model: OnnxRescorer(_beside(model, ".onnx")),
    "numpy": lambda model: NumpyRescorer(),
}
