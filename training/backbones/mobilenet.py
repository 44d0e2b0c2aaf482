"""MobileNetV2 (Sandler et al., arXiv 1801.04381) with torchvision's weight names under `features`.

The classifier and the pooling are left out, as of the other backbones.
"""

import re

import torch
from torch import Tensor, nn

from training.backbones.base import Backbone

ORIGINAL_WIDTH = 32
"""Channels of the first convolution at width multiplier 1."""

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Table 2 of the paper: expansion, channels, blocks, stride of the first block."""
LAST_STRIDED = 5
"""The stage whose stride `last_stride` replaces."""
LAST_CHANNELS = 1280


def _convolution(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """Widen by 1×1, filter by 3×3 a channel, narrow by 1×1 without an activation; a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int):
        super().__init__()
        hidden = inputs * expansion
        widen = [_convolution(inputs, hidden)] if expansion > 1 else []
        filtered = _convolution(hidden, hidden, 3, stride, groups=hidden)
        narrow = [nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*widen, filtered, *narrow)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.shortcut else self.conv(x)


class MobileNetV2(Backbone):
    """Images `[B, 3, H, W]` to the feature map `[B, C, H/32, W/32]`; H/16, W/16 with `last_stride=1`.

    `width` is the number of channels of the first convolution, 32 in the original; the others follow from it, but
    the last has never fewer than the original's 1280.
    """

    def __init__(self, width: int = ORIGINAL_WIDTH, last_stride: int = 2):
        super().__init__()
        factor = width / ORIGINAL_WIDTH
        channels = _divisible(width)
        layers = [_convolution(3, channels, 3, 2)]
        for stage, (expansion, planes, depth, stride) in enumerate(STAGES):
            outputs = _divisible(planes * factor)
            for block in range(depth):
                first = last_stride if stage == LAST_STRIDED else stride
                layers.append(InvertedResidual(channels, outputs, first if block == 0 else 1, expansion))
                channels = outputs
        self.channels = _divisible(LAST_CHANNELS * max(1.0, factor))
        self.features = nn.Sequential(*layers, _convolution(channels, self.channels))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images.contiguous(memory_format=torch.channels_last))

    def own_names(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """`weights` under this network's names, where they bear those of its first releases.

        There the layers of a block were numbered through, activations included: `conv.3` was the filter of a block
        that widens, `conv.6` what narrows it.
        """
        flat = re.compile(r"features\.(\d+)\.conv\.(\d+)\.(\w+)")
        if not any((found := flat.fullmatch(key)) and found[2] == "4" for key in weights):
            return weights
        return {_renamed(flat.fullmatch(key), key): tensor for key, tensor in weights.items()}


def _renamed(found: re.Match | None, key: str) -> str:
    if found is None:
        return key
    layer, number, name = found[1], int(found[2]), found[3]
    narrow = 3 if layer == "1" else 6  # the first block does not widen
    place = f"{narrow // 3 + number - narrow}" if number >= narrow else f"{number // 3}.{number % 3}"
    return f"features.{layer}.conv.{place}.{name}"


def _divisible(channels: float) -> int:
    """The nearest multiple of 8 that takes away no more than a tenth, as in the authors' own code."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
