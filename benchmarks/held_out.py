"""Rank-1 and mAP on people held out of training, with and without the aligned local loss, over several seeds.

    python benchmarks/held_out.py --data DIR --hold-out 14 --seeds 3 --output benchmarks/results/held_out.json

Each run is what `reid train` does by default, or with --from-scratch (name another --output). Each seed draws its own
people to hold out, its own batches (and random weights); both arms share them. Protocol: every crop of a held-out
person is a query once, against all crops of the other cameras.
"""

import json
import platform
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.table import Table

from sdk.terminal import notes, results
from training.config import ModelConfig, RunConfig, TrainConfig
from training.data import PeopleDataset
from training.start import FINE_TUNING, choose_start, describe_start
from training.trainer import train


def arm_name(local_weight: float) -> str:
    return f"local loss × {local_weight:g}" if local_weight else "local loss off"


def main(
    data: Annotated[Path, typer.Option(help="Folder <root>/<identity>/<camera>_<anything>.png|jpg.")],
    hold_out: Annotated[int, typer.Option(help="Identities to test on.")] = 14,
    seeds: Annotated[int, typer.Option(help="Runs of each arm.")] = 3,
    local_weight: Annotated[list[float], typer.Option(help="Arms to run, by the weight of the local loss.")] = (
        1.0,
        0.0,
    ),
    from_scratch: Annotated[bool, typer.Option("--from-scratch", help="Start from random weights.")] = False,
    start_share: Annotated[float, typer.Option(help="As of `reid train`.")] = FINE_TUNING.start_share,
    output: Annotated[Path, typer.Option(help="JSON to write.")] = Path("benchmarks/results/held_out.json"),
) -> None:
    people = PeopleDataset.from_folder(data)
    start = choose_start(ModelConfig(), from_scratch=from_scratch)
    settings = replace(
        TrainConfig() if from_scratch else FINE_TUNING, start=describe_start(start, None), start_share=start_share
    )
    rows = []
    for seed in range(seeds):
        training, held_out = people.hold_out(hold_out, seed)
        for weight in local_weight:
            config = RunConfig(ModelConfig(), replace(settings, local_weight=weight, seed=seed))
            started = time.monotonic()
            with tempfile.TemporaryDirectory() as folder:
                evaluation = train(training, Path(folder), config, held_out, init=start).evaluation
            row = {"arm": arm_name(weight), "seed": seed, "seconds": round(time.monotonic() - started)}
            rows.append(row | {name: evaluation[name] for name in ("rank1", "rank5", "mAP", "queries")})
            notes.print(rows[-1])
            _write(output, rows, people, hold_out, settings)
    table = Table("arm", "rank-1 (mean ± sd)", "mAP (mean ± sd)", "seconds a run", title=f"{seeds} seeds")
    for arm in map(arm_name, local_weight):
        of_arm = [row for row in rows if row["arm"] == arm]
        figures = [np.array([row[name] for row in of_arm]) for name in ("rank1", "mAP", "seconds")]
        shown = [f"{f.mean():.3f} ± {f.std(ddof=1) if seeds > 1 else 0:.3f}" for f in figures[:2]]
        table.add_row(arm, *shown, f"{figures[2].mean():.0f}")
    results.print(table)


def _write(output: Path, rows: list[dict], people: PeopleDataset, hold_out: int, settings: TrainConfig) -> None:
    """After every run, so that an interruption loses nothing."""
    output.parent.mkdir(parents=True, exist_ok=True)
    facts = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        "protocol": "cross-camera: each crop against all crops of the other cameras",
        "identities": {"training": len(people.identities) - hold_out, "held out": hold_out},
        "epochs": settings.epochs,
        "started from": settings.start,
        "share of the start": settings.start_share,
        "runs": rows,
    }
    output.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
