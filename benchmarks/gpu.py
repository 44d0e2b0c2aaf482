"""Everything of the SDK that a GPU is needed for, checked and timed: one command, on the machine that it is about.

    cmake -S . -B build && cmake --build build
    pip install -e '.[convert,tensorrt]'        # or [convert,rtx]; a torch with CUDA for the comparison with it
    python benchmarks/gpu.py

Writes benchmarks/results/gpu.json and a Markdown table beside it. Each part stands alone: one that cannot run here is
listed with the reason, one whose check fails makes the command fail. Ratios are of times from the same run.

| part | what it checks | and times |
|---|---|---|
| kernel | against float64: S 1 to 16, half and single precision, copies, no candidate, rows outside | |
| bandwidth | | gathered pairs a second, as a share of what a copy on this GPU reaches |
| pytorch | agrees with the kernel | kernel, PyTorch eager and torch.compile, the same formula in half precision |
| crops | a 4K frame's and others' crops against the processor's, to a grey level | upload, kernel, the processor |
| engines | against ONNX Runtime's embeddings | batches of 1 to 64: `embed` of crops and boxes, `run`, bare |
| threads | every thread gets its own crops' embeddings | |
| hour | no growth of memory over an hour's calls | calls a second |
| rescoring | every way agrees with NumPy | a call for 16 queries × 100 candidates |
"""

import json
import platform
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from sdk.cutting import Cuts, cut_out
from sdk.engines import DEFAULT_MODEL, load_engine
from sdk.engines.cuda import Device, open_device
from sdk.engines.device_crops import CropKernel, DeviceCrops
from sdk.engines.stripes import GpuStripes, Kernel
from sdk.errors import ReIDError
from sdk.preprocess import to_batch
from sdk.reidentifier import ReIdentifier
from sdk.terminal import notes, results

BATCHES = (1, 8, 32, 64)
COSINE = 0.9995
"""The least agreement of an FP16 engine with ONNX Runtime, crop by crop."""
CUT_COSINE = 0.9999
"""The least agreement of features whose crops the GPU has cut with those whose crops the processor has."""
SHARE_OF_COPY = 0.6
TIMES_PYTORCH = 50
OVERHEAD = 0.10
"""Of `ReIdentifier.embed` over the bare engine at batch 32."""
GROWTH = 16 << 20
"""Bytes that a process, or the GPU's memory, may grow by in the hour's calls: allocators keep reserves."""


@dataclass
class Report:
    """What was found; a part is a dictionary of figures, `checks` say what must hold."""

    parts: dict[str, dict] = field(default_factory=dict)
    checks: list[dict] = field(default_factory=list)
    not_run: dict[str, str] = field(default_factory=dict)

    def check(self, name: str, value: float, limit: float, at_least: bool = False) -> None:
        """Note whether `value` keeps to `limit`; NaN never does."""
        holds = value >= limit if at_least else value <= limit
        relation = "≥" if at_least else "≤"
        self.checks.append(
            {"check": name, "value": float(value), "limit": f"{relation} {limit:g}", "holds": bool(holds)}
        )

    def fails(self, name: str, why: str) -> None:
        self.checks.append({"check": name, "value": why, "limit": "", "holds": False})

    def run(self, name: str, part: Callable[["Report"], dict]) -> None:
        """One part. What it lacks on this machine is noted; what goes wrong in it fails."""
        notes.print(f"{name} …")
        try:
            self.parts[name] = part(self)
        except Unavailable as reason:
            self.not_run[name] = str(reason)
        except ReIDError as error:
            self.fails(f"{name} runs", str(error))

    @property
    def holds(self) -> bool:
        return all(check["holds"] for check in self.checks)


class Unavailable(Exception):
    """A part needs what is not on this machine; the message says what, and how to get it."""


# The kernel


@dataclass(frozen=True)
class Pairs:
    """Queries, a gallery and candidates: `[B, S, d]`, `[G, S, d]`, int32 `[B, K]`."""

    query: np.ndarray
    gallery: np.ndarray
    candidates: np.ndarray


