"""`reid train`."""

from pathlib import Path
from typing import Annotated

import typer

from sdk.errors import DataError
from sdk.terminal import notes
from training.commands.options import (
    Cameras,
    Identities,
    Misalignment,
    PeopleSeed,
    SiteCameras,
    Split,
    TrainingData,
    open_people,
    print_evaluation,
    require_torch,
)

HELD_OUT_SHARE = 0.2
"""Of the identities, where --hold-out is not given: enough to calibrate the threshold on."""


def train(
    data: TrainingData,
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
    split: Split = None,
) -> None:
    """Train AlignedReID on people; evaluate it on people held out."""
    torch = require_torch()
    from training.config import ModelConfig, RunConfig, TrainConfig
    from training.start import FINE_TUNING, choose_start, describe_start
    from training.trainer import FINAL
    from training.trainer import train as run

    size = (height, height // 2)
    people = open_people(data, identities, cameras, site_cameras, people_seed, size, misalignment, split)
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
        print_evaluation(checkpoint.evaluation)
    notes.print(f"wrote {output / FINAL}")
