"""The training loop: losses, optimiser steps, checkpoints that a later run continues from."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from sdk.errors import DataError
from sdk.terminal import notes, progress_bar
from training.average import update_average
from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, save_tensors
from training.config import RunConfig
from training.data import PeopleDataset
from training.data.checks import check_held_out, check_images
from training.data.loader import training_loader
from training.distances import at_least_float32
from training.embedder import TorchEmbedder
from training.epoch_log import EpochLog
from training.evaluation import Evaluation, evaluate_dataset
from training.losses import id_loss, trihard_global, trihard_local
from training.model import Outputs
from training.mutual import mutual_terms
from training.networks import Network, build_networks, restore, state_of
from training.optimizer import build_optimizer
from training.parallel import ALONE, Processes, gather, gather_labels, sum_gradients
from training.run_logs import flat, open_logs
from training.schedule import learning_rate_factor

LAST = "last.pt"
"""Written after every epoch, with all the state of training: what `resume` continues from."""
BEST = "best.pt"
"""The weights to hand on after the epoch with the highest mAP on the people held out, where epochs are evaluated."""
FINAL = "model.pt"
"""Written at the end: the weights, the evaluation, the threshold."""
PARTNER = "partner-{}.pt"
"""The same of each partner in mutual learning."""
FAILED = "failed-batch-{}.pt"
"""The batch (of each process) whose loss was not finite, with the weights it met."""

DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def loss_terms(
    outputs: Outputs, labels: torch.Tensor, config: RunConfig, progress: float = 1.0
) -> dict[str, torch.Tensor]:
    """The loss of one network and batch by term; the sum is what is minimised (paper, section 3.1).

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
    backbone_weights: Path | None = None,
    evaluate_every: int = 0,
    tensorboard: bool = False,
    log_to: Sequence[str] = (),
    processes: Processes = ALONE,
) -> Checkpoint:
    """Train on `dataset`, evaluate on the people of `held_out`, write `output/model.pt` and return it.

    Every epoch ends with `output/last.pt`; with `resume`, training continues there, or begins if there is none yet.
    With `init`, the network starts from those weights instead of random ones; `backbone_weights` is a file for its
    backbone alone. Every `evaluate_every` epochs (0: never) the people held out are ranked, and `output/best.pt` is the
    best so far. Where standard error is no terminal, every epoch prints a line. `log_to`: which of
    `training.run_logs.LOGS` hear of losses and figures; `tensorboard=True` is one of them. Where `processes` are
    several, each calls this with the same arguments, and the first writes the files.

    Raises `DataError` when `output` already holds a run and `resume` is not set, when the run there has another
    configuration, when `init` has another shape, when an image cannot be read or the people held out cannot be ranked
    (before anything is trained), or when a loss is not finite (the batch is then in `output`).
    """
    identities = list(dataset.identities)
    if len(identities) < 2:
        raise DataError(f"training needs at least 2 identities; the dataset has {len(identities)}")
    if not resume:
        _require_new(output)
    continues = resume and (output / LAST).exists()
    if processes.is_first and not continues:  # whatever would stop the run at its end
        if held_out is not None and len(held_out):
            check_held_out(held_out)
        check_images(dataset, *([held_out] if held_out is not None else []))
    torch.manual_seed(config.train.seed)
    networks = build_networks(config, len(identities), device, processes, init, backbone_weights)
    optimizer = build_optimizer([network.model for network in networks], config.train)
    scaler = torch.amp.GradScaler(torch.device(device).type, enabled=config.train.precision == "fp16")
    first_epoch = 0
    if continues:
        first_epoch = restore(output / LAST, config, identities, networks, optimizer, scaler)

    loader, sampler = training_loader(dataset, config, workers, processes)
    total_steps = config.train.epochs * len(loader)
    wanted = [*(["tensorboard"] if tensorboard else []), *log_to] if processes.is_first else []
    started = time.monotonic()
    log = EpochLog(config.train.epochs, first_epoch)
    with open_logs(output, wanted, first_epoch * len(loader)) as logs, progress_bar() as progress:
        logs.config(flat(asdict(config)))
        bar = progress.add_task("training", total=total_steps, completed=first_epoch * len(loader))
        for epoch in range(first_epoch, config.train.epochs):
            sampler.epoch = epoch
            for network in networks:
                network.train_mode()
            for step, (crops, labels) in enumerate(loader, start=epoch * len(loader)):
                rate = config.train.learning_rate * learning_rate_factor(
                    step, len(loader), config.train.epochs, config.train.warmup, config.train.milestones
                )
                for group in optimizer.param_groups:
                    group["lr"] = rate * group.get("share", 1.0)
                crops, labels = crops.to(device, non_blocking=True), labels.to(device, non_blocking=True)
                terms = batch_terms(networks, crops, labels, config, step / total_steps, processes)
                shown = {name: value.item() for name, value in terms.items()}
                if not all(map(torch.isfinite, terms.values())):
                    _stop(output, processes, networks, crops, labels, shown, epoch, step)
                optimizer.zero_grad(set_to_none=True)
                scaler.scale(sum(terms.values())).backward()
                _step(networks, optimizer, scaler, config, processes)
                for network in networks:
                    update_average(network.average, network.model, step, config.train.average_decay)
                log.add(shown)
                logs.scalars(step, {"learning rate": rate, **{f"loss/{name}": v for name, v in shown.items()}})
                text = " ".join(f"{name} {value:.3f}" for name, value in shown.items())
                progress.update(bar, advance=1, description=f"epoch {epoch + 1}/{config.train.epochs}  {text}")
            if not processes.is_first:
                continue
            checkpoint = Checkpoint(config, identities, epoch + 1, networks[0].handed_on(config.train.start_share))
            evaluation = None
            if evaluate_every and (epoch + 1) % evaluate_every == 0 and held_out is not None and len(held_out):
                evaluation = _keep_if_best(checkpoint, held_out, device, output / BEST)
                logs.scalars(step, {f"held out/{name}": evaluation[name] for name in ("rank1", "mAP")})
            checkpoint.state = state_of(networks, optimizer, scaler)
            save_checkpoint(checkpoint, output / LAST)
            log.end(epoch, rate, evaluation)
    notes.print(f"trained {config.train.epochs - first_epoch} epochs in {time.monotonic() - started:.0f} s")
    return _finish(networks, config, identities, held_out, device, output, processes)


