"""`reid verify`."""

from pathlib import Path
from typing import Annotated

import typer

from sdk.commands.options import HostCode
from sdk.errors import DataError
from sdk.terminal import Table, notes, results


def verify(
    original: Annotated[Path, typer.Argument(help="The model to compare with: .pt, .onnx, .engine.")],
    converted: Annotated[Path, typer.Argument(help="The model in question.")],
    crops: Annotated[
        Path | None,
        typer.Option(help="Folder of crops, for rank-1 too as <identity>/<camera>_*. Default: drawn people."),
    ] = None,
    worst: Annotated[Path | None, typer.Option(help="Picture (.png) to draw the crops that agree least into.")] = None,
    min_cosine: Annotated[
        float | None, typer.Option(help="Least cosine of a crop. Default: by the precision of the model.")
    ] = None,
    host_code: HostCode = False,
) -> None:
    """Compare two models crop by crop; fails (exit code 1) where they differ by more than the precision explains."""
    from converters.commands.convert import drawn_crops
    from converters.verify import check, compare, compare_ranking, read_crops, write_worst
    from sdk.folder import check_picture

    check_picture(worst, [original, converted, *([crops] if crops else [])])
    (embed, size, _), (other, other_size, precision) = _open(original, host_code), _open(converted, host_code)
    if size != other_size:
        raise DataError(f"{original} takes crops of {size}, {converted} of {other_size}; they are not of one model")
    images = read_crops(crops) if crops else drawn_crops()
    agreement = compare(embed, other, images.images)
    ranking = compare_ranking(agreement, images)
    table = Table("model", "lowest cosine", "mean cosine", "rank-1", "mAP", "crops", name="verification")
    figures = [("", ""), ("", "")]
    if ranking is not None:
        figures = [(f"{r:.4f}", f"{m:.4f}") for r, m in zip(ranking.rank1, ranking.mean_ap, strict=True)]
    table.add_row(str(original), "", "", *figures[0], str(len(images)))
    lowest, mean = agreement.cosine.min(), agreement.cosine.mean()
    table.add_row(str(converted), f"{lowest:.6f}", f"{mean:.6f}", *figures[1], str(len(images)))
    results.print(table)
    if worst is not None:
        write_worst(worst, agreement, images)
        notes.print(f"wrote {worst}")
    check(agreement, ranking, precision, str(converted), min_cosine)


def _open(path: Path, host_code: bool):
    """Features of crops, input size, precision."""
    if path.suffix == ".pt":
        from converters.sources import require

        require("torch")
        from training.checkpoint import load_checkpoint
        from training.embedder import TorchEmbedder

        model = load_checkpoint(path).build_model()
        return TorchEmbedder(model), model.config.input_size, "fp32"
    from converters.verify import embedder
    from sdk.engines import load_engine

    engine = load_engine(path, host_code=host_code)
    return embedder(engine), engine.metadata.input_size, engine.metadata.precision
