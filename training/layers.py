"""What training does to single layers of a backbone: it keeps the first as they came, and mixes styles behind them."""

import torch
from torch import Tensor, nn

from sdk.errors import DataError

MIXED_BEHIND = {"ResNet": ("layer1", "layer2"), "MobileNetV2": ("features.3", "features.6")}
"""Layers of a backbone's class behind which styles are mixed: where the map is a quarter and an eighth of the image."""
MIXING = 0.1
"""Of the Beta distribution that draws how much of the other style comes in: mostly nearly none, or nearly all."""


def layers_of(backbone: nn.Module) -> list[nn.Module]:
    """Its layers from the image on: its children, or those of the only child that holds them all."""
    layers = list(backbone.children())
    while len(layers) == 1:
        layers = list(layers[0].children())
    return layers


def freeze(backbone: nn.Module, count: int) -> None:
    """Keep weights and statistics of the first `count` layers. To be called again after `train()` of the network.

    Raises `DataError` if nothing would be left to train.
    """
    layers = layers_of(backbone)
    if count >= len(layers):
        raise DataError(f"frozen is {count}, but the backbone has {len(layers)} layers; one at least must learn")
    for layer in layers[:count]:
        layer.eval().requires_grad_(False)


def mix_styles(backbone: nn.Module, probability: float) -> None:
    """Let `mixed_style` happen with `probability` behind early layers, while `backbone` is in training mode.

    Raises `DataError` for a backbone of which those layers are not known.
    """
    names = MIXED_BEHIND.get(type(backbone).__name__)
    if names is None:
        raise DataError(f"styles can be mixed in {' and '.join(MIXED_BEHIND)} alone; set style_mixing to 0")

    def hook(_layer, _inputs, features: Tensor) -> Tensor | None:
        return mixed_style(features) if backbone.training and torch.rand(()) < probability else None

    for name in names:
        backbone.get_submodule(name).register_forward_hook(hook)


def mixed_style(features: Tensor) -> Tensor:
    """Feature maps `[B, C, H, W]`, each with mean and deviation of its channels moved towards another's of the batch.

    MixStyle, Zhou et al., arXiv 2104.02008.
    """
    mean, deviation = (statistic.detach() for statistic in _statistics(features))
    other = torch.randperm(len(features), device=features.device)
    concentration = torch.full((len(features), 1, 1, 1), MIXING)
    share = torch.distributions.Beta(concentration, concentration).sample().to(features)
    scale = torch.lerp(deviation, deviation[other], share) / deviation
    return (features - mean) * scale + torch.lerp(mean, mean[other], share)


def _statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over each map, `[B, C, 1, 1]`."""
    variance, mean = torch.var_mean(features, dim=(2, 3), keepdim=True, correction=0)
    return mean, (variance + 1e-6).sqrt()
