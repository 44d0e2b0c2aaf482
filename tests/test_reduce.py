"""A shorter embedding of a trained network."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sdk.errors import DataError
from sdk.simulation.population import Population
from training.checkpoint import load_checkpoint, save_checkpoint
from training.data import SimulatedPeople
from training.embedder import TorchEmbedder
from training.reduce import reduce_embedding


@pytest.fixture(scope="module")
def people():
    return SimulatedPeople.of(Population(30, 2, 4, 1, seed=4, size=(64, 32)))


def test_a_reduced_embedding_keeps_nearly_all_cosines_and_loads_again(small_run, people, tmp_path):
    whole = load_checkpoint(small_run / "model.pt")
    crops = [people.read(i) for i in range(len(people))]
    long = TorchEmbedder(whole.build_model())(crops)
    reduced = reduce_embedding(whole, people, 48)
    assert reduced.evaluation is None, "the threshold was of other cosines"
    save_checkpoint(reduced, tmp_path / "small.pt")
    model = load_checkpoint(tmp_path / "small.pt").build_model()
    assert model.embedding_dim == 48
    short = TorchEmbedder(model)(crops)
    assert short.shape == (60, 48)
    np.testing.assert_allclose(np.linalg.norm(short, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(short @ short.T, long @ long.T, atol=0.03)


def test_the_first_axes_are_those_along_which_people_differ_most(small_run, people):
    whole = load_checkpoint(small_run / "model.pt")
    reduced = reduce_embedding(whole, people, 8)
    axes = reduced.weights["projection.weight"]
    torch.testing.assert_close(axes @ axes.T, torch.eye(8), atol=1e-4, rtol=0)
    long = TorchEmbedder(whole.build_model())([people.read(i) for i in range(len(people))])
    energy = ((long @ axes.numpy().T) ** 2).sum(0)
    assert (np.diff(energy) <= 1e-3).all()


def test_what_cannot_be_reduced_is_told(small_run, people):
    whole = load_checkpoint(small_run / "model.pt")
    with pytest.raises(DataError, match=r"61 dimensions: there are .*60 crops"):
        reduce_embedding(whole, people, 61)
    again = replace(whole, config=replace(whole.config, model=replace(whole.config.model, embedding_dim=8)))
    with pytest.raises(DataError, match="reduced to 8 already"):
        reduce_embedding(again, people, 4)
