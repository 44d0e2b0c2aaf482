"""`reid convert`: from a checkpoint to a model file that has been checked against it."""

import hashlib
import os
from importlib.metadata import version
from pathlib import Path

import numpy as np

from converters.onnx_export import export_onnx
from converters.verify import Agreement, compare
from sdk.engines import Metadata, load_engine
from sdk.errors import DataError, EngineError
from sdk.reidentifier import ReIdentifier
from training.checkpoint import Checkpoint, load_checkpoint
from training.embedder import TorchEmbedder

MIN_COSINE = 0.99999
"""Of every crop, between the FP32 ONNX file and PyTorch; below it the graph computes something else."""


def convert(checkpoint_path: Path, output: Path, crops: list[np.ndarray]) -> Agreement:
    """Write the ONNX file `output`, having compared it with PyTorch on `crops` (uint8 BGR `[H, W, 3]`).

    The file appears under its name only when it agrees. Raises `DataError` for an unusable checkpoint or
    output name, and `EngineError` naming the worst crop if a cosine is below `MIN_COSINE`.
    """
    if output.suffix != ".onnx":
        raise DataError(f"{output}: this release writes .onnx files; name the output model.onnx")
    if not output.parent.is_dir():
        raise DataError(f"{output}: the folder {output.parent} does not exist")
    checkpoint = load_checkpoint(checkpoint_path)
    model = checkpoint.build_model()
    partial = output.with_name(f".{output.stem}.partial.onnx")
    try:
        export_onnx(model, _metadata(checkpoint, checkpoint_path, model.embedding_dim), partial)
        reid = ReIdentifier(load_engine(partial), threshold=0)  # only its features are compared
        agreement = compare(TorchEmbedder(model), lambda batch: reid.embed(batch).embedding, crops)
        if agreement.cosine.min() < MIN_COSINE:
            raise EngineError(
                f"{output}: not written, its features differ from PyTorch's: crop {agreement.worst} has cosine "
                f"{agreement.cosine.min():.6f}, the limit is {MIN_COSINE}"
            )
        os.replace(partial, output)
    except OSError as error:
        raise DataError(f"{output}: cannot be written ({error.strerror or error})") from error
    finally:
        partial.unlink(missing_ok=True)
    return agreement


def _metadata(checkpoint: Checkpoint, path: Path, embedding_dim: int) -> Metadata:
    evaluation = dict(checkpoint.evaluation) if checkpoint.evaluation else None
    return Metadata(
        backbone=checkpoint.config.model.backbone,
        input_size=checkpoint.config.model.input_size,
        embedding_dim=embedding_dim,
        precision="fp32",
        threshold=evaluation.pop("threshold") if evaluation else None,
        evaluation=evaluation,
        checkpoint_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        tools={package: version(package) for package in ("aligned-reid", "torch", "onnx", "onnxscript")},
    )


if __name__ == "__main__":
    from converters.commands import main

    main()
