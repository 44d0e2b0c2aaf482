"""Mutual learning: several networks train on the same batches, and each also learns from the others (section 3.2)."""

import torch

from training.config import TrainConfig
from training.losses import class_mutual_loss, metric_mutual_loss
from training.model import Outputs


def mutual_terms(outputs: list[Outputs], number: int, config: TrainConfig) -> dict[str, torch.Tensor]:
    """What network `number` learns from the other networks, as terms of its loss; none if it is alone.

    With more than two networks, the mean over the others (arXiv 1706.00384, section 2.4). The paper's metric mutual
    loss is on the global distances alone, and so is ours.
    """
    others = [other for i, other in enumerate(outputs) if i != number]
    if not others:
        return {}
    own = outputs[number]
    terms = {}
    if config.class_mutual_weight:
        losses = [class_mutual_loss(own.logits, other.logits) for other in others]
        terms["class mutual"] = config.class_mutual_weight * torch.stack(losses).mean()
    if config.metric_mutual_weight:
        losses = [metric_mutual_loss(own.embedding, other.embedding) for other in others]
        terms["metric mutual"] = config.metric_mutual_weight * torch.stack(losses).mean()
    return terms
