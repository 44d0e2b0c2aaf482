"""OSNet (Zhou et al., arXiv 1905.00953), and OSNet-AIN (arXiv 1910.06827), with torchreid's weight names.

A block sees its input at four scales at once: streams of one to four light 3×3 convolutions, of which a gate that all
four share weighs the channels, crop by crop. IBN normalises the first convolution and the first stage by instance,
behind the sum; AIN does it inside the blocks that its authors' search found to want it, ahead of the sum. Torchreid
names the parts of AIN's network otherwise than those of the other, so do we.
"""

from functools import partial

import torch
from torch import Tensor, nn

from training.backbones.base import Backbone, feature_layer, initialise

CHANNELS = (64, 256, 384, 512)
"""Of the first convolution and of the three stages, at width 1."""
FEATURES = 512
"""Length of the global feature, at any width."""
STREAMS = 4
REDUCTION = 4
"""How many times fewer channels there are within a block."""
GATE_REDUCTION = 16
PLACES = {
    None: ((None, None), (None, None), (None, None)),
    "ibn": (("behind", "behind"), (None, None), (None, None)),
    "ain": (("inside", "inside"), (None, "inside"), ("inside", None)),
}
"""Where the two blocks of each stage normalise by instance: behind the sum or inside the residual; of AIN as its
authors' search found it."""


class _Convolution(nn.Module):
    """A convolution with its normalisation, "batch", "instance" or None, and with a rectifier or without."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        norm: str | None = "batch",
        rectified: bool = True,
    ):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        self.bn = None
        if norm is not None:
            self.bn = nn.BatchNorm2d(outputs) if norm == "batch" else nn.InstanceNorm2d(outputs, affine=True)
        self.relu = nn.ReLU(inplace=True) if rectified else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = x if self.bn is None else self.bn(x)
        return x if self.relu is None else self.relu(x)


class _LightConvolution(nn.Module):
    """The paper's Lite 3×3: a linear 1×1 convolution, then a depthwise 3×3."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv2(self.conv1(x))))


class _Gate(nn.Module):
    """The unified aggregation gate: weights of 0 to 1 for the channels, from their means over the map."""

    def __init__(self, channels: int):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // GATE_REDUCTION, 1)
        self.fc2 = nn.Conv2d(channels // GATE_REDUCTION, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


class _Block(nn.Module):
    """An omni-scale residual block. `instance` says where it normalises by instance: "inside" the residual, ahead of
    the sum, "behind" it, or None."""

    def __init__(self, inputs: int, outputs: int, instance: str | None):
        super().__init__()
        within = outputs // REDUCTION
        self.conv1 = _Convolution(inputs, within)
        self.add_streams(within)
        self.gate = _Gate(within)
        norm = None if instance == "inside" else "batch"
        self.conv3 = _Convolution(within, outputs, norm=norm, rectified=False)
        self.downsample = _Convolution(inputs, outputs, rectified=False) if inputs != outputs else None
        self.IN = nn.InstanceNorm2d(outputs, affine=True) if instance else None
        self.instance = instance

    def add_streams(self, channels: int) -> None:
        self.conv2a = _LightConvolution(channels)
        self.conv2b = nn.Sequential(*(_LightConvolution(channels) for _ in range(2)))
        self.conv2c = nn.Sequential(*(_LightConvolution(channels) for _ in range(3)))
        self.conv2d = nn.Sequential(*(_LightConvolution(channels) for _ in range(4)))

    def streams(self) -> list[nn.Module]:
        return [self.conv2a, self.conv2b, self.conv2c, self.conv2d]

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.conv1(x)
        residual = self.conv3(sum(self.gate(stream(reduced)) for stream in self.streams()))
        if self.instance == "inside":
            residual = self.IN(residual)
        total = residual + (x if self.downsample is None else self.downsample(x))
        if self.instance == "behind":
            total = self.IN(total)
        return torch.relu(total)


class _Stream(nn.Module):
    def __init__(self, channels: int, depth: int):
        super().__init__()
        self.layers = nn.Sequential(*(_LightConvolution(channels) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class _AinBlock(_Block):
    """The same block under AIN's names."""

    def add_streams(self, channels: int) -> None:
        self.conv2 = nn.ModuleList(_Stream(channels, depth) for depth in range(1, STREAMS + 1))

    def streams(self) -> list[nn.Module]:
        return list(self.conv2)


def _stage(inputs: int, outputs: int, places: tuple, ain: bool) -> tuple[nn.Sequential, nn.Module]:
    """A stage of two blocks, and what halves the map behind it where that has a name of its own."""
    halving = nn.Sequential(_Convolution(outputs, outputs), nn.AvgPool2d(2, 2))
    blocks = _blocks(inputs, outputs, places, ain)
    return (nn.Sequential(*blocks), halving) if ain else (nn.Sequential(*blocks, halving), nn.Identity())


def _blocks(inputs: int, outputs: int, places: tuple, ain: bool) -> list[nn.Module]:
    block = _AinBlock if ain else _Block
    return [block(inputs, outputs, places[0]), block(outputs, outputs, places[1])]


class OSNet(Backbone):
    """Images `[B, 3, H, W]` to the feature map `[B, 512 · width, H/16, W/16]`; global features of 512 numbers.

    The map is what the published weights are for, whatever the last stride: 2 takes two of its rows to a stripe.
    `variant` is None, "ibn" or "ain".
    """

    def __init__(self, width: float, variant: str | None, last_stride: int):
        stem, *channels = (round(width * number) for number in CHANNELS)
        super().__init__(channels[-1], rows_per_stripe=last_stride)
        self.conv1 = _Convolution(3, stem, 7, stride=2, norm="instance" if variant else "batch")
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        places, ain = PLACES[variant], variant == "ain"
        self.conv2, self.pool2 = _stage(stem, channels[0], places[0], ain)
        self.conv3, self.pool3 = _stage(channels[0], channels[1], places[1], ain)
        self.conv4 = nn.Sequential(*_blocks(channels[1], channels[2], places[2], ain))
        self.conv5 = _Convolution(channels[-1], channels[-1])
        self.fc = feature_layer(channels[-1], FEATURES)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        x = self.conv2(self.maxpool(self.conv1(images)))
        x = self.conv3(self.pool2(x))
        return self.conv5(self.conv4(self.pool3(x)))


_WIDTHS = {"x0_25": 0.25, "x0_5": 0.5, "x0_75": 0.75, "x1_0": 1.0}
OSNETS = {f"osnet_{name}": partial(OSNet, width, None) for name, width in _WIDTHS.items()}
OSNETS["osnet_ibn_x1_0"] = partial(OSNet, 1.0, "ibn")
OSNETS |= {f"osnet_ain_{name}": partial(OSNet, width, "ain") for name, width in _WIDTHS.items()}
