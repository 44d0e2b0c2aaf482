"""The learning rate over a run, as factors on the base rate."""

import math


def learning_rate_factor(step: int, steps_per_epoch: int, epochs: int, warmup: float, milestones=()) -> float:
    """Factor on the base learning rate at `step`, of the run's `epochs · steps_per_epoch`.

    It rises linearly over the first `warmup` share of the run. Then it falls along half a cosine to 1%; or, with
    `milestones`, by a tenth at each of these epochs (paper, section 4.1).
    """
    total_steps = epochs * steps_per_epoch
    warmup_steps = round(warmup * total_steps)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if milestones:
        return 0.1 ** sum(step >= epoch * steps_per_epoch for epoch in milestones)
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2
