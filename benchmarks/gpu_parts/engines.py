"""Engines of TensorRT, or of TensorRT-RTX: built, right, what the SDK adds to them, threads, and an hour's calls."""

import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.gpu_parts.crops import COSINE as CUT_COSINE
from benchmarks.gpu_parts.crops import people_on
from benchmarks.gpu_parts.findings import Findings, Unavailable
from benchmarks.gpu_parts.timing import seconds_each
from sdk.cutting import Cuts
from sdk.engines import DEFAULT_MODEL, load_engine
from sdk.engines.cuda import Device, open_device
from sdk.engines.gpu import find_gpu
from sdk.engines.plan import RTX, TENSORRT
from sdk.engines.versions import import_library
from sdk.errors import MissingPackageError
from sdk.reidentifier import ReIdentifier

SHIPPED = "shipped"
BATCHES = (1, 8, 32, 64)
COSINE = 0.9995
"""The least agreement of an FP16 engine with ONNX Runtime, crop by crop."""
OVERHEAD = 0.10
"""Of `ReIdentifier.embed` over the bare engine at batch 32."""
GROWTH = 16 << 20
"""Bytes that a process, or the GPU's memory, may grow by in the hour's calls: allocators keep reserves."""


def build(found: Findings, name: str) -> None:
    """An FP16 engine of the model that ships, or of a backbone with random weights."""
    from converters.convert import ConvertOptions, convert
    from converters.verify import Crops

    require_library()
    found.folder.mkdir(parents=True, exist_ok=True)
    source = DEFAULT_MODEL if name == SHIPPED else make_checkpoint(name, found.folder)
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 8, 3), np.uint8)
    images = list(noise.repeat(8, axis=1).repeat(8, axis=2))
    crops = Crops(images, [f"noise {i}" for i in range(len(images))])
    engine = engine_path(found.folder, name)
    started = time.perf_counter()
    convert(source, engine, crops, ConvertOptions(precision="fp16", rescore=name != SHIPPED))
    found.note("converted in, s", time.perf_counter() - started)
    found.note("engine, bytes", engine.stat().st_size)


def make_checkpoint(backbone: str, folder: Path) -> Path:
    """256×128 px, random weights, but as large as those of real ones."""
    import torch

    from training.checkpoint import Checkpoint, save_checkpoint
    from training.config import ModelConfig, RunConfig, TrainConfig
    from training.model import AlignedReID

    torch.manual_seed(0)
    shape = ModelConfig(backbone, width=64, last_stride=2, input_size=(256, 128))
    path = folder / f"{backbone}.pt"
    config = RunConfig(shape, TrainConfig())
    save_checkpoint(Checkpoint(config, ["nobody"], 0, AlignedReID(shape, 1).state_dict()), path)
    return path


def require_library() -> None:
    """Raise `Unavailable` with what each library lacks, unless one of them runs on this GPU."""
    lacking = []
    for name in (TENSORRT, RTX):
        try:
            refusal = import_library(name).refusal(find_gpu())
        except MissingPackageError as error:
            refusal = str(error)
        if refusal is None:
            return
        lacking.append(refusal)
    raise Unavailable("; ".join(lacking))


def engine_path(folder: Path, name: str) -> Path:
    """Where `build` puts it; the ONNX file that it was built from is beside it."""
    return folder / f"{name}.engine"


def measure(found: Findings, name: str) -> None:
    """Against ONNX Runtime, and what the SDK adds, batch by batch."""
    path = engine_path(found.folder, name)
    measure_engine(found, name, load_engine(path), load_engine(path.with_suffix(".onnx")))


def measure_engine(found: Findings, name: str, engine, reference, batches: tuple[int, ...] = BATCHES) -> None:
    """Through `ReIdentifier.embed`, through `engine.run`, and bare: copies and inference, nothing else."""
    reid = ReIdentifier(engine, threshold=0.5)
    for batch in (size for size in batches if size <= engine.max_batch):
        crops = crops_for(engine, batch)
        listed = list(crops)
        expected, got = reference.run(crops)[0], reid.embed(listed).embedding
        cosine = float((expected * got).sum(-1).min())
        found.check(f"{name}, batch {batch}: least cosine to ONNX Runtime", cosine, COSINE, at_least=True)
        embed = seconds_each(lambda listed=listed: reid.embed(listed))
        run = seconds_each(lambda crops=crops: engine.run(crops))
        bare = seconds_each(engine.bare(batch))
        figures = {
            "embed, ms": embed * 1e3,
            "run, ms": run * 1e3,
            "bare, ms": bare * 1e3,
            "crops a second": batch / embed,
            "overhead of embed over bare": embed / bare - 1,
            "least cosine": cosine,
        }
        if engine.cutter is not None:
            figures |= measure_boxes(found, name, reid, batch)
        found.note(f"batch {batch}", figures)
        if batch == 32:
            found.check_speed(f"{name}: overhead of embed over the bare engine, batch 32", embed / bare - 1, OVERHEAD)


