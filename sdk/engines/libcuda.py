"""NVIDIA's driver through ctypes: its library, the signatures of the calls that we make, and its errors in words.

The signatures are those of cuda.h, whose macros lead to names with `_v2`. Whoever calls needs what the driver asks for:
mostly that a context is current in this thread, which `sdk.engines.cuda.Device.active` sees to.
"""

import ctypes
import functools
import sys

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
"""It comes with the driver."""

_OUT_OF_MEMORY = 2

_handle, _int, _unsigned, _size = ctypes.c_void_p, ctypes.c_int, ctypes.c_uint, ctypes.c_size_t
_address = ctypes.c_uint64
"""CUdeviceptr."""
_out = ctypes.c_void_p
"""Where the answer goes: `ctypes.byref` of a variable."""

_SIGNATURES = {
    "cuInit": [_unsigned],
    "cuDriverGetVersion": [_out],
    "cuDeviceGetCount": [_out],
    "cuDeviceGet": [_out, _int],
    "cuDeviceGetName": [ctypes.c_char_p, _int, _int],
    "cuDeviceGetAttribute": [_out, _int, _int],
    "cuDevicePrimaryCtxRetain": [_out, _int],
    "cuDevicePrimaryCtxRelease_v2": [_int],
    "cuCtxPushCurrent_v2": [_handle],
    "cuCtxPopCurrent_v2": [_out],
    "cuCtxSynchronize": [],
    "cuMemGetInfo_v2": [_out, _out],
    "cuMemAlloc_v2": [_out, _size],
    "cuMemFree_v2": [_address],
    "cuMemHostAlloc": [_out, _size, _unsigned],
    "cuMemFreeHost": [_handle],
    "cuStreamCreate": [_out, _unsigned],
    "cuStreamDestroy_v2": [_handle],
    "cuStreamSynchronize": [_handle],
    "cuMemcpyHtoDAsync_v2": [_address, ctypes.c_void_p, _size, _handle],
    "cuMemcpyDtoHAsync_v2": [ctypes.c_void_p, _address, _size, _handle],
    "cuMemcpyDtoDAsync_v2": [_address, _address, _size, _handle],
    "cuStreamBeginCapture_v2": [_handle, _int],
    "cuStreamEndCapture": [_handle, _out],
    "cuGraphInstantiateWithFlags": [_out, _handle, ctypes.c_ulonglong],
    "cuGraphDestroy": [_handle],
    "cuGraphLaunch": [_handle, _handle],
    "cuGraphExecDestroy": [_handle],
    "cuGetErrorName": [_int, _out],
}


class Error(Exception):
    """The driver has refused a call."""


class OutOfMemoryError(Error):
    """There is not as much memory as was asked for."""


class NoDriverError(Error):
    """There is no driver."""


@functools.cache
def library() -> ctypes.CDLL:
    """The driver's library. Raises `NoDriverError`."""
    try:
        loaded = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise NoDriverError(str(error)) from error
    for name, arguments in _SIGNATURES.items():
        # An old driver may lack what is not needed there: it is missed when it is called.
        if (function := getattr(loaded, name, None)) is not None:
            function.argtypes, function.restype = arguments, _int
    return loaded


def call(name: str, *arguments) -> None:
    """Make the call `name` of cuda.h; other threads go on meanwhile.

    Raises `Error` with the driver's word for what went wrong.
    """
    function = getattr(library(), name, None)
    if function is None:
        raise Error(f"{name} is not in this driver; install a newer one")
    if code := function(*arguments):
        kind = OutOfMemoryError if code == _OUT_OF_MEMORY else Error
        raise kind(f"{name} answers {error_name(code)}")


def error_name(code: int) -> str:
    """Such as "CUDA_ERROR_NO_DEVICE (100)"."""
    name = ctypes.c_char_p()
    library().cuGetErrorName(code, ctypes.byref(name))
    return f"{(name.value or b'an error that it has no name for').decode()} ({code})"
