"""What several of this room's commands share: the options that choose people, and how figures are shown."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from sdk.errors import missing_package
from sdk.terminal import results

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


def open_people(data: Path, identities, cameras, site_cameras, seed, size, misalignment):
    """The dataset that `--data` names; the other arguments are for simulated people."""
    from sdk.simulation.population import Population
    from training.data import SIMULATED, PeopleDataset, SimulatedPeople

    if str(data) != SIMULATED:
        return PeopleDataset.from_folder(data)
    return SimulatedPeople.of(Population(identities, cameras, site_cameras, 1, seed, size, misalignment))


def require_torch():
    try:
        import torch
    except ImportError:
        raise missing_package("torch", "train", "training") from None
    return torch


def print_evaluation(evaluation: dict) -> None:
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
