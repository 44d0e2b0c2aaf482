"""TensorRT and TensorRT-RTX, old and new: everything in which they differ for us stands here.

| | TensorRT 10 | TensorRT 11 | TensorRT-RTX |
|---|---|---|---|
| types | from the graph only if `STRONGLY_TYPED` is asked for | always from the graph | always from the graph |
| builds | on a GPU, for that GPU | the same | anywhere, for sm_80 and later unless told otherwise |
| timing cache | yes | yes | builds without timing anything |
| plans of another version | with `VERSION_COMPATIBLE`, within a major version | the same | refused |
| plugins in a network | yes | yes | no |
"""

import importlib
from dataclasses import dataclass
from types import ModuleType

from sdk.engines.gpu import Gpu, find_gpu
from sdk.engines.plan import RTX, TENSORRT, TITLES
from sdk.errors import EngineError, missing_package

EXTRAS = {TENSORRT: "tensorrt", RTX: "rtx"}
RTX_PORTABLE = "sm_80+"
"""What TensorRT-RTX builds for by default, as its documentation has it (Turing, sm_75, must be asked for)."""


@dataclass(frozen=True)
class Library:
    """One of the two, imported."""

    name: str
    module: ModuleType

    @property
    def version(self) -> str:
        return self.module.__version__

    @property
    def title(self) -> str:
        return f"{TITLES[self.name]} {self.version}"

    @property
    def needs_gpu_to_build(self) -> bool:
        return self.name == TENSORRT

    @property
    def has_timing_cache(self) -> bool:
        return self.name == TENSORRT

    @property
    def takes_plugins(self) -> bool:
        return self.name == TENSORRT

    def network_flags(self) -> int:
        """Of `Builder.create_network`: take the types from the graph."""
        flag = getattr(self.module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
        return 0 if flag is None else 1 << int(flag)

    def make_compatible(self, config, hardware: bool, version: bool) -> str:
        """Set in the builder's `config` what lets other GPUs or other versions load the plan; its `Metadata.target`.

        Raises `EngineError` where this library cannot.
        """
        if version:
            if self.name == RTX:
                raise EngineError("TensorRT-RTX has no version-compatible engines; leave --version-compatible away")
            config.set_flag(self.module.BuilderFlag.VERSION_COMPATIBLE)
        if self.name == RTX:
            return RTX_PORTABLE
        gpu = find_gpu()
        if not isinstance(gpu, Gpu):
            raise EngineError(f"TensorRT builds engines on the GPU that runs them: {gpu}")
        if not hardware:
            return gpu.architecture
        if gpu.capability < 80:
            raise EngineError(f"--hardware-compatible is for Ampere and later; this GPU is {gpu.architecture}")
        config.hardware_compatibility_level = self.module.HardwareCompatibilityLevel.AMPERE_PLUS
        return "sm_80+"

    def flags_off(self) -> list:
        """Builder flags that are on by default and should not be: TF32 would cut FP32's fraction to 10 bits."""
        flag = getattr(self.module.BuilderFlag, "TF32", None)
        return [] if flag is None else [flag]


def import_library(name: str) -> Library:
    """Raises `MissingPackageError` where it is not installed, `EngineError` where it cannot be loaded."""
    try:
        return Library(name, importlib.import_module(name))
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == name:
            raise missing_package(name.replace("_", "-"), EXTRAS[name], TITLES[name]) from None
        raise EngineError(f"{TITLES[name]} is installed but does not load: {error}") from error
    except (ImportError, OSError, RuntimeError) as error:
        raise EngineError(f"{TITLES[name]} is installed but does not load: {error}") from error


def version_fits(plan: tuple[int, ...], installed: str, version_compatible: bool) -> bool:
    """Whether the installed library of the same kind loads a plan that the version `plan` wrote."""
    here = tuple(int(part) for part in installed.split(".")[:3] if part.isdigit())
    if version_compatible:
        return here[0] == plan[0] and here[: len(here)] >= plan[: len(here)]
    return here == tuple(plan[: len(here)])
