"""Re-scoring by the aligned local distance: which of five ways this machine has, and one interface to all of them.

| way | computes with | gallery |
|---|---|---|
| `plugin` | FILE.rescore.engine in TensorRT, with the fused kernel inside | on the GPU |
| `kernel` | the same kernel as a library | on the GPU |
| `compiled` | FILE.rescore.engine of standard operators, with much scratch memory | on the GPU |
| `onnxruntime` | FILE.rescore.onnx, the graph of standard operators | in memory |
| `numpy` | `sdk.distances.local_distance_gathered` | in memory |

All take the same arrays and agree within rounding: half precision's on a GPU, about 1e-3 of the distance.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from sdk.errors import EngineError, MissingPackageError
from sdk.rescorers import EngineRescorer, KernelRescorer, NumpyRescorer, OnnxRescorer

__all__ = ["WAYS", "Rescorer", "Way", "available", "choose"]

WAYS = ("plugin", "kernel", "compiled", "onnxruntime", "numpy")
"""In the order in which they are chosen."""


@dataclass(frozen=True)
class Way:
    """One way of re-scoring on this machine."""

    name: str
    """One of `WAYS`."""
    usable: bool
    reason: str
    """What it would run with, or what is missing and how to get it."""


class Rescorer(Protocol):
    """What `choose` returns. May be used from several threads."""

    name: str
    reason: str
    """Why this one: what it runs with, and what better ways lack."""
    on_gpu: bool
    """Whether what `hold` returns is on the GPU."""

    def hold(self, gallery_stripes: np.ndarray):
        """The gallery `[G, S, d]` where this way has it at hand, to be given to `distances`: on the GPU a
        `sdk.engines.stripes.GpuStripes`, to which people can be added; else the array itself."""
        ...

    def distances(self, query_stripes: np.ndarray, gallery_stripes, candidates: np.ndarray) -> np.ndarray:
        """Aligned local distance of each query to its own candidates.

        query_stripes `[B, S, d]`; gallery_stripes `[G, S, d]`, an array or what `hold` returned; candidates int
        `[B, K]` of gallery rows → float32 `[B, K]`. A candidate of −1 stands for "none" and gives +inf. Raises
        `IndexError` for one outside the gallery and `ValueError` for arrays that do not fit each other.
        """
        ...


def available(model: str | Path | None = None) -> list[Way]:
    """Each of `WAYS`, best first: usable or not, and why, in words. For `reid doctor`.

    model: the model file beside which FILE.rescore.engine and FILE.rescore.onnx are looked for; None: neither is there.
    """
    return [Way(name, *_PROBES[name](model)) for name in WAYS]


def choose(model: str | Path | None = None, way: str | None = None) -> Rescorer:
    """The best way that this machine has, or the one that `way` names.

    model: as for `available`. Raises `EngineError` if `way` is none of `WAYS` or cannot be used here.
    """
    if way is not None and way not in WAYS:
        raise EngineError(f"'{way}' is no way of re-scoring; there are {', '.join(WAYS)}")
    lacking = []
    for name in WAYS if way is None else (way,):
        usable, reason = _PROBES[name](model)
        if usable:
            try:
                rescorer = _MAKERS[name](model)
            except (EngineError, MissingPackageError) as error:  # what no probe can tell without starting it
                usable, reason = False, str(error)
            else:
                rescorer.reason = "; ".join([reason, *lacking])
                return rescorer
        lacking.append(f"not {name}: {reason}")
    raise EngineError(f"re-scoring by '{way}' cannot be used here: {reason}")


def _beside(model: str | Path | None, suffix: str) -> Path | None:
    return None if model is None else Path(model).with_name(f"{Path(model).stem}.rescore{suffix}")


def _probe_engine(model: str | Path | None, way: str) -> tuple[bool, str]:
    path = _beside(model, ".engine")
    if path is None or not path.is_file():
        return (
            False,
            f"{path or 'FILE.rescore.engine'} is not there; reid convert --rescore … -o model.engine writes it",
        )
    from sdk.engines.plugin import has_plugin, plugin_state
    from sdk.engines.tensorrt import library_of

    try:
        library = library_of(path).__name__
        fused = has_plugin(path)
    except (EngineError, MissingPackageError) as error:
        return False, str(error)
    if fused is not (way == "plugin"):
        return False, f"{path} was built {'with' if fused else 'without'} the plugin"
    there, words = plugin_state()
    if fused and not there:
        return False, f"{path} was built with the plugin, which is not here: {words}"
    if (gpu := _gpu())[0] is False:
        return gpu
    return True, f"{path} in {library} on {gpu[1]}" + (f"; plugin: {words}" if fused else "")


def _probe_kernel(_: str | Path | None) -> tuple[bool, str]:
    from sdk.engines.native import KERNEL, find_library, how_to_build

    path = find_library(KERNEL)
    if path is None:
        return False, how_to_build(KERNEL)
    usable, words = _gpu()
    return usable, f"{path} on {words}" if usable else words


def _probe_onnx(model: str | Path | None) -> tuple[bool, str]:
    path = _beside(model, ".onnx")
    if path is None or not path.is_file():
        return False, f"{path or 'FILE.rescore.onnx'} is not there; reid convert --rescore … -o model.onnx writes it"
    return True, f"{path} in ONNX Runtime on the CPU"


def _probe_numpy(_: str | Path | None) -> tuple[bool, str]:
    return True, f"NumPy {np.__version__}"


def _gpu() -> tuple[bool, str]:
    from sdk.engines.cuda import open_device

    try:
        device = open_device()
        return True, f"{device.name}, CUDA {device.driver_version}, through {device.through}"
    except (EngineError, MissingPackageError) as error:
        return False, str(error)


_PROBES = {
    "plugin": lambda model: _probe_engine(model, "plugin"),
    "kernel": _probe_kernel,
    "compiled": lambda model: _probe_engine(model, "compiled"),
    "onnxruntime": _probe_onnx,
    "numpy": _probe_numpy,
}
_MAKERS = {
    "plugin": lambda model: EngineRescorer(_beside(model, ".engine"), "plugin"),
    "kernel": lambda model: KernelRescorer(),
    "compiled": lambda model: EngineRescorer(_beside(model, ".engine"), "compiled"),
    "onnxruntime": lambda model: OnnxRescorer(_beside(model, ".onnx")),
    "numpy": lambda model: NumpyRescorer(),
}
