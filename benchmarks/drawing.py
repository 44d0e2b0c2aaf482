"""How many crops of drawn people one core makes a second, and how long a frame of a site takes.

python benchmarks/drawing.py --output benchmarks/results/drawing.json
"""

import json
import os
import platform
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from sdk.simulation.population import Population
from sdk.simulation.site import Site
from sdk.terminal import results

PEOPLE = Population(identities=40, cameras=2, views=8, size=(256, 128))
SITE = Site(cameras=2, people=6, seconds=15.0)


def crops_per_second(seed: int) -> float:
    """Of people whom nothing has drawn before: their clothes are cut as well."""
    people = replace(PEOPLE, seed=seed)
    started = time.perf_counter()
    for crop in people:
        people.draw(*crop)
    return len(people) / (time.perf_counter() - started)


def seconds_a_frame() -> tuple[float, float]:
    """Of one camera, the scenery included; and how many people a frame shows."""
    started, shown = time.perf_counter(), 0
    for _, _, truths in SITE:
        shown += sum(len(truth.identities) for truth in truths.values())
    frames = SITE.ticks * SITE.cameras
    return (time.perf_counter() - started) / frames, shown / frames


def main(
    rounds: Annotated[int, typer.Option(help="Each draws other people.")] = 7,
    output: Annotated[Path, typer.Option(help="JSON to write.")] = Path("benchmarks/results/drawing.json"),
) -> None:
    cv2.setNumThreads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core, whatever NumPy would like
    crops_per_second(0)
    rates = [crops_per_second(seed) for seed in range(1, rounds + 1)]
    frame, shown = seconds_a_frame()
    facts = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, one core, OpenCV {cv2.__version__}, NumPy {np.__version__}",
        "crops of 256×128 px a second": {"median": round(float(np.median(rates))), "of": [round(r) for r in rates]},
        "640×480 px frame of a site": {"milliseconds": round(1000 * frame, 1), "people in it": round(shown, 1)},
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    results.print_json(data=facts)


if __name__ == "__main__":
    typer.run(main)
