"""Another project's network, put together of a backbone of ours and of what its project has around one."""

import re

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from converters.authors import Authors
from training.backbones import Backbone
from training.pooling import Average, GeneralisedMean

STRIPE_EPSILON = 1e-6
"""Of a stripe's length before it is made 1."""


class Maximum(nn.Module):
    """Maps `[B, C, H, W]` to their largest values `[B, C]`."""

    def forward(self, features: Tensor) -> Tensor:
        return features.amax((2, 3))


POOLINGS = {"average": Average, "gem": GeneralisedMean, "max": Maximum}


class ProjectedStripes(nn.Module):
    """A local branch as the paper has it: rows averaged, projected, normalised, rectified: `[B, S, d]`."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.local_conv = nn.Conv2d(channels, width, 1)
        self.local_bn = nn.BatchNorm2d(width)

    def forward(self, features: Tensor) -> Tensor:
        rows = self.local_bn(self.local_conv(features.mean(3, keepdim=True)))
        return F.relu(rows).squeeze(3).transpose(1, 2)


class PooledStripes(nn.Module):
    """A local branch as AlignedReID++ has it at test time: the largest value of each row, `[B, S, C]`."""

    def forward(self, features: Tensor) -> Tensor:
        return features.amax(3).transpose(1, 2)


class ForeignNetwork(nn.Module):
    """uint8 BGR crops `[B, H, W, 3]` → embedding float32 `[B, D]` at unit length.

    With a `local` branch also stripes float16 `[B, S, d]` at unit length.
    """

    def __init__(
        self,
        backbone: Backbone | nn.Module,
        authors: Authors,
        pooling: nn.Module | None = None,
        neck: nn.Module | None = None,
        local: nn.Module | None = None,
    ):
        """Without a pooling, `backbone` gives the feature itself."""
        super().__init__()
        self.backbone, self.pooling, self.local = backbone, pooling, local
        self.neck = neck or nn.Identity()
        self.reverse, mean, std = authors.constants()
        self.register_buffer("mean", torch.from_numpy(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.from_numpy(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, crops: Tensor):
        images = crops.to(torch.float32).permute(0, 3, 1, 2)
        images = images.flip(1) if self.reverse else images
        embedding, stripes = self.features((images - self.mean) / self.std)
        return embedding if stripes is None else (embedding, stripes.half())

    def features(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Of images `[B, 3, H, W]` as the authors' network takes them."""
        if self.pooling is None:
            return F.normalize(self.backbone(images)), None
        features = self.backbone(images)
        pooled = self.backbone.embed(self.pooling(features))
        stripes = None if self.local is None else F.normalize(self.local(features), dim=2, eps=STRIPE_EPSILON)
        return F.normalize(self.neck(pooled[..., None, None]).flatten(1)), stripes


def build_neck(weights: dict[str, Tensor], channels: int) -> tuple[nn.Sequential | None, int]:
    """What is between pooling and feature, of weights named "0.weight", … or "weight", and the length of its output.

    1×1 convolutions and batch normalisations, without what the weights hold; None where there are no weights. What a
    layer lacks is found when they are loaded.
    """
    layers = {}
    for place in sorted(key.partition(".")[0] for key in weights if re.fullmatch(r"\d+\.weight", key)):
        weight = weights[f"{place}.weight"]
        if weight.ndim == 4:
            layers[place] = nn.Conv2d(channels, len(weight), 1, bias=False)
            channels = len(weight)
        else:
            layers[place] = nn.BatchNorm2d(channels)
    neck = nn.Sequential()
    for place, layer in layers.items():
        neck.add_module(place, layer)
    return (neck if layers else None), channels
