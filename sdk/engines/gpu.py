"""Which GPU is here, asked of NVIDIA's driver: no package, no context, no memory on the device."""

import functools
from dataclasses import dataclass

from sdk.engines import builtin_driver
from sdk.engines.libcuda import LIBRARY, Error, NoDriverError
from sdk.errors import EngineError


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
        builtin_driver.init()
        if not builtin_driver.Device.count():
            return "CUDA shows this process no GPU; is CUDA_VISIBLE_DEVICES empty?"
        device = builtin_driver.Device(0)
        major, minor = device.compute_capability()
        version = builtin_driver.get_driver_version()
        return Gpu(device.name(), 10 * major + minor, f"{version // 1000}.{version % 1000 // 10}")
    except NoDriverError:
        return f"no NVIDIA driver ({LIBRARY} is not here)"
    except Error as error:  # cuInit's, where a driver has no device
        return f"the NVIDIA driver finds no usable GPU ({error})"


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
