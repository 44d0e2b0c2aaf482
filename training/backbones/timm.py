"""Convolutional networks of timm's as backbones."""

from torch import Tensor

from sdk.errors import missing_package
from training.backbones.base import Backbone

TIMM = "timm/"
"""How the name of a backbone from timm begins."""


class TimmBackbone(Backbone):
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
