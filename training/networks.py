"""The networks of a run: what each starts from, the running average of its weights, how a run's state is kept."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from sdk.errors import DataError
from sdk.terminal import notes
from training.average import copy_weights, mixed
from training.backbones import load_weights
from training.checkpoint import Checkpoint, load_checkpoint
from training.config import ModelConfig, RunConfig
from training.layers import freeze, mix_styles
from training.model import AlignedReID
from training.parallel import Processes, normalise_over_all

SHOWN_KEYS = 8
"""Of those that a file of weights does not fill or that find no use: enough to see which layers they are."""


@dataclass
class Network:
    """One network in training."""

    model: AlignedReID
    average: dict[str, torch.Tensor]
    """The running average of the model's weights."""
    start: dict[str, torch.Tensor] = field(default_factory=dict)
    """The trained weights that it started from; empty where they were random."""
    frozen: int = 0
    """How many of its backbone's first layers do not learn."""

    def train_mode(self) -> None:
        """Set it to training mode, but for the layers that do not learn."""
        self.model.train()
        freeze(self.model.backbone, self.frozen)

    def handed_on(self, start_share: float) -> dict[str, torch.Tensor]:
        """The weights that the run hands on: the average, mixed with the start."""
        return mixed(self.average, self.start, start_share) if start_share else self.average


def build_networks(
    config: RunConfig,
    num_identities: int,
    device: str,
    processes: Processes,
    init: Checkpoint | None = None,
    backbone_weights: Path | None = None,
) -> list[Network]:
    """The network of the run, then its partners. Those that the weights of `init` fit start from them.

    `backbone_weights` is a file for the first network's backbone, and for partners that have the same; keys that
    are not used are told. Layers are frozen in networks that do not start from random weights. Raises `DataError`
    where the weights of `init` do not fit the first network, or a setting does not suit a backbone.
    """
    if config.train.frozen and init is None and backbone_weights is None:
        raise DataError("frozen layers with random weights would stay random; give --weights or --init")
    shapes = [config.model] + [replace(config.model, backbone=name) for name in config.train.partners]
    networks = []
    for shape in shapes:
        model, start = _build(shape, num_identities), {}
        if init is not None and shape.has_weights_of(init.config.model):
            start = _start_from(init, model)
        elif init is not None and shape is config.model:
            raise DataError(f"the weights to start from are of {init.config.model}; the run is of {shape}")
        if backbone_weights is not None and shape.backbone == config.model.backbone:
            start = _load_backbone(model, backbone_weights)
        if config.train.style_mixing:
            mix_styles(model.backbone, config.train.style_mixing)
        frozen = config.train.frozen if start else 0
        freeze(model.backbone, frozen)
        model = normalise_over_all(model.to(device), processes)
        networks.append(Network(model, copy_weights(model), start, frozen))
    return networks


def state_of(networks: list[Network], optimizer, scaler) -> dict:
    """All that the next step needs, for `Checkpoint.state`."""
    return {
        "networks": [network.model.state_dict() for network in networks],
        "averages": [network.average for network in networks],
        "optimizer": optimizer.state_dict(),
        "scaler": scaler.state_dict(),
        "generator": torch.get_rng_state(),
    }


def restore(path: Path, config: RunConfig, identities: list[str], networks: list[Network], optimizer, scaler) -> int:
    """Load what `state_of` kept; the number of epochs already done. Raises `DataError` if it is of another run."""
    checkpoint = load_checkpoint(path)
    if checkpoint.config != config or checkpoint.identities != identities:
        raise DataError(f"{path}: that run has other settings or other people; repeat its arguments to resume it")
    state = checkpoint.state
    if "networks" not in state:
        raise DataError(f"{path}: an earlier release wrote it; finish that run there, or start it anew")
    for network, weights, average in zip(networks, state["networks"], state["averages"], strict=True):
        network.model.load_state_dict(weights)
        for name, tensor in average.items():
            network.average[name].copy_(tensor)
    optimizer.load_state_dict(state["optimizer"])
    scaler.load_state_dict(state["scaler"])
    torch.set_rng_state(state["generator"])
    return checkpoint.epoch


def _build(shape: ModelConfig, num_identities: int) -> AlignedReID:
    try:
        return AlignedReID(shape, num_identities)
    except ValueError as error:
        raise DataError(str(error)) from error


def _start_from(init: Checkpoint, model: AlignedReID) -> dict[str, torch.Tensor]:
    """Copy the weights of `init`, but for the classifier: its identities are other people. Returns what was copied."""
    weights = {name: tensor for name, tensor in init.weights.items() if not name.startswith("classifier.")}
    model.load_state_dict(weights, strict=False)
    return weights


def _load_backbone(model: AlignedReID, path: Path) -> dict[str, torch.Tensor]:
    """Fill the backbone from a file and tell what did not fit. Returns what was filled, by its names in `model`."""
    unused, missing = load_weights(model.backbone, path)
    for keys, said in ((unused, "not used"), (missing, "not in the file, left random")):
        if keys:
            more = f" and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else ""
            notes.print(f"{path}: {said}: {', '.join(keys[:SHOWN_KEYS])}{more}")
    filled = copy_weights(model.backbone)
    return {f"backbone.{name}": tensor for name, tensor in filled.items() if name not in set(missing)}
