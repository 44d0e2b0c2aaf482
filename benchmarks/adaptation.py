"""What a site teaches without a label, on people held out of it: before and after, over several seeds.

    python benchmarks/adaptation.py --data people --hold-out 14 --seeds 5

The people who are not held out are given to the adaptation as tracks, one a person and camera, without names. Each seed
draws its own people to hold out. Protocol as in `held_out.py`, whose figures are what labels bring. Seeds that the
output has already are not run again.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from sdk.engines import DEFAULT_MODEL, read_metadata
from sdk.output import write_whole
from sdk.terminal import Table, notes, results
from training.adaptation.crops import Crop, Crops
from training.adaptation.loop import BEST, LAST, adapt
from training.adaptation.measures import rand_index
from training.adaptation.settings import Settings
from training.average import mixed
from training.checkpoint import Checkpoint, load_checkpoint
from training.data import PeopleDataset
from training.embedder import TorchEmbedder
from training.evaluation import embed_dataset, evaluate_ranking
from training.start import shipped_start

FIGURES = ("rank1", "rank5", "mAP")


def run_seed(people: PeopleDataset, hold_out: int, seed: int, epochs: int, crops: int) -> Iterator[dict]:
    """The figures of one seed, arm by arm."""
    site, held_out = people.hold_out(hold_out, seed)
    start = shipped_start()
    threshold = read_metadata(DEFAULT_MODEL).threshold["tracklet_value"]
    settings = Settings()
    settings = replace(settings, train=replace(settings.train, epochs=epochs, seed=seed), crops=crops)
    yield {"arm": "before", "seed": seed, **measure(start, held_out)}
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = adapt(
            unnamed(site), start, Path(folder), settings, threshold, tell=lambda line: notes.print(line, soft_wrap=True)
        )
        seconds = round(time.monotonic() - started)
        truth = site.labels
        judged = {
            "seconds": seconds,
            "reason": found.reason,
            "clusters before": round(rand_index(found.before.labels[found.tracklets.of_crop], truth), 3),
        }
        if found.after is not None:
            judged["clusters after"] = round(rand_index(found.after.labels[found.tracklets.of_crop], truth), 3)
        path = Path(folder) / (LAST if found.reason else BEST)
        if path.exists():
            after = load_checkpoint(path)
            yield {"arm": "adapted", "seed": seed, **judged, **measure(after, held_out)}
            half = replace(after, weights=mixed(after.weights, start.weights, 0.5))
            yield {"arm": "half of the start in it", "seed": seed, **measure(half, held_out)}


def unnamed(people: PeopleDataset) -> Crops:
    """Their crops by tracks: one a person and camera. Only that two crops are of one track is told."""
    tracks: dict[tuple[str, str], int] = {}
    items = []
    for sample in people.samples:
        track = tracks.setdefault((sample.identity, sample.camera), len(tracks))
        items.append(Crop(sample.path, sample.camera, "", track))
    return Crops(tuple(items), people.source)


def measure(checkpoint: Checkpoint, held_out: PeopleDataset) -> dict:
    """Figures on `held_out`."""
    embedding = embed_dataset(TorchEmbedder(checkpoint.build_model()), held_out)
    labels, cameras = held_out.labels, held_out.cameras
    result = evaluate_ranking(embedding, embedding, labels, labels, cameras, cameras, cross_camera=True).to_dict()
    return {name: round(result[name], 4) for name in FIGURES}


def main(
    data: Annotated[Path, typer.Option(help="Folder <root>/<identity>/<camera>_<anything>.png|jpg.")],
    hold_out: Annotated[int, typer.Option(help="Identities to test on.")] = 14,
    seeds: Annotated[int, typer.Option(help="Runs.")] = 5,
    epochs: Annotated[int, typer.Option(help="Of an adaptation.")] = 8,
    crops: Annotated[int, typer.Option(help="Shown in an epoch.")] = 960,
    output: Annotated[Path, typer.Option(help="JSON to write.")] = Path("benchmarks/results/adaptation.json"),
) -> None:
    people = PeopleDataset.from_folder(data)
    facts = {"held out": hold_out, "people": len(people.identities), "epochs": epochs, "crops": crops}
    before = json.loads(output.read_text(encoding="utf-8")) if output.exists() else {}
    rows = before.get("runs", []) if all(before.get(name) == fact for name, fact in facts.items()) else []
    for seed in sorted(set(range(seeds)) - {row["seed"] for row in rows}):
        rows += list(run_seed(people, hold_out, seed, epochs, crops))
        write_whole(output, json.dumps(facts | {"runs": rows}, indent=2) + "\n")
    table = Table("arm", "rank-1 by seed", "rank-1", "mAP")
    for arm in dict.fromkeys(row["arm"] for row in rows):
        of_arm = [row for row in rows if row["arm"] == arm]
        means = (f"{np.mean([row[name] for row in of_arm]):.3f}" for name in ("rank1", "mAP"))
        table.add_row(arm, ", ".join(f"{row['rank1']:.3f}" for row in of_arm), *means)
    results.print(table)


if __name__ == "__main__":
    typer.run(main)
