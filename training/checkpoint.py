"""Checkpoints: tensors and JSON only, so that loading one runs none of its content (`weights_only=True`)."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from sdk.engines.kinds import explain_kind
from sdk.errors import DataError
from sdk.output import whole_file
from training.config import RunConfig
from training.model import AlignedReID
from training.tensor_file import read_tensors

FORMAT = "aligned-reid checkpoint"
VERSION = 1


@dataclass
class Checkpoint:
    """A training run at the end of an epoch."""

    config: RunConfig
    identities: list[str]
    """The names behind the classifier's outputs."""
    epoch: int
    """Epochs done."""
    weights: dict[str, torch.Tensor]
    """What inference uses: the running average of the weights that were trained."""
    evaluation: dict | None = None
    """`training.evaluation.Evaluation.to_dict()` on the identities held out, and how many; None if there were none."""
    state: dict | None = None
    """What the next step of training needs (`training.networks.state_of`); None in a checkpoint that is only for
    inference."""
    source: str = "checkpoint"
    """The file that it was read from, for messages."""

    def build_model(self) -> AlignedReID:
        """The network with these weights, in evaluation mode. Raises `DataError` if they are not of that network."""
        try:
            model = AlignedReID(self.config.model, len(self.identities))
            model.load_state_dict(self.weights)
        except (RuntimeError, ValueError, TypeError, KeyError, AttributeError, MemoryError) as error:
            lines = str(error).splitlines() or [type(error).__name__]
            raise DataError(
                f"{self.source}: its weights are not of the network that it describes ({lines[-1].strip()}); was it "
                "copied whole?"
            ) from error
        return model.eval()


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a whole checkpoint. Raises `DataError` if it cannot be written; an earlier one is then as it was."""
    facts = {
        "format": FORMAT,
        "version": VERSION,
        "config": checkpoint.config.to_dict(),
        "identities": checkpoint.identities,
        "epoch": checkpoint.epoch,
        "evaluation": checkpoint.evaluation,
    }
    content = {"facts": json.dumps(facts), "weights": checkpoint.weights}
    if checkpoint.state is not None:
        content["state"] = checkpoint.state
    save_tensors(content, path)


def save_tensors(content: dict, path: Path) -> None:
    """`torch.save` to a whole file. Raises `DataError` if it cannot be written."""
    with whole_file(path, "wb", private=False) as file:
        torch.save(content, file)


def is_checkpoint(path: str | Path) -> bool:
    """Whether `reid train` wrote the file; False too for what cannot be read."""
    try:
        load_checkpoint(path)
    except DataError:
        return False
    return True


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint onto the CPU. Raises `DataError` if it is missing, damaged, or of another kind."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such checkpoint; `reid train` writes one")
    try:
        content = read_tensors(path)
    except DataError:
        raise
    except Exception as error:  # torch raises many kinds here: zip, pickle, runtime
        raise DataError(
            explain_kind(path) or f"{path}: not a readable checkpoint ({type(error).__name__}); was it copied whole?"
        ) from error
    try:
        facts = json.loads(content["facts"]) if isinstance(content, dict) and "facts" in content else {}
        ours = facts.get("format") == FORMAT
        if ours and facts["version"] <= VERSION:
            return _read(content, facts, path)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path}: damaged checkpoint ({error}); was it copied whole?") from error
    if ours:
        raise DataError(f"{path}: checkpoint version {facts['version']}; this release reads up to {VERSION}: upgrade")
    raise DataError(
        f"{path}: not a checkpoint of `reid train`; of another project's, say so to `reid convert` (--from, or the "
        "flags for models of other projects)"
    )


def _read(content: dict, facts: dict, path: Path) -> Checkpoint:
    """The checkpoint in what a file holds, which may be damaged: raises what that leads to."""
    weights = content["weights"]
    if not all(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in weights.items()):
        raise ValueError("its weights are no tensors with names")
    return Checkpoint(
        config=RunConfig.from_dict(facts["config"]),
        identities=facts["identities"],
        epoch=facts["epoch"],
        weights=weights,
        evaluation=facts["evaluation"],
        state=content.get("state"),
        source=str(path),
    )
