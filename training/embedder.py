"""Crops to features with the PyTorch network: what evaluation and the converters' check compare against."""

from collections.abc import Sequence

import numpy as np
import torch

from sdk.preprocess import to_batch
from training.model import AlignedReID


class TorchEmbedder:
    """Callable: crops, uint8 BGR `[H, W, 3]` each → embedding float32 `[N, D]` at unit length."""

    def __init__(self, model: AlignedReID):
        self.model = model.eval()

    @torch.inference_mode()
    def __call__(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        batch = torch.from_numpy(to_batch(crops, self.model.config.input_size))
        return self.model(batch.to(self.model.mean.device)).embedding.float().cpu().numpy()
