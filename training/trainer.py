"""The training loop: losses, optimiser steps, checkpoints that a later run continues from."""

import time
from pathlib import Path

import torch

from sdk.errors import DataError
from sdk.terminal import notes, progress_bar
from training.average import copy_weights, update_average
from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.config import RunConfig
from training.data import PeopleDataset
from training.data.loader import training_loader
from training.embedder import TorchEmbedder
from training.evaluation import Evaluation, evaluate_dataset
from training.losses import id_loss, trihard_global, trihard_local
from training.model import AlignedReID, Outputs
from training.schedule import warmup_cosine

LAST = "last.pt"
"""Written after every epoch, with all the state of training: what `resume` continues from."""
FINAL = "model.pt"
"""Written at the end: the weights, the evaluation, the threshold."""


def loss_terms(
    outputs: Outputs, labels: torch.Tensor, config: RunConfig, progress: float = 1.0
) -> dict[str, torch.Tensor]:
    """The loss of one batch by term; the sum of the values is what is minimised (paper, section 3.1).

    `progress` is the share of the run that is done: the local term joins at `local_start`.
    """
    train = config.train
    global_triplet, pairs = trihard_global(outputs.embedding, labels, train.margin)
    terms = {"id": id_loss(outputs.logits, labels, train.label_smoothing), "global": global_triplet}
    if train.local_weight and progress >= train.local_start:
        terms["local"] = train.local_weight * trihard_local(outputs.stripes, pairs, train.margin)
    return terms


def train(
    dataset: PeopleDataset,
    output: Path,
    config: RunConfig,
    held_out: PeopleDataset | None = None,
    *,
    device: str = "cpu",
    workers: int = 0,
    resume: bool = False,
    init: Checkpoint | None = None,
) -> Checkpoint:
    """Train on `dataset`, evaluate on the people of `held_out`, write `output/model.pt` and return it.

    Every epoch ends with `output/last.pt`; with `resume`, training continues there. With `init`, the network
    starts from those weights instead of random ones. Raises `DataError` when `output` already holds a run and
    `resume` is not set, when the run there has another configuration, or when `init` has another shape.
    """
    if len(dataset.identities) < 2:
        raise DataError(f"training needs at least 2 identities; the dataset has {len(dataset.identities)}")
    output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.train.seed)
    model = AlignedReID(config.model, len(dataset.identities)).to(device)
    if init is not None:
        _start_from(init, model)
    optimizer = _optimizer(model, config)
    average = copy_weights(model)
    first_epoch = _restore(output / LAST, config, dataset, model, average, optimizer) if resume else 0
    if not resume and (output / LAST).exists():
        raise DataError(f"{output} already holds a run; continue it with --resume, or choose another folder")

    names = list(dataset.identities)
    loader, sampler = training_loader(dataset, config, workers)
    total_steps = config.train.epochs * len(loader)
    started = time.monotonic()
    with progress_bar() as progress:
        bar = progress.add_task("training", total=total_steps, completed=first_epoch * len(loader))
        for epoch in range(first_epoch, config.train.epochs):
            sampler.epoch = epoch
            model.train()
            for step, (crops, labels) in enumerate(loader, start=epoch * len(loader)):
                rate = config.train.learning_rate * warmup_cosine(step, total_steps, config.train.warmup)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                terms = loss_terms(model(crops.to(device)), labels.to(device), config, step / total_steps)
                optimizer.zero_grad(set_to_none=True)
                sum(terms.values()).backward()
                optimizer.step()
                update_average(average, model, step, config.train.average_decay)
                shown = " ".join(f"{name} {value.item():.3f}" for name, value in terms.items())
                progress.update(bar, advance=1, description=f"epoch {epoch + 1}/{config.train.epochs}  {shown}")
            state = {"weights": model.state_dict(), "optimizer": optimizer.state_dict()}
            save_checkpoint(Checkpoint(config, names, epoch + 1, average, state=state), output / LAST)
    notes.print(f"trained {config.train.epochs - first_epoch} epochs in {time.monotonic() - started:.0f} s")

    weights = {name: tensor.cpu() for name, tensor in average.items()}
    final = Checkpoint(config, names, config.train.epochs, weights)
    if held_out is not None and len(held_out):
        embed = TorchEmbedder(final.build_model().to(device))
        final.evaluation = held_out_evaluation(evaluate_dataset(embed, held_out), held_out)
    save_checkpoint(final, output / FINAL)
    return final


def held_out_evaluation(evaluation: Evaluation, held_out: PeopleDataset) -> dict:
    """What a checkpoint keeps of an evaluation: the figures and on whom they were measured."""
    return {**evaluation.to_dict(), "identities": list(held_out.identities), "protocol": "cross-camera"}


def _optimizer(model: AlignedReID, config: RunConfig) -> torch.optim.Optimizer:
    """AdamW; no decay on normalisation weights and biases, which it would only pull towards a dead network."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.train.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=config.train.learning_rate,
    )


def _start_from(init: Checkpoint, model: AlignedReID) -> None:
    """Copy the weights of `init`, but for the classifier: its identities are other people."""
    if init.config.model != model.config:
        raise DataError(f"the weights to start from are of {init.config.model}; the run is of {model.config}")
    weights = {name: tensor for name, tensor in init.weights.items() if not name.startswith("classifier.")}
    model.load_state_dict(weights, strict=False)


def _restore(path: Path, config: RunConfig, dataset: PeopleDataset, model, average: dict, optimizer) -> int:
    """Load a run's state into `model`, `average` and `optimizer`; the number of epochs already done."""
    checkpoint = load_checkpoint(path)
    if checkpoint.config != config or checkpoint.identities != list(dataset.identities):
        raise DataError(f"{path}: that run has other settings or other people; repeat its arguments to resume it")
    model.load_state_dict(checkpoint.state["weights"])
    optimizer.load_state_dict(checkpoint.state["optimizer"])
    for name, tensor in checkpoint.weights.items():
        average[name].copy_(tensor)
    return checkpoint.epoch
