"""`reid match`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from sdk.commands.options import HostCode, Model, Threshold
from sdk.terminal import Table, results


def match(
    queries: Annotated[list[Path], typer.Argument(help="Images of one person each.")],
    gallery: Annotated[Path, typer.Option(help="Folder <root>/<identity>/<camera>_<anything>.png|jpg|bmp|webp.")],
    model: Model = None,
    host_code: HostCode = False,
    threshold: Threshold = None,
    top_k: Annotated[int, typer.Option(help="Candidates to list.")] = 3,
) -> None:
    """Say who of a folder's people is in each image."""
    from sdk.folder import read_folder, read_image
    from sdk.reidentifier import ReIdentifier

    reid = ReIdentifier(model, threshold=threshold, host_code=host_code)
    crops = [read_image(path) for path in queries]
    for sample in read_folder(gallery):
        reid.enroll([read_image(sample.path)], identity=sample.identity, camera=sample.camera)
    table = Table("image", "identity", "distance", "candidates")
    for path, found in zip(queries, reid.match(crops, top_k=top_k), strict=True):
        candidates = ", ".join(f"{c.identity} {c.distance:.3f}" for c in found.candidates)
        table.add_row(str(path), found.identity or Text("unknown", "dim"), f"{found.distance:.3f}", candidates)
    results.print(table)
