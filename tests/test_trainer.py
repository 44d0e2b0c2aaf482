"""Training learns, its checkpoints hold no code, and an interrupted run ends as if it had not been."""

import dataclasses
import pickle

import pytest
import torch

from sdk import ReIdentifier
from sdk.errors import DataError
from sdk.simulation.crops import draw_crop
from training import trainer
from training.average import copy_weights, update_average
from training.checkpoint import load_checkpoint, save_checkpoint
from training.config import ModelConfig, RunConfig, TrainConfig
from training.data import PeopleDataset
from training.embedder import TorchEmbedder
from training.evaluation import evaluate_dataset
from training.model import Outputs
from training.schedule import warmup_cosine
from training.start import choose_start, describe_start, write_start
from training.trainer import loss_terms, train

CONFIG = RunConfig(
    ModelConfig(width=8, input_size=(64, 32)),
    TrainConfig(epochs=3, identities_per_batch=4, images_per_identity=2),
)


@pytest.fixture
def people(drawn_people):
    return PeopleDataset.from_folder(drawn_people)


def test_every_term_of_the_loss_can_be_learnt(people):
    """Forty steps on one batch lower each of them; on a batch without augmentation that must be possible."""
    torch.manual_seed(0)
    model = trainer.AlignedReID(CONFIG.model, 12)
    chosen = [i for i in range(len(people)) if i % 8 in (0, 1, 4, 5)][:24]  # 6 people, both cameras
    crops = torch.stack([torch.from_numpy(people.read(i)) for i in chosen])
    labels = torch.from_numpy(people.labels[chosen])
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    history = []
    for _ in range(40):
        terms = loss_terms(model(crops), labels, CONFIG)
        history.append({name: term.item() for name, term in terms.items()})
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
    assert set(history[0]) == {"id", "global", "local"}
    for term in ("id", "global", "local"):
        assert history[-1][term] < 0.8 * history[0][term], term


def test_training_separates_the_people_it_is_shown(people, tmp_path):
    """mAP on the training people themselves, before and after a few epochs of the real loop."""
    config = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, epochs=24))
    torch.manual_seed(config.train.seed)
    untrained = trainer.AlignedReID(config.model, len(people.identities))
    trained = train(people, tmp_path, config).build_model()
    before, after = (evaluate_dataset(TorchEmbedder(m), people).ranking.mean_ap for m in (untrained, trained))
    assert after > before + 0.1


def test_the_local_loss_can_be_switched_off(people):
    config = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, local_weight=0.0))
    model = trainer.AlignedReID(config.model, 12)
    crops = torch.stack([torch.from_numpy(people.read(i).copy()) for i in range(16)])
    assert set(loss_terms(model(crops), torch.from_numpy(people.labels[:16]), config)) == {"id", "global"}


def test_the_local_loss_joins_after_its_share_of_the_run(people, tmp_path, monkeypatch):
    config = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, epochs=4, local_start=0.5))
    seen = []

    def spy(*arguments):
        seen.append(set(loss_terms(*arguments)))
        return loss_terms(*arguments)

    monkeypatch.setattr(trainer, "loss_terms", spy)
    train(people, tmp_path, config)
    half = len(seen) // 2
    assert seen == [{"id", "global"}] * half + [{"id", "global", "local"}] * half


