"""The loop: embed, gather, learn an epoch from what was gathered, and again; kept is what the measures say is best."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sdk.errors import DataError
from sdk.preprocess import to_batch
from sdk.terminal import progress_bar
from training.adaptation.choosing import choose_linkage
from training.adaptation.clusters import Linkage, cluster
from training.adaptation.crops import Crops
from training.adaptation.guard import gain, why_not_begin, why_not_keep
from training.adaptation.learning import State, learn
from training.adaptation.measures import Measures, measure, usual_distance
from training.adaptation.settings import Settings
from training.adaptation.tracklets import Tracklets, find_tracklets
from training.adaptation.vectors import without_cameras
from training.average import copy_weights
from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.config import RunConfig
from training.layers import freeze
from training.model import AlignedReID
from training.optimizer import build_optimizer

LAST, BEST = "last.pt", "best.pt"
"""After every epoch with all the state of training; the weights after the epoch that the measures find best."""
BATCH = 128
"""Crops that are embedded at once."""


@dataclass(frozen=True)
class Look:
    """A site as one network sees it."""

    embedding: np.ndarray
    """Of all crops, float32 `[N, D]` at unit length."""
    labels: np.ndarray
    """The cluster of each tracklet, int64 `[T]`."""
    usable: np.ndarray
    """The cluster of each crop to learn from, int64 `[N]`; −1 for those that nothing is learned from."""
    measures: Measures


@dataclass(frozen=True)
class Adapted:
    """What came of it."""

    tracklets: Tracklets
    before: Look
    after: Look | None
    """With the best weights; None where there are none."""
    checkpoint: Checkpoint | None
    """The best weights, and None where nothing is better than before."""
    reason: str | None
    """Why the model stays as it was, in words; None if it does not."""
    history: tuple[Measures, ...]
    """Before, and after each epoch."""


def adapt(
    crops: Crops,
    start: Checkpoint,
    folder: Path,
    settings: Settings,
    threshold: float | None,
    *,
    device: str = "cpu",
    resume: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> Adapted:
    """Teach the network of `start` from the crops; its files go into `folder`, which is there.

    threshold: the model's cosine distance for tracklets; None where nobody has measured it: `usual_distance` then.
    resume: go on where `folder` stopped, or begin. tell: is given a line an epoch. Raises `DataError` if a crop cannot
    be read, if `folder` holds another run, or a run and `resume` is not set, or if a loss is not finite.
    """
    train = settings.train
    last = _last_of(folder, crops, start, settings, resume)
    state, judge = _begin(start, settings, device)
    embedding = embed(judge, crops)
    tracklets = find_tracklets(crops, embedding, train.seed)
    means = tracklets.means(embedding)
    linkage = settings.linkage or choose_linkage(without_cameras(embedding, crops.cameras), tracklets, train.seed)
    threshold = usual_distance(tracklets, embedding) if threshold is None else threshold
    before = look = look_at(embedding, crops, tracklets, linkage, train.seed)
    if reason := why_not_begin(tracklets, means, before.measures, before.usable, threshold, train.seed):
        return Adapted(tracklets, before, None, None, reason, (before.measures,))
    history, best = [before.measures], None
    tell(f"before: {describe(before.measures)}")
    if last is not None:
        history, best = _restore(state, last)
        judge.load_state_dict(state.average)
        look = look_at(embed(judge, crops), crops, tracklets, linkage, train.seed)
    while state.epoch < train.epochs and not _harmful(history, settings.patience) and look.usable.max() > 0:
        with progress_bar() as progress:
            bar = progress.add_task(f"epoch {state.epoch + 1}/{train.epochs}", total=settings.steps)
            losses = learn(state, crops, look.embedding, look.usable, settings, lambda: progress.advance(bar))  # noqa: B023
        judge.load_state_dict(state.average)
        look = look_at(embed(judge, crops), crops, tracklets, linkage, train.seed)
        history.append(look.measures)
        if why_not_keep(before.measures, look.measures) is None and (
            best is None or gain(history[best], look.measures) > 0
        ):
            best = state.epoch
            save_checkpoint(_handed_on(start, settings, state), folder / BEST)
        _save(folder, start, settings, crops, state, history, best)
        shown = " ".join(f"{name} {value:.3f}" for name, value in losses.items())
        tell(f"epoch {state.epoch}/{train.epochs}  {shown}  {describe(look.measures)}")
    if best is None:
        reason = why_not_keep(before.measures, max(history[1:], key=lambda m: gain(before.measures, m)))
        return Adapted(tracklets, before, None, None, reason, tuple(history))
    checkpoint = load_checkpoint(folder / BEST)
    if best != state.epoch:
        judge.load_state_dict(checkpoint.weights)
        look = look_at(embed(judge, crops), crops, tracklets, linkage, train.seed)
    return Adapted(tracklets, before, look, checkpoint, None, tuple(history))


def embed(model: AlignedReID, crops: Crops) -> np.ndarray:
    """The embeddings of all crops by a network in evaluation mode, float32 `[N, D]` at unit length."""
    parts, starts = [], range(0, len(crops), BATCH)
    with torch.inference_mode(), progress_bar() as progress:
        for start in progress.track(starts, description="embedding", total=len(starts)):
            rows = range(start, min(start + BATCH, len(crops)))
            batch = torch.from_numpy(to_batch([crops.read(row) for row in rows], model.config.input_size))
            parts.append(model(batch.to(model.mean.device)).embedding.float().cpu().numpy())
    return np.concatenate(parts)


def look_at(embedding: np.ndarray, crops: Crops, tracklets: Tracklets, linkage: Linkage, seed: int) -> Look:
    """What features say of a site: embedding `[N, D]` of all crops."""
    plain = without_cameras(embedding, crops.cameras)
    labels = cluster(tracklets.means(plain), tracklets.cannot, tracklets.must, linkage)
    measures = measure(plain, tracklets, labels, linkage, seed)
    return Look(embedding, labels, usable(labels, tracklets), measures)


def usable(labels: np.ndarray, tracklets: Tracklets) -> np.ndarray:
    """The clusters to learn from, as labels of crops, int64 `[N]` numbered from 0; −1 for crops of all others.

    Who was seen in one track alone teaches only what the network knows.
    """
    tracks, crops = np.bincount(labels), np.bincount(labels, tracklets.sizes)
    good = (tracks >= 2) & (crops >= 4)
    return np.where(good, np.cumsum(good) - 1, -1)[labels][tracklets.of_crop]


def describe(measures: Measures) -> str:
    """A line of the measures."""
    return (
        f"halves {measures.halves:.3f}  separation {measures.separation:.4f}  agreement {measures.agreement:.3f}  "
        f"{measures.clusters} clusters of {measures.clustered:.0%} of the crops"
    )


def _begin(start: Checkpoint, settings: Settings, device: str) -> tuple[State, AlignedReID]:
    """The network that learns, and one that embeds with its average."""
    torch.manual_seed(settings.train.seed)
    model, judge = (AlignedReID(start.config.model) for _ in range(2))
    weights = {name: tensor for name, tensor in start.weights.items() if not name.startswith("classifier.")}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(f"{start.source}: its weights are not of the network that it describes") from error
    freeze(model.backbone, settings.train.frozen)
    model.to(device)
    average = copy_weights(model)
    judge.load_state_dict(average)
    return State(model, average, build_optimizer([model], settings.train)), judge.to(device).eval()


def _harmful(history: list[Measures], patience: int) -> bool:
    """Whether the last epochs were all worse than the start."""
    return len(history) > patience and all(why_not_keep(history[0], now) is not None for now in history[-patience:])


def _handed_on(start: Checkpoint, settings: Settings, state: State) -> Checkpoint:
    return Checkpoint(RunConfig(start.config.model, settings.train), [], state.epoch, state.average)


def _fingerprint(crops: Crops, settings: Settings) -> str:
    """What tells a run's input and settings from others."""
    names = [(crop.path.name, crop.camera, crop.sequence, crop.track, crop.time) for crop in crops.items]
    return hashlib.sha256(json.dumps([names, repr(settings)]).encode()).hexdigest()