def random_pairs(rng: np.random.Generator, stripes: int, dim: int, dtype) -> Pairs:
    """Unit-length stripes as models give them, with copies, a person of zeros, no candidate, rows outside."""
    query, gallery = (rng.normal(size=(count, stripes, dim)) for count in (7, 23))
    query, gallery = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (query, gallery))
    gallery[0] = 0
    gallery[1:8] = query
    gallery[8, rng.integers(stripes)] = query[0, rng.integers(stripes)]
    candidates = rng.integers(0, 23, (7, 41))
    candidates[:, :3] = np.arange(7)[:, None] + [1, 0, 2]  # its own copy first
    candidates.flat[rng.choice(candidates.size, 30, replace=False)] = rng.choice([-1, -7, 23, 2**31 - 1], 30)
    return Pairs(query.astype(dtype), gallery.astype(dtype), candidates.astype(np.int32))


def exact_distances(pairs: Pairs) -> np.ndarray:
    """In float64: by the definition, cell after cell; NaN for rows outside the gallery, +inf for −1."""
    query, gallery = pairs.query.astype(np.float64), pairs.gallery.astype(np.float64)
    inside = (pairs.candidates >= 0) & (pairs.candidates < len(gallery))
    chosen = gallery[np.where(inside, pairs.candidates, 0)]
    x = np.sqrt(np.square(query[:, None, :, None] - chosen[:, :, None]).sum(-1))
    element = np.tanh(x / 2)  # [B, K, S, S]
    size = element.shape[-1]
    cost = np.full((*element.shape[:2], size + 1, size + 1), np.inf)
    for i in range(size):
        for j in range(size):
            before = np.minimum(cost[..., i, j + 1], cost[..., i + 1, j]) if i or j else 0.0
            cost[..., i + 1, j + 1] = element[..., i, j] + before
    return np.where(inside, cost[..., size, size], np.where(pairs.candidates == -1, np.inf, np.nan))


class Bench:
    """Memory for one set of pairs on the GPU, and the kernel over it."""

    def __init__(self, device: Device, kernel: Kernel, pairs: Pairs, half_out: bool = False):
        self.device, self.kernel, self.pairs = device, kernel, pairs
        self.stream = device.stream()
        arrays = {"query": pairs.query, "gallery": pairs.gallery, "candidates": pairs.candidates}
        self.memory = {name: device.allocate(array.nbytes) for name, array in arrays.items()}
        self.out = np.empty(pairs.candidates.shape, np.float16 if half_out else np.float32)
        self.memory["distance"] = device.allocate(self.out.nbytes)
        for name, array in arrays.items():
            self.stream.upload(self.memory[name], np.ascontiguousarray(array))
        self.stream.synchronize()

    def launch(self) -> None:
        """Queue the kernel once."""
        batch, per_query = self.pairs.candidates.shape
        self.kernel.launch(
            self.stream,
            **self.memory,
            queries=batch,
            entries=len(self.pairs.gallery),
            per_query=per_query,
            stripes=self.pairs.query.shape[1],
            dim=self.pairs.query.shape[2],
            half=self.pairs.query.dtype == np.float16,
            half_out=self.out.dtype == np.float16,
        )

    def distances(self) -> np.ndarray:
        self.launch()
        self.stream.download(self.out, self.memory["distance"])
        self.stream.synchronize()
        return self.out.astype(np.float32)

    def close(self) -> None:
        for memory in self.memory.values():
            memory.free()
        self.stream.free()


