"""ResNet feature extractors with torchvision's weight names (`conv1`, `bn1`, `layer1.0.conv1`, …).

Written here because the core must not need torchvision; He et al., arXiv 1512.03385. The classifier
`fc` and the last pooling are left out: AlignedReID's two branches start from the feature map.
"""

import torch
from torch import Tensor, nn


def _conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


def _conv1x1(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions: the block of ResNet-18 and -34."""

    expansion = 1

    def __init__(self, inputs: int, planes: int, stride: int, downsample: nn.Module | None):
        super().__init__()
        self.conv1 = _conv3x3(inputs, planes, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = _conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 convolutions with the stride in the 3×3: the block of ResNet-50, as in torchvision."""

    expansion = 4

    def __init__(self, inputs: int, planes: int, stride: int, downsample: nn.Module | None):
        super().__init__()
        self.conv1 = _conv1x1(inputs, planes)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = _conv3x3(planes, planes, stride)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = _conv1x1(planes, planes * self.expansion)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet(nn.Module):
    """Images `[B, 3, H, W]` to the feature map `[B, C, H/32, W/32]`; H/16, W/16 with `last_stride=1`.

    `width` is the number of channels of the first stage, 64 in the original; the others follow from it.
    """

    def __init__(self, block: type[nn.Module], depths: tuple[int, ...], width: int, last_stride: int):
        super().__init__()
        self.channels = width  # running count while the stages are built; C of the feature map afterwards
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = self._stage(block, width, depths[0], 1)
        self.layer2 = self._stage(block, width * 2, depths[1], 2)
        self.layer3 = self._stage(block, width * 4, depths[2], 2)
        self.layer4 = self._stage(block, width * 8, depths[3], last_stride)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def _stage(self, block: type[nn.Module], planes: int, depth: int, stride: int) -> nn.Sequential:
        outputs = planes * block.expansion
        downsample = None
        if stride != 1 or self.channels != outputs:
            downsample = nn.Sequential(_conv1x1(self.channels, outputs, stride), nn.BatchNorm2d(outputs))
        blocks = [block(self.channels, planes, stride, downsample)]
        self.channels = outputs
        blocks += [block(outputs, planes, 1, None) for _ in range(depth - 1)]
        return nn.Sequential(*blocks)

    def forward(self, images: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


BACKBONES = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
}


def build_backbone(name: str, width: int = 64, last_stride: int = 2) -> ResNet:
    """The backbone `name` of `BACKBONES`. Raises `ValueError` naming the known ones."""
    if name not in BACKBONES:
        raise ValueError(f"unknown backbone '{name}'; known: {', '.join(BACKBONES)}")
    block, depths = BACKBONES[name]
    return ResNet(block, depths, width, last_stride)


@torch.no_grad()
def feature_map_size(backbone: ResNet, input_size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the feature map for images of `input_size = (height, width)` px."""
    was_training = backbone.training
    shape = backbone.eval()(torch.zeros(1, 3, *input_size)).shape
    backbone.train(was_training)
    return shape[2], shape[3]
