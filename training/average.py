"""The weights that a run hands on: the running average over its steps, mixed with what it started from."""

import torch


def copy_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The state of a network as tensors of its own, on its device."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


@torch.no_grad()
def update_average(average: dict[str, torch.Tensor], model: torch.nn.Module, step: int, decay: float) -> None:
    """Move `average` towards the network's present state, by 1 − `decay`, in place.

    An exponential moving average (Polyak averaging). In the first steps it follows faster, by 9 / (10 + step),
    so that a short run is not held at its random start. Counters are copied, for half a step means nothing.
    """
    rate = max(1 - decay, 9 / (10 + step))
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            average[name].lerp_(tensor, rate)
        else:
            average[name].copy_(tensor)


@torch.no_grad()
def mixed(average: dict[str, torch.Tensor], start: dict[str, torch.Tensor], share: float) -> dict[str, torch.Tensor]:
    """(1 − share) × `average` + share × `start`. What `start` has not (a classifier), and counters, are as they were.

    Between the weights before and after fine-tuning lie networks that are better on what was not in the training than
    either end (Wortsman et al., "Robust fine-tuning of zero-shot models", arXiv 2109.01903).
    """
    shared = {name for name, tensor in average.items() if name in start and tensor.is_floating_point()}
    return {
        name: tensor.lerp(start[name].to(tensor), share) if name in shared else tensor
        for name, tensor in average.items()
    }
