"""Projects whose checkpoints are known: what each builds around a backbone, and what the names of its weights prove.

The names of weights tell the network. They tell the project only where one project alone writes them; else a user says
it (`--from`). What no weights tell, such as a pooling without parameters, is asked for. All of it is as the projects'
own definitions have it at test time; tests/foreign_vectors.py has numbers that those computed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor, nn

from converters.authors import PROJECTS as PREPROCESSING
from converters.authors import Authors
from training.backbones import OSNETS, RESNETS, Backbone, BasicBlock, Bottleneck, XceptionBottleneck
from training.backbones.osnet import CHANNELS

Weights = dict[str, Tensor]

PLAIN_RESNETS = ("resnet18", "resnet34", "resnet50")


@dataclass(frozen=True)
class Project:
    """How a project builds a network around its backbone, and names the parts."""

    name: str
    prefix: str = ""
    """What stands before the backbone's own names."""
    last_stride: Callable[[Weights], int | None] = lambda weights: None
    """Of the network that these weights are of; None: they do not tell."""
    stem: Callable[[Backbone, str], None] = lambda backbone, name: None
    """Changes what differs from torchvision's network, given the backbone and its name."""
    networks: tuple[str, ...] | None = None
    """The backbones for which that is known; None: all."""
    neck: str = ""
    """Before the names of the batch normalisation behind the pooling; empty where there is none."""
    poolings: tuple[str, ...] = ("average",)
    """Those that a network of it may have; of several, the weights or a user must say which."""
    exponent: str = ""
    """The name of the generalised mean's learned exponent."""
    feature_layers: bool = False
    """Whether `fc.0`, `fc.1`, … are layers of the feature."""
    stripes: str = ""
    """How its local branch makes stripes: "projected", "pooled"; empty without one."""
    left_away: tuple[str, ...] = ()
    """Weights, by their whole names or by what they begin with up to a dot, that the features do not need."""
    mean_name: str = ""
    """The name of a buffer that holds the mean of the images, and of the one with their deviation."""
    std_name: str = ""
    preprocessing: Authors = field(default_factory=Authors)

    def leaves_away(self, key: str) -> bool:
        return any(key == name or (name.endswith(".") and key.startswith(name)) for name in self.left_away)


def _torchreids_last_stride(weights: Weights) -> int:
    return 1 if "fc.0.weight" in weights else 2  # of its ResNets, the one with a feature layer has 1


def _pooled_up(backbone: Backbone, name: str) -> None:
    """fast-reid's stem pools without padding, and rounds up."""
    backbone.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)


def _unrectified(backbone: Backbone, name: str) -> None:
    """The strong baseline's own ResNets have no rectifier in their stem; its copy of IBN-Net's has."""
    if name in PLAIN_RESNETS:
        backbone.relu = nn.Identity()


CLASSIFIER = ("classifier.weight", "classifier.bias")
PLAIN = Project("", left_away=(*CLASSIFIER, "fc.weight", "fc.bias"))
"""torchvision's network, with what flags say about it."""
TORCHREID = Project(
    "torchreid",
    last_stride=_torchreids_last_stride,
    networks=(*PLAIN_RESNETS, "resnet50_ibn_a", "resnet50_ibn_b", *OSNETS),
    feature_layers=True,
    left_away=CLASSIFIER,
    preprocessing=PREPROCESSING["torchreid"],
)
FAST_REID = Project(
    "fast-reid",
    "backbone.",
    last_stride=lambda weights: 1,
    stem=_pooled_up,
    networks=(*PLAIN_RESNETS, "resnet18_ibn_a", "resnet34_ibn_a", "resnet50_ibn_a"),
    neck="heads.bottleneck.",
    poolings=("average", "gem", "max"),
    exponent="heads.pool_layer.p",
    left_away=("heads.weight", "heads.classifier.weight", "heads.cls_layer.weight"),
    mean_name="pixel_mean",
    std_name="pixel_std",
    preprocessing=PREPROCESSING["fast-reid"],
)
STRONG_BASELINE = Project(
    "strong-baseline",
    "base.",
    last_stride=lambda weights: 1,
    stem=_unrectified,
    networks=(*PLAIN_RESNETS, "resnet50_ibn_a"),
    neck="bottleneck.",
    left_away=CLASSIFIER,
    preprocessing=PREPROCESSING["strong-baseline"],
)
REPRODUCTION = Project(
    "alignedreid",
    "base.",
    last_stride=lambda weights: 2,
    networks=PLAIN_RESNETS,
    stripes="projected",
    left_away=("fc.weight", "fc.bias"),
    preprocessing=Authors("rgb", (0.486, 0.459, 0.408), (0.229, 0.224, 0.225), 1, (256, 128)),
)
"""huanghoujing/AlignedReID-Re-Production-Pytorch."""
PLUS_PLUS = Project(
    "alignedreid",
    "base.",
    last_stride=lambda weights: 2,
    networks=PLAIN_RESNETS,
    stripes="pooled",
    left_away=(*CLASSIFIER, "bn.", "conv1."),  # its local branch, which it has in training alone
    preprocessing=PREPROCESSING["alignedreid"],
)
"""michuanhaohao/AlignedReID ("AlignedReID++")."""
TORCHVISION = Project(
    "torchvision",
    last_stride=lambda weights: 2,
    networks=(*PLAIN_RESNETS, "mobilenetv2"),
    left_away=("fc.weight", "fc.bias", "classifier.1.weight", "classifier.1.bias"),
    preprocessing=PREPROCESSING["torchvision"],
)
BY_NAME = {project.name: project for project in (TORCHREID, FAST_REID, STRONG_BASELINE, TORCHVISION)}


def open_project(name: str, weights: Weights) -> Project:
    """The project `name` of `converters.authors.PROJECTS`, but timm, in the form that these weights are of."""
    if name == "alignedreid":
        return PLUS_PLUS if "base.0.weight" in weights else REPRODUCTION
    return BY_NAME[name]


def prove_project(weights: Weights) -> str | None:
    """The project that alone names weights so; None where there is none, or several could."""
    starts = {key.partition(".")[0] for key in weights}
    if {"backbone", "heads"} <= starts:
        return "fast-reid"
    if "base" in starts and {"local_conv.weight", "local_bn.weight"} <= weights.keys():
        return "alignedreid"
    if {"base.0.weight", "bn.weight", "conv1.weight"} <= weights.keys():
        return "alignedreid"
    if "fc.0.weight" in weights and find_backbone(weights) in OSNETS:
        return "torchreid"
    return None


def likely_projects(weights: Weights) -> tuple[str, ...]:
    """Those whose weights have such names, for a hint; others may have them too."""
    if any(key.startswith("base.0.") for key in weights):
        return ("alignedreid",)
    if any(key.startswith("base.") for key in weights):
        return ("strong-baseline", "alignedreid")
    if any(key.startswith("backbone.") for key in weights):
        return ("fast-reid",)
    if find_backbone(weights) is not None:
        return ("torchreid", "torchvision")
    return ()


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
