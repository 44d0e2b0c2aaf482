"""A checkpoint to ONNX: preprocessing in the graph, dynamic batch, metadata inside."""

import contextlib
import io
import logging
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from sdk.engines.metadata import KEY, Metadata
from sdk.engines.onnx import EMBEDDING, INPUT
from training.model import AlignedReID

OPSET = 18
"""The exporter's own, so that no version conversion is needed; TensorRT 10.3 (JetPack 6) reads up to 20."""


class GlobalBranch(nn.Module):
    """What inference keeps: uint8 BGR crops `[B, H, W, 3]` → embedding float32 `[B, D]` at unit length."""

    def __init__(self, model: AlignedReID):
        super().__init__()
        self.model = model

    def forward(self, crops: Tensor) -> Tensor:
        return self.model(crops).embedding


def export_onnx(model: AlignedReID, metadata: Metadata, path: Path) -> None:
    """Write the global branch of `model` with `metadata` to `path`."""
    height, width = model.config.input_size
    example = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    with _quiet():
        program = torch.onnx.export(
            GlobalBranch(model.eval()),
            (example,),
            input_names=[INPUT],
            output_names=[EMBEDDING],
            dynamic_shapes={"crops": {0: torch.export.Dim("batch", min=1)}},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    proto = program.model_proto
    _strip_notes(proto)
    onnx.helper.set_model_props(proto, {KEY: metadata.to_json()})
    onnx.checker.check_model(proto)
    onnx.save(proto, path)


def _strip_notes(proto: onnx.ModelProto) -> None:
    """Remove what the exporter notes for itself: stack traces with the paths of the machine it ran on."""
    graph = proto.graph
    for item in (proto, graph, *graph.node, *graph.input, *graph.output, *graph.initializer, *graph.value_info):
        del item.metadata_props[:]
        item.ClearField("doc_string")


@contextlib.contextmanager
def _quiet():
    """The exporter narrates on stdout, in warnings and in the log; errors still come through as exceptions."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