def measure_boxes(found: Findings, name: str, reid: ReIdentifier, batch: int) -> dict[str, float]:
    """`embed` of boxes on a frame, which the GPU cuts, against the same crops in a list, which the processor does."""
    frame, boxes = people_on(1080, 1920, batch)
    cuts: Cuts = reid.cut(frame, boxes)
    pair = [reid.embed(crops).embedding for crops in (cuts, list(cuts))]
    cosine = float((pair[0] * pair[1]).sum(-1).min())
    found.check(f"{name}, batch {batch}: least cosine of boxes to crops", cosine, CUT_COSINE, at_least=True)
    return {
        "embed of boxes, ms": 1e3 * seconds_each(lambda: reid.embed(frame, boxes=boxes)),
        "embed of the same as crops, ms": 1e3 * seconds_each(lambda: reid.embed(list(cuts))),
    }


def crops_for(engine, count: int) -> np.ndarray:
    """Smooth noise in the engine's size: uint8 `[N, H, W, 3]`."""
    height, width = engine.metadata.input_size
    coarse = np.random.default_rng(2).integers(0, 256, (count, height // 8, width // 8, 3), np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def graphs(found: Findings, name: str) -> None:
    """CUDA graphs: the same embeddings, and the time of a call without them and with."""
    path = engine_path(found.folder, name)
    plain, recorded = load_engine(path), load_engine(path, graphs=True)
    for batch in BATCHES[:2]:
        crops = crops_for(plain, batch)
        expected = plain.run(crops)[0]
        worst = min(float((expected * recorded.run(crops)[0]).sum(-1).min()) for _ in range(4))
        found.check(f"{name}, batch {batch}: least cosine of a graph's to a call's", worst, CUT_COSINE, at_least=True)
        times = [seconds_each(lambda engine=engine: engine.run(crops)) for engine in (plain, recorded)]  # noqa: B023
        found.note(f"batch {batch}", dict(zip(("run, ms", "as a graph, ms"), [1e3 * t for t in times], strict=True)))


def threads(found: Findings, name: str) -> None:
    """Threads that embed different crops at once get what one alone gets."""
    check_threads(found, name, load_engine(engine_path(found.folder, name)))


def check_threads(found: Findings, name: str, engine, count: int = 8, turns: int = 50) -> None:
    """As `threads`, of an engine."""
    batches = [crops_for(engine, 1 + 3 * i)[::-1].copy() for i in range(count)]
    expected = [engine.run(batch)[0] for batch in batches]
    errors, barrier = [], threading.Barrier(count)

    def work(i: int) -> None:
        barrier.wait()
        try:
            for _ in range(turns):
                if not np.allclose(engine.run(batches[i])[0], expected[i], atol=2e-3):
                    errors.append(f"thread {i}: other embeddings")
        except Exception as error:  # whatever it is: it is counted
            errors.append(f"thread {i}: {error}")

    running = [threading.Thread(target=work, args=(i,)) for i in range(count)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    found.note("calls", count * turns)
    found.note("errors", errors[:3])
    found.check(f"{name}, {count} threads: calls with an error or other embeddings", len(errors), 0)


def hour(found: Findings, name: str) -> None:
    """As many calls as a site makes in an hour at ten a second, as fast as they go, as far as there is time."""
    engine = load_engine(engine_path(found.folder, name))
    check_hour(found, name, engine, open_device(), most_seconds=min(30, found.left() / 2))


def check_hour(
    found: Findings, name: str, engine, device: Device, calls: int = 36_000, most_seconds: float = 30
) -> None:
    """Calls of changing batch size, and what they leave behind."""
    batches = [crops_for(engine, size) for size in (1, 2, 4, 3, 8)]
    for batch in batches:
        engine.run(batch)
    before, started, done = (device.memory()[0], resident_bytes()), time.perf_counter(), 0
    while done < calls and time.perf_counter() - started < most_seconds:
        engine.run(batches[done % len(batches)])
        done += 1
    seconds = time.perf_counter() - started
    on_gpu, on_host = before[0] - device.memory()[0], resident_bytes() - before[1]
    found.note("calls", done)
    found.note("calls a second", done / seconds)
    found.note("GPU and process grew, bytes", [on_gpu, on_host])
    found.check(f"{name}, {done} calls: growth of the GPU's memory in use, bytes", on_gpu, GROWTH)
    found.check(f"{name}, {done} calls: growth of the process, bytes", on_host, GROWTH)


def resident_bytes() -> int:
    """Of this process; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return 0
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return 1024 * int(line.split()[1])
