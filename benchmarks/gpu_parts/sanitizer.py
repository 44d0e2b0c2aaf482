"""The kernels under NVIDIA's compute-sanitizer: what they read and write outside, and races in shared memory."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.gpu_parts.findings import Findings, Unavailable
from benchmarks.gpu_parts.local_distance import Bench
from benchmarks.gpu_parts.pairs import random_pairs
from sdk.engines.cuda import Device, open_device
from sdk.engines.stripes import Kernel

ROOT = Path(__file__).parents[2]
SUMMARY = re.compile(r"(?:ERROR|RACECHECK) SUMMARY: (.*)")
DONE = "all kernels have run"


def memcheck(found: Findings) -> None:
    """What lies outside of memory or is not aligned, and errors of CUDA's calls."""
    _under(found, "memcheck")


def racecheck(found: Findings) -> None:
    """Threads that read shared memory while others write it."""
    _under(found, "racecheck")


def launch_all() -> None:
    """Each kernel once, on few data: what is run under the sanitizer."""
    device, rng = open_device(), np.random.default_rng(0)
    for stripes in (1, 5, 8, 13, 16):
        for dim in (8, 128, 200):
            for dtype in (np.float16, np.float32):
                bench = Bench(device, Kernel(), random_pairs(rng, stripes, dim, dtype), half_out=stripes == 5)
                bench.distances()
                bench.close()
    cut_all(device)
    print(DONE)


def cut_all(device: Device) -> None:
    """The kernel of the crops, where what the processor needs for its own is here."""
    try:
        from benchmarks.gpu_parts.crops import CropKernel, Cutter, hard_cuts
    except ModuleNotFoundError as error:
        print(f"the kernel of the crops is left out: {error}")
        return
    for size in ((128, 64), (37, 53)):
        cutter = Cutter(device, CropKernel(), hard_cuts((90,)), size)
        cutter.pixels()
        cutter.close()


def _under(found: Findings, tool: str) -> None:
    sanitizer = shutil.which("compute-sanitizer")
    if sanitizer is None:
        raise Unavailable("compute-sanitizer is not on PATH; it comes with the CUDA toolkit")
    command = [sanitizer, "--tool", tool, sys.executable, "-m", "benchmarks.gpu_parts.sanitizer"]
    said = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT) as process:
        for line in process.stdout:
            print(line, end="")  # as it comes: it may run out of time
            said.append(line)
    judge(found, tool, "".join(said))


def judge(found: Findings, tool: str, said: str) -> None:
    """What compute-sanitizer has printed."""
    if "Device not supported" in said:
        raise Unavailable("compute-sanitizer says: Device not supported")
    summary = SUMMARY.search(said)
    if DONE not in said or summary is None:
        found.fails(f"{tool}: all kernels run under it", "they did not; see its output")
        return
    found.note("summary", summary[1])
    found.check(f"{tool}: errors and hazards", sum(int(number) for number in re.findall(r"\d+", summary[1])), 0)


if __name__ == "__main__":
    launch_all()
