"""`reid map`."""

from pathlib import Path
from typing import Annotated

import typer

from sdk.commands.options import HostCode
from sdk.errors import DataError
from sdk.output import check_output
from sdk.terminal import notes
from training.commands.options import AnyCounts, named_files

FEATURES = (".npz", ".npy")


def map_embeddings(
    source: Annotated[
        str,
        typer.Argument(
            help="Folder of crops, <identity>/<camera>_<anything>.png, or any folder of images; LAYOUT:PATH of a "
            "research dataset, whose test is shown; features.npz of `reid embed`; a gallery, site.db or milvus://…."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for map.png and map.html.")] = Path("out/map"),
    model: Annotated[
        Path | None, typer.Option(help="A checkpoint (.pt) or a converted model. Default: the one that ships.")
    ] = None,
    crops: Annotated[
        Path | None, typer.Option(help="With features: the folder that was embedded, to show its images.")
    ] = None,
    colour_by: Annotated[str, typer.Option(help="identity or camera; the page can change it.")] = "identity",
    most: Annotated[int, typer.Option(help="Crops on the map; of more, all those of people drawn at random.")] = 2000,
    perplexity: Annotated[float, typer.Option(help="Of t-SNE: about how many neighbours count.")] = 30.0,
    seed: Annotated[int, typer.Option(help="Draws people and map; the same seed, the same map.")] = 0,
    any_counts: AnyCounts = False,
    host_code: HostCode = False,
) -> None:
    """Draw a map of embeddings: crops that the model finds alike lie together (t-SNE). A picture, and a page to hover.

    What is far apart on it need not be far apart for the model: a map shows who is mixed up with whom, not how much.
    """
    from sdk.confidential import shown_text
    from sdk.embedding_map import draw_map, place, write_page
    from sdk.embedding_map.picture import COLOUR_BY
    from sdk.embedding_map.points import whole_people
    from sdk.folder import write_image

    if colour_by not in COLOUR_BY:
        raise DataError(f"--colour-by {colour_by}: it is identity or camera")
    if most < 4:
        raise DataError(f"--most {most}: a map needs at least 4 crops")
    picture, page = output / "map.png", output / "map.html"
    for path in (picture, page):
        check_output(path, named_files(source, model, crops))
    points, embed = _read(source, model, crops, any_counts, host_code)
    chosen = whole_people([point.identity for point in points], most, seed)
    if len(chosen) < len(points):
        notes.print(f"{len(chosen)} of {len(points)} crops are shown; --most {len(points)} shows all, and takes longer")
    points = [points[i] for i in chosen]
    places = place(embed(chosen), perplexity, seed)
    write_image(picture, draw_map(places, points, colour_by))
    write_page(page, places, points, f"Map of {shown_text(source)}", colour_by)
    notes.print(f"wrote {picture} and {page}: {len(points)} crops")


def _read(source: str, model: Path | None, crops: Path | None, any_counts: bool, host_code: bool):
    """Points, and what gives the embedding `[n, D]` of some of them, int `[n]`."""
    from sdk.embedding_map.points import Point, named_after, points_of_features, points_of_gallery
    from sdk.gallery.gallery import is_shared
    from sdk.gallery.opening import open_to_read
    from training.data import open_benchmark, parse_layout
    from training.data.benchmark import NOBODY

    layout = parse_layout(source)
    if any_counts and not layout:
        raise DataError("--any-counts is for the layout of a research dataset, such as market1501:PATH; leave it away")
    if crops is not None and Path(source).suffix.lower() not in FEATURES:
        raise DataError("--crops is for features.npz or .npy; leave it away")
    if layout:
        people = open_benchmark(*layout, any_counts=any_counts).test.crops
        rows = [row for row, sample in enumerate(people.samples) if sample.identity != NOBODY]
        names = [getattr(people.samples[row], "path", None) for row in rows]
        points = [
            Point(
                f"crop {row}" if name is None else name.name,
                people.samples[row].identity,
                people.samples[row].camera,
                lambda row=row: people.read(row),
            )
            for row, name in zip(rows, names, strict=True)
        ]
    elif Path(source).suffix.lower() in FEATURES:
        from sdk.embedding_files import read_features
        from sdk.folder import read_image

        embedded = read_features(Path(source))
        read = None if crops is None else lambda name: read_image(crops / name)
        return points_of_features(embedded.names, read), lambda rows: embedded.features.embedding[rows]
    elif is_shared(source) or Path(source).is_file():
        with open_to_read(source) as gallery:
            embedding, points = points_of_gallery(gallery)
        return points, lambda rows: embedding[rows]
    else:
        from sdk.embedding_files import find_images
        from sdk.folder import read_image

        paths, names = find_images([Path(source)])
        points = [
            Point(name, *named_after(name), lambda path=path: read_image(path))
            for path, name in zip(paths, names, strict=True)
        ]
    return points, lambda rows: _embedded([points[i] for i in rows], model, host_code)


def _embedded(points, model: Path | None, host_code: bool):
    import numpy as np

    from sdk.terminal import track
    from training.commands.models import open_model

    if model is not None and model.suffix == ".pt":
        extract = open_model(model).extract
    else:
        from sdk.reidentifier import ReIdentifier

        extract = ReIdentifier(model, threshold=0, host_code=host_code).embed
    starts = range(0, len(points), 64)
    parts = [extract([point.crop() for point in points[start : start + 64]]).embedding
             for start in track(starts, "embedding", total=len(starts))]  # fmt: skip
    return np.concatenate(parts)
