"""The subcommands of this room, a module each."""

import typer

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
from sdk.commands.search import search
from sdk.commands.serve import serve
from sdk.commands.simulate import simulate
from sdk.commands.track import track


def register(app: typer.Typer) -> None:
    """Add this room's subcommands to `reid`."""
    for command in (embed, match, search, track, associate, evaluate_tracks, report, serve, forget, demo, doctor):
        app.command()(command)
    app.add_typer(detector, name="detector")
    app.add_typer(gallery, name="gallery")
    app.add_typer(simulate, name="simulate")
