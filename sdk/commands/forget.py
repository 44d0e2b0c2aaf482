"""`reid forget`."""

from pathlib import Path
from typing import Annotated

import typer

from sdk.terminal import notes

Runs = Annotated[
    list[Path] | None,
    typer.Option(
        "--run", help="Folder of a run that is over: erases features and crops that it kept. May be repeated."
    ),
]


def forget(
    identity: Annotated[str, typer.Argument(help="A name in the gallery, or in the runs.")],
    gallery: Annotated[str | None, typer.Option(help="A gallery file, or milvus://host:19530/name.")] = None,
    run: Runs = None,
) -> None:
    """Erase a person's features and crops from a gallery and from the folders of runs."""
    from sdk.commands.gallery import open_existing
    from sdk.errors import DataError

    if gallery is None and not run:
        raise DataError("say where: --gallery FILE, --run FOLDER, or both")
    if gallery is None:
        forget_in(None, identity, run)
        return
    with open_existing(gallery) as opened:
        forget_in(opened, identity, run or [])


def forget_in(gallery, identity: str, runs: list[Path]) -> None:
    """Forget somebody in an open gallery, or None, and in runs; say what was erased."""
    from sdk.video.forget import forget as erase

    done = erase(identity, gallery, runs)
    notes.print(f"forgot '{done.identity}': {done.exemplars} exemplars")
    for folder, tracks in done.tracks.items():
        notes.print(f"{folder}: erased the features of {tracks} tracks; records, events and videos stay")
    for folder, tracks in done.crops.items():
        notes.print(f"{folder}: erased the crops of {tracks} tracks")
