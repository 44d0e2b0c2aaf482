"""Training learns, its checkpoints hold no code, and an interrupted run ends as if it had not been."""

import dataclasses
import io
import os
import pickle
import random
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from rich.console import Console

from sdk import ReIdentifier
from sdk.errors import DataError
from sdk.simulation.crops import draw_crop
from training import epoch_log, trainer
from training.average import copy_weights, update_average
from training.checkpoint import load_checkpoint, save_checkpoint
from training.config import ModelConfig, RunConfig, TrainConfig
from training.data import PeopleDataset
from training.embedder import TorchEmbedder
from training.evaluation import evaluate_dataset
from training.losses import class_mutual_loss
from training.model import AlignedReID, Outputs
from training.schedule import learning_rate_factor
from training.start import choose_start, default_shape, describe_start, shipped_start, write_start
from training.trainer import loss_terms, train

CONFIG = RunConfig(
    ModelConfig(width=8, input_size=(64, 32)),
    TrainConfig(epochs=3, identities_per_batch=4, images_per_identity=2),
)


def with_settings(**settings) -> RunConfig:
    return dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, **settings))


@pytest.fixture
def people(drawn_people):
    return PeopleDataset.from_folder(drawn_people)


def test_every_term_of_the_loss_can_be_learnt(people):
    """Forty steps on one batch lower each of them; on a batch without augmentation that must be possible."""
    torch.manual_seed(0)
    model = AlignedReID(CONFIG.model, 12)
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
    config = with_settings(epochs=24)
    torch.manual_seed(config.train.seed)
    untrained = AlignedReID(config.model, len(people.identities))
    trained = train(people, tmp_path, config).build_model()
    before, after = (evaluate_dataset(TorchEmbedder(m), people).ranking.mean_ap for m in (untrained, trained))
    assert after > before + 0.1


def test_the_local_loss_can_be_switched_off(people):
    config = with_settings(local_weight=0.0)
    model = AlignedReID(config.model, 12)
    crops = torch.stack([torch.from_numpy(people.read(i).copy()) for i in range(16)])
    assert set(loss_terms(model(crops), torch.from_numpy(people.labels[:16]), config)) == {"id", "global"}


def test_the_local_loss_joins_after_its_share_of_the_run(people, tmp_path, monkeypatch):
    config = with_settings(epochs=4, local_start=0.5)
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


def test_a_run_killed_at_a_random_moment_ends_with_identical_weights(drawn_people, people, tmp_path):
    """The real process, by SIGKILL, twice: a step or a save may be under way. Two networks, and a worker process."""
    config = with_settings(epochs=8, partners=("resnet18",))
    whole = train(people, tmp_path / "whole", config)
    parts = tmp_path / "parts"
    arguments = [
        "train",
        "--data",
        str(drawn_people),
        "-o",
        str(parts),
        "--resume",
        "--from-scratch",
        "--hold-out",
        "0",
    ]
    arguments += ["--width", "8", "--height", "64", "--batch-identities", "4", "--batch-images", "2", "--epochs", "8"]
    arguments += ["--partner", "resnet18", "--workers", "1"]
    command = [sys.executable, "-c", "from sdk.cli import main; main()", *arguments]
    rng = random.Random()
    for kill in range(2):
        epochs_before = load_checkpoint(parts / trainer.LAST).epoch if kill else 0
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        while not (parts / trainer.LAST).exists() or load_checkpoint(parts / trainer.LAST).epoch <= epochs_before:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.1)
        time.sleep(rng.uniform(0, 0.5))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert 2 <= load_checkpoint(parts / trainer.LAST).epoch <= 8
    subprocess.run(command, check=True, capture_output=True)
    for name in (trainer.FINAL, trainer.PARTNER.format(1)):
        ends = [load_checkpoint(folder / name).weights for folder in (tmp_path / "whole", parts)]
        for key, tensor in ends[0].items():
            assert torch.equal(tensor, ends[1][key]), (name, key)
    assert whole.epoch == 8


def test_partners_learn_along_and_are_kept(people, tmp_path):
    config = with_settings(epochs=1, partners=("resnet18", "resnet50"))
    training, held_out = people.hold_out(4, seed=0)
    first = train(training, tmp_path, config, held_out)
    others = [load_checkpoint(tmp_path / trainer.PARTNER.format(number)) for number in (1, 2)]
    assert [c.config.model.backbone for c in (first, *others)] == ["resnet18", "resnet18", "resnet50"]
    assert all(0 < c.evaluation["mAP"] < 1 for c in (first, *others))
    same = others[0].weights["backbone.conv1.weight"]
    assert not torch.equal(same, first.weights["backbone.conv1.weight"]), "another random start"
    others[1].build_model()


