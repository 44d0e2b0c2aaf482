"""The options that several of this room's commands share."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[Path | None, typer.Option(help="A model of `reid convert`. Default: the one that ships.")]
Threshold = Annotated[
    float | None, typer.Option(help="Cosine distance up to which people match. Default: the model's.")
]

Detector = Annotated[
    str,
    typer.Option(
        help="hog; motion for fixed cameras; or the file of a person detector, YOLO or DETR, .onnx or .engine."
    ),
]
Rate = Annotated[float | None, typer.Option(help="Frames a second of live cameras to track. Default: 10.")]
