"""Backbones: networks of convolutions, written from their papers with the names that published weights have.

Their classifiers and last poolings are left out: AlignedReID's two branches start from the feature map.
"""

from collections.abc import Callable

from training.backbones.base import Backbone, feature_layer, feature_map_size
from training.backbones.mobilenet import MobileNetV2
from training.backbones.osnet import OSNETS, OSNet
from training.backbones.resnet import RESNETS, BasicBlock, Bottleneck, ResNet, XceptionBottleneck
from training.backbones.timm import TIMM, TimmBackbone
from training.backbones.weights import load_weights, read_published, read_weights

BACKBONES: dict[str, Callable[..., Backbone]] = RESNETS | OSNETS | {"mobilenetv2": MobileNetV2}
"""What builds each, with `last_stride=`, and with `width=` unless the network has its own (`has_own_width`)."""


def build_backbone(name: str, width: int = 64, last_stride: int = 2) -> Backbone:
    """The backbone `name`: of `BACKBONES`, or "timm/NAME" for a model of timm's.

    `width` is that of the first stage, of a ResNet 64 in the original, of MobileNetV2 32; others have their own. Of all
    of them `last_stride` 1 gives a stripe of the local branch for every 16 rows of the image, 2 one for every 32.
    Raises `ValueError` naming the known ones, or telling why timm's model cannot serve.
    """
    if name.startswith(TIMM):
        return TimmBackbone(name.removeprefix(TIMM), last_stride)
    if name not in BACKBONES:
        raise ValueError(
            f"unknown backbone '{name}'; known: {', '.join(BACKBONES)}, and {TIMM}NAME if timm is installed"
        )
    own = {} if has_own_width(name) else {"width": width}
    return BACKBONES[name](last_stride=last_stride, **own)


def has_own_width(name: str) -> bool:
    """Whether the name tells how many channels the network has, so that none are to be chosen."""
    return name.startswith(TIMM) or name in OSNETS


__all__ = [
    "BACKBONES",
    "OSNETS",
    "RESNETS",
    "TIMM",
    "Backbone",
    "BasicBlock",
    "Bottleneck",
    "MobileNetV2",
    "OSNet",
    "ResNet",
    "TimmBackbone",
    "XceptionBottleneck",
    "build_backbone",
    "feature_layer",
    "feature_map_size",
    "has_own_width",
    "load_weights",
    "read_published",
    "read_weights",
]