def check_kernel(
    report: Report, device: Device, kernel: Kernel, stripes=range(1, 17), dims=(8, 64, 128, 200), rounds: int = 2
) -> dict:
    """Every number of stripes and every pair of types against float64."""
    rng, cases, worst, wrong = np.random.default_rng(0), 0, {"half": 0.0, "single": 0.0}, 0
    for _ in range(rounds):
        for size in stripes:
            for dim in dims:
                for dtype, name in ((np.float16, "half"), (np.float32, "single")):
                    half_out = bool(rng.integers(4) == 0)
                    bench = Bench(device, kernel, random_pairs(rng, size, dim, dtype), half_out)
                    found, expected = bench.distances(), exact_distances(bench.pairs)
                    bench.close()
                    finite = np.isfinite(expected)
                    same_kind = (np.isnan(found) == np.isnan(expected)) & (np.isposinf(found) == np.isposinf(expected))
                    wrong += int((~same_kind).sum())
                    error = np.abs(found[finite] - expected[finite]).max()
                    if half_out:  # the rounding of the result is not the kernel's
                        error = max(0.0, error - expected[finite].max() / 1024)
                    worst[name] = max(worst[name], float(error) / (2 * size - 1))
                    cases += 1
    report.check("kernel: results that are NaN or infinite where they should not be, or the reverse", wrong, 0)
    report.check("kernel, half precision: largest error of an element, against float64", worst["half"], 2e-3)
    report.check("kernel, single precision: the same", worst["single"], 1e-5)
    return {"cases": cases, "largest error a cell of the path": worst}


def seconds_each(work: Callable[[], None], wait: Callable[[], None], least: float = 0.3, rounds: int = 5) -> float:
    """Median over rounds of what one of many queued calls takes, the GPU's work included."""
    work()  # what is done once only
    wait()
    count, taken = 1, 0.0
    while taken < least / rounds:
        started = time.perf_counter()
        for _ in range(count):
            work()
        wait()
        taken = time.perf_counter() - started
        count *= 2
    rates = []
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(count):
            work()
        wait()
        rates.append((time.perf_counter() - started) / count)
    return float(np.median(rates))


