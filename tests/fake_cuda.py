"""Stand-ins for `pycuda.driver` and `tensorrt` that keep the rules which a GPU enforces, for their callers' tests.

Memory is the host's; a copy or an inference is only queued, and done when its stream is synchronised. What CUDA would
refuse is refused: a call in a thread where no context is current, memory that was freed, a copy beyond an end. They
prove that the SDK keeps the rules, and nothing about a GPU.
"""

import ctypes
import struct
import threading
from types import SimpleNamespace

import numpy as np


class FakeDriver:
    """`pycuda.driver`, as far as sdk/engines/cuda.py uses it."""

    class Error(Exception):
        pass

    class LogicError(Error):
        pass

    class MemoryError(Error):
        pass

    def __init__(self, devices: int = 1, memory: int = 1 << 30, eager: bool = False):
        """eager: work is done when it is queued, for kernels that nothing here can hold back."""
        self.limit, self.eager = memory, eager
        self.stacks = threading.local()
        self.living: dict[int, object] = {}
        self.retained = 0
        self.most_at_once = 0
        self.integrated = False
        self.device_attribute = SimpleNamespace(INTEGRATED=18)
        self._inside = 0
        self._lock = threading.Lock()
        driver = self

        class Allocation:
            def __init__(self, size: int):
                driver.require_context()
                if sum(held.size for held in driver.living.values()) + size > driver.limit:
                    raise driver.MemoryError("cuMemAlloc failed: out of memory")
                self.size, self.buffer = size, (ctypes.c_char * (size + 256))()
                start = ctypes.addressof(self.buffer)
                self.address = start + -start % 256
                driver.living[self.address] = self

            def __int__(self):
                return self.address

            def free(self):
                driver.require_context()
                del driver.living[self.address]

        class Stream:
            def __init__(self, flags: int = 0):
                driver.require_context()
                self.handle = id(self)
                self.queue = []
                driver.streams[self.handle] = self

            def synchronize(self):
                driver.require_context()
                with driver._lock:
                    driver._inside += 1
                    driver.most_at_once = max(driver.most_at_once, driver._inside)
                while self.queue:
                    self.queue.pop(0)()
                with driver._lock:
                    driver._inside -= 1

            def put(self, work):
                driver.require_context()
                work() if driver.eager else self.queue.append(work)

        class Context:
            def push(self):
                driver.stack().append(self)

            def detach(self):
                driver.retained -= 1

            @staticmethod
            def synchronize():
                for stream in list(driver.streams.values()):
                    stream.synchronize()

            @staticmethod
            def pop():
                if not driver.stack():
                    raise driver.LogicError(
                        "context::pop failed: invalid device context - cannot pop non-current context"
                    )
                driver.stack().pop()

        class Device:
            def __init__(self, index: int):
                self.index = index

            @staticmethod
            def count() -> int:
                return devices

            def retain_primary_context(self):
                driver.retained += 1
                return Context()

            def name(self) -> str:
                return "Fake"

            def compute_capability(self):
                return 8, 7

            def get_attribute(self, which):
                return {driver.device_attribute.INTEGRATED: int(driver.integrated)}[which]

        self.streams = {}
        self.Allocation, self.Stream, self.Context, self.Device = Allocation, Stream, Context, Device
        self.mem_alloc = Allocation

    def init(self):
        pass

    def get_driver_version(self) -> int:
        return 12060

    def mem_get_info(self) -> tuple[int, int]:
        self.require_context()
        return self.limit - sum(held.size for held in self.living.values()), self.limit

    def stack(self) -> list:
        if not hasattr(self.stacks, "contexts"):
            self.stacks.contexts = []
        return self.stacks.contexts

    def require_context(self):
        if not self.stack():
            raise self.LogicError("invalid device context: there is none in this thread")

    def pagelocked_empty(self, shape, dtype) -> np.ndarray:
        dtype = np.dtype(dtype)
        allocation = self.Allocation(max(1, int(np.prod(shape)) * dtype.itemsize))
        array = np.frombuffer(self.view(allocation.address, allocation.size), np.uint8)
        array = array[: int(np.prod(shape)) * dtype.itemsize].view(dtype).reshape(shape)
        return _Based(array, allocation)

    def view(self, address: int, size: int):
        """`size` bytes at `address`, which must lie in one piece of memory that is allocated."""
        for start, held in self.living.items():
            if start <= address and address + size <= start + held.size:
                return (ctypes.c_char * size).from_address(address)
        raise self.LogicError(f"an illegal memory access was encountered: {size} bytes at {address}")

    def memcpy_htod_async(self, address: int, array: np.ndarray, stream):
        array = np.asarray(array)
        assert array.flags.c_contiguous
        self.view(address, array.nbytes)
        stream.put(lambda: ctypes.memmove(self.view(address, array.nbytes), array.ctypes.data, array.nbytes))

    def memcpy_dtoh_async(self, array: np.ndarray, address: int, stream):
        array = np.asarray(array)
        assert array.flags.c_contiguous
        stream.put(lambda: ctypes.memmove(array.ctypes.data, self.view(address, array.nbytes), array.nbytes))

    def memcpy_dtod_async(self, to: int, address: int, size: int, stream):
        stream.put(lambda: ctypes.memmove(self.view(to, size), self.view(address, size), size))


