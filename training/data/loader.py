"""Augmented training batches from a dataset."""

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from sdk.errors import DataError
from training.config import RunConfig
from training.data.augment import Chances, augment
from training.data.folder import PeopleDataset
from training.data.sampler import PKSampler
from training.parallel import ALONE, Processes


class AugmentedCrops(Dataset):
    """Index → (augmented uint8 BGR crop `[H, W, 3]`, label).

    A key is (index, (seed, epoch, batch, position in the batch)); the crop depends on it alone.
    """

    def __init__(self, dataset: PeopleDataset, size: tuple[int, int], chances: Chances = Chances()):
        self.dataset = dataset
        self.labels = dataset.labels
        self.size = size
        self.chances = chances

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, tuple[int, int, int, int]]):
        index, entropy = key
        _, epoch, _, _ = entropy
        crop = augment(self.dataset.read(index, epoch), self.size, np.random.default_rng(entropy), self.chances)
        return torch.from_numpy(crop), int(self.labels[index])


class SeededBatches:
    """A batch sampler that hands every image the entropy of its own augmentation.

    So the result does not depend on the number of worker processes, nor of training processes, nor on where a run
    was resumed.
    """

    def __init__(self, sampler: PKSampler, processes: Processes = ALONE):
        self.sampler = sampler
        self.processes = processes

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self):
        for number, batch in enumerate(self.sampler):
            keys = [(index, (self.sampler.seed, self.sampler.epoch, number, i)) for i, index in enumerate(batch)]
            yield self.processes.part(keys)


def training_loader(
    dataset: PeopleDataset, config: RunConfig, workers: int, processes: Processes = ALONE
) -> tuple[DataLoader, PKSampler]:
    """Batches of (uint8 crops `[P·K, H, W, 3]`, labels int64 `[P·K]`) and the sampler whose `epoch` is to be set.

    Where `processes` are several, each gets its share of every batch. Raises `DataError` if that does not come out
    even.
    """
    train = config.train
    sampler = PKSampler(
        dataset.labels, dataset.cameras, train.identities_per_batch, train.images_per_identity, train.seed
    )
    if sampler.p * sampler.k % processes.count:
        raise DataError(
            f"a batch of {sampler.p} × {sampler.k} crops cannot be shared out evenly to {processes.count} processes; "
            "change --batch-identities or --batch-images"
        )
    loader = DataLoader(
        AugmentedCrops(dataset, config.model.input_size, Chances.of(train)),
        batch_sampler=SeededBatches(sampler, processes),
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
    return loader, sampler