def batch_terms(
    networks: list[Network],
    crops: torch.Tensor,
    labels: torch.Tensor,
    config: RunConfig,
    progress: float,
    processes: Processes = ALONE,
) -> dict[str, torch.Tensor]:
    """The loss of all networks by term: this process's uint8 crops `[B, H, W, 3]`, labels `[B]`.

    The terms are of the batch of all processes. Those of partners carry their number in their names.
    """
    dtype = DTYPES[config.train.precision]
    outputs = []
    for network in networks:
        with torch.autocast(crops.device.type, dtype, enabled=dtype != torch.float32):
            own = network.model(crops)
        outputs.append(gather(Outputs(*map(at_least_float32, own)), processes))
    labels = gather_labels(labels, processes)
    terms = {}
    for number, own in enumerate(outputs):
        of_network = loss_terms(own, labels, config, progress) | mutual_terms(outputs, number, config.train)
        prefix = f"partner {number} " if number else ""
        terms |= {prefix + name: value for name, value in of_network.items()}
    return terms


def held_out_evaluation(evaluation: Evaluation, held_out: PeopleDataset) -> dict:
    """What a checkpoint keeps of an evaluation: the figures and on whom they were measured."""
    return {**evaluation.to_dict(), "identities": list(held_out.identities), "protocol": "cross-camera"}


def _require_new(output: Path) -> None:
    """Raise `DataError` if `output` has checkpoints that a run would overwrite."""
    if (output / LAST).exists():
        raise DataError(f"{output} already holds a run; continue it with --resume, or choose another folder")
    for path in (output / BEST, output / FINAL):
        if path.exists():
            raise DataError(f"{path}: is there already, and would be overwritten; choose another folder")


def _step(networks: list[Network], optimizer, scaler, config: RunConfig, processes: Processes) -> None:
    """One step of the optimiser on the gradients of all processes, clipped for each network by itself."""
    for network in networks:
        sum_gradients(list(network.model.parameters()), processes)
    if config.train.clip:
        scaler.unscale_(optimizer)
        for network in networks:
            torch.nn.utils.clip_grad_norm_(network.model.parameters(), config.train.clip)
    scaler.step(optimizer)
    scaler.update()


def _keep_if_best(checkpoint: Checkpoint, held_out: PeopleDataset, device: str, path: Path) -> dict:
    """Evaluate; write `path` if the mAP is above that of the checkpoint there, or none is there."""
    evaluation = evaluate_checkpoint(checkpoint, held_out, device)
    if not path.exists() or evaluation["mAP"] > load_checkpoint(path).evaluation["mAP"]:
        weights = {name: tensor.cpu() for name, tensor in checkpoint.weights.items()}
        best = Checkpoint(checkpoint.config, checkpoint.identities, checkpoint.epoch, weights, evaluation)
        save_checkpoint(best, path)
    return evaluation


def evaluate_checkpoint(checkpoint: Checkpoint, held_out: PeopleDataset, device: str = "cpu") -> dict:
    """What a checkpoint keeps of its evaluation on `held_out`, whichever checkpoint it is."""
    embed = TorchEmbedder(checkpoint.build_model().to(device))
    return held_out_evaluation(evaluate_dataset(embed, held_out), held_out)


def _stop(output: Path, processes: Processes, networks, crops, labels, terms: dict, epoch: int, step: int) -> None:
    """Save the batch whose loss is not finite, and say so."""
    path = output / FAILED.format(processes.rank)
    weights = [network.model.state_dict() for network in networks]
    content = {"crops": crops, "labels": labels, "terms": terms, "epoch": epoch, "step": step, "networks": weights}
    save_tensors(content, path)
    shown = ", ".join(f"{name} {value}" for name, value in terms.items())
    raise DataError(
        f"the loss is not finite in epoch {epoch + 1}, step {step} ({shown}); the batch and the weights are in {path}. "
        f"{output / LAST} holds the epoch before; a lower --learning-rate, --clip 1 or --precision float32 may help"
    )


def _finish(networks, config, identities, held_out, device, output, processes: Processes) -> Checkpoint:
    """Write and evaluate the weights that every network hands on; the checkpoint of the first."""
    checkpoints = []
    for number, network in enumerate(networks):
        shape = network.model.config
        own = RunConfig(shape, config.train)
        weights = {name: tensor.cpu() for name, tensor in network.handed_on(config.train.start_share).items()}
        checkpoint = Checkpoint(own, identities, config.train.epochs, weights)
        if processes.is_first:
            path = output / (PARTNER.format(number) if number else FINAL)
            save_checkpoint(checkpoint, path)  # first of all: whatever becomes of the evaluation
            if held_out is not None and len(held_out):
                checkpoint.evaluation = evaluate_checkpoint(checkpoint, held_out, device)
                save_checkpoint(checkpoint, path)
        checkpoints.append(checkpoint)
    return checkpoints[0]
