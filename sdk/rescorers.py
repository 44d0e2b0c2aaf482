"""The ways of re-scoring, each with the interface of `sdk.rescoring.Rescorer`."""

import threading
from pathlib import Path

import numpy as np

from sdk.distances import local_distance_gathered
from sdk.errors import EngineError

_OUTSIDE = "candidates reach from {} to {}; the gallery has {}"


class NumpyRescorer:
    """`sdk.distances`: everywhere, and the definition of the others."""

    name, reason, on_gpu = "numpy", "", False

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

    name, reason, on_gpu = "onnxruntime", "", False

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

    name, reason, on_gpu = "kernel", "", True

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
        resident = not isinstance(gallery_stripes, np.ndarray)
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


class EngineRescorer:
    """FILE.rescore.engine in TensorRT: with the kernel inside as a plugin, or the function of standard operators."""

    reason, on_gpu = "", True

    def __init__(self, path: Path, name: str, device=None):
        """name: "plugin" or "compiled". Raises `EngineError` if the plan cannot be loaded."""
        from sdk.engines.tensorrt import RescoringEngine

        self.name = name
        self._engine = RescoringEngine(path, device=device)
        self._lock = threading.Lock()
        self._given = None

    def hold(self, gallery_stripes: np.ndarray):
        """On the GPU, with room for as many people again."""
        return _on_gpu(self._engine.device, gallery_stripes)

    def distances(self, query_stripes: np.ndarray, gallery_stripes, candidates: np.ndarray) -> np.ndarray:
        """See `Rescorer`."""
        query, rows = _checked(query_stripes, gallery_stripes, candidates)
        if not rows.size or (rows < 0).all():
            return np.full(rows.shape, np.inf, np.float32)
        query = query.astype(np.float16)
        if not isinstance(gallery_stripes, np.ndarray):
            return self._engine.distances(query, gallery_stripes, rows)
        gallery, rows = needed(gallery_stripes, rows)
        with self._lock:
            if self._given is None:
                self._given = self.hold(gallery[:0])
            self._given.restart(gallery)
            return self._engine.distances(query, self._given, rows)


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


def _on_gpu(device, stripes: np.ndarray):
    from sdk.engines.stripes import GpuStripes

    _, parts, dim = stripes.shape
    held = GpuStripes(parts, dim, capacity=max(16, 2 * len(stripes)), device=device)
    held.extend(stripes)
    return held
