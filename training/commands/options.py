"""What several of this room's commands share: the options that choose people, and how figures are shown."""

from pathlib import Path
from typing import Annotated

import typer

from sdk.errors import DataError, missing_package
from sdk.terminal import Table, results

SIMULATION, SETTINGS = "With --data simulated", "Settings"
FIGURES = ("rank1", "rank5", "rank10", "mAP", "mINP")

DATA = (
    "Folder <root>/<identity>/<camera>_<anything>.png|jpg|bmp|webp; or simulated (drawn people); or LAYOUT:PATH of a "
    "research dataset: market1501, msmt17, cuhk03, mars, viper, … (docs/datasets.md)."
)
Data = Annotated[str, typer.Option(help=DATA)]
TrainingData = Annotated[list[str], typer.Option(help=f"{DATA} May be given several times: a union.")]
Split = Annotated[
    str | None,
    typer.Option(
        help="Which part of the people is tested, and not trained on: of cuhk03-classic a test set, 0 to 19, or all "
        "(default: 0); of viper, prid450s, grid, cuhk01, ilids a random half, 0 to 9, or all (default: all)."
    ),
]
SplitSeed = Annotated[int | None, typer.Option(help="Draws those random halves. Default: 0.")]
AnyCounts = Annotated[
    bool,
    typer.Option(
        "--any-counts",
        help="Of a research dataset's layout: other numbers of people and images than published are fine.",
    ),
]
Device = Annotated[
    str | None, typer.Option(help="For a checkpoint: cpu, cuda, cuda:1, … Default: cuda if there is one.")
]
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
    *,
    split_seed=None,
    any_counts=False,
    new_cameras=False,
    street=0.0,
):
    """The people that `--data` names; of a research dataset those to train on.

    Several datasets make a union, and so does a research dataset alone: its identities bear its name. The arguments
    from `identities` to `misalignment`, `new_cameras` and `street` are for simulated people, the others for research
    datasets.
    """
    from sdk.simulation.population import Population
    from training.data import SIMULATED, SimulatedPeople, parse_layout, union
    from training.data.recognition import open_folder

    layouts = [parse_layout(text) for text in data]
    check_layout_options(data, split, split_seed, any_counts)
    parts = []
    for text, layout in zip(data, layouts, strict=True):
        if layout:
            benchmark = open_layout(layout, split, split_seed, any_counts)
            if not len(benchmark.train):
                raise DataError(f"{text}: say which half is to be tested, --split 0 to 9; the other is trained on")
            parts.append((benchmark.name, benchmark.train))
        elif text == SIMULATED:
            population = Population(identities, cameras, site_cameras, 1, seed, size, misalignment, street)
            parts.append((SIMULATED, SimulatedPeople.of(population, new_cameras)))
        else:
            check_folder(text)
            parts.append((Path(text).resolve().name, open_folder(text)))
    alone = len(parts) == 1 and layouts[0] is None
    return parts[0][1] if alone else union(parts)


def check_layout_options(data: list[str], split, split_seed, any_counts: bool) -> None:
    """Raise `DataError` for an option of research datasets that means nothing to any of `data`."""
    from training.data import LAYOUTS, parse_layout, takes

    layouts = [layout[0] for layout in map(parse_layout, data) if layout]
    for option, name, value in (("--split", "split", split), ("--split-seed", "seed", split_seed)):
        if value is not None and not any(takes(layout, name) for layout in layouts):
            known = ", ".join(layout for layout in LAYOUTS if takes(layout, name))
            raise DataError(f"{option} is for {known} alone; leave it away")
    if any_counts and not layouts:
        raise DataError("--any-counts is for the layout of a research dataset, such as market1501:PATH; leave it away")


def open_layout(layout: tuple[str, str], split=None, split_seed=None, any_counts: bool = False):
    """The research dataset `layout`, (name, path), with those of the options that mean something to it."""
    from training.data import open_benchmark, takes

    options = {"split": split, "seed": split_seed}
    return open_benchmark(
        *layout, any_counts=any_counts, **{name: value for name, value in options.items() if takes(layout[0], name)}
    )


def check_folder(text: str) -> None:
    """Raise `DataError` if `text` looks like a layout that there is not."""
    from training.data import LAYOUTS

    if ":" in text and not Path(text).exists():
        raise DataError(f"{text}: no such folder, nor a layout; there are {', '.join(LAYOUTS)}, as mars:PATH")


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
    table = Table("", *FIGURES, "queries", "threshold", "true matches", name="evaluations")
    for name, evaluation in evaluations.items():
        threshold = evaluation["threshold"]
        cells = *_cells(evaluation), f"{threshold['value']:.3f}", f"{threshold['true_match_rate']:.3f}"
        table.add_row(name, *cells, record={"name": name} | evaluation)
    results.print(table)


def print_rankings(rankings: dict[str, dict]) -> None:
    """A table of several `training.evaluation.RankingResult`, by their names; mAP by trapezoids has rows of its own."""
    both = any("mAP_trapezoids" in ranking for ranking in rankings.values())
    heads = ("standard mAP" if both and name == "mAP" else name for name in FIGURES)
    table = Table("ranked by", *heads, "queries", name="rankings")
    for name, ranking in rankings.items():
        table.add_row(name, *_cells(ranking), record={"ranked by": name} | ranking)
        if "mAP_trapezoids" in ranking:
            by_trapezoids = (f"{ranking['mAP_trapezoids']:.3f}" if name == "mAP" else "" for name in FIGURES)
            table.add_row("  by trapezoids", *by_trapezoids, "", record={})
        if ranking.get("deviation"):
            table.add_row("", *(f"± {ranking['deviation'][figure]:.3f}" for figure in FIGURES), "", record={})
    results.print(table)


def _cells(ranking: dict) -> list[str]:
    return [*(f"{ranking[name]:.3f}" for name in FIGURES), str(ranking["queries"])]
