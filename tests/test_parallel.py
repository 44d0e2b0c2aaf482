"""Two processes compute what one does on the whole batch."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from sdk.errors import DataError
from training import trainer
from training.config import ModelConfig, RunConfig, TrainConfig
from training.data import PeopleDataset
from training.data.loader import training_loader
from training.parallel import Processes

STEPS = 8
TRAIN = TrainConfig(epochs=3, identities_per_batch=8, images_per_identity=4, partners=("resnet18",), local_start=0.5)
CONFIG = RunConfig(ModelConfig(width=8, input_size=(64, 32)), TRAIN)

PROGRAMME = """
import sys
from pathlib import Path
import tests.test_parallel as this
from training.data import PeopleDataset
from training.parallel import join_processes, leave_processes

processes, device = join_processes("cpu")
people = PeopleDataset.from_folder(sys.argv[1])
this.record_losses(people, Path(sys.argv[2]), processes)
leave_processes(processes)
"""


class Enough(Exception):
    """The steps that are compared are done."""


def record_losses(people: PeopleDataset, output, processes) -> list[dict[str, float]]:
    """The loss terms of the first steps of a run, in `output/losses-<rank>.json` too.

    In float64: AdamW divides a gradient by its own size, so float32's rounding of gradients that are all but zero
    would be seen in the losses (by 1e-3 after a step), whatever is right or wrong in the sums over processes.
    """
    losses = []
    torch.set_default_dtype(torch.float64)
    compute = trainer.batch_terms

    def recorded(*arguments):
        if len(losses) == STEPS:
            raise Enough
        terms = compute(*arguments)
        losses.append({name: value.item() for name, value in terms.items()})
        return terms

    trainer.batch_terms = recorded
    try:
        trainer.train(people, output, CONFIG, processes=processes)
    except Enough:
        pass
    finally:
        trainer.batch_terms = compute
        torch.set_default_dtype(torch.float32)
    (output / f"losses-{processes.rank}.json").write_text(json.dumps(losses))
    return losses


def test_two_processes_and_one_have_the_same_losses(drawn_people, tmp_path):
    """Two networks that learn from each other, over the step at which the local loss joins; gloo on the CPU."""
    run = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0"]
    run += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", "--no-python", sys.executable, "-c", PROGRAMME]
    both = tmp_path / "both"
    done = subprocess.run([*run, str(drawn_people), str(both)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    alone = record_losses(PeopleDataset.from_folder(drawn_people), tmp_path / "alone", Processes())
    first, second = (json.loads((both / f"losses-{rank}.json").read_text()) for rank in (0, 1))
    assert len(alone) == len(first) == len(second) == STEPS
    assert "local" not in alone[0]
    assert "partner 1 local" in alone[-1]
    for step, (one, *others) in enumerate(zip(alone, first, second, strict=True)):
        for other in others:
            assert one.keys() == other.keys()
            for name in one:
                assert other[name] == pytest.approx(one[name], abs=1e-4), (step, name)
    assert np.ptp([terms["id"] for terms in alone]) > 0.01, "the steps changed something"


def test_each_process_gets_its_share_of_every_batch(drawn_people):
    people = PeopleDataset.from_folder(drawn_people)
    whole, _ = training_loader(people, CONFIG, workers=0)
    shares = [training_loader(people, CONFIG, 0, Processes(rank, 2))[0] for rank in (0, 1)]
    for (crops, labels), *parts in zip(whole, *shares, strict=True):
        torch.testing.assert_close(crops, torch.cat([part[0] for part in parts]))
        torch.testing.assert_close(labels, torch.cat([part[1] for part in parts]))


def test_a_batch_that_does_not_come_out_even_is_refused(drawn_people):
    people = PeopleDataset.from_folder(drawn_people)
    odd = dataclasses.replace(TRAIN, identities_per_batch=5, images_per_identity=3)
    with pytest.raises(DataError, match="--batch-identities"):
        training_loader(people, RunConfig(CONFIG.model, odd), 0, Processes(0, 2))
