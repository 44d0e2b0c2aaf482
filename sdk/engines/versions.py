"""TensorRT and TensorRT-RTX, old and new: everything in which they differ for us stands here.

| | TensorRT 10 | TensorRT 11 | TensorRT-RTX |
|---|---|---|---|
| types | from the graph only if `STRONGLY_TYPED` is asked for | always from the graph | always from the graph |
| builds | on a GPU, for that GPU | the same | anywhere, for the RTX cards of its own list |
| timing cache | yes | yes | builds without timing anything |
| plans of an older version | with `VERSION_COMPATIBLE` | the same, those of 10 too | refused |
| plugins in a network | yes | yes | no |
"""

import importlib
from dataclasses import dataclass
from types import ModuleType

from sdk.engines.gpu import Gpu, find_gpu
from sdk.engines.plan import RTX, TENSORRT, TITLES
from sdk.errors import EngineError, missing_package
from sdk.installing import how_to_install

EXTRAS = {TENSORRT: "tensorrt", RTX: "rtx"}
PORTABLE = 80
"""The least compute capability, times ten, that a portable plan of TensorRT-RTX is for: what serves Turing (sm_75) too
has fewer operators, none for products in FP32, so for a Turing card a plan is built for it alone."""
FOLLOWED = {10: 11}
"""Of NVIDIA's support matrix (11.4.1): which major version's library loads version-compatible plans of which."""


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

    @property
    def architectures(self) -> tuple[int, ...] | None:
        """The compute capabilities, times ten, that TensorRT-RTX lists as its own; None for TensorRT, which says
        nothing of them and serves a server's and a Jetson's too."""
        kinds = getattr(self.module, "ComputeCapability", None)
        if self.name != RTX or kinds is None:
            return None
        numbers = sorted(int(kind) for kind in kinds.__members__.values())
        return tuple(number for number in numbers if number > 1)  # 0 and 1: none, and that of the GPU which is here

    def refusal(self, gpu: Gpu) -> str | None:
        """Why this library runs nothing on `gpu`, and what does; None where it runs there."""
        if self.architectures is None or gpu.capability in self.architectures:
            return None
        return (
            f"{self.title} is for RTX cards ({', '.join(map(_sm, self.architectures))}), and this GPU ({gpu.name}) is "
            f"{gpu.architecture}; for it take TensorRT: {how_to_install(EXTRAS[TENSORRT])} (on a Jetson it "
            "comes with JetPack), and build the engine here"
        )

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
        gpu = find_gpu()
        if self.name == RTX:
            return self._make_portable(config, gpu)
        if not isinstance(gpu, Gpu):
            raise EngineError(f"TensorRT builds engines on the GPU that runs them: {gpu}")
        if not hardware:
            return gpu.architecture
        if gpu.capability < 80:
            raise EngineError(f"--hardware-compatible is for Ampere and later; this GPU is {gpu.architecture}")
        config.hardware_compatibility_level = self.module.HardwareCompatibilityLevel.AMPERE_PLUS
        return "sm_80+"

    def _make_portable(self, config, gpu: Gpu | str) -> str:
        """Name every GPU that the plan is for, so that what the metadata say of it is what was asked for."""
        if self.architectures is None:
            raise EngineError(
                f"{self.title} does not say which GPUs it serves; upgrade it: pip install -U tensorrt-rtx"
            )
        here = gpu.capability if isinstance(gpu, Gpu) else None
        if here in self.architectures and here < PORTABLE:
            chosen = [here]
        else:
            chosen = [number for number in self.architectures if number >= PORTABLE]
        config.num_compute_capabilities = len(chosen)
        for index, number in enumerate(chosen):
            if not config.set_compute_capability(self.module.ComputeCapability(number), index):
                raise EngineError(f"{self.title} does not build for {_sm(number)}; please report its version")
        return ",".join(map(_sm, chosen))

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
    """Whether the installed library of the same kind loads a plan that the version `plan` wrote.

    A version-compatible one of TensorRT is for that version and later ones, and those of 10 are for 11 too.
    """
    here = tuple(int(part) for part in installed.split(".")[:3] if part.isdigit())
    if version_compatible:
        return here[0] == FOLLOWED.get(plan[0]) or (here[0] == plan[0] and here >= plan[: len(here)])
    return here == tuple(plan[: len(here)])


def _sm(number: int) -> str:
    return f"sm_{number}"
