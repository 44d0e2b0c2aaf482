"""`reid align`."""

from pathlib import Path
from typing import Annotated

import typer

from sdk.errors import DataError
from sdk.terminal import Table, notes, results
from training.commands.options import named_files, require_torch


def align(
    first: Annotated[Path, typer.Argument(help="Image of one person, A.")],
    second: Annotated[Path, typer.Argument(help="Another, B.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write, .png or .jpg.")],
    model: Annotated[
        Path | None, typer.Option(help="A checkpoint (.pt). [default: the weights that training starts from]")
    ] = None,
) -> None:
    """Draw how two crops are aligned: the shortest path between their stripes, and their distances."""
    require_torch()
    from sdk.folder import check_picture, read_image, write_image
    from training.alignment import align_crops, draw_alignment
    from training.checkpoint import load_checkpoint
    from training.start import SHIPPED

    check_picture(output, named_files(first, second, model))
    if model is not None and model.suffix == ".onnx":
        raise DataError(f"{model}: a converted model has no local branch; pass the checkpoint it was made from (.pt)")
    checkpoint = load_checkpoint(model or SHIPPED)
    if checkpoint.config.train.local_weight == 0:
        raise DataError(f"{model}: its local branch was not trained (--local-weight 0); pass another checkpoint")
    crops = read_image(first), read_image(second)
    alignment = align_crops(checkpoint.build_model(), *crops)
    picture = draw_alignment(alignment, *crops, (first.name, second.name), checkpoint.config.model.input_size)
    write_image(output, picture)
    table = Table("local distance", "a step", "unaligned, a stripe", "cosine distance", name="alignment")
    figures = (alignment.local, alignment.local_step, alignment.straight_step, alignment.cosine)
    table.add_row(*(f"{figure:.3f}" for figure in figures))
    results.print(table)
    notes.print(f"wrote {output}")
