"""An epoch: the network learns from the clusters that its own features made."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from sdk.errors import DataError
from training.adaptation.crops import Crops
from training.adaptation.memory import Memory, cluster_loss, proxy_loss
from training.adaptation.settings import Settings
from training.adaptation.vectors import sums, unit
from training.average import update_average
from training.data.augment import Chances, augment
from training.data.sampler import PKSampler
from training.layers import freeze
from training.losses import trihard_global, trihard_local
from training.model import AlignedReID
from training.schedule import learning_rate_factor


@dataclass
class State:
    """A network on its way."""

    model: AlignedReID
    average: dict[str, torch.Tensor]
    """The running average of its weights: what embeds, and what is handed on."""
    optimizer: torch.optim.Optimizer
    epoch: int = 0
    """Epochs done."""


def learn(
    state: State,
    crops: Crops,
    features: np.ndarray,
    labels: np.ndarray,
    settings: Settings,
    told: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Go on by one epoch. Returns the mean of each loss.

    features: of all crops, unit length `[N, D]`, where the memory begins; labels: the cluster of each crop, int64
    `[N]`, −1 for those that nothing is learned from. told: called after every step. Raises `DataError` if a loss is
    not finite.
    """
    train, model, device = settings.train, state.model, state.model.mean.device
    chosen = np.flatnonzero(labels >= 0)
    labels, cameras, features = labels[chosen], crops.cameras[chosen], features[chosen]
    memory = Memory(_vectors(features, labels).to(device))
    proxy_of, cluster_of = _proxies(labels, cameras)
    proxies, cluster_of = Memory(_vectors(features, proxy_of).to(device)), torch.from_numpy(cluster_of).to(device)
    sampler = PKSampler(labels, cameras, train.identities_per_batch, train.images_per_identity, train.seed)
    sampler.epoch, sampler.batches = state.epoch, settings.steps
    model.train()
    freeze(model.backbone, train.frozen)
    means: dict[str, float] = {}
    for number, batch in enumerate(sampler):
        step = state.epoch * settings.steps + number
        factor = learning_rate_factor(step, settings.steps, train.epochs, train.warmup, train.milestones)
        for group in state.optimizer.param_groups:
            group["lr"] = train.learning_rate * factor * group["share"]
        own = torch.from_numpy(labels[batch]).to(device)
        entropy = (train.seed, state.epoch, number)
        outputs = model(_pictures(crops, chosen[batch], entropy, settings, model.config.input_size).to(device))
        terms = {
            "cluster": cluster_loss(outputs.embedding, own, memory),
            "proxy": settings.proxy_weight * proxy_loss(outputs.embedding, own, proxies, cluster_of),
        }
        if train.local_weight:
            _, pairs = trihard_global(outputs.embedding, own, train.margin)
            terms["local"] = train.local_weight * trihard_local(outputs.stripes, pairs, train.margin)
        loss = sum(terms.values())
        if not torch.isfinite(loss):
            raise DataError(f"the loss is not finite in epoch {state.epoch + 1}; try a lower --learning-rate")
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        state.optimizer.step()
        update_average(state.average, model, step, train.average_decay)
        memory.move(outputs.embedding.detach(), own)
        proxies.move(outputs.embedding.detach(), torch.from_numpy(proxy_of[batch]).to(device))
        for name, value in terms.items():
            means[name] = means.get(name, 0.0) + value.item() / settings.steps
        told()
    state.epoch += 1
    return means


def _vectors(features: np.ndarray, group: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(unit(sums(features, group, int(group.max()) + 1)))


def _proxies(labels: np.ndarray, cameras: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The proxy, a cluster in a camera, of each crop, int64 `[N]`; and the cluster of each proxy, int64 `[M]`."""
    _, camera = np.unique(cameras, return_inverse=True)
    number = int(camera.max()) + 1
    pair, proxy_of = np.unique(labels * number + camera, return_inverse=True)
    return proxy_of, pair // number


def _pictures(
    crops: Crops, rows: np.ndarray, entropy: tuple, settings: Settings, size: tuple[int, int]
) -> torch.Tensor:
    """Augmented crops, uint8 `[B, H, W, 3]`; each depends on `entropy` and its place alone: a resumed run repeats."""
    chances = Chances.of(settings.train)
    return torch.from_numpy(
        np.stack(
            [
                augment(crops.read(int(row)), size, np.random.default_rng((*entropy, place)), chances)
                for place, row in enumerate(rows)
            ]
        )
    )
