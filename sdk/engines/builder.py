"""From an ONNX file of `reid convert` to a TensorRT or TensorRT-RTX engine.

It stands in sdk/ because an engine is built on the machine that runs it, which often has no more than this package:
`load_engine(…, rebuild=True)` needs it there. Precision is in the ONNX file, so the builder has no say in it.
"""

import hashlib
import os
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from sdk.engines.contract import INPUT
from sdk.engines.gpu import find_gpu
from sdk.engines.log import log_of
from sdk.engines.metadata import Metadata
from sdk.engines.onnx import read_onnx_metadata
from sdk.engines.plan import find_name, network_name
from sdk.engines.versions import Library
from sdk.errors import EngineError
from sdk.output import write_whole
from sdk.terminal import notes, progress_bar

MAX_BATCH = 64
Profile = dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]
"""Of each input the least, the commonest and the largest shape."""


@dataclass(frozen=True)
class BuildOptions:
    """What a user may choose."""

    max_batch: int = MAX_BATCH
    """Most crops of one call."""
    common_batch: int = 8
    """The batch that the builder tunes for; `tuned_batch` is it, where it is no more than the most."""
    workspace_mib: int = 1024
    """Most memory of the device that a layer may use as scratch."""
    hardware_compatible: bool = False
    version_compatible: bool = False
    verbose: bool = False

    @property
    def tuned_batch(self) -> int:
        return min(self.common_batch, self.max_batch)


DEFAULTS = BuildOptions()


@dataclass(frozen=True)
class BuiltPlan:
    """A plan in memory, and what the parser made of the graph."""

    content: bytes
    target: str
    types: Counter = field(default_factory=Counter)
    """How many layers' outputs are of each type: "half", "float", "int8", …"""
    plugins: tuple[str, ...] = ()
    """Names of the plugin layers."""


def build_engine(
    onnx_path: Path, library: Library, options: BuildOptions = DEFAULTS, graph: bytes | None = None
) -> tuple[bytes, Metadata]:
    """The engine of the ONNX file `onnx_path`, and its metadata; `sdk.engines.plan.plan_files` are the two as files.

    graph: build this instead of what is in the file, whose metadata and hash the engine bears nevertheless.
    Raises `EngineError` with what the library has against it, and where it lost the precision or the metadata.
    """
    metadata = read_onnx_metadata(onnx_path)
    content = onnx_path.read_bytes()
    height, width = metadata.input_size
    batches = (1, options.tuned_batch, options.max_batch)
    profile = {INPUT: tuple((batch, height, width, 3) for batch in batches)}
    described = replace(
        metadata,
        max_batch=options.max_batch,
        version_compatible=options.version_compatible,
        onnx_sha256=hashlib.sha256(content).hexdigest(),
        evaluation=_counted(metadata.evaluation),
        tools={**metadata.tools, library.name: library.version},
    )

    def name_for(target: str) -> str:
        return network_name(replace(described, target=target))

    plan = build_plan(content if graph is None else graph, profile, library, options, name_for)
    described = replace(described, target=plan.target)
    expected = {"fp16": "half", "int8": "int8"}.get(metadata.precision)
    if expected and not plan.types[expected]:
        raise EngineError(
            f"{library.title} has no layer of type {expected} in an engine that should be {metadata.precision}"
        )
    kept = find_name(plan.content)
    if kept is None or kept != find_name(network_name(described).encode()):
        raise EngineError(f"{library.title} did not keep the metadata in the engine, which cannot be used safely so")
    return plan.content, described


