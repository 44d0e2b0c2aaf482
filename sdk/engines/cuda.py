"""Every CUDA call of the SDK: a GPU's memory, its streams and the kernel of the local distance, through pycuda.

**Threads.** A CUDA call works in the context that is current in its thread. pycuda's `autoinit` and `autoprimaryctx`
make one current in the thread that imports them and in no other, which is where "invalid device context" comes from.
Here the primary context, which TensorRT and PyTorch use as well, is retained once a process, and `Device.active()`
makes it current for as long as a call takes: any thread may make it.

**Lifetimes.** pycuda frees memory only in a thread where the context is current, and otherwise lets it leak. So whoever
allocates here gets an object that makes the context current when it is freed, or when the garbage collector finds it.
"""

import ctypes
import functools
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from sdk.engines.native import KERNEL, find_library, how_to_build
from sdk.errors import EngineError, missing_package

_NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING: a stream that does not wait for the default stream, which other libraries use."""
_CAPTURE_THIS_THREAD = 1
"""CU_STREAM_CAPTURE_MODE_THREAD_LOCAL."""

_creating = threading.Lock()
_devices: dict[int, "Device"] = {}


def open_device(index: int = 0) -> "Device":
    """The GPU `index`, always as the same object.

    Raises `MissingPackageError` without pycuda, and `EngineError` where there is no such GPU or no driver.
    """
    with _creating:
        if index not in _devices:
            _devices[index] = Device(index)
        return _devices[index]


def _driver():
    try:
        import pycuda.driver
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == "pycuda":
            raise missing_package("pycuda", "cuda", "an NVIDIA GPU") from None
        raise EngineError(
            f"pycuda is installed but does not load ({error}): pip install --force-reinstall pycuda"
        ) from error
    except (ImportError, OSError) as error:  # libcuda.so.1 comes with the driver
        raise EngineError(f"pycuda does not load ({error}); install NVIDIA's driver, or build pycuda again") from error
    return pycuda.driver


@contextmanager
def _in_words(doing: str) -> Iterator[None]:
    """pycuda's errors as `EngineError`s that say what was being done."""
    driver = _driver()
    try:
        yield
    except driver.MemoryError as error:
        raise EngineError(
            f"{doing}: the GPU's memory is full ({error}); use a smaller batch or gallery, or stop other programs"
        ) from error
    except driver.Error as error:
        raise EngineError(f"{doing}: CUDA says: {error}; `nvidia-smi` shows whether the GPU is well") from error


class Device:
    """A GPU and its primary context. Get one from `open_device`."""

    def __init__(self, index: int):
        self.driver = _driver()
        with _in_words(f"GPU {index}"):
            self.driver.init()
            count = self.driver.Device.count()
            if index >= count:
                raise EngineError(f"GPU {index}: CUDA shows this process {count}; is CUDA_VISIBLE_DEVICES right?")
            self._device = self.driver.Device(index)
            # Retained once, and this very object pushed wherever it is needed: pycuda compares contexts by identity.
            self._context = self._device.retain_primary_context()
        self.index = index
        # At the end of the process, after everything that was made later: pycuda's own clean-up takes a primary context
        # for one of its making, and complains.
        weakref.finalize(self, self._context.detach)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make the context current in this thread for the length of a `with`; may be nested."""
        self._context.push()
        try:
            yield
        finally:
            self.driver.Context.pop()

    @property
    def name(self) -> str:
        return self._device.name()

    @property
    def capability(self) -> int:
        """The compute capability times ten: 87 for a Jetson Orin."""
        major, minor = self._device.compute_capability()
        return 10 * major + minor

    @property
    def integrated(self) -> bool:
        """Whether it shares the processor's memory, as on a Jetson: it reads pinned memory where it is."""
        return bool(self._device.get_attribute(self.driver.device_attribute.INTEGRATED))

    @property
    def driver_version(self) -> str:
        """The newest CUDA that the driver serves."""
        version = self.driver.get_driver_version()
        return f"{version // 1000}.{version % 1000 // 10}"

    def memory(self) -> tuple[int, int]:
        """Free and all memory, bytes."""
        with self.active():
            return self.driver.mem_get_info()

    def allocate(self, size: int) -> "DeviceMemory":
        """`size` bytes on the GPU, uninitialised."""
        return DeviceMemory(self, size)

    def pinned(self, shape: tuple[int, ...], dtype) -> "PinnedArray":
        """An array that the GPU can copy from and to by itself."""
        return PinnedArray(self, shape, dtype)

    def stream(self) -> "Stream":
        return Stream(self)


def _release(device: Device, held: list) -> None:
    """Free what is in `held`, the only references to it, with the context current."""
    with device.active():
        while held:
            item = held.pop()
            if hasattr(item, "free"):
                item.free()
            del item


class _Owned:
    """What must be freed with the context current: at `free()`, or when the garbage collector comes to it."""

    def __init__(self, device: Device, item: object):
        self.device = device
        self._held = [item]
        self._finalizer = weakref.finalize(self, _release, device, self._held)

    def free(self) -> None:
        """May be called again; what it frees must not be in use."""
        self._finalizer()


