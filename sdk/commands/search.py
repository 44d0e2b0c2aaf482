"""`reid search`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from sdk.commands.options import HostCode, Model
from sdk.errors import DataError
from sdk.terminal import Table, notes, results


def search(
    gallery: Annotated[
        str,
        typer.Option(
            help="Folder <root>/<identity>/<camera>_<anything>.png|jpg|bmp|webp; or a gallery: site.db, milvus://…."
        ),
    ],
    images: Annotated[list[Path] | None, typer.Argument(help="Images of the one person to find.")] = None,
    identity: Annotated[
        str | None, typer.Option(help="Instead of images: this person of the gallery, from each camera in the others.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for search.png and search.json.")] = Path(
        "out/search"
    ),
    model: Model = None,
    host_code: HostCode = False,
    top_k: Annotated[int, typer.Option(help="Crops to show.")] = 10,
    rescore: Annotated[
        bool, typer.Option("--rescore", help="Add the aligned local distance of the 100 nearest.")
    ] = False,
    rerank: Annotated[bool, typer.Option("--rerank", help="Re-rank by k-reciprocal neighbours.")] = False,
) -> None:
    """Find a person among the crops of a folder or in a gallery; draws what was found, right or wrong if known."""
    from sdk.folder import write_image
    from sdk.gallery.gallery import is_shared, shown
    from sdk.output import check_output, write_whole
    from sdk.search import draw_results

    if bool(images) == bool(identity):
        raise DataError("say whom to find: either images of one person, or --identity NAME of the gallery")
    picture_path, facts_path = output / "search.png", output / "search.json"
    for path in (picture_path, facts_path):
        check_output(path, [gallery, *(images or []), *([model] if model else [])])
    # Milvus Lite's gallery is a folder too.
    in_folder = not is_shared(gallery) and (Path(gallery).is_dir() or not (Path(gallery).exists() or "://" in gallery))
    find = _in_folder if in_folder else _in_gallery
    found, ranked_by, facts = find(gallery, images or [], identity, model, host_code, top_k, rescore, rerank)
    picture = draw_results(found, ranked_by)
    write_image(picture_path, picture)
    facts = {"gallery": shown(gallery), "ranked by": ranked_by} | facts
    text = json.dumps(facts | {"results": [result.to_dict() for result in found]}, indent=2, ensure_ascii=False)
    write_whole(facts_path, text + "\n")
    for result in found:
        _print(result)
    notes.print(f"wrote {picture_path} and {facts_path}")


def _in_folder(folder: str, images, identity, model, host_code: bool, top_k: int, rescore: bool, rerank: bool):
    """(results, what they are ranked by, facts) among the crops of a folder."""
    from sdk.engines import DEFAULT_MODEL
    from sdk.folder import read_folder
    from sdk.measures import cosine, re_ranked, rescored
    from sdk.reidentifier import ReIdentifier
    from sdk.rescoring import choose
    from sdk.search import queries_of_identity, query_of_images
    from sdk.search import search as find

    samples = read_folder(folder)
    queries = queries_of_identity(identity, samples) if identity else [query_of_images(images, samples)]
    measure = re_ranked if rerank else cosine
    ranked_by = "k-reciprocal re-ranking" if rerank else "cosine distance"
    if rescore:
        align = choose(DEFAULT_MODEL if model is None else model).distances
        measure, ranked_by = rescored(measure, align=align), f"{ranked_by} + local distance"
    reid = ReIdentifier(model, threshold=0, host_code=host_code)
    return find(reid, queries, samples, measure, top_k), ranked_by, {"crops": len(samples)}


def _in_gallery(where: str, images, identity, model, host_code: bool, top_k: int, rescore: bool, rerank: bool):
    """The same among the identities of a gallery."""
    from sdk.gallery.opening import open_to_read
    from sdk.reidentifier import ReIdentifier
    from sdk.search import search_gallery

    if rerank:
        raise DataError("--rerank compares the crops of a folder with each other; a gallery is searched without it")
    with open_to_read(where) as opened:
        reid = ReIdentifier(model, opened, threshold=0, rescore=rescore, host_code=host_code)
        found = search_gallery(reid, images, identity, top_k)
        ranked_by = "cosine distance + local distance" if rescore else "cosine distance"
        return [found], ranked_by, {"identities": len(opened.identities()), "exemplars": len(opened)}


def _print(result) -> None:
    table = Table("rank", "distance", "identity", "camera", "image", title=result.query.name, name="results")
    for rank, (hit, fact) in enumerate(zip(result.hits, result.to_dict()["hits"], strict=True), start=1):
        style = None if hit.correct is None else "green" if hit.correct else "red"
        image = "" if hit.path is None else hit.path.name
        cells = str(rank), f"{hit.distance:.3f}", hit.identity, hit.camera, image
        table.add_row(*cells, style=style, record={"query": result.query.name} | fact)
    results.print(table)