def test_networks_that_learn_from_each_other_agree_more(people, tmp_path):
    """The class probabilities of two networks on the training people, with the mutual losses and without."""
    crops = torch.stack([torch.from_numpy(people.read(i)) for i in range(0, len(people), 3)])
    apart = []
    for weight in (0.0, 5.0):
        settings = {
            "epochs": 10,
            "partners": ("resnet18",),
            "class_mutual_weight": weight,
            "metric_mutual_weight": weight,
        }
        train(people, tmp_path / str(weight), with_settings(**settings))
        models = [load_checkpoint(tmp_path / str(weight) / name).build_model() for name in ("model.pt", "partner-1.pt")]
        with torch.no_grad():
            logits, others = (model(crops).logits for model in models)
        apart.append(class_mutual_loss(logits, others).item())
    assert apart[1] < 0.7 * apart[0]


def test_a_loss_that_is_not_finite_stops_the_run_and_saves_the_batch(people, tmp_path, monkeypatch):
    def broken(outputs, labels, *rest):
        terms = loss_terms(outputs, labels, *rest)
        broken.calls += 1
        return terms | {"id": terms["id"] / (0.0 if broken.calls == 14 else 1.0)}

    broken.calls = 0
    monkeypatch.setattr(trainer, "loss_terms", broken)
    with pytest.raises(DataError, match=r"epoch 2, step 13 .*failed-batch-0\.pt"):
        train(people, tmp_path, CONFIG)
    batch = torch.load(tmp_path / "failed-batch-0.pt", weights_only=True)
    assert batch["crops"].shape == (8, 64, 32, 3)
    assert batch["terms"]["id"] == float("inf")
    assert set(batch["networks"][0]) == set(load_checkpoint(tmp_path / "last.pt").weights)
    monkeypatch.undo()
    assert train(people, tmp_path, CONFIG, resume=True).epoch == 3


def test_the_best_epoch_is_kept_beside_the_last(people, tmp_path, monkeypatch, capsys):
    training, held_out = people.hold_out(4, seed=0)
    figures = iter([0.2, 0.6, 0.4, 0.5])
    evaluate = trainer.evaluate_checkpoint

    def scripted(*arguments):
        return evaluate(*arguments) | {"mAP": next(figures)}

    monkeypatch.setattr(trainer, "evaluate_checkpoint", scripted)
    train(training, tmp_path, CONFIG, held_out, evaluate_every=1)
    best, last, final = (load_checkpoint(tmp_path / name) for name in ("best.pt", "last.pt", "model.pt"))
    assert (best.epoch, best.evaluation["mAP"]) == (2, 0.6)
    assert (last.epoch, final.evaluation["mAP"]) == (3, 0.5)
    assert not torch.equal(best.weights["backbone.conv1.weight"], final.weights["backbone.conv1.weight"])
    assert best.state is None
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch ")]
    assert len(lines) == 3, "a line an epoch, where there is no terminal"
    for number, (line, figure) in enumerate(zip(lines, ("0.200", "0.600", "0.400"), strict=True), start=1):
        assert re.match(rf"epoch {number}/3, loss id \d\.\d+ global \d\.\d+.*, rate \d", line)
        assert line.endswith(f" mAP {figure}")
        assert ("left" in line) == (number < 3)


def test_a_log_line_has_the_means_of_its_epoch_and_the_time_that_is_left(monkeypatch):
    for terminal in (False, True):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=200)
        monkeypatch.setattr(epoch_log, "notes", console)
        clock = iter([100.0, 200.0, 500.0])
        monkeypatch.setattr(epoch_log.time, "monotonic", lambda clock=clock: next(clock))
        log = epoch_log.EpochLog(epochs=40, first_epoch=2)
        for terms in ({"id": 2.0}, {"id": 1.0, "local": 0.5}):
            log.add(terms)
        log.end(2, 0.0005)
        log.add({"id": 0.25})
        log.end(3, 0.0004, {"rank1": 0.75, "mAP": 0.5, "queries": 3})
        lines = console.file.getvalue().splitlines()
        assert lines == (
            []
            if terminal
            else [
                "epoch 3/40, loss id 1.500 local 0.500, rate 0.0005, 2 min for it, 1 h 2 min left",
                "epoch 4/40, loss id 0.250, rate 0.0004, 5 min for it, 2 h 0 min left, held out rank1 0.750 mAP 0.500",
            ]
        )
    assert epoch_log.duration(59.6) == "60 s"


