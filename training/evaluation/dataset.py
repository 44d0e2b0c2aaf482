"""Evaluation of an embedder on a dataset: features once, then ranking and threshold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sdk.calibration import Threshold, calibrate_threshold
from sdk.terminal import notes, track
from training.data import PeopleDataset
from training.evaluation.ranking import RankingResult, evaluate_ranking

BATCH = 64
MOST_CROPS = 20_000
"""Every crop is compared with every other: more of them would not fit into memory (MARS has 816 of a person)."""

Embedder = Callable[[Sequence[np.ndarray]], np.ndarray]
"""Crops, uint8 BGR `[H, W, 3]` each → embedding float32 `[N, D]` at unit length."""


@dataclass(frozen=True)
class Evaluation:
    """How well an embedder tells the people of a dataset apart."""

    ranking: RankingResult
    threshold: Threshold

    def to_dict(self) -> dict:
        return {**self.ranking.to_dict(), "threshold": self.threshold.to_dict()}


def embed_dataset(embed: Embedder, dataset: PeopleDataset, description: str = "embedding") -> np.ndarray:
    """The features of all crops, float32 `[N, D]`, read and embedded in batches with a progress bar."""
    starts = range(0, len(dataset), BATCH)
    batches = ([dataset.read(i) for i in range(s, min(s + BATCH, len(dataset)))] for s in starts)
    return np.concatenate([embed(crops) for crops in track(batches, description, total=len(starts))])


def evaluate_dataset(embed: Embedder, dataset: PeopleDataset) -> Evaluation:
    """Every crop is a query once, against all crops of the *other* cameras. Raises `DataError` as the parts do.

    Of more than `MOST_CROPS` crops, that many are taken, evenly spread.
    """
    if len(dataset) > MOST_CROPS:
        notes.print(f"evaluating on {MOST_CROPS} of {len(dataset)} crops, evenly spread")
        chosen = np.linspace(0, len(dataset) - 1, MOST_CROPS).astype(int)
        dataset = replace(dataset, samples=tuple(dataset.samples[i] for i in chosen))
    embedding = embed_dataset(embed, dataset, "evaluating")
    labels, cameras = dataset.labels, dataset.cameras
    ranking = evaluate_ranking(embedding, embedding, labels, labels, cameras, cameras, cross_camera=True)
    return Evaluation(ranking, calibrate_threshold(embedding, labels, cameras))
