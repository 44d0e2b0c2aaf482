"""The options that several of this room's commands share."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[Path | None, typer.Option(help="A model of `reid convert`. Default: the one that ships.")]
Threshold = Annotated[
    float | None, typer.Option(help="Cosine distance up to which people match. Default: the model's.")
]

Detector = Annotated[
    str | None,
    typer.Option(
        help="yolox-nano (reid detector get yolox-nano); the file of a person detector, YOLO or DETR, .onnx or .engine;"
        " motion for fixed cameras; hog. Default: yolox-nano where it is here, else hog."
    ),
]
Rate = Annotated[float | None, typer.Option(help="Frames a second of live cameras to track. Default: 10.")]
