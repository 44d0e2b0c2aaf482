"""`reid search`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from sdk.commands.options import Model
from sdk.errors import DataError
from sdk.terminal import notes, results


def search(
    gallery: Annotated[Path, typer.Option(help="Folder <root>/<identity>/<camera>_<anything>.png|jpg.")],
    images: Annotated[list[Path] | None, typer.Argument(help="Images of the one person to find.")] = None,
    identity: Annotated[
        str | None, typer.Option(help="Instead of images: this person of the gallery, from each camera in the others.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for search.png and search.json.")] = Path(
        "out/search"
    ),
    model: Model = None,
    top_k: Annotated[int, typer.Option(help="Crops to show.")] = 10,
    rescore: Annotated[
        bool, typer.Option("--rescore", help="Add the aligned local distance of the 100 nearest.")
    ] = False,
    rerank: Annotated[bool, typer.Option("--rerank", help="Re-rank by k-reciprocal neighbours.")] = False,
) -> None:
    """Find a person among the crops of a folder; what was found as a picture, right and wrong where that is known."""
    from rich.table import Table

    from sdk.folder import read_folder, write_image
    from sdk.measures import cosine, re_ranked, rescored
    from sdk.reidentifier import ReIdentifier
    from sdk.search import draw_results, queries_of_identity, query_of_images
    from sdk.search import search as find

    if bool(images) == bool(identity):
        raise DataError("say whom to find: either images of one person, or --identity NAME of the gallery")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{output}: cannot be made ({error.strerror})") from error
    samples = read_folder(gallery)
    queries = queries_of_identity(identity, samples) if identity else [query_of_images(images, samples)]
    measure = re_ranked if rerank else cosine
    ranked_by = "k-reciprocal re-ranking" if rerank else "cosine distance"
    if rescore:
        measure, ranked_by = rescored(measure), f"{ranked_by} + local distance"
    found = find(ReIdentifier(model, threshold=0), queries, samples, measure, top_k)
    picture = draw_results(found, ranked_by)
    write_image(output / "search.png", picture)
    facts = {"gallery": str(gallery), "crops": len(samples), "ranked by": ranked_by}
    text = json.dumps(facts | {"results": [result.to_dict() for result in found]}, indent=2, ensure_ascii=False)
    (output / "search.json").write_text(text + "\n", encoding="utf-8")
    for result in found:
        table = Table("rank", "distance", "identity", "camera", "image", title=result.query.name)
        for rank, hit in enumerate(result.hits, start=1):
            style = None if hit.correct is None else "green" if hit.correct else "red"
            table.add_row(str(rank), f"{hit.distance:.3f}", hit.identity, hit.camera, hit.path.name, style=style)
        results.print(table)
    notes.print(f"wrote {output / 'search.png'} and {output / 'search.json'}")
