"""How TensorRT-RTX is to run an engine: what it compiles for this GPU is kept on the disk, and compiled at once.

TensorRT-RTX finishes an engine on the machine that runs it. Its runtime configuration says when, and its runtime cache
keeps what came of it: the second start of a program has it at hand. Bindings without these, TensorRT's among them, have
nothing to say here.
"""

import hashlib
import os
from pathlib import Path
from types import ModuleType

from sdk.errors import EngineError
from sdk.output import write_whole
from sdk.terminal import notes


def configure(trt: ModuleType, engine, graphs: bool):
    """The runtime configuration for contexts of `engine`, and its cache; (None, None) where the bindings have none.

    graphs: launch each run as a CUDA graph, which the library then records by itself.
    """
    if not hasattr(trt, "IRuntimeCache"):
        return None, None
    config = engine.create_runtime_config()
    # Of a shape that is new all kernels are compiled before it is run, not in the background while slower ones run.
    if hasattr(trt, "DynamicShapesKernelSpecializationStrategy"):
        config.dynamic_shapes_kernel_specialization_strategy = trt.DynamicShapesKernelSpecializationStrategy.EAGER
    if graphs and records_graphs(trt):
        config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
    cache = config.create_runtime_cache()
    config.set_runtime_cache(cache)
    return config, cache


def records_graphs(trt: ModuleType) -> bool:
    """Whether the library records CUDA graphs by itself."""
    return hasattr(trt, "IRuntimeCache") and hasattr(trt, "CudaGraphStrategy")


class CacheFile:
    """A runtime cache on the disk, in ~/.cache/aligned-reid: one for each engine, version and GPU."""

    def __init__(self, cache, trt: ModuleType, content: bytes, gpu: str):
        """cache: of TensorRT-RTX; content: the plan's bytes; gpu: what tells one from another, with its driver."""
        key = hashlib.sha256(f"{trt.__version__} {gpu} ".encode() + hashlib.sha256(content).digest()).hexdigest()
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aligned-reid"
        self.path = folder / f"runtime-{key[:32]}.cache"
        self._cache = cache
        try:
            self._saved = self.path.read_bytes()
        except OSError:
            self._saved = b""
        if self._saved and not cache.deserialize(self._saved):  # damaged: it is made anew
            cache.reset()
            self._saved = b""

    def save(self) -> None:
        """Write what has been compiled, if that is more than before. That it cannot be written is told, no more."""
        content = bytes(self._cache.serialize() or b"")
        if not content or content == self._saved:
            return
        try:
            write_whole(self.path, content, error=EngineError)
            self._saved = content
        except EngineError as error:
            notes.print(f"what TensorRT-RTX has compiled is not kept: {error}")
