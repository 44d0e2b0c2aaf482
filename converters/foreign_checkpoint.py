"""Checkpoints of other projects: a ResNet with torchvision's names for its weights, pooled, perhaps with a "BNNeck".

torchreid keeps the network at the top or under "state_dict", fast-reid under "model" with the prefix "backbone.", the
strong baseline (arXiv 1903.07071) with "base."; data-parallel training puts "module." before all. What is a classifier
is left away; everything else must find its place, else the features would be others than the authors'.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from converters.foreign import FLAGS, Authors, Foreign
from converters.onnx_export import export_module
from sdk.engines.contract import EMBEDDING
from sdk.errors import DataError
from sdk.preprocess import to_batch
from training.backbones import BACKBONES, build_backbone

HOLDERS = ("state_dict", "model", "net", "weights")
PREFIXES = ("module.", "backbone.", "base.")
NECKS = ("heads.bottleneck.0.", "bottleneck.0.", "bottleneck.")
CLASSIFIERS = ("classifier.", "fc.", "heads.weight", "heads.cls_layer.", "heads.classifier.", "pixel_", "num_batches")
INPUT_SIZE = (256, 128)


class ForeignNetwork(nn.Module):
    """uint8 BGR crops `[B, H, W, 3]` → embedding float32 `[B, D]` at unit length."""

    def __init__(self, backbone: nn.Module, neck: bool, authors: Authors):
        super().__init__()
        self.backbone = backbone
        self.neck = nn.BatchNorm1d(backbone.channels) if neck else nn.Identity()
        self.reverse, mean, std = authors.constants()
        self.register_buffer("mean", torch.from_numpy(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.from_numpy(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        images = crops.to(torch.float32).permute(0, 3, 1, 2)
        images = images.flip(1) if self.reverse else images
        return self.features((images - self.mean) / self.std)

    def features(self, images: Tensor) -> Tensor:
        """Of images `[B, 3, H, W]` as the authors' network takes them."""
        return F.normalize(self.neck(self.backbone(images).mean((2, 3))), dim=1)


def read_foreign_checkpoint(path: Path, authors: Authors) -> Foreign:
    """Raises `DataError` for a file that is none, or weights that find no place."""
    backbone = authors.backbone
    if backbone is None or authors.last_stride is None:
        raise DataError(
            f"{path}: of another project, and weights do not tell what network they are of; say --backbone "
            f"({', '.join(BACKBONES)}), --last-stride (1 or 2) and the preprocessing: {FLAGS}, --input-size"
        )
    weights = _read_weights(path)
    try:
        network = build_backbone(backbone, width=_width(weights, path), last_stride=authors.last_stride)
    except ValueError as error:
        raise DataError(f"--backbone: {error}") from error
    neck = {
        key.removeprefix(prefix): value for prefix in NECKS for key, value in weights.items() if key.startswith(prefix)
    }
    module = ForeignNetwork(network, bool(neck), authors)
    wanted = network.state_dict()
    left = [
        key
        for key in weights
        if key not in wanted and not key.startswith(NECKS + CLASSIFIERS) and not key.endswith("num_batches_tracked")
    ]
    missing = [key for key in wanted if key not in weights and not key.endswith("num_batches_tracked")]
    wrong = [key for key in wanted if key in weights and weights[key].shape != wanted[key].shape]
    for keys, problem in ((missing, "misses"), (left, "has also"), (wrong, "has in another shape")):
        if keys:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise DataError(
                f"{path}: is no plain {backbone}, it {problem} {', '.join(keys[:3])}{more}; export it to ONNX with its "
                "own project and convert that file"
            )
    network.load_state_dict({key: value for key, value in weights.items() if key in wanted}, strict=False)
    if neck:
        try:
            module.neck.load_state_dict({**module.neck.state_dict(), **neck})
        except RuntimeError as error:
            raise DataError(
                f"{path}: its BNNeck does not fit {backbone}: {str(error).splitlines()[-1].strip()}"
            ) from error
    module.eval()
    size = authors.input_size or INPUT_SIZE

    @torch.inference_mode()
    def embed(crops):
        images = authors.apply(to_batch(crops, size)).transpose(0, 3, 1, 2)
        return module.features(torch.from_numpy(images.copy())).numpy()

    return Foreign(export_module(module, size, [EMBEDDING]), backbone, size, network.channels, embed)


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds here: zip, pickle, runtime
        raise DataError(
            f"{path}: cannot be read without running code that is in it ({type(error).__name__}); save its "
            "state_dict() alone"
        ) from error
    for holder in HOLDERS:
        if isinstance(content, dict) and isinstance(content.get(holder), dict):
            content = content[holder]
    if not isinstance(content, dict) or not any(isinstance(value, Tensor) for value in content.values()):
        raise DataError(f"{path}: holds no dictionary of weights; save the network's state_dict() to it")
    weights = {}
    for key, value in content.items():
        if isinstance(value, Tensor):
            for prefix in PREFIXES:
                key = key.removeprefix(prefix)
            weights[key] = value
    return weights


def _width(weights: dict[str, Tensor], path: Path) -> int:
    if "conv1.weight" not in weights:
        raise DataError(f"{path}: has no conv1.weight, so it is no ResNet; export it to ONNX and convert that file")
    return len(weights["conv1.weight"])
