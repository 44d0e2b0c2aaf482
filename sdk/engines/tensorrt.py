"""TensorRT and TensorRT-RTX: plans of `reid convert` on an NVIDIA GPU. The two have the same interface to Python."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import numpy as np

from sdk.blocks import steps
from sdk.cutting import Cuts
from sdk.engines.contract import EMBEDDING, INPUT, STRIPES, check_batch
from sdk.engines.cuda import Device, DeviceMemory, Owned, Stream, open_device
from sdk.engines.device_crops import Upload, open_cutter
from sdk.engines.gpu import Gpu
from sdk.engines.graph import Graph
from sdk.engines.loading import check_fits
from sdk.engines.log import log_of
from sdk.engines.metadata import Metadata
from sdk.engines.plan import metadata_if_any, read_header
from sdk.engines.plugin import CANDIDATES, DISTANCE, GALLERY, QUERY, load_plugin
from sdk.engines.runtime_cache import CacheFile, configure, records_graphs
from sdk.engines.stripes import GpuStripes
from sdk.engines.versions import import_library
from sdk.errors import EngineError

GRAPHS = 4
"""For how many batch sizes an engine keeps a CUDA graph; the least recently used goes. Each has an execution context of
its own, with its own scratch memory."""


class TensorRTEngine:
    """A plan on a GPU. `run` may be called from any thread; calls wait for each other, as the GPU's work does.

    All memory is allocated here, for the largest batch of the plan's profile; larger ones are run in parts.
    """

    def __init__(
        self,
        path: str | Path,
        metadata: Metadata,
        *,
        device: Device | None = None,
        graphs: bool = False,
        host_code: bool = False,
    ):
        """path: a plan that `sdk.engines.load_engine` has checked; its metadata.

        graphs: launch each batch size as a CUDA graph, recorded when it is seen for the second time, or by TensorRT-RTX
        as it sees fit. It saves the launch of every kernel, which should pay where kernels are short, with small models
        and batches; not measured yet.
        host_code: allow a version-compatible plan to bring code for the processor; off, since a plan could bring any.
        Raises `EngineError` if it cannot be loaded or does not keep the contract, `MissingPackageError` without
        TensorRT.
        """
        self.metadata = metadata
        self._device = open_device() if device is None else device
        self._plan = Plan(path, self._device, host_code, graphs)
        height, width = metadata.input_size
        self._plan.require(INPUT, np.uint8, (None, height, width, 3))
        self._plan.require(EMBEDDING, np.float32, (None, metadata.embedding_dim))
        self._outputs = [EMBEDDING]
        if STRIPES in self._plan.outputs:
            self._plan.require(STRIPES, np.float16, (None, metadata.stripes, metadata.stripe_dim))
            self._outputs.append(STRIPES)
        self._rows = {name: (self._plan.shape(name)[1:], self._plan.dtype(name)) for name in self._outputs}
        self.min_batch, self.max_batch = self._plan.limits(INPUT)
        self._stream = self._device.stream()
        self._staged, self._memory = {}, {}
        for name in (INPUT, *self._outputs):
            shape = (self.max_batch, *self._plan.shape(name)[1:])
            self._staged[name] = self._device.pinned(shape, self._plan.dtype(name))
            self._memory[name] = self._device.allocate(self._staged[name].array.nbytes)
        self._staged[INPUT].array[:] = 0  # a batch below the smallest is filled up with what is there
        self.cutter = open_cutter(self._device, metadata.input_size, self.max_batch)
        """Cuts crops on the GPU, for `run_cuts`; None where the kernels' library is not built."""
        self._lock = threading.Lock()
        self._batch = 0
        # A batch size with a graph has an execution context of its own.
        own_graphs = graphs and not self._plan.records_graphs
        self._graphs: OrderedDict[int, _Recorded] | None = OrderedDict() if own_graphs else None
        self._run = None if own_graphs else self._open_run()

    def run(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """uint8 BGR `[B, H, W, 3]` → embedding float32 `[B, D]` at unit length, and stripes `[B, S, d]` or None.

        Stripes are float16. B is any number. Raises `CropError` for another array, `EngineError` if the GPU fails.
        """
        check_batch(crops, self.metadata)

        def stage(part: slice) -> None:
            staged = self._staged[INPUT].array[: max(len(crops[part]), self.min_batch)]
            staged[: len(crops[part])] = crops[part]
            self._stream.upload(self._memory[INPUT], staged)

        return self._run_parts(len(crops), stage)

    def run_cuts(self, cuts: Cuts) -> tuple[np.ndarray, np.ndarray | None]:
        """As `run` of `cuts`, resized: the GPU does both. Only with a `cutter`.

        What `cutter.upload` has made of them is taken if it is there. Raises `EngineError` if the GPU fails.
        """
        upload = cuts.uploaded
        if not isinstance(upload, Upload) or upload.cutter is not self.cutter:
            upload = self.cutter.upload(cuts)
        upload.wait()  # before it is this one's turn: other threads' work goes on

        def cut(part: slice) -> None:
            self.cutter.cut(self._stream, upload.crops[part], self._memory[INPUT])

        return self._run_parts(len(cuts), cut)

    def bare(self, batch: int) -> Callable[[], None]:
        """A run of `batch` crops, whatever lies in the staging memory, without anything of the SDK around it: copy,
        inference, copy, wait. For benchmarks; no other thread may run the engine meanwhile."""
        staged = self._staged[INPUT].array[:batch]
        self.run(staged.copy())

        def work() -> None:
            with self._device.active():
                self._stream.upload(self._memory[INPUT], staged)
                self._enqueue(batch)
                for name in self._outputs:
                    self._stream.download(self._staged[name].array[:batch], self._memory[name])
                self._stream.synchronize()

        return work

    def close(self) -> None:
        """Give the GPU's memory back; waits for calls that are under way."""
        with self._lock:
            if self._stream is None:
                return
            for recorded in (self._graphs or {}).values():
                recorded.free()
            if self.cutter is not None:
                self.cutter.close()
            for owned in (self._plan, *self._staged.values(), *self._memory.values(), self._stream):
                owned.free()
            self._stream = None

    def _run_parts(self, count: int, fill: Callable[[slice], None]) -> tuple[np.ndarray, np.ndarray | None]:
        """`count` crops, which `fill` queues into the input, a part after the other."""
        results = {name: np.empty((count, *sizes), dtype) for name, (sizes, dtype) in self._rows.items()}
        with self._lock, self._device.active():
            if self._stream is None:
                raise EngineError(f"{self._plan.path}: this engine has been closed; load it again")
            for part in steps(count, self.max_batch):
                self._run_part(part, fill, results)
        return results[EMBEDDING], results.get(STRIPES)

    def _run_part(self, part: slice, fill: Callable[[slice], None], results: dict[str, np.ndarray]) -> None:
        count = part.stop - part.start
        size = max(count, self.min_batch)
        fill(part)
        self._enqueue(size)
        for name in self._outputs:
            self._stream.download(self._staged[name].array[:count], self._memory[name])
        self._stream.synchronize()
        for name in self._outputs:  # copies: the staging memory is the next call's
            results[name][part] = self._staged[name].array[:count]

    def _open_run(self) -> "Run":
        run = self._plan.open_run()
        for name, memory in self._memory.items():
            run.bind(name, memory)
        return run

    def _enqueue(self, size: int) -> None:
        if self._graphs is not None:
            self._launch(size)
            return
        if size != self._batch:
            self._run.set_shape(INPUT, self._staged[INPUT].array[:size].shape)
            self._batch = size
        self._run.enqueue(self._stream)

    def _launch(self, size: int) -> None:
        """The first run of a batch size must not be recorded, TensorRT prepares things then; the second is."""
        if size in self._graphs:
            self._graphs.move_to_end(size)
            self._graphs[size].launch(self._stream)
            return
        run = self._open_run()
        run.set_shape(INPUT, self._staged[INPUT].array[:size].shape)
        run.enqueue(self._stream)
        self._graphs[size] = _Recorded(run)
        if len(self._graphs) > GRAPHS:
            self._stream.synchronize()
            self._graphs.popitem(last=False)[1].free()


class _Recorded:
    """A batch size's execution context, which nothing else uses: a graph holds to what its context was when it was
    recorded; and the graph, once there is one."""

    def __init__(self, run: "Run"):
        self._run = run
        self._graph: Graph | None = None

    def launch(self, stream: Stream) -> None:
        if self._graph is None:
            stream.synchronize()
            self._graph = Graph(stream, lambda: self._run.enqueue(stream))
        self._graph.launch()

    def free(self) -> None:
        if self._graph is not None:
            self._graph.free()
        self._run.close()


class RescoringEngine:
    """A re-scoring plan (FILE.rescore.engine) on a GPU: distances of queries to candidates of a resident gallery."""

    def __init__(self, path: str | Path, *, device: Device | None = None):
        """Raises `EngineError` if it is for another version or GPU, before it is loaded, or if it cannot be loaded; one
        that was built with the plugin needs its library."""
        self.device = open_device() if device is None else device
        gpu = Gpu(self.device.name, self.device.capability, self.device.driver_version)
        check_fits(Path(path), metadata_if_any(path), gpu)
        load_plugin(import_library(read_header(path).library))
        self._plan = Plan(path, self.device, host_code=False)
        for name, dtype, sizes in ((QUERY, np.float16, 3), (GALLERY, np.float16, 3), (CANDIDATES, np.int32, 2)):
            self._plan.require(name, dtype, (None,) * sizes)
        self._plan.require(DISTANCE, np.float32, (None, None))
        _, self.stripes, self.dim = self._plan.shape(QUERY)
        self.most_entries = self._plan.largest(GALLERY)[0]
        self.most_queries, self.most_candidates = self._plan.largest(CANDIDATES)
        self._stream = self.device.stream()
        most_pairs = self.most_queries * self.most_candidates
        sizes = {QUERY: (self.most_queries * self.stripes * self.dim, np.float16), CANDIDATES: (most_pairs, np.int32)}
        sizes[DISTANCE] = (most_pairs, np.float32)
        self._staged = {name: self.device.pinned((count,), dtype) for name, (count, dtype) in sizes.items()}
        self._memory = {name: self.device.allocate(staged.array.nbytes) for name, staged in self._staged.items()}
        self._run = self._plan.open_run()
        for name, memory in self._memory.items():
            self._run.bind(name, memory)
        self._lock = threading.Lock()

    def distances(self, query: np.ndarray, gallery: GpuStripes, candidates: np.ndarray) -> np.ndarray:
        """query float16 `[B, S, d]`, candidates int32 `[B, K]` → float32 `[B, K]`; in parts above the profile's sizes.

        Raises `EngineError` for a gallery beyond the plan's profile, `IndexError` for a candidate outside the gallery.
        """
        if len(gallery) > self.most_entries:
            raise EngineError(
                f"{self._plan.path}: re-scores galleries of up to {self.most_entries} crops, this one has "
                f"{len(gallery)}; build it for more, or let the kernel library do it"
            )
        result = np.empty(candidates.shape, np.float32)
        with self._lock, self.device.active(), gallery.lock:
            if candidates.size and candidates.max() >= len(gallery):
                raise IndexError(f"candidates reach to {candidates.max()}; the gallery has {len(gallery)}")
            self._run.bind(GALLERY, gallery.memory)  # it may have grown
            self._run.set_shape(GALLERY, gallery.shape)
            for i in range(0, len(query), self.most_queries):
                for j in range(0, candidates.shape[1], self.most_candidates):
                    rows = slice(i, i + self.most_queries), slice(j, j + self.most_candidates)
                    self._run_part(query[rows[0]], candidates[rows], result[rows])
        return result

    def _run_part(self, query: np.ndarray, candidates: np.ndarray, result: np.ndarray) -> None:
        for name, array in ((QUERY, query), (CANDIDATES, candidates)):
            staged = self._staged[name].array[: array.size]
            staged[:] = array.reshape(-1)
            self._run.set_shape(name, array.shape)
            self._stream.upload(self._memory[name], staged)
        self._run.enqueue(self._stream)
        staged = self._staged[DISTANCE].array[: result.size]
        self._stream.download(staged, self._memory[DISTANCE])
        self._stream.synchronize()
        result[...] = staged.reshape(result.shape)


class Plan(Owned):
    """A deserialised plan: its tensors' names and shapes, and execution contexts to run it."""

    def __init__(
        self,
        path: str | Path,
        device: Device,
        host_code: bool,
        graphs: bool = False,
        made_by: str = "reid convert … -o model.engine",
    ):
        """made_by: the command that makes such a plan, for the error of one that cannot be loaded."""
        self.path = Path(path)
        self._trt = library_of(self.path)
        self._log = log_of(self._trt)
        self._heard = self._log.count
        self.records_graphs = records_graphs(self._trt)
        content = self.path.read_bytes()
        with device.active():
            runtime = self._trt.Runtime(self._log)
            if host_code:
                runtime.engine_host_code_allowed = True
            engine = runtime.deserialize_cuda_engine(content)
            if engine is None:
                self.fail("cannot be loaded", f"build it again on this machine: {made_by}")
            config, cache = configure(self._trt, engine, graphs)
            if cache is not None:
                gpu = f"{device.name} {device.capability} {device.driver_version}"
                cache = CacheFile(cache, self._trt, content, gpu)
        self.loaded = _Loaded(runtime, engine, config, cache)
        super().__init__(device, self.loaded)
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == self._trt.TensorIOMode.INPUT]
        self.inputs, self.outputs = inputs, [name for name in names if name not in inputs]

    def open_run(self) -> "Run":
        """An execution context; close it, or the plan. Raises `EngineError` where there is no memory for one."""
        return Run(self)

    def require(self, name: str, dtype, shape: tuple[int | None, ...]) -> None:
        """Raise `EngineError` unless there is such a tensor; None stands for any size."""
        wanted = f"'{name}' {np.dtype(dtype)} [{', '.join('·' if size is None else str(size) for size in shape)}]"
        if name not in self.inputs + self.outputs:
            raise EngineError(f"{self.path}: has no {wanted}; convert the model with `reid convert`")
        found = self.shape(name)
        fits = len(found) == len(shape) and all(b is None or a == b for a, b in zip(found, shape, strict=True))
        if self.dtype(name) != np.dtype(dtype) or not fits:
            raise EngineError(f"{self.path}: has '{name}' {self.dtype(name)} {list(found)}, expected {wanted}")

    def shape(self, name: str) -> tuple[int, ...]:
        """−1 for sizes that are chosen with each run."""
        return tuple(self.loaded.engine.get_tensor_shape(name))

    def dtype(self, name: str) -> np.dtype:
        return np.dtype(self._trt.nptype(self.loaded.engine.get_tensor_dtype(name)))

    def largest(self, name: str) -> tuple[int, ...]:
        """The largest shape of an input in the plan's one profile."""
        return tuple(self.loaded.engine.get_tensor_profile_shape(name, 0)[2])

    def limits(self, name: str) -> tuple[int, int]:
        """The smallest and the largest batch of an input; equal where the plan has one size only."""
        smallest, _, largest = self.loaded.engine.get_tensor_profile_shape(name, 0)
        return smallest[0], largest[0]

    def fail(self, what: str, remedy: str) -> NoReturn:
        """Raise `EngineError` with TensorRT's words."""
        said = "; ".join(self._log.since(self._heard)[-2:]) or "no reason given"
        raise EngineError(f"{self.path}: {what} (TensorRT says: {said}); {remedy}")


