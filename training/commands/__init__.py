"""The subcommands of this room, a module each.

torch is imported when a command runs, not when `reid --help` lists it.
"""

import typer

from sdk import groups
from sdk.terminal import with_json
from training.commands.ablate import ablate
from training.commands.align import align
from training.commands.benchmark import benchmark
from training.commands.evaluate import evaluate
from training.commands.human import human
from training.commands.map import map_embeddings
from training.commands.train import train


def register(app: typer.Typer) -> None:
    """Add this room's subcommands to `reid`."""
    app.command(rich_help_panel=groups.MODEL)(train)
    for command in (with_json(evaluate), benchmark, ablate, with_json(align), with_json(human)):
        app.command(rich_help_panel=groups.MEASURE)(command)
    app.command("map", rich_help_panel=groups.MEASURE)(map_embeddings)