def _save(folder, start, settings, crops, state: State, history: list[Measures], best: int | None) -> None:
    checkpoint = _handed_on(start, settings, state)
    checkpoint.state = {
        "model": state.model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "generator": torch.get_rng_state(),
        "facts": json.dumps(
            {
                "history": [measures.to_dict() for measures in history],
                "best": best,
                "of": _fingerprint(crops, settings),
            }
        ),
    }
    save_checkpoint(checkpoint, folder / LAST)


def _last_of(folder: Path, crops: Crops, start: Checkpoint, settings: Settings, resume: bool) -> Checkpoint | None:
    """The run in `folder` to go on with, or None."""
    path = folder / LAST
    if not path.exists():
        return None
    if not resume:
        raise DataError(f"{folder}: holds an adaptation already; go on with --resume, or choose another --output")
    last = load_checkpoint(path)
    try:
        known = json.loads(last.state["facts"])["of"]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: is no adaptation's; choose another --output") from error
    if known != _fingerprint(crops, settings) or last.config.model != start.config.model:
        raise DataError(f"{path}: that run has other crops or other settings; repeat its arguments to resume it")
    return last


def _restore(state: State, last: Checkpoint) -> tuple[list[Measures], int | None]:
    facts = json.loads(last.state["facts"])
    state.model.load_state_dict(last.state["model"])
    state.optimizer.load_state_dict(last.state["optimizer"])
    for name, tensor in last.weights.items():
        state.average[name].copy_(tensor)
    state.epoch = last.epoch
    torch.set_rng_state(last.state["generator"])
    return [Measures(**row) for row in facts["history"]], facts["best"]
