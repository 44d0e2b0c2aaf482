"""As much of `pycuda.driver` as sdk/engines/cuda.py uses, over the driver's library: any Python, nothing to compile.

It is taken where pycuda is not. Names and behaviour are pycuda's, but that nothing is freed when it is dropped: who
allocates here frees, with the context current.
"""

import ctypes
from collections.abc import Sequence

import numpy as np

from sdk.engines.libcuda import Error, OutOfMemoryError, call

__all__ = [
    "Context",
    "Device",
    "Error",
    "MemoryError",
    "Stream",
    "device_attribute",
    "get_driver_version",
    "init",
    "mem_alloc",
    "mem_get_info",
    "memcpy_dtod_async",
    "memcpy_dtoh_async",
    "memcpy_htod_async",
    "pagelocked_empty",
]

MemoryError = OutOfMemoryError  # pycuda's name


class device_attribute:  # pycuda's name
    """CU_DEVICE_ATTRIBUTE_…"""

    INTEGRATED = 18
    COMPUTE_CAPABILITY_MAJOR = 75
    COMPUTE_CAPABILITY_MINOR = 76


def init() -> None:
    call("cuInit", 0)


def get_driver_version() -> int:
    """12060 for CUDA 12.6."""
    version = ctypes.c_int()
    call("cuDriverGetVersion", ctypes.byref(version))
    return version.value


def mem_get_info() -> tuple[int, int]:
    """Free and all memory, bytes."""
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
    return free.value, total.value


class Device:
    """A GPU."""

    def __init__(self, index: int):
        number = ctypes.c_int()
        call("cuDeviceGet", ctypes.byref(number), index)
        self._number = number.value

    @staticmethod
    def count() -> int:
        count = ctypes.c_int()
        call("cuDeviceGetCount", ctypes.byref(count))
        return count.value

    def name(self) -> str:
        name = ctypes.create_string_buffer(256)
        call("cuDeviceGetName", name, len(name), self._number)
        return name.value.decode(errors="replace")

    def compute_capability(self) -> tuple[int, int]:
        return tuple(
            self.get_attribute(which)
            for which in (device_attribute.COMPUTE_CAPABILITY_MAJOR, device_attribute.COMPUTE_CAPABILITY_MINOR)
        )

    def retain_primary_context(self) -> "Context":
        handle = ctypes.c_void_p()
        call("cuDevicePrimaryCtxRetain", ctypes.byref(handle), self._number)
        return Context(handle, self._number)

    def get_attribute(self, which: int) -> int:
        value = ctypes.c_int()
        call("cuDeviceGetAttribute", ctypes.byref(value), which, self._number)
        return value.value


class Context:
    """A device's primary context."""

    def __init__(self, handle: ctypes.c_void_p, device: int):
        self._handle, self._device = handle, device

    def push(self) -> None:
        call("cuCtxPushCurrent_v2", self._handle)

    @staticmethod
    def pop() -> None:
        call("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))

    @staticmethod
    def synchronize() -> None:
        call("cuCtxSynchronize")

    def detach(self) -> None:
        call("cuDevicePrimaryCtxRelease_v2", self._device)


class _Allocation:
    def __init__(self, size: int):
        address = ctypes.c_uint64()
        call("cuMemAlloc_v2", ctypes.byref(address), size)
        self._address = address.value

    def __int__(self) -> int:
        return self._address

    def free(self) -> None:
        call("cuMemFree_v2", self._address)


def mem_alloc(size: int) -> _Allocation:
    return _Allocation(size)


class _PageLocked:
    """Memory of the host, shown to NumPy, whose arrays have it as their `base`."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype):
        address, size = ctypes.c_void_p(), int(np.prod(shape)) * dtype.itemsize
        call("cuMemHostAlloc", ctypes.byref(address), max(size, 1), 0)
        self._address = address.value
        self.__array_interface__ = {
            "data": (self._address, False), "shape": shape, "typestr": dtype.str, "version": 3,
            "descr": dtype.descr,  # the fields, where there are any
        }  # fmt: skip

    def free(self) -> None:
        call("cuMemFreeHost", self._address)


def pagelocked_empty(shape: Sequence[int], dtype) -> np.ndarray:
    """`base` of the array has `free()`."""
    return np.asarray(_PageLocked(tuple(shape), np.dtype(dtype)))


class Stream:
    def __init__(self, flags: int = 0):
        handle = ctypes.c_void_p()
        call("cuStreamCreate", ctypes.byref(handle), flags)
        self.handle = handle.value

    def synchronize(self) -> None:
        call("cuStreamSynchronize", self.handle)

    def free(self) -> None:
        call("cuStreamDestroy_v2", self.handle)


def memcpy_htod_async(to: int, array: np.ndarray, stream: Stream) -> None:
    call("cuMemcpyHtoDAsync_v2", to, _contiguous(array).ctypes.data, array.nbytes, stream.handle)


def memcpy_dtoh_async(array: np.ndarray, source: int, stream: Stream) -> None:
    if not array.flags.writeable:
        raise ValueError("the array cannot be written to")
    call("cuMemcpyDtoHAsync_v2", _contiguous(array).ctypes.data, source, array.nbytes, stream.handle)


def memcpy_dtod_async(to: int, source: int, size: int, stream: Stream) -> None:
    call("cuMemcpyDtoDAsync_v2", to, source, size, stream.handle)


def _contiguous(array: np.ndarray) -> np.ndarray:
    if not array.flags.c_contiguous:
        raise ValueError("only contiguous arrays are copied to and from the GPU")
    return array
