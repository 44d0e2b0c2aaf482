"""A GPU's memory, its streams and its context: what everything else of the SDK that uses a GPU stands on.

The calls are pycuda's, or, where pycuda is not there, those of `builtin_driver.py`: the same calls without it.

**Threads.** A CUDA call works in the context that is current in its thread. pycuda's `autoinit` and `autoprimaryctx`
make one current in the thread that imports them and in no other, which is where "invalid device context" comes from.
Here the primary context, which TensorRT and PyTorch use as well, is retained once a process, and `Device.active()`
makes it current for as long as a call takes: any thread may make it.

**Lifetimes.** Memory can be freed only where the context is current. So whoever allocates here gets an object that
makes it current when it is freed, or when the garbage collector finds it.

**The end of the process.** Threads that Python does not wait for (daemons) may be in the middle of a call. They are let
out of it and none is let in again; then what is queued is waited for, everything is freed, the newest first, and the
context is given back last.
"""

import atexit
import itertools
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import numpy as np

from sdk.engines import builtin_driver, libcuda
from sdk.errors import EngineError

_NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING: a stream that does not wait for the default stream, which other libraries use."""
_PATIENCE = 5.0
"""Seconds that the process's end waits for what other threads have under way on the GPU."""

_creating = threading.Lock()
_devices: dict[int, "Device"] = {}
_numbers = itertools.count()


def open_device(index: int = 0) -> "Device":
    """The GPU `index`, always as the same object. Raises `EngineError` where there is no such GPU or no driver."""
    with _creating:
        if index not in _devices:
            _devices[index] = Device(index)
        return _devices[index]


@atexit.register
def close_devices() -> None:
    """Free all that was made on the GPUs, the newest first, and give their contexts back: the end of the process.

    Waits for what other threads have under way, and for what is queued; threads that come later end, as daemons do.
    Nothing that was made on a GPU before can be used afterwards, but may be freed and closed.
    """
    with _creating:
        devices = list(_devices.values())
    for device in devices:
        device.close()


def choose_driver():
    """`pycuda.driver`, or our own part of it where pycuda is not there or does not load."""
    try:
        import pycuda.driver
    except (ImportError, OSError):
        return builtin_driver
    return pycuda.driver


@contextmanager
def in_words(driver, doing: str) -> Iterator[None]:
    """The driver's errors as `EngineError`s that say what was being done."""
    try:
        yield
    except libcuda.NoDriverError as error:
        raise EngineError(
            f"{doing}: there is no NVIDIA driver ({error}); install it, or run the .onnx file on the processor"
        ) from error
    except (driver.MemoryError, libcuda.OutOfMemoryError) as error:
        raise EngineError(
            f"{doing}: the GPU's memory is full ({error}); use a smaller batch or gallery, or stop other programs"
        ) from error
    except (driver.Error, libcuda.Error) as error:
        raise EngineError(f"{doing}: CUDA says: {error}; `nvidia-smi` shows whether the GPU is well") from error


class Device:
    """A GPU and its primary context. Get one from `open_device`."""

    def __init__(self, index: int):
        self.driver = choose_driver()
        with in_words(self.driver, f"GPU {index}"):
            self.driver.init()
            count = self.driver.Device.count()
            if index >= count:
                raise EngineError(f"GPU {index}: CUDA shows this process {count}; is CUDA_VISIBLE_DEVICES right?")
            self._device = self.driver.Device(index)
            # Retained once, and this very object pushed wherever it is needed: pycuda compares contexts by identity.
            self._context = self._device.retain_primary_context()
        self.index = index
        self._owned: dict[int, list] = {}
        """What was made here and is not freed yet, numbered in the order of its making."""
        # Re-entrant: the garbage collector may free something in the middle of `active`.
        self._lock = threading.RLock()
        self._left = threading.Condition(self._lock)
        self._inside: dict[int, int] = {}
        """How deep each thread is in `active`."""
        self._closer: int | None = None
        """The thread that closes or has closed it."""
        self._closed = False
        self._active = _Active(self)

    def active(self) -> "_Active":
        """Make the context current in this thread for the length of a `with`; may be nested.

        Once the process ends this raises `EngineError` in the thread that ends it, and ends any other.
        """
        return self._active

    def enter(self) -> None:
        """As `with active()` begins; `leave` must follow."""
        me = threading.get_ident()
        with self._lock:
            if self._closer not in (None, me) and me not in self._inside:
                raise SystemExit  # the end of this thread, a moment before Python ends all of its kind
            if self._closed:
                raise EngineError(f"GPU {self.index}: has been given back, the process is ending")
            self._inside[me] = self._inside.get(me, 0) + 1
        try:
            self._context.push()
        except Exception as error:
            self._go(me)
            with in_words(self.driver, f"GPU {self.index}"):
                raise error

    def leave(self) -> None:
        """As `with active()` ends."""
        try:
            self.driver.Context.pop()
        finally:
            self._go(threading.get_ident())

    def _go(self, thread: int) -> None:
        with self._lock:
            self._inside[thread] -= 1
            if not self._inside[thread]:
                del self._inside[thread]
                if self._closer is not None:
                    self._left.notify_all()

    def own(self, owner: object, held: list) -> weakref.finalize:
        """Free what is in `held`, the last first, when `owner` is dropped, when this device is closed, or when the
        answer is called; with the context current. `held` has the only references to it."""
        number = next(_numbers)
        self._owned[number] = held
        finalizer = weakref.finalize(owner, self._release, number)
        finalizer.atexit = False  # `close` sees to the order
        return finalizer

    def close(self) -> None:
        """As `close_devices`, of this one."""
        with self._lock:
            if self._closed:
                return
            me = self._closer = threading.get_ident()
            done = self._left.wait_for(lambda: not self._inside.keys() - {me}, _PATIENCE)
        if done:  # what a thread does not come out of may be using all of it: then the driver cleans up
            with self.active(), suppress(self.driver.Error, libcuda.Error):
                self.driver.Context.synchronize()  # or what is queued would find its memory gone
            for number in sorted(self._owned, reverse=True):
                self._release(number)
            with suppress(self.driver.Error, libcuda.Error):
                if self.driver is not builtin_driver:  # pycuda gives back what is current, or was made in this thread
                    self._context.push()
                self._context.detach()
        self._closed = True

    @property
    def name(self) -> str:
        return self._device.name()

    @property
    def through(self) -> str:
        """Whose calls these are: "pycuda", or "the driver itself"."""
        return "the driver itself" if self.driver is builtin_driver else "pycuda"

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

    def _release(self, number: int) -> None:
        if self._closed or self._closer not in (None, threading.get_ident()):  # `close` frees it
            return
        with self.active():
            held = self._owned.pop(number, [])
            while held:
                item = held.pop()
                with suppress(self.driver.Error, libcuda.Error):  # in a context that has failed nothing can be freed
                    if hasattr(item, "free"):
                        item.free()
                    del item


