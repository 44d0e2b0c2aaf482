"""`reid embed`."""

from pathlib import Path
from typing import Annotated

import typer

from sdk.commands.options import Graphs, HostCode, Model, note


def embed(
    images: Annotated[list[Path], typer.Argument(help="Folders of images, lists of them (.txt, one a line), images.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="features.npz, or .npy with the names in a .txt.")],
    model: Model = None,
    host_code: HostCode = False,
    graphs: Graphs = False,
) -> None:
    """Write the features of images, with their names, for other programs."""
    from sdk.embedding_files import check_name, embed_images, find_images, write_features, written
    from sdk.output import check_output
    from sdk.reidentifier import ReIdentifier, features_of
    from sdk.terminal import track

    paths, names = find_images(images)
    for path in written(output):
        check_output(path, [*images, *paths, *([model] if model else [])])
    check_name(output)
    reid = ReIdentifier(model, threshold=0, host_code=host_code, graphs=graphs)  # only its features are wanted
    found = embed_images(reid, paths, names, lambda starts: track(list(starts), "embedding"))
    write_features(output, found, features_of(reid.engine.metadata))
    count, dimension = found.features.embedding.shape
    note(f"wrote {' and '.join(map(str, written(output)))}: {count} features of {dimension} numbers, at unit length")
