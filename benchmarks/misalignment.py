"""Does the aligned local branch help where boxes are badly off? Drawn people, one dial, several seeds.

    python benchmarks/misalignment.py --seeds 5 --output benchmarks/results/misalignment.json

Each seed draws its own people to train on, at the misalignment of a usual detector, and others to test on. Two networks
are trained from random weights, with the local loss and without; they share people and batches. The test people are
drawn twice, with usual and with severe misalignment, and ranked by the cosine distance of the global features; those of
the network that has a local branch also by cosine distance + local distance / (2S − 1), and, as a control, with each
stripe compared to its own number alone, without alignment. Protocol: every crop is a query once, against all crops of
the other cameras. An interrupted benchmark goes on where it stopped.
"""

import json
import platform
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from sdk.distances import cosine_distance, local_distance
from sdk.simulation.population import Population
from sdk.terminal import Table, notes, results, track
from training.config import ModelConfig, RunConfig, TrainConfig
from training.data import PeopleDataset, SimulatedPeople
from training.embedder import TorchEmbedder
from training.evaluation import evaluate_distances
from training.evaluation.retrieval import pool_features
from training.model import AlignedReID
from training.trainer import train

TRAINED_ON = Population(identities=300, cameras=8, site_cameras=64, views=1)
TESTED_ON = Population(identities=100, cameras=4, site_cameras=16, views=2)
TESTS = {"usual": 0.25, "severe": 1.0}
SETTINGS = TrainConfig(epochs=16, identities_per_batch=16, learning_rate=1e-3)
WITHOUT, GLOBAL = "trained without", "trained with, ranked by the global distance"
UNALIGNED, RESCORED = "… + local, stripe by stripe", "… + local, aligned"
WEIGHT = 1.0
"""Of the local distance, which is divided by 2S − 1, beside the cosine distance. Not tuned."""


def rank(distance: np.ndarray, people: PeopleDataset) -> dict[str, float]:
    labels, cameras = people.labels, people.cameras
    result = evaluate_distances(distance, labels, labels, cameras, cameras, cross_camera=True)
    return {"rank1": result.rank(1), "mAP": result.mean_ap, "queries": result.num_queries}


def test(model: AlignedReID, people: PeopleDataset, with_local: bool) -> dict[str, dict[str, float]]:
    """Figures by the way of ranking."""
    each = np.arange(len(people))[:, None]
    features = pool_features(TorchEmbedder(model).features, people, each, with_stripes=True)
    embedding, stripes = features.embedding, features.stripes
    cosine = cosine_distance(embedding, embedding)
    if not with_local:
        return {WITHOUT: rank(cosine, people)}
    local = np.concatenate(
        [local_distance(stripes[i : i + 1], stripes) for i in track(range(len(stripes)), "aligning")]
    )
    straight = np.stack([np.tanh(np.linalg.norm(s - stripes, axis=2) / 2).mean(1) for s in stripes])
    return {
        GLOBAL: rank(cosine, people),
        UNALIGNED: rank(cosine + WEIGHT * straight, people),
        RESCORED: rank(cosine + WEIGHT * local / (2 * stripes.shape[1] - 1), people),
    }


def run(seed: int, with_local: bool) -> list[dict]:
    """Train one network and test it; a row for each test and way of ranking."""
    # Populations far apart: nobody is trained on and tested on.
    training = SimulatedPeople.of(replace(TRAINED_ON, seed=1000 + seed))
    settings = replace(SETTINGS, local_weight=float(with_local), seed=seed, data=training.source)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = train(training, Path(folder), RunConfig(ModelConfig(), settings), workers=1)
    model = checkpoint.build_model()
    rows = []
    for name, misalignment in TESTS.items():
        people = SimulatedPeople.of(replace(TESTED_ON, seed=2000 + seed, misalignment=misalignment))
        for ranking, figures in test(model, people, with_local).items():
            rows.append({"seed": seed, "with local": with_local, "test": name, "ranking": ranking} | figures)
    return rows


def main(
    seeds: Annotated[int, typer.Option(help="Pairs of networks to train.")] = 5,
    output: Annotated[Path, typer.Option(help="JSON to write, or to go on with.")] = Path(
        "benchmarks/results/misalignment.json"
    ),
) -> None:
    facts = {
        "protocol": "cross-camera: each crop against all crops of the other cameras",
        "trained on": asdict(TRAINED_ON),
        "tested on": asdict(TESTED_ON),
        "tests": TESTS,
        "settings": asdict(SETTINGS),
        "weight of the local distance": WEIGHT,
    }
    facts = json.loads(json.dumps(facts))  # tuples become lists, as in the file
    rows = []
    if output.is_file():
        there = json.loads(output.read_text())
        if {name: there.get(name) for name in facts} == facts:
            rows = there["runs"]
    for seed in range(seeds):
        for with_local in (True, False):
            if any((row["seed"], row["with local"]) == (seed, with_local) for row in rows):
                continue
            rows += run(seed, with_local)
            notes.print(rows[-1])
            machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
            output.parent.mkdir(parents=True, exist_ok=True)
            content = {"date": time.strftime("%Y-%m-%d"), "machine": machine, **facts, "runs": rows}
            output.write_text(json.dumps(content, indent=2) + "\n")
    for name in TESTS:
        table = Table("network and ranking", "rank-1 (mean ± sd)", "mAP (mean ± sd)", "seeds that beat the first row")
        table.title = f"{name} misalignment, {seeds} seeds"
        first = of(rows, name, WITHOUT, seeds)
        for ranking in (WITHOUT, GLOBAL, UNALIGNED, RESCORED):
            figures = of(rows, name, ranking, seeds)
            shown = [f"{f.mean():.3f} ± {f.std(ddof=1) if seeds > 1 else 0:.3f}" for f in figures]
            better = [f"{(f > g).sum()} of {seeds}" for f, g in zip(figures, first, strict=True)]
            table.add_row(ranking, *shown, "" if ranking == WITHOUT else f"{better[0]} rank-1, {better[1]} mAP")
        results.print(table)


def of(rows: list[dict], test: str, ranking: str, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """rank-1 and mAP by seed."""
    chosen = {row["seed"]: row for row in rows if (row["test"], row["ranking"]) == (test, ranking)}
    return tuple(np.array([chosen[seed][figure] for seed in range(seeds)]) for figure in ("rank1", "mAP"))


if __name__ == "__main__":
    typer.run(main)
