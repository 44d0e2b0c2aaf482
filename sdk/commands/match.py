"""`reid match`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from sdk.commands.options import HostCode, Model, Threshold
from sdk.terminal import Table, results

BATCH = 64
"""Images that are in memory at once."""


def match(
    queries: Annotated[list[Path], typer.Argument(help="Images of one person each, or folders of them.")],
    gallery: Annotated[
        str,
        typer.Option(
            help="A gallery: site.db, milvus://…; or a folder <root>/<identity>/<camera>_<anything>.png|jpg|bmp|webp."
        ),
    ],
    model: Model = None,
    host_code: HostCode = False,
    threshold: Threshold = None,
    camera: Annotated[
        str | None, typer.Option(help="That took the images, for a model that takes its cameras' own ways away.")
    ] = None,
    top_k: Annotated[int, typer.Option(help="Candidates to list.")] = 3,
) -> None:
    """Say who is in each image: somebody whom a gallery or a folder knows, or nobody known.

    Nothing is written into the gallery.
    """
    from sdk.blocks import steps
    from sdk.embedding_files import find_images
    from sdk.gallery import Gallery
    from sdk.gallery.gallery import is_shared
    from sdk.gallery.opening import open_to_read
    from sdk.reidentifier import ReIdentifier

    paths, names = find_images(queries)
    in_folder = Path(gallery).is_dir() and not is_shared(gallery)  # Milvus Lite's gallery is a folder too
    with Gallery() if in_folder else open_to_read(gallery) as known:
        reid = ReIdentifier(model, known, threshold, host_code=host_code)
        if in_folder:
            _enroll_folder(reid, gallery)
        found = [one for part in steps(len(paths), BATCH) for one in _matched(reid, paths[part], camera, top_k)]
    named = sum(one.identity is not None for one in found)
    title = f"{named} of {len(found)} known, up to a distance of {reid.threshold:.3f}"
    table = Table("image", "identity", "distance", "candidates", title=title, name="matches")
    for name, one in zip(names, found, strict=True):
        candidates = ", ".join(f"{c.identity} {c.distance:.3f}" for c in one.candidates)
        cells = name, one.identity or Text("unknown", "dim"), f"{one.distance:.3f}", candidates
        distance = one.distance if one.candidates else None
        facts = {"distance": distance, "threshold": reid.threshold, "candidates": [asdict(c) for c in one.candidates]}
        table.add_row(*cells, record={"image": name, "identity": one.identity} | facts)
    results.print(table)


def _matched(reid, paths: list[Path], camera: str | None, top_k: int) -> list:
    from sdk.folder import read_image

    return reid.match([read_image(path) for path in paths], top_k=top_k, taken_by=camera)


def _enroll_folder(reid, folder: str) -> None:
    from sdk.folder import read_folder, read_image

    for sample in read_folder(folder):
        reid.enroll([read_image(sample.path)], identity=sample.identity, camera=sample.camera)
