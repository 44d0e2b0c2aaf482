"""The subcommands of this room: `reid convert` (also `python -m converters.convert`), `verify`, `calibrate`
and `adapt`."""

import typer

from converters.calibrate import calibrate
from converters.commands.adapt import adapt
from converters.commands.convert import convert
from converters.commands.verify import verify
from sdk import groups
from sdk.terminal import with_json


def register(app: typer.Typer) -> None:
    """Add this room's subcommands to `reid`."""
    for command in (convert, with_json(verify), calibrate, adapt):
        app.command(rich_help_panel=groups.MODEL)(command)


def main() -> None:
    """`python -m converters.convert`."""
    from sdk.cli import run_app

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(convert)
    run_app(app)
