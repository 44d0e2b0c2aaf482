"""The command `reid`: an empty shell that each room fills with its own subcommands.

The rooms register through the entry-point group `aligned_reid.commands` (pyproject.toml), so this package
imports neither training nor converters, and a room that is not installed is simply not there.
"""

from importlib.metadata import entry_points

import typer
from rich.text import Text

from sdk.errors import ReIDError
from sdk.terminal import notes

GROUP = "aligned_reid.commands"


def build_app() -> typer.Typer:
    """The application with the subcommands of every installed room."""
    app = typer.Typer(
        help="AlignedReID: train, convert and run person re-identification.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for room in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        room.load()(app)
    return app


def run_app(app: typer.Typer) -> None:
    """Run `app`; what a user can mend is told in one line (exit code 1), never as a traceback."""
    try:
        app()
    except ReIDError as error:
        notes.print(Text.assemble(("error: ", "bold red"), str(error)), soft_wrap=True)
        raise SystemExit(1) from None


def main() -> None:
    """The console command `reid`."""
    run_app(build_app())
