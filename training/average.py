"""The running average of a network's weights over its training steps: the weights that a run hands on."""

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
