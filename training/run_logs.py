"""What a training run tells trackers of experiments: TensorBoard, Weights & Biases, MLflow.

A tracker is anything with the four methods of `RunLog`. Each package is imported when its log is opened.
"""

import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from sdk.confidential import why
from sdk.errors import DataError, ReIDError, missing_package
from sdk.output import write_whole
from sdk.terminal import notes

PROJECT = "aligned-reid"
"""Of Weights & Biases, and the experiment of MLflow, where the environment names none."""
AT_ONCE = 1000
"""Figures of one request to MLflow, which takes no more."""


class RunLog(Protocol):
    """One run, to one tracker."""

    def config(self, settings: dict[str, object]) -> None:
        """What the run is made of, once, at its begin: `{"train.epochs": 40, …}`."""

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Figures of a step; a step may come twice, with other names."""

    def finish(self, failed: bool) -> None:
        """Nothing follows."""


class TensorBoardLog:
    """Into `output/tensorboard`. The steps that a resumed run has lost are withdrawn."""

    def __init__(self, output: Path, first_step: int):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise missing_package("tensorboard", "tensorboard", "--log tensorboard") from None
        self._writer = SummaryWriter(str(output / "tensorboard"), purge_step=first_step)

    def config(self, settings: dict[str, object]) -> None:
        rows = "".join(f"| {name} | {value} |\n" for name, value in settings.items())
        self._writer.add_text("config", f"| setting | value |\n|---|---|\n{rows}")

    def scalars(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def finish(self, failed: bool) -> None:
        self._writer.close()


class WandbLog:
    """To Weights & Biases, as its own settings say (`wandb login`, WANDB_MODE=offline, WANDB_PROJECT, …).

    Its files are in `output/wandb`. A resumed run goes on as the same one.
    """

    def __init__(self, output: Path, first_step: int):
        try:
            import wandb
        except ImportError:
            raise missing_package("wandb", "wandb", "--log wandb") from None
        output.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=os.environ.get("WANDB_NAME", output.resolve().name),
            dir=str(output),
            id=_run_id(output / "wandb.id", first_step, lambda: secrets.token_hex(4)),
            resume="allow",
        )

    def config(self, settings: dict[str, object]) -> None:
        self._run.config.update(settings, allow_val_change=True)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        self._run.log(values, step=step)

    def finish(self, failed: bool) -> None:
        self._run.finish(exit_code=1 if failed else 0)


class MlflowLog:
    """To the server, or the store, of MLFLOW_TRACKING_URI; without it to the file `output/mlflow.db`.

    The experiment is MLFLOW_EXPERIMENT_NAME. A resumed run goes on as the same one.
    """

    def __init__(self, output: Path, first_step: int):
        try:
            from mlflow import MlflowClient
            from mlflow.entities import Metric, Param
        except ImportError:
            raise missing_package("mlflow", "mlflow", "--log mlflow") from None
        self._metric, self._param = Metric, Param
        output.mkdir(parents=True, exist_ok=True)
        where = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{output.resolve() / 'mlflow.db'}"
        self._client = MlflowClient(tracking_uri=where)
        self._waiting: list = []
        self._started = not first_step
        self._run = _run_id(output / "mlflow.id", first_step, lambda: self._create(output))
        if first_step:
            self._client.update_run(self._run, status="RUNNING")

    def _create(self, output: Path) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        known = self._client.get_experiment_by_name(name)
        if known:
            experiment = known.experiment_id
        elif os.environ.get("MLFLOW_TRACKING_URI"):
            experiment = self._client.create_experiment(name)
        else:  # else what belongs to it would go beside the programme's working folder
            experiment = self._client.create_experiment(name, (output.resolve() / "mlflow").as_uri())
        return self._client.create_run(experiment, run_name=output.resolve().name).info.run_id

    def config(self, settings: dict[str, object]) -> None:
        if self._started:  # a parameter of MLflow is written once
            params = [self._param(name, str(value)) for name, value in settings.items()]
            self._client.log_batch(self._run, params=params)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        import time

        now = int(time.time() * 1000)
        self._waiting += [self._metric(name, value, now, step) for name, value in values.items()]
        if len(self._waiting) >= AT_ONCE // 2:  # a request a step would hold the training up
            self._send()

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), AT_ONCE):
            self._client.log_batch(self._run, metrics=waiting[start : start + AT_ONCE])

    def finish(self, failed: bool) -> None:
        self._send()
        self._client.set_terminated(self._run, "FAILED" if failed else "FINISHED")


LOGS: dict[str, Callable[[Path, int], RunLog]] = {"tensorboard": TensorBoardLog, "wandb": WandbLog, "mlflow": MlflowLog}
"""By the name that `reid train --log` has for it: called with the run's folder and its first step."""


class RunLogs:
    """All logs of a run as one. A tracker that fails on the way is left out, with a note: the run goes on."""

    def __init__(self, logs: dict[str, RunLog]):
        self._logs = logs

    def __enter__(self) -> "RunLogs":
        return self

    def __exit__(self, kind, *_) -> None:
        self._tell(lambda log: log.finish(kind is not None))

    def config(self, settings: dict[str, object]) -> None:
        self._tell(lambda log: log.config(settings))

    def scalars(self, step: int, values: dict[str, float]) -> None:
        if self._logs:
            values = {name.replace(" ", "_"): value for name, value in values.items()}
            self._tell(lambda log: log.scalars(step, values))

    def _tell(self, say: Callable[[RunLog], None]) -> None:
        for name, log in list(self._logs.items()):
            try:
                say(log)
            except Exception as error:  # they have no base class in common
                del self._logs[name]
                notes.print(f"{name}: {why(error)}; the run goes on without it", soft_wrap=True)


def open_logs(output: Path, wanted: Iterable[str], first_step: int = 0) -> RunLogs:
    """The logs `wanted`, names of `LOGS`, of the run in `output`; none: figures go nowhere.

    first_step: of a resumed run the step it goes on with, else 0. Raises `DataError` for an unknown name or a tracker
    that cannot be reached, and `MissingPackageError` if its package is not installed.
    """
    logs: dict[str, RunLog] = {}
    for name in dict.fromkeys(wanted):
        if name not in LOGS:
            raise DataError(f"--log {name}: unknown; there are {', '.join(LOGS)}")
        try:
            logs[name] = LOGS[name](output, first_step)
        except Exception as error:
            RunLogs(logs).__exit__(type(error))
            if isinstance(error, ReIDError):
                raise
            raise DataError(f"--log {name}: cannot be opened ({why(error)}); look after it, or leave it away") from None
    return RunLogs(logs)


def flat(settings: dict, prefix: str = "") -> dict[str, object]:
    """`{"train": {"epochs": 40}}` as `{"train.epochs": 40}`."""
    found: dict[str, object] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _run_id(path: Path, first_step: int, create: Callable[[], str]) -> str:
    """What the tracker calls the run: of a resumed one what it was called, remembered in `path`."""
    if first_step and path.exists():
        return path.read_text(encoding="utf-8").strip()
    name = create()
    write_whole(path, name + "\n")
    return name
