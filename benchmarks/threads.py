"""What ONNX Runtime's threads cost the rest: waiting in a loop between their pieces of work, its default, or asleep.

    python benchmarks/threads.py --seconds 60

The model that ships embeds crops of 120×300 px: the engine alone, `ReIdentifier.embed` around it, and two models in
turn, as a tracker has them. Both ways are measured in turn in the same process, each a few times before the other, so
that what else the machine does falls on both. Seconds are medians; processor seconds are of all threads.
"""

import json
import os
import platform
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from sdk.engines import onnx
from sdk.onnx_runtime import onnxruntime
from sdk.preprocess import to_batch
from sdk.reidentifier import ReIdentifier
from sdk.terminal import Table, notes, results

LOOP, ASLEEP = "in a loop", "asleep"
TIMES = 3


def models(way: str) -> tuple[ReIdentifier, ReIdentifier]:
    ours = onnx.session_options
    if way == LOOP:
        onnx.session_options = lambda severity: onnxruntime.SessionOptions()
    try:
        return ReIdentifier(), ReIdentifier()
    finally:
        onnx.session_options = ours


def work_of(way: str, crops: list[np.ndarray]) -> dict:
    reid, other = models(way)
    batch = to_batch(crops, reid.engine.metadata.input_size)
    return {
        "engine": lambda: reid.engine.run(batch),
        "embed": lambda: reid.embed(crops),
        "two models in turn": lambda: (other.engine.run(batch), reid.embed(crops)),
    }


def measure(crops: list[np.ndarray], seconds: float) -> dict[str, dict[str, dict[str, float]]]:
    """What is done → the way → median seconds, processor seconds, and how often it was done."""
    work = {way: work_of(way, crops) for way in (LOOP, ASLEEP)}
    wall, processor = defaultdict(list), defaultdict(list)
    end = time.monotonic() + seconds
    while time.monotonic() < end or not wall:
        for what in work[LOOP]:
            for way in work:
                work[way][what]()
                for _ in range(TIMES):
                    started, used = time.perf_counter(), time.process_time()
                    work[way][what]()
                    wall[what, way].append(time.perf_counter() - started)
                    processor[what, way].append(time.process_time() - used)
                time.sleep(0.05)  # what still loops must not be counted to the other
    return {
        what: {
            way: {
                "seconds": statistics.median(wall[what, way]),
                "processor": statistics.median(processor[what, way]),
                "times": len(wall[what, way]),
            }
            for way in work
        }
        for what in work[LOOP]
    }


def main(
    seconds: Annotated[float, typer.Option(help="How long to measure.")] = 60,
    crops: Annotated[int, typer.Option(help="Of a batch.")] = 8,
    output: Annotated[Path, typer.Option(help="JSON to write.")] = Path("benchmarks/results/threads.json"),
) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8)
    corners = [(x, y) for y in (0, 300, 600) for x in range(0, 1800, 120)]
    cut = [frame[y : y + 300, x : x + 120] for x, y in corners[:crops]]
    found = measure(cut, seconds)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    facts = {
        "machine": f"{platform.machine()}, {cores} cores, load {os.getloadavg()[0]:.1f}",
        "onnxruntime": onnxruntime.__version__,
        "crops": len(cut),
        "found": found,
    }
    table = Table("", "threads wait", "ms", "processor ms", "times")
    for what, ways in found.items():
        for way, figures in ways.items():
            row = (f"{1e3 * figures['seconds']:.1f}", f"{1e3 * figures['processor']:.1f}", str(figures["times"]))
            table.add_row(what, way, *row)
        times = {name: ways[LOOP][name] / ways[ASLEEP][name] for name in ("seconds", "processor")}
        table.add_row(what, "loop / asleep", *(f"×{value:.2f}" for value in times.values()), "")
        facts["found"][what]["loop / asleep"] = times
    output.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    results.print(table)
    notes.print(f"{facts['machine']}; {output}")


if __name__ == "__main__":
    typer.run(main)
