"""The subcommands of this room, a module each.

torch is imported when a command runs, not when `reid --help` lists it.
"""

import typer

from training.commands.ablate import ablate
from training.commands.align import align
from training.commands.benchmark import benchmark
from training.commands.evaluate import evaluate
from training.commands.human import human
from training.commands.train import train


def register(app: typer.Typer) -> None:
    """Add this room's subcommands to `reid`."""
    for command in (train, evaluate, benchmark, ablate, align, human):
        app.command()(command)