def build_plan(content: bytes, profile: Profile, library: Library, options: BuildOptions, name_for) -> BuiltPlan:
    """Parse the ONNX file `content` and build it for one optimisation profile.

    name_for: from the target (`Metadata.target`) to the network's name. Raises `EngineError`.
    """
    trt = library.module
    logger = make_logger(trt, options.verbose)
    if library.needs_gpu_to_build and isinstance(reason := find_gpu(), str):
        raise EngineError(f"{library.title} builds engines on the GPU that runs them, and there is none: {reason}")
    builder = trt.Builder(logger)
    network = builder.create_network(library.network_flags())
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(content):
        raise EngineError(f"{library.title} does not parse the graph: {_first_parse_error(parser)}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    for flag in library.flags_off():
        config.clear_flag(flag)
    target = library.make_compatible(config, options.hardware_compatible, options.version_compatible)
    network.name = name_for(target)
    shapes = builder.create_optimization_profile()
    for tensor, sizes in profile.items():
        if not all(least <= common <= largest for least, common, largest in zip(*sizes, strict=True)):
            raise EngineError(f"'{tensor}' cannot be from {sizes[0]} to {sizes[2]}, and {sizes[1]} most often")
        shapes.set_shape(tensor, *sizes)
    if config.add_optimization_profile(shapes) < 0:
        raise EngineError(f"{library.title} does not take the sizes: {logger.last_error or 'it does not say why'}")
    cache = _TimingCache(library, config, target)
    with progress_bar() as bar:
        if hasattr(trt, "IProgressMonitor"):
            config.progress_monitor = make_monitor(trt, bar)
        plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineError(f"{library.title} cannot build the engine: {logger.last_error or 'it does not say why'}")
    cache.save()
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    types = Counter(layer.get_output(0).dtype.name.lower() for layer in layers if layer.num_outputs)
    plugins = tuple(layer.name for layer in layers if "PLUGIN" in layer.type.name)
    return BuiltPlan(bytes(plan), target, types, plugins)


def make_logger(trt, verbose: bool):
    """The library's log, for one build: quiet, but it keeps the last error; with `verbose` all of it as notes."""
    log = log_of(trt)
    log.begin(verbose)
    return log


def make_monitor(trt, bar):
    """What the builder reports to: its phases, as they come, on a progress bar."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self):
            trt.IProgressMonitor.__init__(self)
            self.tasks = {}

        def phase_start(self, phase_name, parent_phase, num_steps):
            self.tasks[phase_name] = bar.add_task(phase_name, total=num_steps)

        def step_complete(self, phase_name, step):
            bar.update(self.tasks[phase_name], completed=step + 1)
            return True  # False would stop the build

        def phase_finish(self, phase_name):
            bar.remove_task(self.tasks.pop(phase_name))

    return Monitor()


class _TimingCache:
    """How fast each layer's kernels were when last built here: a second build of a like network takes seconds."""

    def __init__(self, library: Library, config, target: str):
        self._path = self._cache = None
        if not library.has_timing_cache:
            return
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aligned-reid"
        self._path = folder / f"timing-{library.version}-{target.replace('+', '-and-later')}.cache"
        try:
            content = self._path.read_bytes()
        except OSError:
            content = b""
        self._cache = config.create_timing_cache(content)
        if self._cache is None:  # damaged, or of another version under this name
            self._cache = config.create_timing_cache(b"")
        config.set_timing_cache(self._cache, ignore_mismatch=False)

    def save(self) -> None:
        if self._cache is None:
            return
        try:
            write_whole(self._path, bytes(self._cache.serialize()), error=EngineError, private=False)
        except EngineError as error:
            notes.print(f"the timing cache is not kept: {error}")


def _counted(evaluation: dict | None) -> dict | None:
    """An evaluation without the names of the people: in an engine they are of no use, and hundreds."""
    if evaluation is None or not isinstance(evaluation.get("identities"), list):
        return evaluation
    return {**evaluation, "identities": len(evaluation["identities"])}


def _first_parse_error(parser) -> str:
    if not parser.num_errors:
        return "it does not say why"
    error = parser.get_error(0)
    where = f"node {error.node_name()} ({error.node_operator()}): " if hasattr(error, "node_operator") else ""
    return where + error.desc().strip().splitlines()[0]