def test_gradients_are_clipped_to_the_norm_that_is_asked_for(people, tmp_path, monkeypatch):
    norms = []
    step = torch.optim.AdamW.step

    def spy(optimizer, *arguments):
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norms.append(torch.cat([g.flatten() for g in gradients]).norm().item())
        return step(optimizer, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    for number, clip in enumerate((0.0, 0.1)):
        train(people, tmp_path / str(number), with_settings(epochs=1, clip=clip))
    free, clipped = norms[: len(norms) // 2], norms[len(norms) // 2 :]
    assert min(free) > 0.2
    assert max(clipped) == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_trains_and_keeps_the_losses_in_float32(people, tmp_path, monkeypatch, precision):
    dtypes, losses = set(), {precision: [], "float32": []}

    def spy(outputs, *rest):
        terms = loss_terms(outputs, *rest)
        dtypes.update(tensor.dtype for tensor in (*outputs, *terms.values()))
        losses[running].append(sum(terms.values()).item())
        return terms

    monkeypatch.setattr(trainer, "loss_terms", spy)
    for running in losses:
        checkpoint = train(people, tmp_path / running, with_settings(epochs=1, precision=running))
        assert all(torch.isfinite(tensor).all() for tensor in checkpoint.weights.values())
    assert dtypes == {torch.float32}
    first, plain = losses[precision][0], losses["float32"][0]
    assert first != plain, "the network itself is rounded"
    assert first == pytest.approx(plain, rel=0.02)
    assert losses[precision][-1] == pytest.approx(losses["float32"][-1], rel=0.2)


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


def test_a_run_hands_on_a_share_of_what_it_started_from(people, tmp_path, small_run):
    start = load_checkpoint(small_run / "model.pt")
    alone, half, nothing = (
        train(people, tmp_path / str(share), with_settings(start_share=share), init=start).weights
        for share in (0.0, 0.5, 1.0)
    )
    moved = 0.0
    for name, tensor in half.items():
        if name.startswith("classifier."):
            assert torch.equal(tensor, alone[name]), "its people are others than those of the start"
        elif tensor.is_floating_point():
            torch.testing.assert_close(tensor, (alone[name] + start.weights[name]) / 2)
            torch.testing.assert_close(nothing[name], start.weights[name])
            moved = max(moved, (alone[name] - start.weights[name]).abs().max().item())
    assert moved > 0.01
    fresh = train(people, tmp_path / "fresh", with_settings(start_share=0.5)).weights
    plain = train(people, tmp_path / "plain", with_settings(start_share=0.0)).weights
    assert all(torch.equal(fresh[name], plain[name]) for name in plain), "random weights are no start"


def test_runs_start_from_the_shipped_weights_where_the_shape_is_theirs(tmp_path, small_run):
    shipped = shipped_start()
    shape = shipped.config.model
    assert shipped.identities == []
    assert choose_start(shape).config == shipped.config
    assert choose_start(dataclasses.replace(shape, input_size=(256, 128), last_stride=2)).config == shipped.config
    assert choose_start(ModelConfig(width=8)) is None
    assert choose_start(shape, from_scratch=True) is None
    assert choose_start(ModelConfig(width=8), init="default").config == shipped.config
    assert describe_start(shipped, "default") == describe_start(shipped)
    own = choose_start(shape, init=small_run / "model.pt")
    assert own.config.model.width == 8
    with pytest.raises(DataError, match="contradict"):
        choose_start(shape, init=small_run / "model.pt", from_scratch=True)
    assert describe_start(shipped, None) != describe_start(None, None) == "random weights"


def test_the_shape_of_a_run_is_that_of_its_start_unless_another_network_is_named(small_run):
    own = load_checkpoint(small_run / "model.pt").config.model
    assert default_shape([]) == default_shape(["pooling"]) == shipped_start().config.model
    assert default_shape([], init=small_run / "model.pt") == own
    assert default_shape(["backbone"], init=small_run / "model.pt") == default_shape(["width"]) == ModelConfig()
    assert default_shape([], from_scratch=True) == ModelConfig()


def test_the_shipped_weights_are_those_of_the_shipped_model():
    crops = [draw_crop(5, identity, 0, 1) for identity in range(8)]
    ours = TorchEmbedder(shipped_start().build_model())(crops)
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


def test_a_checkpoint_that_lies_alone_is_not_overwritten_either(people, small_run, tmp_path):
    (tmp_path / "model.pt").write_bytes((small_run / "model.pt").read_bytes())
    with pytest.raises(
        DataError, match=r"model\.pt: is there already, and would be overwritten; choose another folder"
    ):
        train(people, tmp_path, CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


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
    rates = [learning_rate_factor(step, 10, 10, 0.1) for step in range(100)]
    assert rates[:10] == sorted(rates[:10])
    assert max(rates) == rates[9] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.01, abs=0.01)
