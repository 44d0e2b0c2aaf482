"""ResNet feature extractors with torchvision's weight names (`conv1`, `bn1`, `layer1.0.conv1`, …), and timm's.

The ResNets are written here because the core must not need torchvision; He et al., arXiv 1512.03385. The
classifier `fc` and the last pooling are left out: AlignedReID's two branches start from the feature map.
"""

import torch
from torch import Tensor, nn

from sdk.errors import DataError, missing_package
from training.mobilenet import MOBILENET, MobileNetV2

TIMM = "timm/"
"""How the name of a backbone from timm begins."""


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


class XceptionBottleneck(Bottleneck):
    """The block of ResNet-50-Xception, the paper's "ResNet-X" (section 4.2): its 3×3 convolution is a depthwise 3×3
    and a 1×1. `conv2` is thus a pair, and the only place where ImageNet weights of ResNet-50 do not fit."""

    def __init__(self, inputs: int, planes: int, stride: int, downsample: nn.Module | None):
        super().__init__(inputs, planes, stride, downsample)
        depthwise = nn.Conv2d(planes, planes, 3, stride, padding=1, groups=planes, bias=False)
        self.conv2 = nn.Sequential(depthwise, _conv1x1(planes, planes))


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
    "resnet50-xception": (XceptionBottleneck, (3, 4, 6, 3)),
}


def build_backbone(name: str, width: int = 64, last_stride: int = 2) -> nn.Module:
    """The backbone `name`: of `BACKBONES`, or "timm/NAME" for a model of timm's, which has its own width.

    It has `channels`, and maps images `[B, 3, H, W]` to a feature map `[B, channels, H', W']`. Raises `ValueError`
    naming the known ones, or telling why timm's model cannot serve.
    """
    if name.startswith(TIMM):
        return TimmBackbone(name.removeprefix(TIMM), last_stride)
    if name == MOBILENET:
        return MobileNetV2(width, last_stride)
    if name not in BACKBONES:
        raise ValueError(
            f"unknown backbone '{name}'; known: {', '.join([*BACKBONES, MOBILENET])}, and {TIMM}NAME if timm is there"
        )
    block, depths = BACKBONES[name]
    return ResNet(block, depths, width, last_stride)


class TimmBackbone(nn.Module):
    """A convolutional network of timm's, without its head and with random weights (`--weights` loads others)."""

    def __init__(self, name: str, last_stride: int):
        super().__init__()
        try:
            import timm
        except ImportError:
            raise missing_package("timm", "timm", f"the backbone {TIMM}{name}") from None
        stride = {"output_stride": 16} if last_stride == 1 else {}
        try:
            self.network = timm.create_model(name, pretrained=False, num_classes=0, global_pool="", **stride)
        except Exception as error:  # timm raises many kinds: unknown names, arguments a network does not take
            raise ValueError(f"timm cannot make '{name}' with last stride {last_stride}: {error}") from error
        self.channels = self.network.num_features

    def forward(self, images: Tensor) -> Tensor:
        features = self.network(images)
        if features.ndim != 4 or features.shape[1] != self.channels:
            raise ValueError(
                f"this backbone gives {tuple(features.shape)}, not a feature map [B, {self.channels}, H, W]; "
                "the local branch needs rows: choose a convolutional network"
            )
        return features


def load_weights(backbone: nn.Module, path) -> tuple[list[str], list[str]]:
    """Load published weights, such as torchvision's ImageNet ones, into `backbone`: (keys not used, keys not found).

    A key of another shape counts as not used and as not found. Raises `DataError` for a file that is missing or is no
    dictionary of tensors, or of which nothing fits.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file of weights") from None
    except Exception as error:  # torch raises many kinds here: zip, pickle, runtime
        raise DataError(f"{path}: not a readable file of weights ({type(error).__name__})") from error
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise DataError(f"{path}: not a dictionary of tensors; save the network's state_dict() to it")
    target = backbone.network if isinstance(backbone, TimmBackbone) else backbone
    if isinstance(target, MobileNetV2):
        content = target.own_names(content)
    wanted = target.state_dict()
    fitting = {key: value for key, value in content.items() if key in wanted and value.shape == wanted[key].shape}
    counters = [key for key in wanted if key.endswith("num_batches_tracked")]  # fit anything
    if not fitting.keys() - counters:
        raise DataError(f"{path}: none of its {len(content)} tensors fits this backbone; is it of another network?")
    target.load_state_dict(fitting, strict=False)
    missing = [key for key in wanted if key not in fitting and key not in counters]
    return [key for key in content if key not in fitting], missing


@torch.no_grad()
def feature_map_size(backbone: nn.Module, input_size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the feature map for images of `input_size = (height, width)` px."""
    was_training = backbone.training
    shape = backbone.eval()(torch.zeros(1, 3, *input_size)).shape
    backbone.train(was_training)
    return shape[2], shape[3]