class _Loaded:
    """TensorRT's objects, which go in the reverse order of their making, with the context current."""

    def __init__(self, runtime, engine, config, cache: CacheFile | None):
        self.runtime, self.engine, self.config, self.cache = runtime, engine, config, cache
        self.contexts: dict[int, object] = {}
        """By number of the run."""

    def free(self) -> None:
        if self.cache is not None:
            self.cache.save()
        while self.contexts:
            self.contexts.popitem()
        self.config = self.cache = None
        self.engine = None
        self.runtime = None


class Run:
    """An execution context of a plan: shapes, addresses, and the work itself."""

    def __init__(self, plan: Plan):
        self._plan, self.loaded = plan, plan.loaded
        with plan.device.active():
            config = [self.loaded.config] if self.loaded.config is not None else []
            context = self.loaded.engine.create_execution_context(*config)
        if context is None:
            plan.fail("cannot be run", "stop other programs on the GPU, or convert it for a smaller --max-batch")
        self._number = id(self)
        self.loaded.contexts[self._number] = context

    def bind(self, name: str, memory: DeviceMemory) -> None:
        if not self._context.set_tensor_address(name, memory.address):
            self._plan.fail(f"does not take '{name}'", "convert the model again")

    def set_shape(self, name: str, shape: tuple[int, ...]) -> None:
        if not self._context.set_input_shape(name, tuple(shape)):
            self._plan.fail(
                f"does not take '{name}' of shape {list(shape)}", "convert it for a larger batch: --max-batch"
            )

    def enqueue(self, stream: Stream) -> None:
        if not self._context.execute_async_v3(stream.handle):
            self._plan.fail("cannot run", "`nvidia-smi` shows whether the GPU is well")

    def close(self) -> None:
        """Give its memory back; may be called again, and after the plan was freed."""
        if self._number in self.loaded.contexts:
            with self._plan.device.active():
                del self.loaded.contexts[self._number]

    @property
    def _context(self):
        return self.loaded.contexts[self._number]


def library_of(path: str | Path) -> ModuleType:
    """The module that runs this plan: `tensorrt` or `tensorrt_rtx`.

    Raises `EngineError` for what is no plan, `MissingPackageError` where the module is not installed.
    """
    return import_library(read_header(path).library).module
