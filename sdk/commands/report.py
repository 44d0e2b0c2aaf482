"""`reid report`."""

from pathlib import Path
from typing import Annotated

import typer

from sdk.terminal import notes


def report(
    folder: Annotated[Path, typer.Argument(help="A folder that `reid track --output` wrote.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write.")] = Path("report.html"),
    title: Annotated[str | None, typer.Option(help="The heading. Default: the folder's name.")] = None,
    videos: Annotated[
        Path | None, typer.Option(help="Folder with <camera>.mp4 to cut pictures from. Default: the same folder.")
    ] = None,
    day: Annotated[
        str | None, typer.Option(help="Of a run of several days only this one: 2026-11-24, or today.")
    ] = None,
) -> None:
    """Write one page about a tracked site: who was where and when. It needs no network and no other file."""
    from sdk.report import build_report

    record = build_report(folder, output, title, videos, day)
    people = len({visit.identity for visit in record.visits})
    size = output.stat().st_size / 1e6
    notes.print(f"wrote {output}: {people} people, {len(record.cameras)} cameras, {size:.1f} MB", soft_wrap=True)
