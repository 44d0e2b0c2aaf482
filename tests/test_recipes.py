"""Recipes and options: what goes over what, and what a mistyped setting says."""

import pytest

from sdk.errors import DataError
from training.config import ModelConfig, RunConfig, TrainConfig
from training.recipe import FOLDER, read_recipe, settle
from training.start import FINE_TUNING


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_the_recipes_that_come_along_can_be_settled(name):
    config = settle(RunConfig(), read_recipe(name), {})
    assert config != RunConfig()
    assert RunConfig.from_dict(config.to_dict()) == config


def test_options_go_over_the_recipe_and_the_recipe_over_the_defaults(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("model: {input_size: [96, 48]}\ntrain: {epochs: 7, learning_rate: 0.01}\n")
    chosen = {"model": {"width": 16, "backbone": None}, "train": {"epochs": 3, "seed": None}}
    config = settle(RunConfig(train=FINE_TUNING), read_recipe(str(path)), chosen)
    assert config.model == ModelConfig(width=16, input_size=(96, 48))
    assert (config.train.epochs, config.train.learning_rate) == (3, 0.01)
    assert config.train.local_start == FINE_TUNING.local_start != TrainConfig().local_start


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train: {epoch: 3}", r"train\.epoch.*epochs"),
        ("training: {epochs: 3}", "section 'training'"),
        ("- train", "sections"),
        ("train: [", "not a YAML file"),
    ],
)
def test_a_mistake_in_a_recipe_is_named(tmp_path, text, said):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=said) as caught:
        read_recipe(str(path))
    assert "own.yaml" in str(caught.value)


def test_an_unknown_recipe_names_the_known():
    with pytest.raises(DataError, match="edge, edge-again, edge-from-nothing, market1501-edge, market1501-paper"):
        read_recipe("egde")


@pytest.mark.parametrize(
    "setting",
    [
        {"epochs": 0},
        {"precision": "fp8"},
        {"erasing": 2.0},
        {"erasing_fill": "snow"},
        {"frozen": -1},
        {"images_per_identity": 1},
        {"epochs": "many"},
    ],
)
def test_a_value_that_cannot_be_is_refused(setting):
    with pytest.raises(DataError):
        settle(RunConfig(), {"train": setting}, {})