class DeviceMemory(_Owned):
    """A piece of the GPU's memory: `address`, `size` in bytes."""

    def __init__(self, device: Device, size: int):
        self.size = max(int(size), 1)  # a gallery may be empty, but CUDA allocates no 0 bytes
        with device.active(), _in_words(f"{self.size} bytes on the GPU"):
            allocation = device.driver.mem_alloc(self.size)
        self.address = int(allocation)
        super().__init__(device, allocation)


class PinnedArray(_Owned):
    """Page-locked memory of the host; `array` must not be used after `free()`."""

    def __init__(self, device: Device, shape: tuple[int, ...], dtype):
        with device.active(), _in_words(f"pinned memory of shape {tuple(shape)}"):
            self.array = device.driver.pagelocked_empty(tuple(shape), np.dtype(dtype))
        super().__init__(device, self.array.base)

    def free(self) -> None:
        self.array = self.array[:0]
        super().free()


class Stream(_Owned):
    """A queue of work of the GPU. Copies return at once: synchronise before you read or reuse what they copy."""

    def __init__(self, device: Device):
        with device.active(), _in_words("a CUDA stream"):
            stream = device.driver.Stream(_NON_BLOCKING)
        self.handle = int(stream.handle)
        super().__init__(device, stream)

    def _open(self):
        if not self._held:
            raise EngineError("this CUDA stream has been closed; open the engine again")
        return self._held[0]

    def upload(self, memory: DeviceMemory, array: np.ndarray, offset: int = 0) -> None:
        """Queue a copy of a contiguous array to `memory`, `offset` bytes into it."""
        _check_fits(memory, array.nbytes, offset)
        if array.nbytes:
            with self.device.active(), _in_words("a copy to the GPU"):
                self.device.driver.memcpy_htod_async(memory.address + offset, array, self._open())

    def download(self, array: np.ndarray, memory: DeviceMemory) -> None:
        """Queue a copy of the beginning of `memory` to a contiguous array."""
        _check_fits(memory, array.nbytes, 0)
        if array.nbytes:
            with self.device.active(), _in_words("a copy from the GPU"):
                self.device.driver.memcpy_dtoh_async(array, memory.address, self._open())

    def copy(self, to: DeviceMemory, memory: DeviceMemory, size: int) -> None:
        """Queue a copy of `size` bytes within the GPU."""
        _check_fits(to, size, 0)
        _check_fits(memory, size, 0)
        if size:
            with self.device.active(), _in_words("a copy on the GPU"):
                self.device.driver.memcpy_dtod_async(to.address, memory.address, size, self._open())

    def synchronize(self) -> None:
        """Wait until everything that was queued is done; other threads go on meanwhile."""
        with self.device.active(), _in_words("work on the GPU"):
            self._open().synchronize()


def _check_fits(memory: DeviceMemory, size: int, offset: int) -> None:
    if offset < 0 or offset + size > memory.size:
        raise ValueError(f"{size} bytes at {offset} do not fit into {memory.size} bytes of the GPU")


class Graph:
    """Work that was queued once and is launched again as a whole: a call instead of one for every kernel in it.

    pycuda has no graphs; these are the driver's own calls, through ctypes.
    """

    def __init__(self, stream: Stream, work: Callable[[], None]):
        """Record what `work` queues on `stream`. Raises `EngineError` if it cannot be recorded."""
        self._stream = stream
        graph, self._graph = ctypes.c_void_p(), ctypes.c_void_p()
        with stream.device.active():
            _call("cuStreamBeginCapture_v2", ctypes.c_void_p(stream.handle), ctypes.c_int(_CAPTURE_THIS_THREAD))
            try:
                work()
            finally:  # a stream that is left capturing takes no other work
                _call("cuStreamEndCapture", ctypes.c_void_p(stream.handle), ctypes.byref(graph))
            try:
                _call("cuGraphInstantiateWithFlags", ctypes.byref(self._graph), graph, ctypes.c_ulonglong(0))
            finally:
                _call("cuGraphDestroy", graph)
        self._finalizer = weakref.finalize(self, _destroy_graph, stream.device, self._graph.value)

    def launch(self) -> None:
        """Queue the work on the stream that it was recorded from."""
        with self._stream.device.active():
            _call("cuGraphLaunch", self._graph, ctypes.c_void_p(self._stream.handle))

    def free(self) -> None:
        self._finalizer()


def _destroy_graph(device: Device, graph: int) -> None:
    with device.active():
        _call("cuGraphExecDestroy", ctypes.c_void_p(graph))


@functools.cache
def _libcuda() -> ctypes.CDLL:
    return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")


def _call(function: str, *arguments) -> None:
    code = getattr(_libcuda(), function)(*arguments)
    if code:
        name = ctypes.c_char_p()
        _libcuda().cuGetErrorName(code, ctypes.byref(name))
        raise EngineError(
            f"CUDA graph: {function} answers {(name.value or b'?').decode()} ({code}); run without graphs"
        )


