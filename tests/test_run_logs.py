"""What a run tells TensorBoard, Weights & Biases and MLflow."""

import json
import sys
import time
import types
from dataclasses import asdict

import pytest

from sdk.errors import DataError, MissingPackageError
from training import run_logs
from training.config import ModelConfig, RunConfig, TrainConfig
from training.data import PeopleDataset
from training.run_logs import LOGS, flat, open_logs
from training.trainer import train

CONFIG = RunConfig(
    ModelConfig(width=8, input_size=(64, 32)), TrainConfig(epochs=3, identities_per_batch=4, images_per_identity=2)
)


class Kept:
    """A log that keeps what it hears."""

    def __init__(self, output, first_step):
        self.first_step, self.settings, self.steps, self.ended = first_step, None, [], None

    def config(self, settings):
        self.settings = settings

    def scalars(self, step, values):
        self.steps.append((step, values))

    def finish(self, failed):
        self.ended = failed


def test_a_run_tells_every_log_the_same(drawn_people, tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    kept = []
    monkeypatch.setitem(LOGS, "kept", lambda *given: kept.append(Kept(*given)) or kept[-1])
    training, held_out = PeopleDataset.from_folder(drawn_people).hold_out(4, seed=0)
    final = train(training, tmp_path, CONFIG, held_out, evaluate_every=3, tensorboard=True, log_to=["kept"])
    (log,) = kept
    steps = 3 * len(training) // 8
    assert log.ended is False
    assert (log.first_step, log.settings["train.epochs"], log.settings["model.width"]) == (0, 3, 8)
    assert [step for step, values in log.steps if "loss/id" in values] == list(range(steps))
    assert log.steps[-1] == (steps - 1, {f"held_out/{name}": final.evaluation[name] for name in ("rank1", "mAP")})

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) >= {"loss/id", "loss/global", "loss/local", "learning_rate", "held_out/mAP"}
    assert [event.step for event in events.Scalars("loss/id")] == list(range(steps))
    assert events.Scalars("held_out/mAP")[0].value == pytest.approx(final.evaluation["mAP"])


def test_a_tracker_that_fails_on_the_way_is_left_out(tmp_path, monkeypatch, capsys):
    class Broken(Kept):
        def scalars(self, step, values):
            raise ConnectionError("http://ann:secret@host:5000 is away")

    broken, kept = Broken(None, 0), Kept(None, 0)
    monkeypatch.setitem(LOGS, "broken", lambda *_: broken)
    monkeypatch.setitem(LOGS, "kept", lambda *_: kept)

    def run():
        with open_logs(tmp_path, ["broken", "kept", "kept"]) as logs:
            logs.scalars(0, {"held out/mAP": 0.5})
            logs.scalars(1, {"loss": 1.0})
            raise KeyError

    with pytest.raises(KeyError):
        run()
    assert kept.steps == [(0, {"held_out/mAP": 0.5}), (1, {"loss": 1.0})]
    assert (kept.ended, broken.ended) == (True, None)
    told = capsys.readouterr().err
    assert told.count("the run goes on without it") == 1
    assert "secret" not in told


def test_what_cannot_be_opened_is_said_before_training(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="--log neptune: unknown; there are tensorboard, wandb, mlflow"):
        open_logs(tmp_path, ["neptune"])
    for name in ("wandb", "mlflow"):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(MissingPackageError, match=rf"\[{name}\]"):
            open_logs(tmp_path, [name])
    kept = Kept(None, 0)
    monkeypatch.setitem(LOGS, "kept", lambda *_: kept)
    monkeypatch.setitem(LOGS, "away", lambda *_: (_ for _ in ()).throw(OSError("no route to host")))
    with pytest.raises(DataError, match=r"--log away: cannot be opened \(no route to host\)"):
        open_logs(tmp_path, ["kept", "away"])
    assert kept.ended is True


@pytest.fixture
def wandb(monkeypatch):
    """Stands in for the package; keeps the calls."""
    calls = []

    class Run:
        config = types.SimpleNamespace(update=lambda values, **_: calls.append(("config", values)))

        def log(self, values, step):
            calls.append((step, values))

        def finish(self, exit_code):
            calls.append(("finish", exit_code))

    module = types.ModuleType("wandb")
    module.init = lambda **given: calls.append(("init", given)) or Run()
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    monkeypatch.delenv("WANDB_NAME", raising=False)
    return calls


def test_wandb_is_called_as_it_wants_and_a_resumed_run_is_the_same_run(wandb, tmp_path, monkeypatch):
    for first_step in (0, 7):
        with open_logs(tmp_path / "night", ["wandb"], first_step) as logs:
            logs.config(flat(asdict(CONFIG)))
            logs.scalars(first_step, {"loss/id": 1.0})
    (_, first), config, told, ended, (_, second), *_ = wandb
    assert (first["project"], first["name"], first["resume"]) == ("aligned-reid", "night", "allow")
    assert first["id"] == second["id"]
    assert config[1]["train.epochs"] == 3
    assert (told, ended) == ((0, {"loss/id": 1.0}), ("finish", 0))
    monkeypatch.setenv("WANDB_PROJECT", "doors")
    open_logs(tmp_path / "other", ["wandb"])
    assert wandb[-1][1]["project"] == "doors"
    assert wandb[-1][1]["id"] != first["id"]


def test_mlflow_keeps_a_run_in_a_file(tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'aligned-reid[mlflow]'")
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(run_logs, "AT_ONCE", 4)
    for first_step in (0, 3):
        with open_logs(tmp_path, ["mlflow"], first_step) as logs:
            logs.config(flat(asdict(CONFIG)))
            for step in range(first_step, first_step + 3):
                logs.scalars(step, {"loss/id": step / 2, "held out/mAP": 0.5})
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("aligned-reid").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["train.epochs"] == "3"
    history = client.get_metric_history(run.info.run_id, "loss/id")
    assert [(metric.step, metric.value) for metric in history] == [(step, step / 2) for step in range(6)]
    assert run.data.metrics["held_out/mAP"] == 0.5


def test_real_wandb_writes_a_run_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="Weights & Biases is not installed: pip install 'aligned-reid[wandb]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    with open_logs(tmp_path, ["wandb"]) as logs:
        logs.config({"train.epochs": 3})
        logs.scalars(0, {"loss/id": 1.0})
    (written,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    deadline = time.monotonic() + 20
    while b"train.epochs" not in (content := written.read_bytes()) and time.monotonic() < deadline:
        time.sleep(0.05)  # its own process writes on after `finish`
    assert b"train.epochs" in content
    assert b"loss/id" in content


def test_nested_settings_are_written_in_a_line():
    settings = json.loads(json.dumps(asdict(CONFIG)))
    assert flat(settings)["model.input_size"] == [64, 32]
    assert not any(isinstance(value, dict) for value in flat(settings).values())
