"""What a calibration is worth on people it has not seen, and what flipping and camera-wise normalisation bring.

    python benchmarks/calibration.py --data people

The people are halved at random, twenty times. On one half the threshold is chosen (1% of the impostor pairs) and the
cameras' statistics are taken; all figures are of the other half, means over the halves. Flipping: the mean of the
features of a crop and of its mirror image.
"""

import json
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from sdk.calibration import (
    CameraStatistics,
    calibrate_threshold,
    evaluate_open_set,
    pair_distances,
    tracklet_means,
)
from sdk.calibration.cameras import LEAST_CROPS
from sdk.folder import read_folder, read_image
from sdk.reidentifier import ReIdentifier
from sdk.terminal import Table, notes, results, track
from training.evaluation import evaluate_ranking

HALVES = 20
RATE = 0.01
FIGURES = {
    "rank1": "rank-1",
    "mAP": "mAP",
    "false_match_rate": "pairs of two passed",
    "true_match_rate": "pairs of one passed",
    "tpir_at_1%": "TPIR at 1% FPIR",
    "tpir_at_0.1%": "TPIR at 0.1% FPIR",
    "fpir": "FPIR at the threshold",
    "tpir": "TPIR at the threshold",
}


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def of_halves(embedding: np.ndarray, labels: np.ndarray, cameras: np.ndarray, per_camera: bool) -> dict:
    """Mean and deviation of every figure over the halves, as [mean, deviation]."""
    people, rows = np.unique(labels), []
    for seed in range(HALVES):
        one = np.isin(labels, np.random.default_rng(seed).permutation(people)[: len(people) // 2])
        features = embedding
        if per_camera:
            features = CameraStatistics.fit(embedding[one], cameras[one]).normalise(embedding, cameras)
        value = calibrate_threshold(features[one], labels[one], cameras[one], RATE).value
        other = (features[~one], labels[~one], cameras[~one])
        rank = _ranking(*other)
        pairs, strangers = pair_distances(*other), evaluate_open_set(*other, value, seed=seed)
        rows.append(
            [
                rank.rank(1),
                rank.mean_ap,
                (pairs.impostor <= value).mean(),
                (pairs.genuine <= value).mean(),
                *strangers.true_positive,
                strangers.false_positive_at_threshold,
                strangers.true_positive_at_threshold,
            ]
        )
    means, spreads = np.mean(rows, axis=0).tolist(), np.std(rows, axis=0).tolist()
    return {name: list(figure) for name, *figure in zip(FIGURES, means, spreads, strict=True)}


def at_own_thresholds(reid: ReIdentifier, embedding: np.ndarray, labels: np.ndarray, cameras: np.ndarray) -> dict:
    """What the thresholds that are in the model file let pass: [pairs of two people, pairs of one], over all people."""
    crops = pair_distances(embedding, labels, cameras)
    tracks = pair_distances(*tracklet_means(embedding, labels, cameras))
    return {
        name: [float((pairs.impostor <= limit).mean()), float((pairs.genuine <= limit).mean())]
        for name, pairs, limit in (("crops", crops, reid.threshold), ("tracklets", tracks, reid.tracklet_threshold))
    }


def _ranking(features, labels, cameras):
    return evaluate_ranking(features, features, labels, labels, cameras, cameras, cross_camera=True)


def main(
    data: Annotated[Path, typer.Option(help="Folder <root>/<identity>/<camera>_<anything>.png|jpg.")],
    model: Annotated[Path | None, typer.Option(help="A model of `reid convert`. Default: the one that ships.")] = None,
    output: Annotated[Path, typer.Option(help="JSON to write.")] = Path("benchmarks/results/calibration.json"),
) -> None:
    samples = read_folder(data)
    labels, cameras = np.array([s.identity for s in samples]), np.array([s.camera for s in samples])
    reid = ReIdentifier(model)
    crops = [read_image(sample.path) for sample in track(samples, "reading")]
    plain = reid.embed(crops).embedding
    flipped = unit(plain + reid.embed([np.ascontiguousarray(crop[:, ::-1]) for crop in crops]).embedding)
    arms, ways = {}, (False, True)
    if np.unique(cameras, return_counts=True)[1].min() < 4 * LEAST_CROPS:  # half of the people must be enough
        notes.print("too few crops a camera for its statistics: without them")
        ways = (False,)
    for name, features in (("plain", plain), ("flip", flipped)):
        whole = _ranking(features, labels, cameras)
        for per_camera in ways:
            arm = f"{name} + per camera" if per_camera else name
            arms[arm] = of_halves(features, labels, cameras, per_camera)
            if per_camera:
                whole = _ranking(CameraStatistics.fit(features, cameras).normalise(features, cameras), labels, cameras)
            arms[arm] |= {"all people: rank1": whole.rank(1), "all people: mAP": whole.mean_ap}
    table = Table("", *arms)
    for name, title in FIGURES.items():
        table.add_row(title, *("{:.3f} ± {:.3f}".format(*arm[name]) for arm in arms.values()))
    for name in ("all people: rank1", "all people: mAP"):
        table.add_row(name, *(f"{arm[name]:.3f}" for arm in arms.values()))
    results.print(table)
    own = at_own_thresholds(reid, plain, labels, cameras)
    for name, (impostor, genuine) in own.items():
        results.print(
            f"{name}, at the model's own threshold: {impostor:.1%} of the pairs of two pass, {genuine:.1%} of one"
        )
    facts = {
        "date": time.strftime("%Y-%m-%d"),
        "people": len(np.unique(labels)),
        "crops": len(labels),
        "halves": HALVES,
        "wanted false-match rate": RATE,
        "at the model's own threshold, all people: pairs of two people passed, pairs of one": own,
        "figures as [mean, standard deviation]": arms,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    notes.print(f"wrote {output}")


if __name__ == "__main__":
    typer.run(main)
