"""Crops to features with the PyTorch network, and their distances on its device."""

from collections.abc import Sequence

import numpy as np
import torch

from sdk.distances import cosine_distance
from sdk.measures import DistanceRows, Measure
from sdk.preprocess import to_batch
from sdk.reidentifier import Features
from training.model import AlignedReID


class TorchEmbedder:
    """Callable: crops, uint8 BGR `[H, W, 3]` each → embedding float32 `[N, D]` at unit length."""

    def __init__(self, model: AlignedReID):
        self.model = model.eval()

    def __call__(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        return self.features(crops).embedding

    @torch.inference_mode()
    def features(self, crops: Sequence[np.ndarray]) -> Features:
        """The embedding and, for re-scoring by the local distance, the stripes, all float32 at unit length."""
        batch = torch.from_numpy(to_batch(crops, self.model.config.input_size))
        outputs = self.model(batch.to(self.model.mean.device))
        return Features(outputs.embedding.float().cpu().numpy(), outputs.stripes.float().cpu().numpy())


def cosine_on(device: str) -> Measure:
    """`sdk.measures.cosine` computed on a device: a GPU ranks where the distances are."""

    def measure(query: Features, gallery: Features) -> DistanceRows:
        theirs, others = (torch.from_numpy(features.embedding).to(device) for features in (query, gallery))
        return lambda rows: cosine_distance(theirs[rows], others)

    return measure