def plan_bytes(content: bytes) -> bytes:
    """A plan's header of 28 bytes, as TensorRT 10.3 writes it, and `content`."""
    return struct.pack("<4s4x8xQ4B", b"ftrt", 28 + len(content), 10, 3, 0, 26) + content


class _Based(np.ndarray):
    """An array whose `base` is the allocation, as pycuda's are."""

    def __new__(cls, array, allocation):
        made = array.view(cls)
        made.allocation = allocation
        return made

    def __array_finalize__(self, other):
        self.allocation = getattr(other, "allocation", None)

    @property
    def base(self):
        return self.allocation


def fake_tensorrt(
    driver: FakeDriver, tensors: dict, work, plugins: list | None = None, rtx: bool = False
) -> SimpleNamespace:
    """The module `tensorrt` with one plan.

    tensors: by name ("input" or "output", dtype, shape with −1, largest shape of an input, smallest batch).
    work: arrays of the inputs by name → arrays of the outputs by name. rtx: with what TensorRT-RTX has besides.
    """
    modes = SimpleNamespace(INPUT=1, OUTPUT=2)

    class ILogger:
        Severity = SimpleNamespace(INTERNAL_ERROR=0, ERROR=1, WARNING=2, INFO=3, VERBOSE=4)

        def __init__(self):
            pass

    class Context:
        def __init__(self, logger):
            driver.require_context()
            self.logger, self.shapes, self.addresses, self.shape_changes = logger, {}, {}, 0

        def set_tensor_address(self, name, address):
            assert isinstance(address, int)
            self.addresses[name] = address
            return name in tensors

        def set_input_shape(self, name, shape):
            kind, _, _, largest, smallest = tensors[name]
            self.shape_changes += 1
            if any(a > b for a, b in zip(shape, largest, strict=True)) or shape[0] < smallest:
                self.logger.log(ILogger.Severity.ERROR, f"setInputShape: {shape} is outside the profile")
                return False
            self.shapes[name] = tuple(shape)
            return kind == "input"

        def execute_async_v3(self, handle):
            stream = driver.streams[handle]
            if set(self.addresses) != set(tensors):
                self.logger.log(ILogger.Severity.ERROR, "an address is not set")
                return False
            shapes, addresses = dict(self.shapes), dict(self.addresses)

            def run():
                def array(name, shape):
                    dtype = np.dtype(tensors[name][1])
                    size = int(np.prod(shape)) * dtype.itemsize
                    return np.frombuffer(driver.view(addresses[name], size), dtype).reshape(shape)

                results = work({name: array(name, shape).copy() for name, shape in shapes.items()})
                for name, result in results.items():
                    array(name, result.shape)[...] = result

            stream.put(run)
            return True

    class Engine:
        num_io_tensors = len(tensors)

        def __init__(self, logger):
            self.logger = logger

        def get_tensor_name(self, i):
            return list(tensors)[i]

        def get_tensor_mode(self, name):
            return modes.INPUT if tensors[name][0] == "input" else modes.OUTPUT

        def get_tensor_shape(self, name):
            return tensors[name][2]

        def get_tensor_dtype(self, name):
            return tensors[name][1]

        def get_tensor_profile_shape(self, name, profile):
            _, _, _, largest, smallest = tensors[name]
            return [(smallest, *largest[1:]), largest, largest]

        def create_execution_context(self, config=None):
            driver.require_context()
            made.contexts.append(Context(self.logger))
            made.configs.append(config)
            return made.contexts[-1]

        def create_runtime_config(self):
            return RuntimeConfig()

    class RuntimeCache:
        """Of TensorRT-RTX: asked in a thread without a context it refuses what is on the disk."""

        content = b""

        def serialize(self):
            driver.require_context()
            return b"compiled" * len(made.contexts)

        def deserialize(self, content):
            driver.require_context()
            if not content.startswith(b"compiled"):
                return False
            self.content = content
            return True

        def reset(self):
            self.content = b""

    class RuntimeConfig:
        cuda_graph_strategy = dynamic_shapes_kernel_specialization_strategy = cache = None

        def create_runtime_cache(self):
            return RuntimeCache()

        def set_runtime_cache(self, cache):
            self.cache = cache
            return True

    class Runtime:
        engine_host_code_allowed = False

        def __init__(self, logger):
            driver.require_context()
            self.logger = logger
            made.runtimes.append(self)

        def deserialize_cuda_engine(self, content):
            if content.endswith(b"whole"):
                return Engine(self.logger)
            self.logger.log(ILogger.Severity.ERROR, "magicTag does not match")
            return None

    class Registry:
        def get_creator(self, name, version, namespace):
            return object() if plugins else None

        def load_library(self, path):
            if plugins is None:
                return None
            plugins.append(path)
            return object()

    made = SimpleNamespace(
        __name__="tensorrt",
        __version__="10.3.0.26",
        ILogger=ILogger,
        Runtime=Runtime,
        TensorIOMode=modes,
        nptype=np.dtype,
        get_plugin_registry=Registry,
        contexts=[],
        configs=[],
        runtimes=[],
    )
    if rtx:
        made.IRuntimeCache = RuntimeCache
        made.CudaGraphStrategy = SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole")
        made.DynamicShapesKernelSpecializationStrategy = SimpleNamespace(EAGER="eager")
    return made
