"""ResNets (He et al., arXiv 1512.03385) with torchvision's weight names (`conv1`, `bn1`, `layer1.0.conv1`, …), because
the core must not need torchvision; and with IBN (Pan et al., arXiv 1807.09441) under the names of its authors.

Instance normalisation takes away what one image's light and colour add, which re-ID wants, and some of what tells
people apart, which it does not: hence only in early layers, IBN-a on half of a block's channels, IBN-b behind the
sum at the end of a stage.
"""

from functools import partial

import torch
from torch import Tensor, nn

from training.backbones.base import Backbone, initialise

IBN_STAGES = {"a": (1, 2, 3), "b": (1, 2), None: ()}
"""In which of the four stages a form of IBN works."""


def _conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


def _conv1x1(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, stride, bias=False)


class InstanceBatchNorm(nn.Module):
    """IBN-a's normalisation: by instance for the first half of the channels, by batch for the others."""

    def __init__(self, channels: int):
        super().__init__()
        self.half = channels // 2
        self.IN = nn.InstanceNorm2d(self.half, affine=True)
        self.BN = nn.BatchNorm2d(channels - self.half)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.IN(x[:, : self.half]), self.BN(x[:, self.half :])), 1)


class _Block(nn.Module):
    """What the blocks share: the shortcut, and IBN's places. `ibn` is "a", "b" or None."""

    expansion: int

    def __init__(self, planes: int, downsample: nn.Module | None, ibn: str | None):
        super().__init__()
        self.bn1 = InstanceBatchNorm(planes) if ibn == "a" else nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.IN = nn.InstanceNorm2d(planes * self.expansion, affine=True) if ibn == "b" else None

    def forward(self, x: Tensor) -> Tensor:
        total = self.residual(x) + (x if self.downsample is None else self.downsample(x))
        return self.relu(total if self.IN is None else self.IN(total))


class BasicBlock(_Block):
    """Two 3×3 convolutions: the block of ResNet-18 and -34."""

    expansion = 1

    def __init__(
        self, inputs: int, planes: int, stride: int, downsample: nn.Module | None = None, ibn: str | None = None
    ):
        super().__init__(planes, downsample, ibn)
        self.conv1 = _conv3x3(inputs, planes, stride)
        self.conv2 = _conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)

    def residual(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))


class Bottleneck(_Block):
    """1×1, 3×3, 1×1 convolutions with the stride in the 3×3: the block of ResNet-50, as in torchvision."""

    expansion = 4

    def __init__(
        self, inputs: int, planes: int, stride: int, downsample: nn.Module | None = None, ibn: str | None = None
    ):
        super().__init__(planes, downsample, ibn)
        self.conv1 = _conv1x1(inputs, planes)
        self.conv2 = _conv3x3(planes, planes, stride)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = _conv1x1(planes, planes * self.expansion)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)

    def residual(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.bn3(self.conv3(x))


class XceptionBottleneck(Bottleneck):
    """The block of ResNet-50-Xception, the paper's "ResNet-X" (section 4.2): its 3×3 convolution is a depthwise 3×3
    and a 1×1. `conv2` is thus a pair, and the only place where ImageNet weights of ResNet-50 do not fit."""

    def __init__(
        self, inputs: int, planes: int, stride: int, downsample: nn.Module | None = None, ibn: str | None = None
    ):
        super().__init__(inputs, planes, stride, downsample, ibn)
        depthwise = nn.Conv2d(planes, planes, 3, stride, padding=1, groups=planes, bias=False)
        self.conv2 = nn.Sequential(depthwise, _conv1x1(planes, planes))


class ResNet(Backbone):
    """Images `[B, 3, H, W]` to the feature map `[B, C, H/32, W/32]`; H/16, W/16 with `last_stride=1`.

    `width` is the number of channels of the first stage, 64 in the original; the others follow from it. `ibn` is "a",
    "b" or None.
    """

    def __init__(
        self, block: type[_Block], depths: tuple[int, ...], width: int, last_stride: int, ibn: str | None = None
    ):
        super().__init__(channels=width)  # running count while the stages are built; C of the feature map afterwards
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.InstanceNorm2d(width, affine=True) if ibn == "b" else nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        stages = [ibn if stage in IBN_STAGES[ibn] else None for stage in (1, 2, 3, 4)]
        self.layer1 = self._stage(block, width, depths[0], 1, stages[0])
        self.layer2 = self._stage(block, width * 2, depths[1], 2, stages[1])
        self.layer3 = self._stage(block, width * 4, depths[2], 2, stages[2])
        self.layer4 = self._stage(block, width * 8, depths[3], last_stride, stages[3])
        initialise(self)

    def _stage(self, block: type[_Block], planes: int, depth: int, stride: int, ibn: str | None) -> nn.Sequential:
        outputs = planes * block.expansion
        blocks = []
        for place in range(depth):
            step, downsample = (stride if place == 0 else 1), None
            if step != 1 or self.channels != outputs:
                downsample = nn.Sequential(_conv1x1(self.channels, outputs, step), nn.BatchNorm2d(outputs))
            here = ibn if ibn == "a" or place == depth - 1 else None  # b: behind the last block alone
            blocks.append(block(self.channels, planes, step, downsample, here))
            self.channels = outputs
        return nn.Sequential(*blocks)

    def forward(self, images: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


_SIZES = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
}
RESNETS = {name: partial(ResNet, *size) for name, size in _SIZES.items()}
RESNETS["resnet50-xception"] = partial(ResNet, XceptionBottleneck, (3, 4, 6, 3))
RESNETS |= {f"{name}_ibn_{ibn}": partial(ResNet, *size, ibn=ibn) for name, size in _SIZES.items() for ibn in "ab"}
