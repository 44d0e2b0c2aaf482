"""The learning rate over a run."""

import math


def warmup_cosine(step: int, total_steps: int, warmup_steps: int) -> float:
    """Factor on the base learning rate at `step` of `total_steps`: linear up, then half a cosine down to 1%."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, progress))) / 2