class Kernel:
    """The library of the local distance (converters/plugin/kernel.h)."""

    def __init__(self, path: Path | None = None):
        """path: the library; None: where `find_library` finds it. Raises `EngineError` where it is not."""
        path = find_library(KERNEL) if path is None else path
        if path is None:
            raise EngineError(how_to_build(KERNEL))
        try:
            library = ctypes.CDLL(str(path))
            self._launch, self._message = library.aligned_reid_local_distance, library.aligned_reid_error
        except (OSError, AttributeError) as error:
            raise EngineError(f"{path}: cannot be loaded ({error}); build it again on this machine") from error
        pointer, long, integer = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
        self._launch.argtypes = [pointer] * 4 + [long] * 3 + [integer] * 4 + [pointer]
        self._launch.restype = integer
        self._message.argtypes, self._message.restype = [integer], ctypes.c_char_p
        self.path = path

    def launch(
        self,
        stream: Stream,
        query: DeviceMemory,
        gallery: DeviceMemory,
        candidates: DeviceMemory,
        distance: DeviceMemory,
        *,
        queries: int,
        entries: int,
        per_query: int,
        stripes: int,
        dim: int,
        half: bool,
        half_out: bool = False,
    ) -> None:
        """Queue the distances of query `[queries, stripes, dim]` to candidates int32 `[queries, per_query]` of gallery
        `[entries, stripes, dim]`, into distance float32 (half: the stripes are float16; half_out: the distances).

        Raises `EngineError` with CUDA's words if it cannot be launched.
        """
        with stream.device.active():
            error = self._launch(
                query.address, gallery.address, candidates.address, distance.address, queries, entries, per_query,
                stripes, dim, int(half), int(half_out), stream.handle,
            )  # fmt: skip
        if error:
            words = self._message(error).decode()
            raise EngineError(
                f"{self.path}: cannot run ({words}); it was built for other GPUs, or [{queries}, {stripes}, {dim}] is "
                "not 1 to 16 stripes of a multiple of 8 numbers"
            )


class GpuStripes:
    """The stripes of a gallery, kept on the GPU: re-scoring then copies only queries' stripes and candidates' rows.

    Rows have the order in which they were added, as in the arrays that other ways of re-scoring take. May be used from
    several threads.
    """

    def __init__(self, stripes: int, dim: int, *, dtype=np.float16, capacity: int = 1024, device: Device | None = None):
        """Room for `capacity` people of `stripes` × `dim` numbers, doubled when it is full."""
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float16, np.float32):
            raise ValueError(f"stripes on the GPU are float16 or float32, not {self.dtype}")
        self.device = open_device() if device is None else device
        self.lock = threading.RLock()
        """Held while rows are changed, and by whoever runs a kernel on `memory`."""
        self._shape = (int(stripes), int(dim))
        self._rows = 0
        self._row_bytes = self._shape[0] * self._shape[1] * self.dtype.itemsize
        self._stream = self.device.stream()
        self.memory = self.device.allocate(max(1, capacity) * self._row_bytes)

    def __len__(self) -> int:
        return self._rows

    @property
    def shape(self) -> tuple[int, int, int]:
        """[G, S, d]"""
        return (self._rows, *self._shape)

    @property
    def capacity(self) -> int:
        """For how many people there is memory."""
        return self.memory.size // self._row_bytes

    def extend(self, stripes: np.ndarray) -> None:
        """Add people: `[N, S, d]`, rounded to this object's type. Raises `ValueError` for another shape."""
        stripes = self._checked(stripes)
        with self.lock:
            needed = self._rows + len(stripes)
            if needed > self.capacity:
                self._grow(max(needed, 2 * self.capacity))
            self._stream.upload(self.memory, stripes, self._rows * self._row_bytes)
            self._stream.synchronize()  # the caller may change or drop its array now
            self._rows = needed

    def replace(self, row: int, stripes: np.ndarray) -> None:
        """Put other stripes `[S, d]` into a row. Raises `IndexError` for a row that is not there."""
        stripes = self._checked(np.asarray(stripes)[None])
        with self.lock:
            if not 0 <= row < self._rows:
                raise IndexError(f"row {row}: there are {self._rows}")
            self._stream.upload(self.memory, stripes, row * self._row_bytes)
            self._stream.synchronize()

    def clear(self) -> None:
        """Forget everybody; the memory is kept."""
        with self.lock:
            self._rows = 0

    def close(self) -> None:
        """Give the memory back. The object cannot be used afterwards."""
        with self.lock:
            self._rows = 0
            self.memory.free()
            self._stream.free()

    def _checked(self, stripes: np.ndarray) -> np.ndarray:
        stripes = np.ascontiguousarray(stripes, self.dtype)
        if stripes.ndim != 3 or stripes.shape[1:] != self._shape:
            raise ValueError(
                f"stripes of shape {stripes.shape} do not go into a gallery of [N, {self._shape[0]}, {self._shape[1]}]"
            )
        return stripes

    def _grow(self, capacity: int) -> None:
        memory = self.device.allocate(capacity * self._row_bytes)
        self._stream.copy(memory, self.memory, self._rows * self._row_bytes)
        self._stream.synchronize()
        self.memory.free()
        self.memory = memory
