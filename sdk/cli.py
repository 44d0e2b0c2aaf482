"""The command `reid`: an empty shell that each room fills with its own subcommands.

The rooms register through the entry-point group `aligned_reid.commands` (pyproject.toml), so this package
imports neither training nor converters, and a room that is not installed is simply not there.
"""

import re
from importlib.metadata import entry_points
from typing import Annotated

import typer
from rich.text import Text

from sdk import __version__
from sdk.confidential import hide, why
from sdk.errors import ReIDError, missing_package
from sdk.installing import needed
from sdk.names import visible
from sdk.terminal import notes, results

GROUP = "aligned_reid.commands"
HELP = "AlignedReID: train, convert and run person re-identification."


def build_app() -> typer.Typer:
    """The application with the subcommands of every installed room."""
    app = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback(help=HELP)(_options)
    for room in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name != "sdk", entry.name)):
        try:
            register = room.load()
        except (ModuleNotFoundError, AttributeError) as error:
            first = room.module.partition(".")[0]
            if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] != first:
                raise
            notes.print(f"without the commands of '{first}': another package of that name is found first")
        else:
            register(app)
    return app


def _tell_version(wanted: bool) -> None:
    if wanted:
        results.print(f"aligned-reid {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_tell_version)
    ] = False,
) -> None:
    """What comes before a command."""


def run_app(app: typer.Typer) -> None:
    """Run `app`; what a user can mend is told in one line (exit code 1), never as a traceback.

    So is a command line that cannot be understood (exit code 2). What is told may quote the user's own words: they are
    plain text, without passwords.
    """
    try:
        code = app(standalone_mode=False)
    except ReIDError as error:
        code = _tell(str(error), 1)
    except ModuleNotFoundError as error:  # whoever was nearer did not say what for
        found = needed(error)
        if found is None:
            raise
        code = _tell(str(missing_package(*found, "this command")), 1)
    except OSError as error:  # of a path, a disk, a pipe: whoever was nearer had no better words for it
        place = "" if error.filename is None else f"{str(error.filename)[:80]}: "
        code = _tell(f"{place}{error.strerror or why(error)}", 1)
    except typer.Abort:
        code = _tell("aborted", 1)
    except Exception as error:
        if not hasattr(error, "format_message"):  # of Typer's usage errors, whose class has moved between releases
            raise
        help_alone = type(error).__name__ == "NoArgsIsHelpError"
        quoted = re.sub(r"(\w+://)[^)]*", r"\1…", error.format_message())  # of a webhook the path is the key
        code = error.exit_code if help_alone else _tell(f"{quoted} (see --help)", error.exit_code)
    raise SystemExit(code if isinstance(code, int) else 0)


def _tell(message: str, code: int) -> int:
    notes.print(Text.assemble(("error: ", "bold red"), visible(hide(message), but="\n\t")), soft_wrap=True)
    return code


def main() -> None:
    """The console command `reid`."""
    run_app(build_app())
