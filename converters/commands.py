"""The subcommands of this room: `reid calibrate`, and `reid convert`, also `python -m converters.convert`."""

from pathlib import Path
from typing import Annotated

import typer

from converters.calibrate import calibrate
from sdk.errors import missing_package
from sdk.terminal import notes


def register(app: typer.Typer) -> None:
    """Add this room's subcommands to `reid`."""
    app.command("convert")(convert)
    app.command()(calibrate)


def convert(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint of `reid train`.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write: model.onnx.")],
    crops: Annotated[
        Path | None,
        typer.Option(help="Folder of crops to compare with PyTorch on. Default: drawn people."),
    ] = None,
) -> None:
    """Convert a checkpoint to ONNX and check it against PyTorch, crop by crop, before it is written."""
    for package in ("torch", "onnx", "onnxscript"):
        try:
            __import__(package)
        except ImportError:
            raise missing_package(package, "convert", "converting") from None
    from converters.convert import convert as run
    from converters.verify import read_crops

    images = read_crops(crops) if crops else _drawn_crops()
    agreement = run(checkpoint, output, images)
    notes.print(
        f"wrote {output} ({output.stat().st_size / 1e6:.1f} MB); cosine to PyTorch over {len(images)} crops: "
        f"lowest {agreement.cosine.min():.7f}, mean {agreement.cosine.mean():.7f}"
    )


def _drawn_crops(count: int = 64) -> list:
    from sdk.simulation.crops import draw_crop

    return [draw_crop(seed=0, identity=i, camera=i % 4, view_index=i % 8) for i in range(count)]


def main() -> None:
    """`python -m converters.convert`."""
    from sdk.cli import run_app

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    register(app)
    run_app(app)
