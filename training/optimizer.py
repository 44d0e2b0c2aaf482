"""The optimiser of a run."""

from collections.abc import Iterable

import torch

from training.config import TrainConfig


def build_optimizer(models: Iterable[torch.nn.Module], train: TrainConfig) -> torch.optim.AdamW:
    """AdamW, the backbone at its own share of the rate; no decay on normalisation weights and biases, which it would
    only pull towards a dead network."""
    trained = [
        (name.startswith("backbone.") and train.backbone_rate != 1, parameter)
        for model in models
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ]
    groups = []
    for slower in sorted({slower for slower, _ in trained}):
        own = [parameter for other, parameter in trained if other == slower]
        share = train.backbone_rate if slower else 1.0
        for decay, params in (
            (train.weight_decay, [p for p in own if p.ndim > 1]),
            (0.0, [p for p in own if p.ndim <= 1]),
        ):
            groups.append({"params": params, "weight_decay": decay, "share": share})
    return torch.optim.AdamW(groups, lr=train.learning_rate)
