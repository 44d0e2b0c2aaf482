"""Re-ranking, ranking figures and local distances at real gallery sizes: time, memory, and plain forms beside them.

    python benchmarks/evaluation.py
    python benchmarks/evaluation.py --only "local distance"

The plain forms are in this file: re-ranking on dense N × N matrices, as the method is usually programmed; CMC and mAP
from a full sort of every query's gallery; the local distance on whole tensors of PyTorch. Every measurement runs in a
process of its own, whose peak memory (less that of a process that only imports what is needed) is in the table. Where a
plain form is there, it runs in turn with ours, and the ratio is of the medians of one run. Features are drawn: people
are clusters.
"""

import json
import multiprocessing
import os
import platform
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from sdk import distances
from sdk.measures import cosine
from sdk.re_ranking import re_rank, re_rank_rows
from sdk.reidentifier import Features
from sdk.terminal import Table, notes, results
from training.evaluation import evaluate_ranking
from training.evaluation.ranking import RankingTally

SIZES = {"small": (500, 4_000, 256), "market": (3_368, 15_913, 2_048), "large": (3_368, 100_000, 512)}
ROUNDS = 3
COLUMNS = ("seconds", "plain, seconds", "peak, GB")


def draw(queries: int, gallery: int, dimensions: int, distractors: int = 0, seed: int = 0):
    """People as clusters: features float32 at unit length, identities and cameras, of queries and of a gallery."""
    rng = np.random.default_rng(seed)
    people = max(2, queries // 4)
    centres = rng.standard_normal((people, dimensions), np.float32)
    parts = []
    for count, first_camera in ((queries, 0), (gallery - distractors, 3)):
        identity = np.arange(count) % people
        features = centres[identity]
        features += 1.2 * rng.standard_normal((count, dimensions), np.float32)
        parts.append((features, identity, rng.integers(first_camera, first_camera + 3, count)))
    (query, query_ids, query_cameras), (found, gallery_ids, gallery_cameras) = parts
    if distractors:
        found = np.concatenate([found, rng.standard_normal((distractors, dimensions), np.float32)])
        gallery_ids = np.concatenate([gallery_ids, np.full(distractors, -1)])
        gallery_cameras = np.concatenate([gallery_cameras, rng.integers(0, 6, distractors)])
    for features in (query, found):
        features /= np.linalg.norm(features, axis=1, keepdims=True)
    return query, found, (query_ids, gallery_ids), (query_cameras, gallery_cameras)


# The plain forms.


def dense_re_rank(query: np.ndarray, gallery: np.ndarray, k1: int = 20, k2: int = 6, lambda_value: float = 0.3):
    """arXiv 1701.08398 on dense matrices of all features against all."""
    features = np.concatenate([query, gallery])
    number = len(features)
    original = np.maximum(2 - 2 * features @ features.T, 0)
    original /= original.max(axis=1, keepdims=True)
    ranked = np.argsort(original, axis=1, kind="stable")
    weights = np.zeros_like(original)

    def reciprocal(i: int, k: int) -> np.ndarray:
        forward = ranked[i, : k + 1]
        return forward[(ranked[forward, : k + 1] == i).any(axis=1)]

    for i in range(number):
        own = reciprocal(i, k1)
        expanded = own
        for candidate in own:
            theirs = reciprocal(candidate, round(k1 / 2))
            if len(np.intersect1d(theirs, own)) > 2 / 3 * len(theirs):
                expanded = np.append(expanded, theirs)
        expanded = np.unique(expanded)
        weight = np.exp(-original[i, expanded])
        weights[i, expanded] = weight / weight.sum()
    if k2 > 1:
        weights = np.stack([weights[ranked[i, :k2]].mean(axis=0) for i in range(number)])
    holders = [np.flatnonzero(weights[:, i]) for i in range(number)]
    jaccard = np.empty_like(original[: len(query)])
    for i in range(len(query)):
        shared = np.zeros(number, original.dtype)
        for j in np.flatnonzero(weights[i]):
            shared[holders[j]] += np.minimum(weights[i, j], weights[holders[j], j])
        jaccard[i] = 1 - shared / (2 - shared)
    mixed = (1 - lambda_value) * jaccard + lambda_value * original[: len(query)]
    return mixed[:, len(query) :]


def plain_figures(query, gallery, ids, cameras) -> tuple[float, float]:
    """rank-1 and mAP from the whole distance matrix, sorted row by row."""
    order = np.argsort(1 - query @ gallery.T, axis=1, kind="stable")
    hits, precisions = [], []
    for i in range(len(query)):
        row = order[i]
        kept = ~((ids[1][row] == ids[0][i]) & (cameras[1][row] == cameras[0][i]))
        match = (ids[1][row] == ids[0][i])[kept]
        if match.any():
            ranks = np.flatnonzero(match) + 1
            hits.append(match[0])
            precisions.append(np.mean(np.arange(1, len(ranks) + 1) / ranks))
    return float(np.mean(hits)), float(np.mean(precisions))


def plain_local_distance(query: torch.Tensor, gallery: torch.Tensor) -> torch.Tensor:
    """All stripes against all, then the shortest path on whole `[Q, G]` tensors, one cell after the other."""
    (q, size, d), g = query.shape, len(gallery)
    a, b = query.reshape(q * size, d), gallery.reshape(g * size, d)
    squared = a.pow(2).sum(1, keepdim=True) + b.pow(2).sum(1) - 2 * a @ b.t()
    x = squared.clamp(min=1e-12).sqrt()
    element = ((torch.exp(x) - 1) / (torch.exp(x) + 1)).reshape(q, size, g, size).permute(1, 3, 0, 2)
    cost = [[None] * size for _ in range(size)]
    for i in range(size):
        for j in range(size):
            before = [cost[i - 1][j]] * (i > 0) + [cost[i][j - 1]] * (j > 0)
            cheapest = torch.min(*before) if len(before) == 2 else before[0] if before else 0
            cost[i][j] = cheapest + element[i, j]
    return cost[-1][-1]


# The measurements. Each returns facts; "seconds" and "plain, seconds" are medians.


def in_turn(ours: Callable, plain: Callable | None = None) -> dict[str, float]:
    seconds = {"seconds": [], "plain, seconds": []}
    for _ in range(ROUNDS):
        for name, run in (("seconds", ours), ("plain, seconds", plain)):
            if run is not None:
                started = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - started)
    return {name: float(np.median(values)) for name, values in seconds.items() if values}


