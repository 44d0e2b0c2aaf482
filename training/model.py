"""The AlignedReID network: one backbone, a global and a local branch (arXiv 1711.08184, section 3.1)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sdk.preprocess import MEAN, STD
from training.backbones import build_backbone, feature_map_size
from training.config import ModelConfig
from training.distances import at_least_float32
from training.pooling import build_pooling


class Outputs(NamedTuple):
    """What the network computes for a batch."""

    pooled: Tensor
    """The feature map pooled over the image, and through the backbone's own feature layer if it has one: `[B, D]`."""
    embedding: Tensor
    """The batch-normalised global feature at unit length, `[B, D]`, or `[B, E]` where it is projected: what the triplet
    loss pulls on and what inference compares."""
    stripes: Tensor
    """Local features at unit length, top to bottom, `[B, S, stripe_dim]`."""
    logits: Tensor | None
    """Scores of the training identities, `[B, classes]`; None for a network without a classifier."""


class AlignedReID(nn.Module):
    """uint8 BGR crops `[B, H, W, 3]` to `Outputs`.

    The preprocessing is part of the network, so that training, export and engine cannot differ in it.
    Two things go beyond the paper: a batch normalisation of the pooled feature (the "BNNeck" of arXiv
    1903.07071), with the triplet loss on its result at unit length, because on the raw feature that loss is
    least where all features are alike, and the classifier behind the normalisation does not resist (see
    docs/training.md); and stripes of unit length, because tanh(x / 2) of the raw 128-channel differences is
    saturated and passes no gradient.
    """

    def __init__(self, config: ModelConfig, num_identities: int = 0):
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config.backbone, config.width, config.last_stride)
        channels, features = self.backbone.channels, self.backbone.embedding_dim
        rows = feature_map_size(self.backbone, config.input_size)[0]
        if rows % self.backbone.rows_per_stripe:
            raise ValueError(
                f"of {config.input_size[0]} px {config.backbone} makes {rows} rows, which are no pairs for stripes of "
                "two; choose a height that is a multiple of 32, or last stride 1"
            )
        self.num_stripes = rows // self.backbone.rows_per_stripe
        self.pool = build_pooling(config.pooling)
        self.neck = nn.BatchNorm1d(features)
        self.neck.bias.requires_grad_(False)  # keeps the features centred, as the cosine wants them
        self.projection = nn.Linear(features, config.embedding_dim, bias=False) if config.embedding_dim else None
        self.local_conv = nn.Conv2d(channels, config.stripe_dim, 1, bias=False)
        self.local_bn = nn.BatchNorm2d(config.stripe_dim)
        self.classifier = nn.Linear(features, num_identities, bias=False) if num_identities else None
        if self.classifier is not None:
            nn.init.normal_(self.classifier.weight, std=0.001)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1) * 255, persistent=False)

    @property
    def embedding_dim(self) -> int:
        return self.config.embedding_dim or self.backbone.embedding_dim

    def preprocess(self, crops: Tensor) -> Tensor:
        """uint8 BGR `[B, H, W, 3]` to normalised RGB float `[B, 3, H, W]`."""
        images = crops.permute(0, 3, 1, 2).flip(1).to(self.mean.dtype)
        return (images - self.mean) / self.std

    def forward(self, crops: Tensor) -> Outputs:
        features = self.backbone(self.preprocess(crops))
        pooled = self.backbone.embed(self.pool(features))
        neck = self.neck(pooled)
        return Outputs(
            pooled=pooled,
            embedding=F.normalize(at_least_float32(neck if self.projection is None else self.projection(neck)), dim=1),
            stripes=self._stripes(features),
            logits=None if self.classifier is None else self.classifier(neck),
        )

    def _stripes(self, features: Tensor) -> Tensor:
        rows = features.mean(3, keepdim=True)  # horizontal pooling: one vector a row
        if self.backbone.rows_per_stripe > 1:
            rows = F.avg_pool2d(rows, (self.backbone.rows_per_stripe, 1))
        stripes = F.relu(self.local_bn(self.local_conv(rows)))
        return F.normalize(at_least_float32(stripes.squeeze(3).transpose(1, 2)), dim=2, eps=1e-6)
