"""The subcommands of this room, a module each."""

import typer

from sdk import groups
from sdk.commands.associate import associate
from sdk.commands.demo import demo
from sdk.commands.detector import detector
from sdk.commands.doctor import doctor
from sdk.commands.embed import embed
from sdk.commands.evaluate_tracks import evaluate_tracks
from sdk.commands.forget import forget
from sdk.commands.gallery import gallery
from sdk.commands.match import match
from sdk.commands.report import report
from sdk.commands.run import run
from sdk.commands.search import search
from sdk.commands.serve import serve
from sdk.commands.simulate import simulate
from sdk.commands.track import track
from sdk.terminal import with_json


def register(app: typer.Typer) -> None:
    """Add this room's subcommands to `reid`."""
    for command in (
        with_json(run),
        with_json(track),
        serve,
        with_json(associate),
        report,
        with_json(demo),
        with_json(doctor),
    ):
        app.command(rich_help_panel=groups.SITE)(command)
    app.add_typer(detector, name="detector", rich_help_panel=groups.SITE)
    app.add_typer(gallery, name="gallery", rich_help_panel=groups.PEOPLE)
    for command in (with_json(match), with_json(search), embed, forget):
        app.command(rich_help_panel=groups.PEOPLE)(command)
    app.command(rich_help_panel=groups.MEASURE)(with_json(evaluate_tracks))
    app.add_typer(simulate, name="simulate", rich_help_panel=groups.MEASURE)
