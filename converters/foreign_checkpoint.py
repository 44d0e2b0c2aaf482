"""Checkpoints of other projects: a backbone of ours, pooled, perhaps with a feature layer and a "BNNeck".

torchreid keeps the network at the top or under "state_dict", fast-reid under "model" with the prefix "backbone.", the
strong baseline (arXiv 1903.07071) with "base."; data-parallel training puts "module." before all. What is a classifier
is left away; everything else must find its place, else the features would be others than the authors'. So must
torchreid's `fc.0`, `fc.1`, …: unlike torchvision's `fc`, they are layers of the feature.
"""

import re
from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from converters.foreign import FLAGS, Authors, Foreign
from converters.foreign import PROJECTS as NAMES
from converters.onnx_export import export_module
from converters.projects import PROJECTS, find_backbone, find_project
from sdk.engines.contract import EMBEDDING
from sdk.errors import DataError
from sdk.preprocess import to_batch
from training.backbones import BACKBONES, Backbone, build_backbone, has_own_width, read_weights
from training.backbones.weights import COUNTER

NECKS = ("heads.bottleneck.0.", "bottleneck.0.", "bottleneck.")
CLASSIFIERS = ("classifier.", "fc.weight", "fc.bias", "heads.weight", "heads.cls_layer.", "heads.classifier.", "pixel_")
INPUT_SIZE = (256, 128)


FIRST = {"mobilenetv2": "features.0.0.weight"}
"""The weights of the first layer, which tell the width; `conv1.weight` where nothing else is said."""


class ForeignNetwork(nn.Module):
    """uint8 BGR crops `[B, H, W, 3]` → embedding float32 `[B, D]` at unit length."""

    def __init__(self, backbone: Backbone, neck: bool, authors: Authors):
        super().__init__()
        self.backbone = backbone
        self.neck = nn.BatchNorm1d(backbone.embedding_dim) if neck else nn.Identity()
        self.reverse, mean, std = authors.constants()
        self.register_buffer("mean", torch.from_numpy(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.from_numpy(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        images = crops.to(torch.float32).permute(0, 3, 1, 2)
        images = images.flip(1) if self.reverse else images
        return self.features((images - self.mean) / self.std)

    def features(self, images: Tensor) -> Tensor:
        """Of images `[B, 3, H, W]` as the authors' network takes them."""
        return F.normalize(self.neck(self.backbone.embed(self.backbone(images).mean((2, 3)))), dim=1)


def recognise(path: Path) -> str | None:
    """The project that a checkpoint is of, where its weights prove that; None where they do not, or for no weights."""
    try:
        return find_project(find_backbone(read_weights(path)))
    except DataError:
        return None


def read_foreign_checkpoint(path: Path, authors: Authors) -> Foreign:
    """Raises `DataError` for a file that is none, or weights that find no place."""
    weights = read_weights(path)
    name, network = _network(weights, path, authors)
    weights = network.own_names(weights)
    neck = {
        key.removeprefix(prefix): value for prefix in NECKS for key, value in weights.items() if key.startswith(prefix)
    }
    module = ForeignNetwork(network, bool(neck), authors)
    wanted = network.state_dict()
    left = [
        key
        for key in weights
        if key not in wanted and not key.startswith(NECKS + CLASSIFIERS) and not key.endswith(COUNTER)
    ]
    missing = [key for key in wanted if key not in weights and not key.endswith(COUNTER)]
    wrong = [key for key in wanted if key in weights and weights[key].shape != wanted[key].shape]
    for keys, problem in ((missing, "misses"), (left, "has also"), (wrong, "has in another shape")):
        if keys:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise DataError(
                f"{path}: is no plain {name}, it {problem} {', '.join(keys[:3])}{more}; export it to ONNX with its "
                "own project and convert that file"
            )
    network.load_state_dict({key: value for key, value in weights.items() if key in wanted}, strict=False)
    if neck:
        try:
            module.neck.load_state_dict({**module.neck.state_dict(), **neck})
        except RuntimeError as error:
            raise DataError(f"{path}: its BNNeck does not fit {name}: {str(error).splitlines()[-1].strip()}") from error
    module.eval()
    size = authors.input_size or INPUT_SIZE

    @torch.inference_mode()
    def embed(crops):
        images = authors.apply(to_batch(crops, size)).transpose(0, 3, 1, 2)
        return module.features(torch.from_numpy(images.copy())).numpy()

    return Foreign(lambda: export_module(module, size, [EMBEDDING]), name, size, network.embedding_dim, embed)


def _network(weights: dict[str, Tensor], path: Path, authors: Authors) -> tuple[str, Backbone]:
    """The backbone that the weights are of, not yet with them, and its name."""
    name = authors.backbone or find_backbone(weights)
    if name is None:
        raise DataError(
            f"{path}: its weights are of no network that is known here ({', '.join(BACKBONES)}); export it to ONNX "
            "with its own project and convert that file"
        )
    stride = authors.last_stride
    if project := authors.project or find_project(name):
        stride = stride or PROJECTS[project].last_stride(weights)
    if stride is None:
        raise DataError(
            f"{path}: {name} of another project, and weights tell neither its last stride nor the preprocessing; say "
            f"--backbone (here {name}), --last-stride (1 or 2) and the preprocessing: {FLAGS}, --input-size; or whose "
            f"it is: --from {'|'.join(NAMES)}"
        )
    try:
        own = {} if has_own_width(name) else {"width": len(weights[FIRST.get(name, "conv1.weight")])}
        network = build_backbone(name, last_stride=stride, **own)
    except KeyError:
        raise DataError(
            f"{path}: has no {FIRST.get(name, 'conv1.weight')}, so it is no {name}; export it to ONNX and convert that "
            "file"
        ) from None
    except ValueError as error:
        raise DataError(f"--backbone: {error}") from error
    network.fc = _feature_layers(weights, network.channels)
    return name, network


def _feature_layers(weights: dict[str, Tensor], inputs: int) -> nn.Sequential | None:
    """torchreid's `fc`: fully connected layers, each with batch normalisation and a rectifier; None without it.

    What does not fit, or what a layer lacks, is found when the weights are loaded.
    """
    layers = OrderedDict()
    for place in sorted(int(found[1]) for key in weights if (found := re.fullmatch(r"fc\.(\d+)\.weight", key))):
        weight = weights[f"fc.{place}.weight"]
        if weight.ndim == 2:
            layers[f"{place}"] = nn.Linear(inputs, len(weight))
            layers[f"{place + 1}"] = nn.BatchNorm1d(len(weight))
            layers[f"{place + 2}"] = nn.ReLU(inplace=True)
            inputs = len(weight)
    return nn.Sequential(layers) if layers else None
