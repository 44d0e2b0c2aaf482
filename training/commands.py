"""The subcommands of this room: `reid train`, `reid evaluate`.

torch is imported when a command runs, not when `reid --help` lists it.
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from sdk.errors import DataError, missing_package
from sdk.terminal import notes, results

SIMULATION = "With --data simulated"

Data = Annotated[
    Path, typer.Option(help="Folder <root>/<identity>/<camera>_<anything>.png|jpg, or: simulated (drawn people).")
]
Identities = Annotated[int, typer.Option(help="How many people.", rich_help_panel=SIMULATION)]
Cameras = Annotated[int, typer.Option(help="How many cameras see each.", rich_help_panel=SIMULATION)]
SiteCameras = Annotated[
    int, typer.Option(help="How many cameras there are to choose those from.", rich_help_panel=SIMULATION)
]
# Not 0 by default: the people and sites that a user tries out first are then others than those trained on.
PeopleSeed = Annotated[int, typer.Option(help="Draws the people.", rich_help_panel=SIMULATION)]
Misalignment = Annotated[float, typer.Option(help="Of the boxes, 0 none to 1 severe.", rich_help_panel=SIMULATION)]

HELD_OUT_SHARE = 0.2
"""Of the identities, where --hold-out is not given: enough to calibrate the threshold on."""


def register(app: typer.Typer) -> None:
    """Add this room's subcommands to `reid`."""
    app.command()(train)
    app.command()(evaluate)


def train(
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run: last.pt, model.pt.")],
    hold_out: Annotated[
        int | None, typer.Option(help="Identities kept from training, to evaluate on. [default: a fifth]")
    ] = None,
    backbone: Annotated[str, typer.Option(help="resnet18 or resnet50.")] = "resnet18",
    width: Annotated[int, typer.Option(help="Channels of the first stage; 64 is the original, 32 for the edge.")] = 32,
    height: Annotated[int, typer.Option(help="Height of the resized crops, px; the width is half of it.")] = 128,
    last_stride: Annotated[int, typer.Option(help="Stride of the last stage, 1 or 2.")] = 1,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the data. [default: 40; 120 from random weights]")
    ] = None,
    batch_identities: Annotated[int, typer.Option(help="P of the P×K batch.")] = 8,
    batch_images: Annotated[int, typer.Option(help="K of the P×K batch.")] = 4,
    learning_rate: Annotated[
        float | None, typer.Option(help="Of AdamW, at its highest. [default: 0.0005; 0.002 from random weights]")
    ] = None,
    local_weight: Annotated[float, typer.Option(help="Weight of the aligned local loss; 0 switches it off.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Draws the held-out people, the weights, the batches.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, … [default: cuda if there is one]")] = None,
    workers: Annotated[int, typer.Option(help="Processes that read and augment images.")] = 0,
    init: Annotated[
        Path | None,
        typer.Option(help="Checkpoint to start from. [default: the shipped weights, if the network has their shape]"),
    ] = None,
    from_scratch: Annotated[bool, typer.Option("--from-scratch", help="Start from random weights.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run in OUTPUT stopped.")] = False,
    identities: Identities = 1500,
    cameras: Cameras = 16,
    site_cameras: SiteCameras = 64,
    people_seed: PeopleSeed = 1711,
    misalignment: Misalignment = 0.25,
) -> None:
    """Train AlignedReID on a folder of people; evaluate it on people held out."""
    torch = _torch()
    from training.config import ModelConfig, RunConfig, TrainConfig
    from training.start import FINE_TUNING, choose_start, describe_start
    from training.trainer import FINAL
    from training.trainer import train as run

    size = (height, height // 2)
    people = _people(data, identities, cameras, site_cameras, people_seed, size, misalignment)
    if hold_out is None:
        hold_out = max(2, round(HELD_OUT_SHARE * len(people.identities)))
    training, held_out = people.hold_out(hold_out, seed)
    shape = ModelConfig(backbone, width, last_stride, size)
    start = choose_start(shape, init, from_scratch)
    defaults = TrainConfig() if start is None else FINE_TUNING
    try:
        config = RunConfig(
            shape,
            TrainConfig(
                defaults.epochs if epochs is None else epochs,
                batch_identities,
                batch_images,
                defaults.learning_rate if learning_rate is None else learning_rate,
                local_weight=local_weight,
                seed=seed,
                start=describe_start(start, init),
                data=people.source,
            ),
        )
    except ValueError as error:
        raise DataError(str(error)) from error
    notes.print(
        f"{len(training.identities)} identities, {len(training)} crops to train on; {len(held_out.identities)} held out"
    )
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    notes.print(f"starting from {config.train.start}")
    checkpoint = run(training, output, config, held_out, device=device, workers=workers, resume=resume, init=start)
    if checkpoint.evaluation:
        _print_evaluation(checkpoint.evaluation)
    notes.print(f"wrote {output / FINAL}")


def evaluate(
    model: Annotated[Path, typer.Argument(help="A checkpoint (.pt) or a converted model (.onnx).")],
    data: Data,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Only the people that a checkpoint's training held out.")
    ] = False,
    identities: Identities = 1500,
    cameras: Cameras = 16,
    site_cameras: SiteCameras = 64,
    people_seed: PeopleSeed = 1711,
    misalignment: Misalignment = 0.25,
) -> None:
    """Rank-1, -5, -10 and mAP: every crop a query once, against all crops of the other cameras."""
    from training.evaluation import evaluate_dataset

    if model.suffix == ".pt":
        _torch()
        from training.checkpoint import load_checkpoint
        from training.embedder import TorchEmbedder

        checkpoint = load_checkpoint(model)
        embed, evaluation = TorchEmbedder(checkpoint.build_model()), checkpoint.evaluation
        size = checkpoint.config.model.input_size
    else:
        from sdk.engines import load_engine
        from sdk.reidentifier import ReIdentifier

        engine = load_engine(model)
        reid = ReIdentifier(engine, threshold=0)  # only its features are wanted here
        embed, evaluation = (lambda crops: reid.embed(crops).embedding), engine.metadata.evaluation
        size = engine.metadata.input_size
    people = _people(data, identities, cameras, site_cameras, people_seed, size, misalignment)
    if held_out:
        if not evaluation:
            raise DataError(f"{model}: its training held nobody out; leave away --held-out")
        people = people.subset(evaluation["identities"])
        if not len(people):
            raise DataError(f"{data}: none of the people that the training of {model} held out is here")
    _print_evaluation(evaluate_dataset(embed, people).to_dict())


def _people(data: Path, identities, cameras, site_cameras, seed, size, misalignment):
    """The dataset that `--data` names; the other arguments are for simulated people."""
    from sdk.simulation.population import Population
    from training.data import SIMULATED, PeopleDataset, SimulatedPeople

    if str(data) != SIMULATED:
        return PeopleDataset.from_folder(data)
    return SimulatedPeople.of(Population(identities, cameras, site_cameras, 1, seed, size, misalignment))


def _torch():
    try:
        import torch
    except ImportError:
        raise missing_package("torch", "train", "training") from None
    return torch


def _print_evaluation(evaluation: dict) -> None:
    figures = ("rank1", "rank5", "rank10", "mAP", "mINP")
    table = Table(*figures, "queries", "threshold", "true matches")
    threshold = evaluation["threshold"]
    table.add_row(
        *(f"{evaluation[name]:.3f}" for name in figures),
        str(evaluation["queries"]),
        f"{threshold['value']:.3f}",
        f"{threshold['true_match_rate']:.3f}",
    )
    results.print(table)
