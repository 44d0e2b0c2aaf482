"""From a feature map to one vector: the mean, or the generalised mean."""

import torch
from torch import Tensor, nn

from training.distances import at_least_float32


class Average(nn.Module):
    """Maps `[B, C, H, W]` to their means `[B, C]`."""

    def forward(self, features: Tensor) -> Tensor:
        return features.mean((2, 3))


class GeneralisedMean(nn.Module):
    """Maps `[B, C, H, W]`, not negative, to (mean of f^p)^(1/p), `[B, C]` (GeM; Radenović et al., arXiv 1711.02512).

    p = 1 is the mean and large p the maximum: between them, the strongest places count most. p is learned, and one
    for all channels. Powers are taken in float32 at least, for half precision holds few of them.
    """

    def __init__(self, exponent: float = 3.0, least: float = 1e-6):
        super().__init__()
        self.p = nn.Parameter(torch.tensor([exponent]))
        self.least = least

    def forward(self, features: Tensor) -> Tensor:
        powers = at_least_float32(features).clamp(min=self.least).pow(self.p)
        return powers.mean((2, 3)).pow(1 / self.p)


def build_pooling(name: str) -> nn.Module:
    """The pooling `name` of `training.config.POOLINGS`."""
    return {"average": Average, "gem": GeneralisedMean}[name]()
