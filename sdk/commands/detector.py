"""`reid detector`: published person detectors, and their files on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from sdk.terminal import Table, notes, results, transfer, with_json

detector = typer.Typer(help="Have a good person detector: what there is, and fetch it.", no_args_is_help=True)


@detector.command("list")
@with_json
def list_detectors() -> None:
    """List the published detectors: licence, size, and where they are on this machine."""
    from sdk.detector_files import PUBLISHED, state

    table = Table("name", "what", "input, px", "licence", "MB", "here", name="detectors")
    lines = []
    for published in PUBLISHED.values():
        found = state(published)
        size = "×".join(map(str, published.input_size))
        here = "yes" if found.sound else "damaged" if found.here else "no"
        table.add_row(published.name, published.what, size, published.licence, f"{published.size / 1e6:.1f}", here)
        lines.append(f"{published.name} {found.trouble or f'is here: {found.path}'}")
        lines.append(f"{published.name} has its licence at {published.licence_url}")
    results.print(table)
    for line in lines:
        results.print(line, soft_wrap=True)
    notes.print("to fetch one: reid detector get NAME; hog and motion need no file, and miss more", soft_wrap=True)


@detector.command("get")
def get(
    name: Annotated[str, typer.Argument(help="As `reid detector list` has it: yolox-nano.")],
    file: Annotated[
        Path | None,
        typer.Option("--from", help="The file, brought here in another way: for a machine without a network."),
    ] = None,
    url: Annotated[str | None, typer.Option(help="A mirror that has the same file. Default: the publisher's.")] = None,
) -> None:
    """Fetch a detector; it is kept only if it is, byte for byte, the file that was published.

    An interrupted download goes on where it broke off. Folder: $REID_HOME/detectors, else
    ~/.local/share/aligned-reid/detectors.
    """
    from sdk.detector_files import fetch, published, state, take
    from sdk.errors import DataError

    wanted = published(name)
    if file is not None and url is not None:
        raise DataError("a detector comes from a file or from an address; give --from or --url, not both")
    licence = f"{wanted.name}: {wanted.what}; licence {wanted.licence}, {wanted.licence_url}"
    notes.print(licence, soft_wrap=True)
    if file is not None:
        path = take(wanted, file)
    elif state(wanted).sound:
        path = state(wanted).path
        notes.print("is here already")
    else:
        with transfer(f"fetching {wanted.file}", wanted.size) as progress:
            path = fetch(wanted, url, progress)
    results.print(str(path), soft_wrap=True)