class _Active:
    """What `Device.active` gives: entered for every call, so it makes no object."""

    def __init__(self, device: Device):
        self._device = device

    def __enter__(self) -> None:
        self._device.enter()

    def __exit__(self, *_) -> None:
        self._device.leave()


class Owned:
    """What must be freed with the context current: at `free()`, or when the garbage collector comes to it."""

    def __init__(self, device: Device, *items: object):
        """items: objects with a `free()`, or whose end frees them; the last is freed first."""
        self.device = device
        self._held = list(items)
        self._finalizer = device.own(self, self._held)

    def free(self) -> None:
        """May be called again; what it frees must not be in use."""
        self._finalizer()


class DeviceMemory(Owned):
    """A piece of the GPU's memory: `address`, `size` in bytes."""

    def __init__(self, device: Device, size: int):
        self.size = max(int(size), 1)  # a gallery may be empty, but CUDA allocates no 0 bytes
        with device.active(), in_words(device.driver, f"{self.size} bytes on the GPU"):
            allocation = device.driver.mem_alloc(self.size)
        self.address = int(allocation)
        super().__init__(device, allocation)


class PinnedArray(Owned):
    """Page-locked memory of the host; `array` must not be used after `free()`."""

    def __init__(self, device: Device, shape: tuple[int, ...], dtype):
        with device.active(), in_words(device.driver, f"pinned memory of shape {tuple(shape)}"):
            self.array = device.driver.pagelocked_empty(tuple(shape), np.dtype(dtype))
        super().__init__(device, self.array.base)

    def free(self) -> None:
        self.array = self.array[:0]
        super().free()


class Stream(Owned):
    """A queue of work of the GPU. Copies return at once: synchronise before you read or reuse what they copy."""

    def __init__(self, device: Device):
        with device.active(), in_words(device.driver, "a CUDA stream"):
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
            self._queue(
                "a copy to the GPU",
                lambda stream: self.device.driver.memcpy_htod_async(memory.address + offset, array, stream),
            )

    def download(self, array: np.ndarray, memory: DeviceMemory) -> None:
        """Queue a copy of the beginning of `memory` to a contiguous array."""
        _check_fits(memory, array.nbytes, 0)
        if array.nbytes:
            self._queue(
                "a copy from the GPU",
                lambda stream: self.device.driver.memcpy_dtoh_async(array, memory.address, stream),
            )

    def copy(self, to: DeviceMemory, memory: DeviceMemory, size: int) -> None:
        """Queue a copy of `size` bytes within the GPU."""
        _check_fits(to, size, 0)
        _check_fits(memory, size, 0)
        if size:
            self._queue(
                "a copy on the GPU",
                lambda stream: self.device.driver.memcpy_dtod_async(to.address, memory.address, size, stream),
            )

    def synchronize(self) -> None:
        """Wait until everything that was queued is done; other threads go on meanwhile."""
        self._queue("work on the GPU", lambda stream: stream.synchronize())

    def _queue(self, doing: str, work: Callable) -> None:
        with self.device.active(), in_words(self.device.driver, doing):
            work(self._open())


def _check_fits(memory: DeviceMemory, size: int, offset: int) -> None:
    if offset < 0 or offset + size > memory.size:
        raise ValueError(f"{size} bytes at {offset} do not fit into {memory.size} bytes of the GPU")
