"""`reid match`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from sdk.commands.options import HostCode, Model, Threshold
from sdk.terminal import Table, results


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
    from sdk.embedding_files import find_images
    from sdk.folder import read_image
    from sdk.reidentifier import ReIdentifier

    paths, names = find_images(queries)
    crops = [read_image(path) for path in paths]
    with _gallery(gallery) as known:
        reid = ReIdentifier(model, known, threshold, host_code=host_code)
        if Path(gallery).is_dir():
            _enroll_folder(reid, gallery)
        found = reid.match(crops, camera=camera, top_k=top_k)
    known = sum(one.identity is not None for one in found)
    title = f"{known} of {len(found)} known, up to a distance of {reid.threshold:.3f}"
    table = Table("image", "identity", "distance", "candidates", title=title, name="matches")
    for name, one in zip(names, found, strict=True):
        candidates = ", ".join(f"{c.identity} {c.distance:.3f}" for c in one.candidates)
        cells = name, one.identity or Text("unknown", "dim"), f"{one.distance:.3f}", candidates
        distance = one.distance if one.candidates else None
        facts = {"distance": distance, "threshold": reid.threshold, "candidates": [asdict(c) for c in one.candidates]}
        table.add_row(*cells, record={"image": name, "identity": one.identity} | facts)
    results.print(table)


def _gallery(where: str):
    """The gallery at `where`, which is only read; an empty one in memory for a folder."""
    from sdk.gallery import Gallery
    from sdk.gallery.gallery import is_shared

    if Path(where).is_dir():
        return Gallery()
    return Gallery(where) if is_shared(where) else Gallery(where, read_only=True)


def _enroll_folder(reid, folder: str) -> None:
    from sdk.folder import read_folder, read_image

    for sample in read_folder(folder):
        reid.enroll([read_image(sample.path)], identity=sample.identity, camera=sample.camera)
