"""The fused kernel of the local distance: right, how near to the memory's bandwidth, how far from PyTorch."""

import numpy as np

from benchmarks.gpu_parts.findings import Findings, Unavailable
from benchmarks.gpu_parts.pairs import Pairs, big_pairs, exact_distances, random_pairs, torch_distances
from benchmarks.gpu_parts.timing import seconds_each
from sdk.engines.cuda import Device, open_device
from sdk.engines.graph import Graph
from sdk.engines.stripes import Kernel

SHARE_OF_COPY = 0.6
TIMES_PYTORCH = 50
CELL = {"half": 2e-3, "single": 1e-5}
"""The largest error of a cell of the path."""
LAUNCHES = 100
"""In a graph."""


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
        self.stream.upload(self.memory["distance"], np.full_like(self.out, 7))  # so that what is not written shows
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
        return self.read()

    def read(self) -> np.ndarray:
        """What the last launch has made, float32."""
        self.stream.download(self.out, self.memory["distance"])
        self.stream.synchronize()
        return self.out.astype(np.float32)

    def close(self) -> None:
        for memory in self.memory.values():
            memory.free()
        self.stream.free()


def correct(found: Findings) -> None:
    """Every number of stripes and every pair of types against float64."""
    stripes, rounds = ((1, 8, 11), 1) if found.small else (range(1, 17), 2)
    check_kernel(found, open_device(), Kernel(), stripes, rounds=rounds)


def check_kernel(
    found: Findings, device: Device, kernel: Kernel, stripes=range(1, 17), dims=(8, 64, 128, 200), rounds: int = 2
) -> None:
    """As `correct`, of this kernel, for these sizes."""
    rng, cases, worst, wrong = np.random.default_rng(0), 0, {"half": 0.0, "single": 0.0}, 0
    for _ in range(rounds):
        for size in stripes:
            for dim in dims:
                for dtype, name in ((np.float16, "half"), (np.float32, "single")):
                    half_out = bool(rng.integers(4) == 0)
                    bench = Bench(device, kernel, random_pairs(rng, size, dim, dtype), half_out)
                    distances, expected = bench.distances(), exact_distances(bench.pairs)
                    bench.close()
                    finite = np.isfinite(expected)
                    same = np.isnan(distances) == np.isnan(expected)
                    same &= np.isposinf(distances) == np.isposinf(expected)
                    wrong += int((~same).sum())
                    error = np.abs(distances[finite] - expected[finite]).max()
                    if half_out:  # the rounding of the result is not the kernel's
                        error = max(0.0, error - expected[finite].max() / 1024)
                    worst[name] = max(worst[name], float(error) / (2 * size - 1))
                    cases += 1
    found.note("cases", cases)
    found.note("largest error a cell of the path", worst)
    found.check("kernel: results that are NaN or infinite where they should not be, or the reverse", wrong, 0)
    for name, limit in CELL.items():
        found.check(f"kernel, {name} precision: largest error of a cell, against float64", worst[name], limit)


def bandwidth(found: Findings) -> None:
    """Pairs gathered from a gallery beyond any cache, against a copy on the same GPU."""
    measure_bandwidth(found, open_device(), Kernel(), 64 if found.small else 400_000)


def measure_bandwidth(found: Findings, device: Device, kernel: Kernel, entries: int) -> None:
    """As `bandwidth`, of this kernel; fewer entries where the GPU has not the memory."""
    free, _ = device.memory()
    entries = min(entries, int(free * 0.3) // 2048)
    pairs = big_pairs(64, entries // 64, entries)
    bench = Bench(device, kernel, pairs)
    size = pairs.gallery.nbytes
    other = device.allocate(size)
    copy = seconds_each(lambda: bench.stream.copy(other, bench.memory["gallery"], size), bench.stream.synchronize)
    copied = 2 * size / copy
    found.note("GB/s of a copy, read and written", copied / 1e9)
    seconds = seconds_each(bench.launch, bench.stream.synchronize)
    gathered = (pairs.candidates.size * (2048 + 8) + pairs.query.nbytes) / seconds
    found.note("pairs", int(pairs.candidates.size))
    found.note("pairs a second", pairs.candidates.size / seconds)
    found.note("GB/s gathered", gathered / 1e9)
    found.note("share", gathered / copied)
    other.free()
    bench.close()
    found.check_speed("kernel: share of the copy's bandwidth", gathered / copied, SHARE_OF_COPY, at_least=True)


def launches(found: Findings) -> None:
    """What a launch takes, by itself and in a graph of many, for the sizes of a site."""
    device, kernel = open_device(), Kernel()
    for queries, per_query, entries in ((1, 10, 1000), (16, 100, 10_000), (64, 1024, 100_000)):
        if found.small and queries > 1:
            continue
        bench = Bench(device, kernel, big_pairs(queries, per_query, entries))
        expected = bench.distances()
        alone = seconds_each(bench.launch, bench.stream.synchronize)
        graph = Graph(bench.stream, lambda: [bench.launch() for _ in range(LAUNCHES)])  # noqa: B023
        bench.stream.upload(bench.memory["distance"], np.full_like(bench.out, 7))
        together = seconds_each(graph.launch, bench.stream.synchronize) / LAUNCHES
        title = f"{queries} × {per_query}"
        found.note(title, {"µs a launch": alone * 1e6, "µs in a graph": together * 1e6})
        if not found.small:  # the stand-in for a driver records copies only
            different = int((bench.read() != expected).sum())
            found.check(f"kernel, {title}: distances of a graph that differ", different, 0)
        graph.free()
        bench.close()


def eager(found: Findings) -> None:
    """The same formula in PyTorch, in half precision."""
    _against_pytorch(found, compiled=False)


def compiled(found: Findings) -> None:
    """The same, compiled by `torch.compile`."""
    _against_pytorch(found, compiled=True)


def _against_pytorch(found: Findings, compiled: bool) -> None:
    import torch

    if not torch.cuda.is_available():
        raise Unavailable(f"torch {torch.__version__} sees no GPU: install a build with CUDA")
    name, function = ("torch.compile", torch.compile(torch_distances)) if compiled else ("eager", torch_distances)
    device, kernel = open_device(), Kernel()
    for queries, per_query, entries in ((16, 100, 10_000), (64, 1024, 100_000)):
        title = f"{queries} × {per_query}"
        pairs = big_pairs(queries, per_query, entries)
        bench = Bench(device, kernel, pairs)
        own = seconds_each(bench.launch, bench.stream.synchronize)
        distances = bench.distances()
        bench.close()
        arrays = [torch.from_numpy(x).cuda() for x in (pairs.query, pairs.gallery, pairs.candidates.astype(np.int64))]
        difference = float(np.abs(function(torch, *arrays).cpu().numpy() - distances).max())
        found.check(f"kernel against PyTorch, {name}, {title}: largest difference", difference, 0.02)
        seconds = seconds_each(lambda arrays=arrays: function(torch, *arrays), torch.cuda.synchronize)
        found.note(title, {"kernel, µs": own * 1e6, f"{name}, µs": seconds * 1e6, "times the kernel's": seconds / own})
    if not compiled:
        found.check_speed(f"kernel: times as fast as PyTorch, {title}", seconds / own, TIMES_PYTORCH, at_least=True)
