"""What each backbone costs on one core of the processor: 32 crops through ONNX Runtime, against the model that ships.

    python benchmarks/backbones.py
    python benchmarks/backbones.py --only osnet_x0_25,resnet50 --sizes 256x128

Networks are untrained: how long they take does not depend on it. Each is exported as `reid convert` would, without its
local branch, which inference leaves out. All take turns for some rounds; time is the process's own, so that
what else runs on the machine counts less, and the figure is the median of the rounds' ratios to the shipped model.
"""

import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import nn

from converters.onnx_export import export_model
from sdk.engines.contract import INPUT
from sdk.engines.onnx import open_session
from sdk.terminal import Table, notes, results
from training.backbones import BACKBONES, has_own_width
from training.config import ModelConfig
from training.model import AlignedReID

CROPS, ROUNDS = 32, 7
SHIPPED = ModelConfig()
PLENTY = 64
"""Channels of a ResNet's first stage in the original."""


def describe(shape: ModelConfig) -> str:
    width = "" if has_own_width(shape.backbone) else f", width {shape.width}"
    return f"{shape.backbone}{width}, {shape.input_size[0]}×{shape.input_size[1]}"


def count(model: AlignedReID) -> tuple[float, float]:
    """Millions of weights of the global branch, and of its multiplications for a crop."""
    products = 0

    def add(layer: nn.Module, inputs, output: torch.Tensor) -> None:
        nonlocal products
        products += layer.weight.numel() * (output[0, 0].numel() if isinstance(layer, nn.Conv2d) else 1)

    layers = [layer for layer in model.backbone.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(add) for layer in layers]
    model(torch.zeros(1, *model.config.input_size, 3, dtype=torch.uint8))
    for hook in hooks:
        hook.remove()
    return sum(weight.numel() for weight in model.backbone.parameters()) / 1e6, products / 1e6


def prepare(shape: ModelConfig, folder: Path) -> tuple[dict, Path]:
    """Facts of the network, and its ONNX file."""
    notes.print(describe(shape))
    torch.manual_seed(0)
    model = AlignedReID(shape).eval()
    weights, products = count(model)
    path = folder / f"{shape.backbone}-{shape.width}-{shape.input_size[0]}.onnx"
    path.write_bytes(export_model(model).SerializeToString())
    facts = {
        "backbone": shape.backbone,
        "width": None if has_own_width(shape.backbone) else shape.width,
        "input_size": list(shape.input_size),
        "stripes": model.num_stripes,
        "embedding_dim": model.embedding_dim,
        "million weights": round(weights, 2),
        "million multiplications": round(products),
    }
    return facts, path


def measure(files: list[Path], sizes: list[tuple[int, int]]) -> list[list[float]]:
    """Processor seconds of each file for `CROPS` crops, round by round."""
    rng = np.random.default_rng(0)
    sessions = [open_session(file) for file in files]
    batches = {size: rng.integers(0, 256, (CROPS, *size, 3), np.uint8) for size in sizes}
    rounds = []
    for index in range(ROUNDS + 1):
        taken = []
        for session, size in zip(sessions, sizes, strict=True):
            start = time.process_time()
            session.run(None, {INPUT: batches[size]})
            taken.append(time.process_time() - start)
        if index:  # the first only warms up
            rounds.append(taken)
    return rounds


@torch.inference_mode()
def main(
    only: Annotated[str | None, typer.Option(help="Backbones, with commas. Default: all.")] = None,
    sizes: Annotated[str, typer.Option(help="Heights and widths of crops, with commas.")] = "256x128,128x64",
    output: Annotated[Path, typer.Option(help="JSON to write; what is not measured stays as it is in it.")] = Path(
        "benchmarks/results/backbones.json"
    ),
) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before there is a session: it counts the cores
    torch.set_num_threads(1)
    shapes = [SHIPPED]
    for name in only.split(",") if only else BACKBONES:
        for text in sizes.split(","):
            height, width = map(int, text.split("x"))
            stride = 2 if height >= 256 else 1  # eight stripes
            shapes.append(ModelConfig(name, PLENTY, stride, (height, width)))
    with tempfile.TemporaryDirectory() as folder:
        prepared = [prepare(shape, Path(folder)) for shape in shapes]
        rounds = measure([path for _, path in prepared], [shape.input_size for shape in shapes])
    rows = {}
    for index, (shape, (facts, _)) in enumerate(zip(shapes, prepared, strict=True)):
        own = [taken[index] for taken in rounds]
        ratio = statistics.median(taken[index] / taken[0] for taken in rounds)
        rows[describe(shape)] = facts | {"seconds": round(statistics.median(own), 4), "of the shipped": round(ratio, 2)}
    rows = (json.loads(output.read_text())["backbones"] if output.is_file() else {}) | rows
    table = Table("backbone", "stripes", "features", "million weights", "million multiplications", "ms", "× shipped")
    for name, row in rows.items():
        table.add_row(
            name, str(row["stripes"]), str(row["embedding_dim"]), f"{row['million weights']:.2f}",
            str(row["million multiplications"]), f"{1000 * row['seconds']:.0f}", f"{row['of the shipped']:.2f}",
        )  # fmt: skip
    results.print(table)
    facts = {"date": time.strftime("%Y-%m-%d"), "machine": f"{platform.machine()}, one core", "crops": CROPS}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(facts | {"backbones": rows}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    notes.print(f"wrote {output}")


if __name__ == "__main__":
    typer.run(main)
