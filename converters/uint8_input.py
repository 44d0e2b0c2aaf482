"""The input of a graph of ours is uint8, which TensorRT lets come in through a cast and through nothing else."""

import onnx

from sdk.engines.contract import INPUT

MEASURES = ("Shape", "Size")
"""What asks for the input's sizes and not for its values, and may as well ask the cast's result."""


def cast_first(proto: onnx.ModelProto) -> bool:
    """Let none but casts read the input, in place; whether that changed anything.

    PyTorch's exporter hangs a Shape on it, for the batch that comes, which TensorRT 10.3 may refuse.
    """
    nodes, casts, others, changed = proto.graph.node, [], [], False
    for node in nodes:
        (casts if node.op_type == "Cast" and INPUT in node.input else others).append(node)
    for node in others:
        if casts and node.op_type in MEASURES and INPUT in node.input:
            node.input[0], changed = casts[0].output[0], True
    if not changed:
        return False
    ordered = [onnx.NodeProto.FromString(node.SerializeToString()) for node in (*casts, *others)]  # deleting frees them
    del nodes[:]
    nodes.extend(ordered)
    return True
