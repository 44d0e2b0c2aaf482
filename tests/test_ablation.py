"""The ablation: what its arms train, how it goes on where it stopped, what its report says."""

import dataclasses
import json

import cv2
import numpy as np
import pytest

from sdk.cli import build_app
from sdk.errors import DataError
from training import ablation
from training.ablation import ARMS, GLOBAL, LOCAL, RE_RANKED, ablate, rank
from training.ablation_report import markdown
from training.checkpoint import load_checkpoint
from training.config import ModelConfig, RunConfig, TrainConfig
from training.data import PeopleDataset
from training.embedder import TorchEmbedder
from training.evaluation import evaluate_dataset

CONFIG = RunConfig(
    ModelConfig(width=8, input_size=(64, 32)),
    TrainConfig(epochs=1, identities_per_batch=4, images_per_identity=2, local_start=0.0),
)
FACTS = {"people": "drawn", "settings": {"size": (64, 32)}}


@pytest.fixture
def people(drawn_people):
    return PeopleDataset.from_folder(drawn_people)


def test_the_arms_differ_in_what_they_are_named_for():
    baseline, aligned, mutual = (arm.settings(CONFIG, "resnet50", seed=3).train for arm in ARMS)
    assert baseline == dataclasses.replace(CONFIG.train, seed=3, local_weight=0.0)
    assert aligned == dataclasses.replace(CONFIG.train, seed=3)
    assert mutual == dataclasses.replace(aligned, partners=("resnet50",))


def test_an_interrupted_ablation_goes_on_where_it_stopped(people, tmp_path, monkeypatch):
    trained = []
    train = ablation.train

    def stops_at_the_third(training, output, config, **options):
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append((config.train.seed, config.train.local_weight, config.train.partners))
        return train(training, output, config, **options)

    def run(output):
        return ablate(lambda seed: people.hold_out(4, seed), FACTS, CONFIG, 2, output, partner="resnet18")

    monkeypatch.setattr(ablation, "train", stops_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    monkeypatch.setattr(ablation, "train", lambda *a, **o: trained.append(a[2].train.seed) or train(*a, **o))
    rows = run(tmp_path)
    assert trained == [(0, 0.0, ()), (0, 1.0, ()), 0, 1, 1, 1]
    assert [(row["arm"], row["ranking"]) for row in rows if row["seed"] == 1] == [
        ("baseline", GLOBAL),
        ("baseline", RE_RANKED),
        ("+ aligned", GLOBAL),
        ("+ aligned", LOCAL),
        ("+ aligned", RE_RANKED),
        ("+ mutual", GLOBAL),
        ("+ mutual", LOCAL),
        ("+ mutual", RE_RANKED),
    ]
    assert all(row["queries"] == 32 for row in rows)
    with pytest.raises(DataError, match="other settings"):
        ablate(None, FACTS | {"settings": {}}, CONFIG, 2, tmp_path, partner="resnet18")


def test_the_rankings_are_those_of_the_evaluation(people, small_run):
    checkpoint = load_checkpoint(small_run / "model.pt")
    held_out = people.subset(checkpoint.evaluation["identities"])
    figures = rank(checkpoint, held_out, aligned=True)
    expected = evaluate_dataset(TorchEmbedder(checkpoint.build_model()), held_out).to_dict()
    assert figures[GLOBAL]["mAP"] == pytest.approx(expected["mAP"])
    assert figures[GLOBAL]["rank1"] == pytest.approx(expected["rank1"])
    assert len({f["mAP"] for f in figures.values()}) == 3
    assert LOCAL not in rank(checkpoint, held_out, aligned=False)


def test_the_table_holds_means_spreads_and_paired_differences():
    figures = {("baseline", GLOBAL): [0.5, 0.7], ("+ aligned", GLOBAL): [0.6, 0.7]}
    rows = [
        {"arm": arm, "ranking": ranking, "seed": seed, "rank1": value, "rank5": 0.9, "mAP": value - 0.1}
        for (arm, ranking), values in figures.items()
        for seed, value in enumerate(values)
    ]
    table = markdown(rows, {"people": "drawn"}).splitlines()
    assert "- people: drawn" in table
    assert table[-2] == "| baseline | global | 0.600 ± 0.141 | 0.900 ± 0.000 | 0.500 ± 0.141 |  |  |"
    assert table[-1].endswith("| 0.650 ± 0.071 | 0.900 ± 0.000 | 0.550 ± 0.071 | +0.050 (1 of 2) | +0.050 (1 of 2) |")


def test_the_command_writes_a_table_and_a_picture(drawn_people, tmp_path):
    recipe = tmp_path / "small.yaml"
    recipe.write_text("model: {width: 8, input_size: [64, 32]}\ntrain: {identities_per_batch: 4}\n")
    arguments = ["ablate", "--data", str(drawn_people), "-o", str(tmp_path), "--hold-out", "4", "--seeds", "1"]
    build_app()([*arguments, "--recipe", str(recipe), "--epochs", "1"], standalone_mode=False)
    assert "| + mutual | + re-ranking |" in (tmp_path / "ablation.md").read_text()
    picture = cv2.imread(str(tmp_path / "ablation.png"))
    assert picture.shape[1] > 900
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
    assert json.loads((tmp_path / "ablation.json").read_text())["start"] == "random weights"
