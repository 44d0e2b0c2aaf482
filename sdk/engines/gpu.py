"""Which GPU is here, asked of NVIDIA's driver through ctypes: no package, no context, no memory on the device."""

import ctypes
import functools
from dataclasses import dataclass

from sdk.errors import EngineError

_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR of the driver's API."""


@dataclass(frozen=True)
class Gpu:
    """One device."""

    name: str
    capability: int
    """Its compute capability times ten: 87 for a Jetson Orin."""
    driver: str
    """The newest CUDA that the driver serves, such as "12.6"."""

    @property
    def architecture(self) -> str:
        return f"sm_{self.capability}"


@functools.cache
def find_gpu() -> Gpu | str:
    """The first GPU that CUDA shows this process, or why there is none, in words."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no NVIDIA driver (libcuda.so.1 is not here)"
    # A driver without a device answers cuInit with an error.
    if (code := driver.cuInit(0)) != 0:
        return f"the NVIDIA driver finds no usable GPU (cuInit answers {code})"
    device, value, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)
    if driver.cuDeviceGet(ctypes.byref(device), 0) != 0:
        return "CUDA shows this process no GPU; is CUDA_VISIBLE_DEVICES empty?"
    driver.cuDeviceGetName(name, len(name), device)
    capability = 0
    for attribute, factor in ((_MAJOR, 10), (_MINOR, 1)):
        driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        capability += factor * value.value
    driver.cuDriverGetVersion(ctypes.byref(value))
    return Gpu(name.value.decode(), capability, f"{value.value // 1000}.{value.value % 1000 // 10}")


def serves(target: str, capability: int) -> bool:
    """Whether an engine for `target` (see `Metadata.target`) runs on a GPU of `capability`.

    Raises `EngineError` for a target that is not understood.
    """
    for part in target.split(","):
        number = part.strip().removeprefix("sm_").removesuffix("+")
        if not number.isdigit():
            raise EngineError(f"the engine's target '{target}' is unknown to this release: upgrade aligned-reid")
        if capability == int(number) or (part.strip().endswith("+") and capability > int(number)):
            return True
    return False
