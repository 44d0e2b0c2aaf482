"""What several of this room's commands share: the options that choose people, and how figures are shown."""

from pathlib import Path
from typing import Annotated

import typer

from sdk.errors import DataError, missing_package
from sdk.terminal import Table, results

SIMULATION, SETTINGS = "With --data simulated", "Settings"
FIGURES = ("rank1", "rank5", "rank10", "mAP", "mINP")

DATA = (
    "Folder <root>/<identity>/<camera>_<anything>.png|jpg; or simulated (drawn people); or LAYOUT:PATH of a research "
    "dataset: market1501, cuhk03, mars, cuhk-sysu, … (docs/datasets.md)."
)
Data = Annotated[str, typer.Option(help=DATA)]
TrainingData = Annotated[list[str], typer.Option(help=f"{DATA} May be given several times: a union.")]
Split = Annotated[str | None, typer.Option(help="Of cuhk03-classic: which test set, 0 to 19, or all. Default: 0.")]
Identities = Annotated[int, typer.Option(help="How many people.", rich_help_panel=SIMULATION)]
Cameras = Annotated[int, typer.Option(help="How many cameras see each.", rich_help_panel=SIMULATION)]
SiteCameras = Annotated[
    int, typer.Option(help="How many cameras there are to choose those from.", rich_help_panel=SIMULATION)
]
# Not 0 by default: the people and sites that a user tries out first are then others than those trained on.
PeopleSeed = Annotated[int, typer.Option(help="Draws the people.", rich_help_panel=SIMULATION)]
NewCameras = Annotated[
    bool,
    typer.Option("--new-cameras", help="Other cameras see everybody in every epoch.", rich_help_panel=SIMULATION),
]
Street = Annotated[
    float,
    typer.Option(
        help="Share of the crops drawn with a street's clutter, light and clothes.", rich_help_panel=SIMULATION
    ),
]
Misalignment = Annotated[float, typer.Option(help="Of the boxes, 0 none to 1 severe.", rich_help_panel=SIMULATION)]
StartShare = Annotated[
    float | None,
    typer.Option(
        help="Share of the weights that the run starts from in those it hands on. Default: 0.5; 0 with --weights.",
        rich_help_panel=SETTINGS,
    ),
]


def open_people(
    data: list[str],
    identities,
    cameras,
    site_cameras,
    seed,
    size,
    misalignment,
    split=None,
    new_cameras=False,
    street=0.0,
):
    """The people that `--data` names; of a research dataset those to train on.

    Several datasets make a union, and so does a research dataset alone: its identities bear its name. The arguments
    from `identities` to `misalignment`, `new_cameras` and `street` are for simulated people, `split` is for CUHK03's
    first protocol.
    """
    from sdk.simulation.population import Population
    from training.data import (
        LAYOUTS,
        SIMULATED,
        PeopleDataset,
        SimulatedPeople,
        open_benchmark,
        parse_layout,
        takes,
        union,
    )

    layouts = [parse_layout(text) for text in data]
    if split is not None and not any(layout and takes(layout[0], "split") for layout in layouts):
        raise DataError("--split is for cuhk03-classic alone; leave it away")
    parts = []
    for text, layout in zip(data, layouts, strict=True):
        if layout:
            benchmark = open_benchmark(*layout, split=split if takes(layout[0], "split") else None)
            parts.append((benchmark.name, benchmark.train))
        elif text == SIMULATED:
            population = Population(identities, cameras, site_cameras, 1, seed, size, misalignment, street)
            parts.append((SIMULATED, SimulatedPeople.of(population, new_cameras)))
        else:
            if ":" in text and not Path(text).exists():
                raise DataError(f"{text}: no such folder, nor a layout; there are {', '.join(LAYOUTS)}, as mars:PATH")
            parts.append((Path(text).resolve().name, PeopleDataset.from_folder(text)))
    alone = len(parts) == 1 and layouts[0] is None
    return parts[0][1] if alone else union(parts)


def named_files(*options) -> list[Path]:
    """What a command reads, for `sdk.output.check_output`: options that name files or folders, `--data` among them.

    An option is a path, a text, a list of them, or None. Of `LAYOUT:PATH` it is the path; words such as `simulated`
    name no file, unless there is one.
    """
    from training.data import parse_layout

    files = []
    for option in options:
        for name in option if isinstance(option, list) else [] if option is None else [option]:
            layout = parse_layout(str(name))
            files.append(Path(layout[1] if layout else name))
    return files


def require_torch():
    try:
        import torch
    except ImportError:
        raise missing_package("torch", "train", "training") from None
    return torch


def choose_device(device: str | None) -> str:
    """What `--device` says; without it a GPU if there is one. Raises `DataError` for one that PyTorch has not."""
    torch = require_torch()
    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise DataError(f"--device {device}: no such device; cpu, cuda, cuda:1, …") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise DataError(f"--device {device}: PyTorch finds no GPU here; leave --device away")
    return device


def print_evaluations(evaluations: dict[str, dict]) -> None:
    """A table of `training.evaluation.Evaluation`s, by their names."""
    table = Table("", *FIGURES, "queries", "threshold", "true matches")
    for name, evaluation in evaluations.items():
        threshold = evaluation["threshold"]
        table.add_row(name, *_cells(evaluation), f"{threshold['value']:.3f}", f"{threshold['true_match_rate']:.3f}")
    results.print(table)


def print_rankings(rankings: dict[str, dict]) -> None:
    """A table of several `training.evaluation.RankingResult`, by their names."""
    table = Table("ranked by", *FIGURES, "queries")
    for name, ranking in rankings.items():
        table.add_row(name, *_cells(ranking))
    results.print(table)


def _cells(ranking: dict) -> list[str]:
    return [*(f"{ranking[name]:.3f}" for name in FIGURES), str(ranking["queries"])]