def big_pairs(queries: int, per_query: int, entries: int, stripes: int = 8, dim: int = 128) -> Pairs:
    """Half precision; all candidates differ, so that no cache holds them from one query to the next."""
    rng = np.random.default_rng(1)
    block = rng.normal(scale=dim**-0.5, size=(min(entries, 4096), stripes, dim)).astype(np.float16)
    gallery = np.tile(block, (-(-entries // len(block)), 1, 1))[:entries]
    candidates = rng.permutation(entries)[: queries * per_query].reshape(queries, per_query)
    return Pairs(block[:queries].copy(), gallery, candidates.astype(np.int32))


def measure_bandwidth(report: Report, device: Device, kernel: Kernel, entries: int = 400_000) -> dict:
    """Pairs gathered from a gallery beyond any cache, against a copy on the same GPU."""
    free, _ = device.memory()
    entries = min(entries, int(free * 0.3) // 2048)
    pairs = big_pairs(64, entries // 64, entries)
    bench = Bench(device, kernel, pairs)
    seconds = seconds_each(bench.launch, bench.stream.synchronize)
    moved = pairs.candidates.size * (2048 + 8) + pairs.query.nbytes
    size = pairs.gallery.nbytes
    other = device.allocate(size)
    copy = seconds_each(lambda: bench.stream.copy(other, bench.memory["gallery"], size), bench.stream.synchronize)
    other.free()
    bench.close()
    copied, gathered = 2 * size / copy, moved / seconds
    report.check("kernel: share of the copy's bandwidth, gathered", gathered / copied, SHARE_OF_COPY, at_least=True)
    return {
        "pairs": int(pairs.candidates.size),
        "pairs a second": pairs.candidates.size / seconds,
        "GB/s gathered": gathered / 1e9,
        "GB/s of a copy, read and written": copied / 1e9,
        "share": gathered / copied,
    }


def torch_distances(torch, query, gallery, candidates):
    """The same formula in PyTorch, in half precision with the product on tensor cores: `[B, K]`, float32."""
    chosen = gallery[candidates]  # [B, K, S, d]
    product = torch.matmul(chosen, query[:, None].transpose(-1, -2)).float()
    squared = query.float().square().sum(-1)[:, None, None] + chosen.float().square().sum(-1)[..., None] - 2 * product
    element = torch.tanh(squared.clamp_min(0).sqrt() / 2)
    rows, columns = element.shape[-2:]
    cost = list(element[..., 0, :].cumsum(-1).unbind(-1))
    for i in range(1, rows):
        cost[0] = cost[0] + element[..., i, 0]
        for j in range(1, columns):
            cost[j] = torch.minimum(cost[j], cost[j - 1]) + element[..., i, j]
    return cost[-1]


def measure_pytorch(report: Report, device: Device, kernel: Kernel) -> dict:
    try:
        import torch
    except ImportError:
        raise Unavailable("torch is not installed: pip install torch, a build with CUDA") from None
    if not torch.cuda.is_available():
        raise Unavailable(f"torch {torch.__version__} sees no GPU: install a build with CUDA")
    found = {"torch": torch.__version__}
    compiled = torch.compile(torch_distances)
    for title, queries, per_query, entries in (("16 × 100", 16, 100, 10_000), ("64 × 1024", 64, 1024, 100_000)):
        pairs = big_pairs(queries, per_query, entries)
        bench = Bench(device, kernel, pairs)
        own = seconds_each(bench.launch, bench.stream.synchronize)
        distances = bench.distances()
        bench.close()
        arrays = [torch.from_numpy(x).cuda() for x in (pairs.query, pairs.gallery, pairs.candidates.astype(np.int64))]
        difference = np.abs(torch_distances(torch, *arrays).cpu().numpy() - distances).max()
        report.check(f"kernel against PyTorch, {title}: largest difference", float(difference), 0.02)
        times = {}
        for name, function in (("eager", torch_distances), ("compiled", compiled)):

            def work(function=function, arrays=arrays):
                function(torch, *arrays)

            times[name] = seconds_each(work, torch.cuda.synchronize)
        found[f"{title} candidates"] = {
            "kernel, µs": own * 1e6,
            "PyTorch eager, times the kernel's": times["eager"] / own,
            "torch.compile, times the kernel's": times["compiled"] / own,
        }
    largest = found["64 × 1024 candidates"]["PyTorch eager, times the kernel's"]
    report.check("kernel: times as fast as PyTorch eager, 64 × 1024", largest, TIMES_PYTORCH, at_least=True)
    return found


# Engines


def make_engines(
    report: Report, folder: Path, backbones=("resnet18", "resnet50"), target: str | None = None
) -> dict[str, tuple[Path, Path]]:
    """FP16 engines of networks with random weights, and of the model that ships: name → (engine, its ONNX file).

    One that cannot be made is a check that fails. target: of `reid convert`; None: what is best here.
    """
    import torch

    from converters.convert import ConvertOptions, convert
    from converters.verify import Crops
    from training.checkpoint import Checkpoint, save_checkpoint
    from training.config import ModelConfig, RunConfig, TrainConfig
    from training.model import AlignedReID

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    engines, sources = {}, {"shipped": DEFAULT_MODEL}
    for backbone in backbones:
        torch.manual_seed(0)
        shape = ModelConfig(backbone, width=64, last_stride=2, input_size=(256, 128))
        config = RunConfig(shape, TrainConfig())
        sources[backbone] = folder / f"{backbone}.pt"
        save_checkpoint(Checkpoint(config, ["nobody"], 0, AlignedReID(shape, 1).state_dict()), sources[backbone])
    for name, source in sources.items():
        engine = folder / f"{name}.engine"
        images = list(rng.integers(0, 256, (16, 16, 8, 3), np.uint8).repeat(8, axis=1).repeat(8, axis=2))
        crops = Crops(images, [f"noise {i}" for i in range(len(images))])
        options = ConvertOptions(precision="fp16", rescore=source.suffix == ".pt", target=target)
        try:
            convert(source, engine, crops, options)
        except ReIDError as error:
            report.fails(f"{name} converts to an engine", str(error))
        else:
            engines[name] = (engine, engine.with_suffix(".onnx"))
    return engines


def people_on(height: int, width: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """A frame of smooth noise, and the boxes of so many people on it, 1/4 to 1/2 as high; some reach beyond it."""
    rng = np.random.default_rng(height)
    coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    frame = coarse.repeat(8, axis=0).repeat(8, axis=1)[:height, :width] + rng.integers(
        0, 9, (height, width, 3), np.uint8
    )
    tall = rng.uniform(height / 4, height / 2, count)
    middle = rng.uniform([0, 0], [width, height], (count, 2))
    half = np.stack([tall / 5, tall / 2], axis=1)
    return frame, np.concatenate([middle - half, middle + half], axis=1)


def check_crops(
    report: Report,
    device: Device,
    kernel: CropKernel,
    size: tuple[int, int] = (256, 128),
    lines: tuple = (2160, 1080, 360),
) -> dict:
    """Frames of so many lines, eight people each: as the processor cuts them, and what each step takes."""
    pairs = {f"{height} lines": people_on(height, height * 16 // 9, 8) for height in lines}
    cuts = cut_out(
        {name: frame for name, (frame, _) in pairs.items()}, {name: boxes for name, (_, boxes) in pairs.items()}
    )
    cutter, stream = DeviceCrops(device, size, len(cuts), kernel), device.stream()
    found = np.empty((len(cuts), *size, 3), np.uint8)
    batch = device.allocate(found.nbytes)
    upload = cutter.upload(cuts)
    upload.wait()

    def cut() -> None:
        cutter.cut(stream, upload.crops, batch)
        stream.synchronize()

    cut()
    stream.download(found, batch)
    stream.synchronize()
    levels = int(np.abs(found.astype(int) - to_batch(cuts, size)).max())
    report.check("crops: grey levels from the processor's", levels, 1)
    times = {
        "upload": seconds_each(lambda: cutter.upload(cuts).wait(), lambda: None),
        "kernel, its table and the wait": seconds_each(cut, lambda: None),
        "the processor's resizing instead": seconds_each(lambda: to_batch(cuts, size), lambda: None),
    }
    cutter.close()
    return {"crops": len(cuts), **{f"{name}, ms": 1e3 * seconds for name, seconds in times.items()}}


def measure_boxes(report: Report, name: str, reid: ReIdentifier, batch: int) -> dict:
    """`embed` of boxes on a frame, which the GPU cuts, against the same crops in a list, which the processor does."""
    frame, boxes = people_on(1080, 1920, batch)
    cuts: Cuts = reid.cut(frame, boxes)
    pair = [reid.embed(crops).embedding for crops in (cuts, list(cuts))]
    cosine = float((pair[0] * pair[1]).sum(-1).min())
    report.check(f"{name}, batch {batch}: least cosine of boxes to crops", cosine, CUT_COSINE, at_least=True)
    return {
        "embed of boxes, ms": 1e3 * seconds_each(lambda: reid.embed(frame, boxes=boxes), lambda: None),
        "embed of the same as crops, ms": 1e3 * seconds_each(lambda: reid.embed(list(cuts)), lambda: None),
    }


def crops_for(engine, count: int) -> np.ndarray:
    """Smooth noise in the engine's size: uint8 `[N, H, W, 3]`."""
    height, width = engine.metadata.input_size
    coarse = np.random.default_rng(2).integers(0, 256, (count, height // 8, width // 8, 3), np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def measure_engine(report: Report, name: str, engine, reference) -> dict:
    """Through `ReIdentifier.embed`, through `engine.run`, and bare: copies and inference, nothing else."""
    reid = ReIdentifier(engine, threshold=0.5)
    found = {}
    for batch in (size for size in BATCHES if size <= engine.max_batch):
        crops = crops_for(engine, batch)
        listed = list(crops)
        expected, got = reference.run(crops)[0], reid.embed(listed).embedding
        cosine = float((expected * got).sum(-1).min())
        report.check(f"{name}, batch {batch}: least cosine to ONNX Runtime", cosine, COSINE, at_least=True)
        embed = seconds_each(lambda listed=listed: reid.embed(listed), lambda: None)
        run = seconds_each(lambda crops=crops: engine.run(crops), lambda: None)
        bare = seconds_each(engine.bare(batch), lambda: None)
        found[f"batch {batch}"] = {
            "embed, ms": embed * 1e3,
            "run, ms": run * 1e3,
            "bare, ms": bare * 1e3,
            "crops a second": batch / embed,
            "overhead of embed over bare": embed / bare - 1,
            "least cosine": cosine,
        }
        if engine.cutter is not None:
            found[f"batch {batch}"] |= measure_boxes(report, name, reid, batch)
        if batch == 32:
            report.check(f"{name}: overhead of embed over the bare engine, batch 32", embed / bare - 1, OVERHEAD)
    return found


def check_threads(report: Report, name: str, engine, threads: int = 8, turns: int = 50) -> dict:
    """Threads that embed different crops at once get what one alone gets."""
    batches = [crops_for(engine, 1 + 3 * i)[::-1].copy() for i in range(threads)]
    expected = [engine.run(batch)[0] for batch in batches]
    errors, barrier = [], threading.Barrier(threads)

    def work(i: int) -> None:
        barrier.wait()
        try:
            for _ in range(turns):
                if not np.allclose(engine.run(batches[i])[0], expected[i], atol=2e-3):
                    errors.append(f"thread {i}: other embeddings")
        except Exception as error:  # whatever it is: it is counted
            errors.append(f"thread {i}: {error}")

    running = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    report.check(f"{name}, {threads} threads: calls with an error or other embeddings", len(errors), 0)
    return {"threads": threads, "calls": threads * turns, "errors": errors[:3]}


def check_hour(
    report: Report, name: str, engine, device: Device, calls: int = 36_000, most_seconds: float = 60
) -> dict:
    """As many calls as a site makes in an hour at ten a second, of changing batch size, as fast as they go."""
    batches = [crops_for(engine, size) for size in (1, 2, 4, 3, 8)]
    for batch in batches:
        engine.run(batch)
    before, started, done = (device.memory()[0], resident_bytes()), time.perf_counter(), 0
    while done < calls and time.perf_counter() - started < most_seconds:
        engine.run(batches[done % len(batches)])
        done += 1
    seconds = time.perf_counter() - started
    on_gpu, on_host = before[0] - device.memory()[0], resident_bytes() - before[1]
    report.check(f"{name}, {done} calls: growth of the GPU's memory in use, bytes", on_gpu, GROWTH)
    report.check(f"{name}, {done} calls: growth of the process, bytes", on_host, GROWTH)
    return {"calls": done, "calls a second": done / seconds, "GPU grew, bytes": on_gpu, "process grew, bytes": on_host}


def resident_bytes() -> int:
    """Of this process; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return 0
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return 1024 * int(line.split()[1])


def measure_rescoring(report: Report, model: Path | None) -> dict:
    """Each way that is usable here, for a gallery that it holds."""
    from sdk.distances import local_distance_gathered
    from sdk.rescoring import available, choose

    pairs = big_pairs(16, 100, 10_000)
    expected = local_distance_gathered(pairs.query, pairs.gallery, pairs.candidates)
    found = {}
    for way in available(model):
        if not way.usable:
            found[way.name] = {"not run": way.reason}
            continue
        rescorer = choose(model, way.name)
        held = rescorer.hold(pairs.gallery)
        difference = np.abs(rescorer.distances(pairs.query, held, pairs.candidates) - expected).max()
        report.check(f"re-scoring by {way.name}: largest difference to NumPy", float(difference), 0.02)
        seconds = seconds_each(lambda: rescorer.distances(pairs.query, held, pairs.candidates), lambda: None)  # noqa: B023
        found[way.name] = {"ms a call": seconds * 1e3, "largest difference": float(difference)}
        if isinstance(held, GpuStripes):
            held.close()
    return found


# Report


def versions(device: Device) -> dict:
    """Of everything that a figure depends on."""
    import importlib.metadata as installed

    found = {
        "date": time.strftime("%Y-%m-%d"),
        "GPU": device.name,
        "compute capability": device.capability,
        "driver's CUDA": device.driver_version,
        "machine": platform.machine(),
        "Python": platform.python_version(),
    }
    for package in ("tensorrt", "tensorrt-rtx", "pycuda", "numpy", "onnxruntime", "torch"):
        try:
            found[package] = installed.version(package)
        except installed.PackageNotFoundError:
            continue
    return found


def to_markdown(facts: dict) -> str:
    """The report as Markdown: what it ran on, checks, figures, and what was not run."""
    lines = ["# GPU benchmark", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts["machine"].items()]
    lines += ["", "| check | found | limit | |", "|---|---|---|---|"]
    for check in facts["checks"]:
        value = check["value"] if isinstance(check["value"], str) else f"{check['value']:.4g}"
        lines.append(
            f"| {check['check']} | {value} | {check['limit']} | {'holds' if check['holds'] else '**fails**'} |"
        )
    lines += ["", "| part | figure | |", "|---|---|---|"]
    for part, figures in facts["parts"].items():
        lines += [f"| {part} | {name} | {value} |" for name, value in _flat(figures)]
    if facts["not run"]:
        lines += ["", "Not run here:", ""] + [f"- {part}: {reason}" for part, reason in facts["not run"].items()]
    return "\n".join(lines) + "\n"


def _flat(figures: dict, before: str = ""):
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}: ")
        else:
            yield before + name, f"{value:.4g}" if isinstance(value, float) else value


def run_all(report: Report, device: Device, folder: Path) -> None:
    """Every part, in order; later ones run whatever becomes of earlier ones."""
    try:
        kernel = Kernel()
    except ReIDError as error:
        for part in ("kernel", "bandwidth", "pytorch", "crops"):
            report.not_run[part] = str(error)
    else:
        report.run("kernel", lambda r: check_kernel(r, device, kernel))
        report.run("bandwidth", lambda r: measure_bandwidth(r, device, kernel))
        report.run("pytorch", lambda r: measure_pytorch(r, device, kernel))
        report.run("crops", lambda r: check_crops(r, device, CropKernel()))
    engines = {}

    def build(_: Report) -> dict:
        try:
            engines.update(make_engines(report, folder))
        except ImportError as error:
            raise Unavailable(f"engines cannot be built: {error}; pip install -e '.[convert,tensorrt]'") from error
        return {name: str(path) for name, (path, _) in engines.items()}

    report.run("build", build)
    for name, (path, onnx_path) in engines.items():
        report.run(f"engine {name}", lambda r: measure_engine(r, name, load_engine(path), load_engine(onnx_path)))  # noqa: B023
        report.run(f"threads {name}", lambda r: check_threads(r, name, load_engine(path)))  # noqa: B023
    if engines:
        name, (path, _) = next(iter(engines.items()))
        report.run("hour", lambda r: check_hour(r, name, load_engine(path), device))
    with_stripes = engines.get("resnet18", (None,))[0]
    report.run("rescoring", lambda r: measure_rescoring(r, with_stripes))


def main(
    folder: Annotated[Path, typer.Option(help="Where the engines are built.")] = Path("out/gpu"),
    output: Annotated[Path, typer.Option(help="JSON to write; .md beside it.")] = Path("benchmarks/results/gpu.json"),
) -> None:
    try:
        device = open_device()
    except ReIDError as error:
        notes.print(f"nothing was run, this benchmark needs a GPU: {error}")
        raise typer.Exit(2) from None
    report = Report()
    run_all(report, device, folder)
    facts = {
        "machine": versions(device),
        "checks": report.checks,
        "parts": report.parts,
        "not run": report.not_run,
        "holds": report.holds,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    text = to_markdown(facts)
    output.with_suffix(".md").write_text(text, encoding="utf-8")
    results.print(text)
    raise typer.Exit(0 if report.holds and not report.not_run else 1)


if __name__ == "__main__":
    typer.run(main)