def test_the_global_triplet_loss_cannot_be_lowered_by_smaller_features():
    """On pooled features it could: their batch normalisation hides the scale from the ID loss, and they shrink."""
    embedding = torch.nn.functional.normalize(torch.randn(8, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    labels = torch.arange(8) // 2
    stripes = torch.rand(8, 4, 16)
    losses = [
        loss_terms(Outputs(scale * embedding, embedding, stripes, torch.randn(8, 4)), labels, CONFIG)["global"]
        for scale in (1.0, 0.01)
    ]
    assert losses[0] == losses[1] > 0.3


def test_a_resumed_run_ends_with_identical_weights(people, tmp_path, monkeypatch):
    whole = train(people, tmp_path / "whole", CONFIG)

    saved = []

    def killed_after_the_second_epoch(checkpoint, path):
        save_checkpoint(checkpoint, path)
        saved.append(checkpoint.epoch)
        if checkpoint.epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "save_checkpoint", killed_after_the_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        train(people, tmp_path / "parts", CONFIG)
    monkeypatch.undo()
    assert saved == [1, 2]
    resumed = train(people, tmp_path / "parts", CONFIG, resume=True)
    for name, tensor in whole.weights.items():
        assert torch.equal(tensor, resumed.weights[name]), name


def test_a_run_may_start_from_other_weights_of_the_same_shape(people, tmp_path, small_run, monkeypatch):
    start = load_checkpoint(small_run / "model.pt")
    first = []

    def spy(outputs, *_):
        first.append(outputs)
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "loss_terms", spy)
    with pytest.raises(KeyboardInterrupt):
        train(people, tmp_path, CONFIG, init=start)
    with pytest.raises(KeyboardInterrupt):
        train(people, tmp_path, CONFIG)
    started, fresh = first
    assert started.logits.shape[1] == 12, "the classifier is of the new people"
    assert (started.embedding - fresh.embedding).abs().max() > 0.01
    monkeypatch.undo()
    other = dataclasses.replace(CONFIG, model=dataclasses.replace(CONFIG.model, width=16))
    with pytest.raises(DataError, match="width=8"):
        train(people, tmp_path, other, init=start)


def test_runs_start_from_the_shipped_weights_where_the_shape_is_theirs(tmp_path, small_run):
    shipped = choose_start(ModelConfig())
    assert shipped.identities == []
    assert choose_start(ModelConfig(width=8)) is None
    assert choose_start(ModelConfig(), from_scratch=True) is None
    own = choose_start(ModelConfig(), init=small_run / "model.pt")
    assert own.config.model.width == 8
    with pytest.raises(DataError, match="contradict"):
        choose_start(ModelConfig(), init=small_run / "model.pt", from_scratch=True)
    assert describe_start(shipped, None) != describe_start(None, None) == "random weights"


def test_the_shipped_weights_are_those_of_the_shipped_model():
    crops = [draw_crop(5, identity, 0, 1) for identity in range(8)]
    ours = TorchEmbedder(choose_start(ModelConfig()).build_model())(crops)
    shipped = ReIdentifier().embed(crops).embedding
    assert (ours * shipped).sum(axis=1).min() > 0.9999  # half precision in the one file


def test_a_start_has_no_classifier_and_half_the_size(small_run, tmp_path):
    write_start(small_run / "model.pt", tmp_path / "start.pt")
    start = load_checkpoint(tmp_path / "start.pt")
    assert not any(name.startswith("classifier.") for name in start.weights)
    assert start.weights["backbone.conv1.weight"].dtype == torch.float16
    start.build_model()


def test_the_average_follows_the_weights_and_forgets_a_random_start():
    model = torch.nn.BatchNorm1d(1)
    average = copy_weights(model)
    with torch.no_grad():
        model.weight.fill_(3.0)
        model.num_batches_tracked += 5
    update_average(average, model, step=0, decay=0.99)
    assert average["weight"].item() == pytest.approx(1 + 2 * 0.9), "the first steps count most"
    assert average["num_batches_tracked"].item() == 5
    for _ in range(3):
        update_average(average, model, step=10_000, decay=0.99)
    assert average["weight"].item() == pytest.approx(3 - 0.2 * 0.99**3, abs=1e-4)
    update_average(average, model, step=10_000, decay=0.0)
    assert average["weight"].item() == 3
    assert model.weight.item() == 3


def test_a_run_is_not_overwritten_nor_resumed_with_other_settings(people, small_run):
    with pytest.raises(DataError, match="--resume"):
        train(people, small_run, CONFIG)
    with pytest.raises(DataError, match="other settings"):
        train(people, small_run, CONFIG, resume=True)


def test_the_checkpoint_carries_config_identities_and_evaluation(small_run):
    checkpoint = load_checkpoint(small_run / "model.pt")
    assert checkpoint.config.model.width == 8
    assert len(checkpoint.identities) == 8
    assert len(checkpoint.evaluation["identities"]) == 4
    assert 0 <= checkpoint.evaluation["mAP"] <= 1
    assert 0 < checkpoint.evaluation["threshold"]["value"] < 2
    assert not checkpoint.build_model().training


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    path = tmp_path / "harmful.pt"
    torch.save({"facts": "{}", "weights": Harmful()}, path, pickle_module=pickle)
    with pytest.raises(DataError, match="not a readable checkpoint"):
        load_checkpoint(path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("what", ["missing", "truncated", "foreign"])
def test_an_unusable_checkpoint_is_named(tmp_path, small_run, what):
    path = tmp_path / "bad.pt"
    if what == "truncated":
        path.write_bytes((small_run / "model.pt").read_bytes()[:5000])
    if what == "foreign":
        torch.save({"state_dict": {}}, path)
    with pytest.raises(DataError, match=r"bad\.pt"):
        load_checkpoint(path)


def test_one_identity_cannot_be_trained_on(people, tmp_path):
    with pytest.raises(DataError, match="2 identities"):
        train(people.subset(people.identities[:1]), tmp_path, CONFIG)


def test_the_schedule_rises_then_falls():
    rates = [warmup_cosine(step, 100, 0.1) for step in range(100)]
    assert rates[:10] == sorted(rates[:10])
    assert max(rates) == rates[9] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.01, abs=0.01)
