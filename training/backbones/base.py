"""What every backbone gives: a feature map, and the global feature that is made of its pooled vector."""

import torch
from torch import Tensor, nn


class Backbone(nn.Module):
    """Images `[B, 3, H, W]` to a feature map `[B, channels, H', W']`.

    `embed` makes the global feature `[B, embedding_dim]` of the map's pooled vector `[B, channels]`: the vector itself,
    unless the network has a feature layer `fc` of its own.
    """

    def __init__(self, channels: int = 0, rows_per_stripe: int = 1):
        super().__init__()
        self.channels = channels
        self.rows_per_stripe = rows_per_stripe
        """How many rows of the map make a stripe of the local branch."""
        self.fc: nn.Sequential | None = None

    @property
    def embedding_dim(self) -> int:
        """Length of the global feature."""
        if self.fc is None:
            return self.channels
        return [layer.out_features for layer in self.fc if isinstance(layer, nn.Linear)][-1]

    def embed(self, pooled: Tensor) -> Tensor:
        """Pooled `[B, channels]` to the global feature `[B, embedding_dim]`."""
        return pooled if self.fc is None else self.fc(pooled)

    def own_names(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """`weights` under this network's names, where a release of its authors had others."""
        return weights


def feature_layer(inputs: int, outputs: int) -> nn.Sequential:
    """A fully connected layer whose result is a feature, and no scores of classes: torchreid's `fc`."""
    return nn.Sequential(nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True))


def initialise(backbone: nn.Module) -> None:
    """Random weights for a network of convolutions that are followed by rectifiers (He et al., arXiv 1502.01852)."""
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


@torch.no_grad()
def feature_map_size(backbone: nn.Module, input_size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the feature map for images of `input_size = (height, width)` px."""
    was_training = backbone.training
    shape = backbone.eval()(torch.zeros(1, 3, *input_size)).shape
    backbone.train(was_training)
    return shape[2], shape[3]
