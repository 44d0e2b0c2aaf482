"""Crops to features with the PyTorch network: what evaluation and the converters' check compare against."""

from collections.abc import Sequence

import numpy as np
import torch

from sdk.preprocess import to_batch
from sdk.terminal import track
from training.data import PeopleDataset
from training.model import AlignedReID, Outputs

BATCH = 64


class TorchEmbedder:
    """Callable: crops, uint8 BGR `[H, W, 3]` each → embedding float32 `[N, D]` at unit length."""

    def __init__(self, model: AlignedReID):
        self.model = model.eval()

    def __call__(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        return self._outputs(crops).embedding.cpu().numpy()

    def features(self, people: PeopleDataset) -> tuple[np.ndarray, np.ndarray]:
        """Of all crops of a dataset: embedding float32 `[N, D]`, stripes float32 `[N, S, d]`, at unit length."""
        parts = []
        for start in track(range(0, len(people), BATCH), "embedding"):
            outputs = self._outputs([people.read(i) for i in range(start, min(start + BATCH, len(people)))])
            parts.append((outputs.embedding.cpu().numpy(), outputs.stripes.cpu().numpy()))
        embedding, stripes = zip(*parts, strict=True)
        return np.concatenate(embedding), np.concatenate(stripes)

    @torch.inference_mode()
    def _outputs(self, crops: Sequence[np.ndarray]) -> Outputs:
        batch = torch.from_numpy(to_batch(crops, self.model.config.input_size))
        return self.model(batch.to(self.model.mean.device))
