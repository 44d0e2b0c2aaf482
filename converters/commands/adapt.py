"""`reid adapt`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from sdk.errors import DataError
from sdk.terminal import notes, results

SETTINGS = "Settings"


def adapt(
    crops: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of runs of `reid track --store-crops`, or of crops called <camera>_<track>_<n>.png, or as in "
            "Market-1501."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The model to write: adapted.onnx. Beside it a folder of the same name."),
    ],
    model: Annotated[
        str, typer.Option(help="What to begin with: default, the model that ships; or a checkpoint of `reid train`.")
    ] = "default",
    accept: Annotated[
        bool, typer.Option("--accept", help="Write the model, if the measures say that it is better.")
    ] = False,
    discard: Annotated[
        bool, typer.Option("--discard", help="Delete the crops of the runs when the training has ended.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the adaptation stopped.")] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="Default: 8.", rich_help_panel=SETTINGS)] = None,
    epoch_crops: Annotated[
        int | None, typer.Option(min=64, help="Crops shown in an epoch. Default: 4500.", rich_help_panel=SETTINGS)
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Of AdamW, at its highest. Default: 0.0007.", rich_help_panel=SETTINGS)
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws batches and changes of pictures.", rich_help_panel=SETTINGS)] = 0,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, … Default: cuda if there is one.", rich_help_panel=SETTINGS)
    ] = None,
) -> None:
    """Teach the model from a site's own crops, of which nobody has said who they are.

    Without --accept nothing is written but the report and the training's own files. Look at the report, then repeat the
    command with --accept.
    """
    from converters.sources import require
    from sdk.output import check_output
    from training.commands.options import choose_device

    require("torch", "onnx", "onnxscript")
    from converters.adapted import write_adapted
    from sdk.video.crop_store import discard_crops
    from training.adaptation.loop import LAST
    from training.adaptation.loop import adapt as run
    from training.adaptation.reading import is_run, read_crops
    from training.adaptation.report import REPORT, write_report
    from training.adaptation.settings import Settings

    device = choose_device(device)
    check_output(output, [*crops, *([] if model == "default" else [Path(model)])])
    if output.suffix != ".onnx":
        raise DataError(f"{output}: name it adapted.onnx; an engine is made of that by `reid convert`")
    folder = output.with_suffix("")
    check_output(folder / LAST, crops)
    start, threshold = _open_start(model)
    runs = [root for root in crops if is_run(root)]
    if discard and len(runs) < len(crops):
        other = next(root for root in crops if root not in runs)
        raise DataError(f"--discard deletes the crops of runs alone; {other} is no run's: delete it yourself")
    settings = Settings()
    changes = {"epochs": epochs, "learning_rate": learning_rate, "seed": seed}
    changes = {name: value for name, value in changes.items() if value is not None}
    found = read_crops(crops)
    data = f"{found.source}, {len(found)} crops without labels"
    train = replace(settings.train, **changes, start=start.source, data=data)
    settings = replace(settings, train=train, crops=epoch_crops or settings.crops)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    notes.print(f"{len(found)} crops of {len(set(found.cameras.tolist()))} cameras; starting from {start.source}")
    adapted = run(
        found,
        start,
        folder,
        settings,
        threshold,
        device=device,
        resume=resume or accept,
        tell=lambda line: notes.print(line, soft_wrap=True),
    )
    write_report(folder, adapted, found)
    if adapted.reason is not None:
        results.print(f"not adapted, because {adapted.reason}", soft_wrap=True)
        notes.print(f"the model is as it was; see {folder / REPORT}", soft_wrap=True)
    elif accept:
        site = write_adapted(adapted, found, folder, output, f"adapted to {data}, from {start.source}")
        results.print(f"adapted; wrote {output}, threshold {site.threshold.value:.3f}", soft_wrap=True)
        notes.print(f"next: reid convert {output} --fp16 -o …, and reid gallery reembed", soft_wrap=True)
    else:
        results.print(
            f"better by the measures without labels; look at {folder / REPORT}, then repeat the command with --accept",
            soft_wrap=True,
        )
    if discard:
        for root in runs:
            if discard_crops(root):
                notes.print(f"{root}: deleted its crops", soft_wrap=True)
    if adapted.reason is not None:
        raise typer.Exit(1)


def _open_start(model: str):
    """The checkpoint to begin with, and its cosine distance for tracklets, None where nobody has measured it. Raises
    `DataError` for another file."""
    from sdk.engines import DEFAULT_MODEL, read_metadata
    from training.checkpoint import load_checkpoint
    from training.start import shipped_start

    if model == "default":
        start = replace(shipped_start(), source="the model that ships")
        threshold = read_metadata(DEFAULT_MODEL).threshold
    elif Path(model).suffix == ".onnx":
        raise DataError(f"{model}: an ONNX file cannot be trained; give the checkpoint that it was converted from")
    else:
        start = load_checkpoint(model)
        threshold = (start.evaluation or {}).get("threshold")
    return start, float(threshold.get("tracklet_value", threshold["value"])) if threshold else None
