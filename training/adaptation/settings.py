"""How a site teaches."""

from dataclasses import dataclass, field

from training.adaptation.clusters import Linkage
from training.config import TrainConfig


def _defaults() -> TrainConfig:
    return TrainConfig(
        epochs=8,
        learning_rate=7e-4,
        backbone_rate=0.5,  # it comes with weights
        local_weight=0.5,
        local_start=0.0,  # the stripes are there already
        erasing=0.3,
        erasing_fill="mean",
        grey_patches=0.1,
        frozen=4,
        average_decay=0.99,  # of some hundred steps
    )


@dataclass(frozen=True)
class Settings:
    """Of an adaptation."""

    train: TrainConfig = field(default_factory=_defaults)
    crops: int = 4500
    """Shown in an epoch."""
    linkage: Linkage | None = None
    """None: chosen by the site's own clusters, before anything is learned."""
    proxy_weight: float = 0.5
    """Of the camera-aware proxies' loss."""
    patience: int = 2
    """Epochs in a row that are worse than the start, after which the run stops."""

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return max(1, self.crops // (self.train.identities_per_batch * self.train.images_per_identity))
