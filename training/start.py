"""What a run starts from: random weights, somebody's checkpoint, or the weights of the model that ships.

The last are the whole network of `sdk/models/default.onnx`, both branches, trained on drawn people only.
`python -m training.start run/model.pt training/models/drawn.pt` writes them anew from a run.
"""

import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from sdk.errors import DataError
from sdk.output import check_output
from training.checkpoint import Checkpoint, is_checkpoint, load_checkpoint, save_checkpoint
from training.config import ModelConfig, TrainConfig

SHIPPED = Path(__file__).parent / "models" / "drawn.pt"

FINE_TUNING = TrainConfig(epochs=40, learning_rate=5e-4, local_start=0.0, start_share=0.5)
"""Settings for a run that starts from a trained network; `TrainConfig()` has those from random weights."""
FROM_PUBLISHED = replace(FINE_TUNING, start_share=0.0)
"""Settings for a run whose backbone another project trained on people: the rest is random, so nothing is mixed."""


def shipped_start() -> Checkpoint:
    """The network that ships, both branches; it knows no identities."""
    return load_checkpoint(SHIPPED)


def default_shape(chosen: Collection[str], init: Path | None = None, from_scratch: bool = False) -> ModelConfig:
    """The shape of a run where nothing else is said: that of what it starts from.

    chosen: names of `ModelConfig` that were said. Who names a backbone or a width means no other network, so the rest
    is then as in `ModelConfig()`; so it is `from_scratch`. Raises `DataError` for an unusable `init`.
    """
    if from_scratch or {"backbone", "width"} & set(chosen):
        return ModelConfig()
    return _open(init).config.model


def choose_start(model: ModelConfig, init: Path | None = None, from_scratch: bool = False) -> Checkpoint | None:
    """The checkpoint to start from: `init` if given, else the shipped one if its weights fit the shape `model`.

    `init` may be the word "default", which asks for the shipped one. None means random weights: where `from_scratch`
    asks for them, or for any other shape. Raises `DataError` for an unusable `init`, or if both are asked for.
    """
    if from_scratch and init is not None:
        raise DataError(f"--from-scratch and --init {init} contradict each other; leave one away")
    if from_scratch:
        return None
    start = _open(init)
    return start if init is not None or model.has_weights_of(start.config.model) else None


def is_published(init: Path | None) -> bool:
    """Whether `init` is a file of weights, as other projects publish, and no checkpoint of `reid train`."""
    return init is not None and Path(init).is_file() and not is_checkpoint(init)


def describe_start(start: Checkpoint | None, init: Path | None = None, backbone_weights: Path | None = None) -> str:
    """In words, what a run starts from; kept in the checkpoint."""
    if start is None:
        return f"{backbone_weights.name} for the backbone" if backbone_weights else TrainConfig.start
    return "the shipped weights (drawn people)" if init is None or str(init) == "default" else str(init)


def _open(init: Path | None) -> Checkpoint:
    return shipped_start() if init is None or str(init) == "default" else load_checkpoint(init)


def write_start(run: Path, output: Path) -> None:
    """Keep of the checkpoint `run` what another run can start from: no classifier, half precision."""
    check_output(output, [run])
    checkpoint = load_checkpoint(run)
    weights = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in checkpoint.weights.items()
        if not name.startswith("classifier.")
    }
    save_checkpoint(Checkpoint(checkpoint.config, [], checkpoint.epoch, weights), output)


if __name__ == "__main__":
    write_start(Path(sys.argv[1]), Path(sys.argv[2]))
