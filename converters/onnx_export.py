"""A network to ONNX: preprocessing in the graph, dynamic batch."""

import contextlib
import io
import logging
import warnings

import onnx
import torch
from torch import Tensor, nn

from converters.onnx_file import IR_VERSION, OPSET, with_metadata
from converters.uint8_input import cast_first
from sdk.engines.contract import EMBEDDING, INPUT, STRIPES
from training.model import AlignedReID

__all__ = ["IR_VERSION", "OPSET", "GlobalBranch", "export_model", "export_module", "with_metadata"]


class GlobalBranch(nn.Module):
    """What inference keeps: uint8 BGR crops `[B, H, W, 3]` → embedding float32 `[B, D]` at unit length.

    With `stripes` the local branch too: → (embedding, stripes float16 `[B, S, d]` at unit length), for re-scoring.
    """

    def __init__(self, model: AlignedReID, stripes: bool = False):
        super().__init__()
        self.model, self.stripes = model, stripes

    def forward(self, crops: Tensor):
        # First of all: TensorRT lets uint8 come in, but not through anything but a cast.
        outputs = self.model(crops.to(torch.float32))
        return (outputs.embedding, outputs.stripes.half()) if self.stripes else outputs.embedding


def export_model(model: AlignedReID, stripes: bool = False) -> onnx.ModelProto:
    """The graph of `model`'s global branch, with `stripes` also of its local one."""
    names = [EMBEDDING, STRIPES] if stripes else [EMBEDDING]
    return export_module(GlobalBranch(model.eval(), stripes), model.config.input_size, names)


def export_module(module: nn.Module, input_size: tuple[int, int], output_names: list[str]) -> onnx.ModelProto:
    """The graph of a module whose `forward(crops)` takes uint8 BGR `[B, H, W, 3]`; H, W = `input_size`, any B."""
    example = torch.zeros(2, *input_size, 3, dtype=torch.uint8)
    with _quiet():
        program = torch.onnx.export(
            module,
            (example,),
            input_names=[INPUT],
            output_names=output_names,
            dynamic_shapes={"crops": {0: torch.export.Dim("batch", min=1)}},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    proto = program.model_proto
    _strip_notes(proto)
    cast_first(proto)
    return proto


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
