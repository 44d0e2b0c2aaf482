"""What the network measures between two crops: the matrix of element distances, the path through it, the distances."""

from dataclasses import dataclass

import numpy as np
import torch

from sdk.distances import cosine_distance, element_distance, path_cells
from sdk.preprocess import to_batch
from training.model import AlignedReID


@dataclass(frozen=True)
class Alignment:
    """Two crops, compared by both branches (arXiv 1711.08184, section 3.1)."""

    element: np.ndarray
    """d(i, j) of stripe i of the first to stripe j of the second crop, float32 `[S, S]` in [0, 1)."""
    cosine: float
    """Distance of the embeddings, in [0, 2]."""

    @property
    def path(self) -> np.ndarray:
        """The cells of the shortest path, int64 `[2S − 1, 2]`."""
        return path_cells(self.element)

    @property
    def local(self) -> float:
        """The aligned local distance: the sum along the path, at most 2S − 1."""
        return float(self.element[tuple(self.path.T)].sum())

    @property
    def local_step(self) -> float:
        """The mean along the path, in [0, 1)."""
        return self.local / len(self.path)

    @property
    def straight_step(self) -> float:
        """The mean of d(i, i): each stripe to the one at its own height, as if nothing were misaligned."""
        return float(np.diagonal(self.element).mean())


@torch.inference_mode()
def align_crops(model: AlignedReID, first: np.ndarray, second: np.ndarray) -> Alignment:
    """Compare two crops, uint8 BGR `[H, W, 3]` each, by a network in evaluation mode.

    Raises `CropError` for a bad crop.
    """
    outputs = model(torch.from_numpy(to_batch([first, second], model.config.input_size)))
    stripes, embedding = outputs.stripes.numpy(), outputs.embedding.numpy()
    return Alignment(
        element_distance(stripes[0], stripes[1]), float(cosine_distance(embedding[:1], embedding[1:])[0, 0])
    )
