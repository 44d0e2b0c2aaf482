"""A trained network with a shorter embedding: the axes along which people differ, found on drawn people.

`python -m training.reduce run/model.pt small.pt 256`. MobileNetV2 has 1 280 channels, and so would every entry of a
gallery; most of them repeat each other (docs/training.md).
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from sdk.errors import DataError
from sdk.output import check_output
from sdk.simulation.population import Population
from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.config import RunConfig
from training.data import PeopleDataset, SimulatedPeople
from training.embedder import TorchEmbedder
from training.evaluation.dataset import embed_dataset
from training.trainer import evaluate_checkpoint

SEED = 2718
"""Of the drawn people here; none of a training's, whose default is another."""


def reduce_embedding(checkpoint: Checkpoint, people: PeopleDataset, dimensions: int) -> Checkpoint:
    """`checkpoint` with an embedding of `dimensions`: the first principal axes of the embeddings of `people`.

    The axes go through the origin, as the cosine's angles do. Raises `DataError` where there are not so many
    dimensions, or crops, or the embedding is projected already.
    """
    shape = checkpoint.config.model
    if shape.embedding_dim is not None:
        raise DataError(f"the embedding is reduced to {shape.embedding_dim} already; start from the network before")
    embedding = embed_dataset(TorchEmbedder(checkpoint.build_model()), people).astype(np.float64)
    if not 1 <= dimensions <= min(embedding.shape):
        raise DataError(
            f"cannot reduce to {dimensions} dimensions: there are {embedding.shape[1]}, seen on {len(embedding)} crops"
        )
    _, axes = np.linalg.eigh(embedding.T @ embedding)  # ascending
    projection = torch.from_numpy(axes[:, : -dimensions - 1 : -1].T.astype(np.float32).copy())
    return replace(
        checkpoint,
        config=RunConfig(replace(shape, embedding_dim=dimensions), checkpoint.config.train),
        weights=checkpoint.weights | {"projection.weight": projection},
        evaluation=None,
        state=None,
    )


def main(run: Path, output: Path, dimensions: int) -> None:
    check_output(output, [run])
    checkpoint = load_checkpoint(run)
    size = checkpoint.config.model.input_size
    shown = SimulatedPeople.of(Population(500, 4, 4000, 1, SEED, size, street=0.5))
    reduced = reduce_embedding(checkpoint, shown, dimensions)
    # The threshold is of the embedding that it judges: calibrated anew, on other people.
    reduced.evaluation = evaluate_checkpoint(reduced, SimulatedPeople.of(Population(50, 16, 64, 1, SEED + 1, size)))
    save_checkpoint(reduced, output)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
