"""What the aligned local branch adds to a training step: the same step with it and without, in turn.

    python benchmarks/local_branch.py --backbone resnet50 --batch 128 --rounds 5

Forward, losses and backward of one batch of noise (32 identities × 4 at 128); no optimiser, no data loading, which are
the same for both. The ratio is of the medians, from the same run.
"""

import json
import platform
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from sdk.terminal import Table, results, track
from training.config import ModelConfig, RunConfig, TrainConfig
from training.model import AlignedReID
from training.trainer import loss_terms

ARMS = {"without": 0.0, "with": 1.0}


def main(
    backbone: Annotated[str, typer.Option(help="As of reid train.")] = "resnet50",
    batch: Annotated[int, typer.Option(help="Crops, a multiple of 4.")] = 128,
    height: Annotated[int, typer.Option(help="Of the crops, px; the width is half of it.")] = 256,
    rounds: Annotated[int, typer.Option(help="Steps of each, after one to warm up.")] = 5,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    output: Annotated[Path, typer.Option(help="JSON to write.")] = Path("benchmarks/results/local_branch.json"),
) -> None:
    shape = ModelConfig(backbone, width=64, last_stride=2, input_size=(height, height // 2))
    model = AlignedReID(shape, num_identities=751).to(device).train()
    stripes = model._stripes
    crops = torch.randint(0, 256, (batch, *shape.input_size, 3), dtype=torch.uint8, device=device)
    labels = torch.arange(batch, device=device) // 4
    seconds = {name: [] for name in ARMS}
    for number in track(range(rounds + 1), "steps"):
        for name, weight in ARMS.items():
            config = RunConfig(shape, TrainConfig(local_weight=weight))
            model._stripes = stripes if weight else lambda features: None  # not even its forward pass
            _wait(device)
            started = time.perf_counter()
            sum(loss_terms(model(crops), labels, config).values()).backward()
            _wait(device)
            if number:
                seconds[name].append(time.perf_counter() - started)
            model.zero_grad(set_to_none=True)
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    ratio = medians["with"] / medians["without"]
    table = Table("step", "median, s", "of the step without", title=f"{backbone}, batch {batch}, {device}")
    for name, median in medians.items():
        table.add_row(f"{name} the local branch", f"{median:.3f}", f"{median / medians['without']:.3f}")
    results.print(table)
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    if device != "cpu":
        machine += f", {torch.cuda.get_device_name()}"
    facts = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine,
        "backbone": backbone,
        "batch": batch,
        "input size": shape.input_size,
        "seconds": seconds,
        "ratio of medians": ratio,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


if __name__ == "__main__":
    typer.run(main)
