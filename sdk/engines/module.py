"""Kernels of a module: PTX, which the driver compiles for its GPU, or what nvcc has compiled."""

import ctypes

from sdk.engines.cuda import Device, DeviceMemory, Owned, Stream, in_words
from sdk.engines.libcuda import call

Size = int | tuple[int, ...]


class Module(Owned):
    """Loaded kernels. May be used from several threads; must outlive what was launched."""

    def __init__(self, device: Device, image: bytes):
        """image: the text of PTX, a cubin or a fatbin. Raises `EngineError` where it is not for this GPU."""
        handle = ctypes.c_void_p()
        with device.active(), in_words(device.driver, "kernels for the GPU"):
            call("cuModuleLoadData", ctypes.byref(handle), bytes(image))
        self._handle = handle.value
        super().__init__(device, _Loaded(handle.value))

    def function(self, name: str) -> "Function":
        """The kernel `name`, as PTX has it: `extern "C"`. Raises `EngineError` where there is none."""
        handle = ctypes.c_void_p()
        with self.device.active(), in_words(self.device.driver, f"the kernel {name}"):
            call("cuModuleGetFunction", ctypes.byref(handle), self._handle, name.encode())
        return Function(self, name, handle.value)


class Function:
    """A kernel. Get one from `Module.function`."""

    def __init__(self, module: Module, name: str, handle: int):
        self.name = name
        self._module, self._handle = module, handle

    def launch(self, stream: Stream, grid: Size, block: Size, *arguments: object, shared: int = 0) -> None:
        """Queue it on `stream`: `grid` blocks of `block` threads, up to three numbers each, with `shared` bytes of
        dynamic shared memory.

        The arguments must be of the types and in the order of the kernel's parameters: `DeviceMemory`, which stands for
        its address, and numbers and structs as ctypes has them, `ctypes.c_int32(3)`. Memory must live until the stream
        is synchronised. Raises `EngineError` if it cannot be launched.
        """
        values = [ctypes.c_uint64(a.address) if isinstance(a, DeviceMemory) else a for a in arguments]
        places = (ctypes.c_void_p * max(1, len(values)))(*(ctypes.addressof(value) for value in values))
        device = self._module.device
        with device.active(), in_words(device.driver, f"the kernel {self.name}"):
            call(
                "cuLaunchKernel", self._handle, *_three(grid), *_three(block), shared, stream.handle, places, None
            )  # the driver copies the arguments before it returns


class _Loaded:
    def __init__(self, handle: int):
        self._handle = handle

    def free(self) -> None:
        call("cuModuleUnload", self._handle)


def _three(size: Size) -> tuple[int, int, int]:
    sizes = (size,) if isinstance(size, int) else tuple(size)
    return (*sizes, 1, 1)[:3]
