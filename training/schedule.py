"""The learning rate over a run."""

import math


def warmup_cosine(step: int, total_steps: int, warmup: float) -> float:
    """Factor on the base learning rate at `step` of `total_steps`.

    It rises linearly over the first `warmup` share of the run, then falls along half a cosine to 1%.
    """
    warmup_steps = round(warmup * total_steps)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2
