"""Projects whose checkpoints are known: what their weights prove, and what is left for a user to say.

The names of weights tell the network. They tell the project only where one project alone has that network under those
names; else a user says it (`--from`), or the flags that a project settles.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from training.backbones import OSNETS, RESNETS, BasicBlock, Bottleneck, XceptionBottleneck
from training.backbones.osnet import CHANNELS

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Project:
    """What a project's name settles. Its preprocessing is `converters.foreign.Authors`'s where nothing is said."""

    last_stride: Callable[[Weights], int]
    """Of the network that these weights are of."""
    owns: tuple[str, ...] = ()
    """Backbones whose names of weights are this project's alone."""


def _torchreids_last_stride(weights: Weights) -> int:
    return 1 if "fc.0.weight" in weights else 2  # of its ResNets, the one with a feature layer has 1


PROJECTS = {"torchreid": Project(_torchreids_last_stride, tuple(OSNETS))}
"""By the names of `converters.foreign.PROJECTS`. Torchreid's images are RGB, from 0 to 1, 256×128."""


def find_project(backbone: str | None) -> str | None:
    """The project that alone has this backbone under its names of weights; None where there is none."""
    return next((name for name, project in PROJECTS.items() if backbone in project.owns), None)


def find_backbone(weights: Weights) -> str | None:
    """The backbone of which these weights have the names; None if that is none of ours.

    Whether all of them find their place, and in their shape, shows when they are loaded.
    """
    if "conv2.0.gate.fc1.weight" in weights:
        return _find_osnet(weights)
    if "layer1.0.conv1.weight" in weights:
        return _find_resnet(weights)
    if "features.1.conv.0.0.weight" in weights or "features.1.conv.0.weight" in weights:
        return "mobilenetv2"
    return None


def _find_osnet(weights: Weights) -> str | None:
    width = len(weights.get("conv1.conv.weight", ())) / CHANNELS[0]
    ain, ibn = "conv2.0.conv2.0.layers.0.conv1.weight" in weights, "conv2.0.IN.weight" in weights
    variant = "ain" if ain else "ibn" if ibn else None
    return next((name for name, build in OSNETS.items() if build.args == (width, variant)), None)


def _find_resnet(weights: Weights) -> str | None:
    depths = tuple(
        len({key.split(".")[1] for key in weights if key.startswith(f"layer{stage}.")}) for stage in (1, 2, 3, 4)
    )
    block = BasicBlock
    if "layer1.0.conv3.weight" in weights:
        block = XceptionBottleneck if "layer1.0.conv2.1.weight" in weights else Bottleneck
    a, b = "layer1.0.bn1.IN.weight" in weights, f"layer1.{depths[0] - 1}.IN.weight" in weights
    ibn = "a" if a else "b" if b else None
    same = (name for name, build in RESNETS.items() if (*build.args, build.keywords.get("ibn")) == (block, depths, ibn))
    return next(same, None)