def re_ranking_small() -> dict:
    query, gallery, *_ = draw(*SIZES["small"])
    facts = in_turn(lambda: re_rank(query, gallery), lambda: dense_re_rank(query, gallery))
    near = np.abs(re_rank(query, gallery) - dense_re_rank(query, gallery)) < 1e-4
    query, gallery = query.astype(np.float64), gallery.astype(np.float64)
    for features in (query, gallery):
        features /= np.linalg.norm(features, axis=1, keepdims=True)
    difference = np.abs(re_rank(query, gallery) - dense_re_rank(query, gallery)).max()
    return facts | {"float64, largest difference": float(difference), "float32, within 1e-4": float(near.mean())}


def re_ranking_market() -> dict:
    query, gallery, *_ = draw(*SIZES["market"])
    started = time.perf_counter()
    re_rank(query, gallery)
    return {"seconds": time.perf_counter() - started}


def re_ranking_large() -> dict:
    """To the figures, so that no `[Q, G]` is held."""
    query, gallery, ids, cameras = draw(*SIZES["large"])
    started = time.perf_counter()
    tally = RankingTally()
    tally.add(re_rank_rows(query, gallery), ids, cameras)
    mean_ap = tally.result().mean_ap
    seconds = time.perf_counter() - started
    tally = RankingTally()
    tally.add(cosine(Features(query), Features(gallery)), ids, cameras)
    return {"seconds": seconds, "mAP": mean_ap, "mAP, not re-ranked": tally.result().mean_ap}


def ranking_market() -> dict:
    query, gallery, ids, cameras = draw(3_368, 19_732, 2_048, distractors=2_798)

    def ours():
        return evaluate_ranking(query, gallery, *ids, *cameras)

    started = time.perf_counter()
    result = ours()
    return {"seconds": time.perf_counter() - started, "mAP": result.mean_ap}


