"""Rank-1 and mAP on people held out: before and after fine-tuning, from random weights, over several seeds.

    python benchmarks/held_out.py --data people --hold-out 14 --seeds 5

Both runs are what `reid train` does by default, and with --from-scratch. Each seed draws its own people to hold out,
its own batches and random weights. Protocol: every crop of a held-out person is a query once, against all crops of the
other cameras. Seeds that the output has already are not run again, so that the command can be interrupted.
"""

import hashlib
import json
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from sdk.calibration import CameraStatistics
from sdk.terminal import Table, notes, results
from training.average import mixed
from training.checkpoint import Checkpoint
from training.config import ModelConfig, RunConfig, TrainConfig
from training.data import PeopleDataset
from training.embedder import TorchEmbedder
from training.evaluation import embed_dataset, evaluate_ranking
from training.start import FINE_TUNING, SHIPPED, shipped_start
from training.trainer import train

FIGURES = ("rank1", "rank5", "mAP")


def run_seed(people: PeopleDataset, hold_out: int, seed: int, from_scratch: bool = True) -> Iterator[dict]:
    """The figures of one seed, arm by arm."""
    training, held_out = people.hold_out(hold_out, seed)
    start = shipped_start()
    runs = {"fine-tuned": (FINE_TUNING, start)} | ({"from scratch": (TrainConfig(), None)} if from_scratch else {})
    yield {"arm": "the shipped weights", "seed": seed, **measure(start, training, held_out)}
    for arm, (settings, init) in runs.items():
        started = time.monotonic()
        config = RunConfig(ModelConfig() if init is None else init.config.model, replace(settings, seed=seed))
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = train(training, Path(folder), config, init=init)
        seconds = round(time.monotonic() - started)
        if init is not None:
            average = without_start(checkpoint, init)
            yield {"arm": f"{arm}, --start-share 0", "seed": seed, **measure(average, training, held_out)}
        yield {"arm": arm, "seed": seed, "seconds": seconds, **measure(checkpoint, training, held_out)}


def without_start(checkpoint: Checkpoint, start: Checkpoint) -> Checkpoint:
    """What the same run hands on with `--start-share 0`: the share of the start only enters at the end."""
    share = checkpoint.config.train.start_share
    return replace(checkpoint, weights=mixed(checkpoint.weights, start.weights, -share / (1 - share)))


def measure(checkpoint: Checkpoint, training: PeopleDataset, held_out: PeopleDataset) -> dict:
    """Figures on `held_out`; apart from them, with flipped crops averaged and without what the cameras add.

    The statistics of the cameras are of `training`, so that nobody is held out and looked at.
    """
    embed = TorchEmbedder(checkpoint.build_model())
    plain = embed_dataset(embed, held_out)
    mirrored = embed_dataset(lambda crops: embed([np.ascontiguousarray(crop[:, ::-1]) for crop in crops]), held_out)
    statistics = CameraStatistics.fit(embed_dataset(embed, training), training.cameras)
    both = plain + mirrored
    return {
        **rank(plain, held_out),
        "flipped": rank(both / np.linalg.norm(both, axis=1, keepdims=True), held_out),
        "per camera": rank(statistics.normalise(plain, held_out.cameras), held_out),
    }


def rank(embedding: np.ndarray, people: PeopleDataset) -> dict:
    labels, cameras = people.labels, people.cameras
    result = evaluate_ranking(embedding, embedding, labels, labels, cameras, cameras, cross_camera=True).to_dict()
    return {name: round(result[name], 4) for name in FIGURES}


def summary(rows: list[dict]) -> Table:
    """Means over the seeds, an arm a row."""
    table = Table("arm", "rank-1 by seed", "rank-1", "mAP", "flipped", "per camera", title="mean ± sd over the seeds")
    for arm in dict.fromkeys(row["arm"] for row in rows):
        of_arm = sorted((row for row in rows if row["arm"] == arm), key=lambda row: row["seed"])
        apart = ([_mean(of_arm, name, part) for name in ("rank1", "mAP")] for part in ("flipped", "per camera"))
        shown = [_mean(of_arm, "rank1"), _mean(of_arm, "mAP"), *map(" / ".join, apart)]
        table.add_row(arm, ", ".join(f"{row['rank1']:.3f}" for row in of_arm), *shown)
    return table


def _mean(rows: list[dict], name: str, part: str | None = None) -> str:
    values = np.array([row[part][name] if part else row[name] for row in rows])
    spread = f" ± {values.std(ddof=1):.3f}" if len(values) > 1 and not part else ""
    return f"{values.mean():.3f}{spread}"


def main(
    data: Annotated[Path, typer.Option(help="Folder <root>/<identity>/<camera>_<anything>.png|jpg.")],
    hold_out: Annotated[int, typer.Option(help="Identities to test on.")] = 14,
    seeds: Annotated[int, typer.Option(help="Runs of each arm.")] = 5,
    from_scratch: Annotated[bool, typer.Option(help="Also from random weights, which takes longest.")] = True,
    output: Annotated[Path, typer.Option(help="JSON to write.")] = Path("benchmarks/results/held_out.json"),
) -> None:
    people = PeopleDataset.from_folder(data)
    facts = {
        "protocol": "cross-camera: each crop against all crops of the other cameras",
        "identities": {"training": len(people.identities) - hold_out, "held out": hold_out},
        "fine-tuned": f"from the shipped weights, {FINE_TUNING.epochs} epochs, --start-share {FINE_TUNING.start_share}",
        "from scratch": f"{TrainConfig.epochs} epochs" if from_scratch else "not run",
        "start": f"SHA-256 {hashlib.sha256(SHIPPED.read_bytes()).hexdigest()}",
    }
    before = json.loads(output.read_text(encoding="utf-8")) if output.exists() else {}
    rows = before.get("runs", []) if all(before.get(name) == fact for name, fact in facts.items()) else []
    for seed in sorted(set(range(seeds)) - {row["seed"] for row in rows}):
        done = []
        for row in run_seed(people, hold_out, seed, from_scratch):
            done.append(row)
            notes.print(row)
        rows += done
        facts |= {
            "date": time.strftime("%Y-%m-%d"),
            "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        }
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(facts | {"runs": rows}, indent=2) + "\n", encoding="utf-8")
    results.print(summary(rows))


if __name__ == "__main__":
    typer.run(main)