def ranking_market_plain() -> dict:
    """The plain form alone, for its memory; and in turn with ours, for the ratio."""
    query, gallery, ids, cameras = draw(3_368, 19_732, 2_048, distractors=2_798)
    facts = in_turn(
        lambda: evaluate_ranking(query, gallery, *ids, *cameras), lambda: plain_figures(query, gallery, ids, cameras)
    )
    ours, (rank1, mean_ap) = (
        evaluate_ranking(query, gallery, *ids, *cameras),
        plain_figures(query, gallery, ids, cameras),
    )
    return facts | {"largest difference": max(abs(ours.rank(1) - rank1), abs(ours.mean_ap - mean_ap))}


def ranking_large() -> dict:
    query, gallery, ids, cameras = draw(3_368, 500_000, 512, distractors=480_000)
    started = time.perf_counter()
    result = evaluate_ranking(query, gallery, *ids, *cameras)
    return {"seconds": time.perf_counter() - started, "mAP": result.mean_ap}


def local_distance() -> dict:
    rng = np.random.default_rng(0)
    query, gallery = (rng.standard_normal((count, 8, 128), np.float32) for count in (100, 10_000))
    for stripes in (query, gallery):
        stripes /= np.linalg.norm(stripes, axis=2, keepdims=True)
    tensors = torch.from_numpy(query), torch.from_numpy(gallery)
    distances.local_distance(query[:2], gallery)
    facts = in_turn(lambda: distances.local_distance(query, gallery), lambda: plain_local_distance(*tensors))
    difference = np.abs(distances.local_distance(query, gallery) - plain_local_distance(*tensors).numpy()).max()
    return facts | {"largest difference": float(difference)}


MEASUREMENTS = {
    "re-ranking 500 × 4 000, 256-d, beside the plain form": re_ranking_small,
    "re-ranking 3 368 × 15 913, 2 048-d": re_ranking_market,
    "re-ranking 3 368 × 100 000, 512-d, to mAP": re_ranking_large,
    "figures 3 368 × 19 732, 2 048-d": ranking_market,
    "figures 3 368 × 19 732, 2 048-d, beside the plain form": ranking_market_plain,
    "figures 3 368 × 500 000, 512-d": ranking_large,
    "local distance 100 × 10 000, S = 8, d = 128, beside the plain form": local_distance,
}


def nothing() -> dict:
    return {}


def measure(run: Callable[[], dict], answer) -> None:
    """In a process of its own: what `run` returns, and the peak memory."""
    facts = run()
    answer.put(facts | {"peak, GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20})


def main(
    only: Annotated[str, typer.Option(help="Measurements with this in their name.")] = "",
    output: Annotated[Path, typer.Option(help="JSON to write.")] = Path("benchmarks/results/evaluation.json"),
) -> None:
    context = multiprocessing.get_context("spawn")
    facts = {}
    for name, run in {"": nothing, **{name: run for name, run in MEASUREMENTS.items() if only in name}}.items():
        notes.print(name or "an empty process")
        answer = context.SimpleQueue()
        process = context.Process(target=measure, args=(run, answer))
        process.start()
        facts[name] = answer.get()
        process.join()
    empty = facts.pop("")["peak, GB"]
    table = Table("", "seconds", "plain, seconds", "ratio", "peak, GB", "more")
    for name, fact in facts.items():
        fact["peak, GB"] -= empty
        seconds, plain = fact["seconds"], fact.get("plain, seconds")
        if plain:
            fact["ratio"] = plain / seconds
        more = {key: value for key, value in fact.items() if key not in (*COLUMNS, "ratio")}
        table.add_row(
            name,
            f"{seconds:.2f}",
            f"{plain:.2f}" if plain else "",
            f"{fact['ratio']:.1f}" if plain else "",
            f"{fact['peak, GB']:.2f}",
            ", ".join(f"{key} {value:.6g}" for key, value in more.items()),
        )
    results.print(table)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine = f"{platform.machine()}, {cores} cores, NumPy {np.__version__}, torch {torch.__version__}"
    if not only:
        output.parent.mkdir(parents=True, exist_ok=True)
        facts = {"date": time.strftime("%Y-%m-%d"), "machine": machine, "an empty process, GB": empty} | facts
        output.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        notes.print(f"wrote {output}")


if __name__ == "__main__":
    typer.run(main)
