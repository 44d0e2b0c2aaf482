"""What an ONNX graph of another project says of itself: training mode, a normalisation inside, a fixed batch."""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from sdk.errors import DataError

PASSING = ("Identity", "Cast", "Transpose", "Reshape", "Squeeze", "Unsqueeze")
"""Nodes through which an image passes with its values as they are."""
ARITHMETIC = ("Sub", "Div", "Mul", "Add")
BATCH = "batch"
SMALL = 4096
"""Numbers of a constant that is looked at: means and shapes are small, weights are not."""


@dataclass(frozen=True)
class Inside:
    """A normalisation that the graph does itself: (image − mean) / std."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    nodes: tuple[str, ...]
    """Their kinds, in order."""

    @property
    def value_range(self) -> int:
        """What white is to it: images from 0 to 255 have a deviation far above those from 0 to 1."""
        return 255 if max(self.std) > 2 else 1


def opset_of(proto: onnx.ModelProto) -> int:
    """Of ONNX's own operators. Raises `DataError` for a file without any."""
    for item in proto.opset_import:
        if item.domain in ("", "ai.onnx"):
            return item.version
    raise DataError("names no version of ONNX's operators; export it again")


def training_mode(proto: onnx.ModelProto) -> str | None:
    """The first node that computes as in training, so that a crop's features depend on its batch; None without."""
    opset, constants = opset_of(proto), constants_of(proto.graph)
    for node in proto.graph.node:
        values = {attribute.name: attribute.i for attribute in node.attribute}
        found = False
        if node.op_type == "BatchNormalization":
            found = values.get("training_mode") == 1 if opset >= 14 else len([o for o in node.output if o]) > 1
            found = found or (opset < 7 and values.get("is_test") == 0)
        elif node.op_type == "Dropout" and opset >= 12 and len(node.input) > 2:
            mode = constants.get(node.input[2])
            found = mode is not None and bool(np.any(mode))
        if found:
            return f"{node.op_type} {node.name or node.output[0]}"
    return None


def normalisation_inside(graph: onnx.GraphProto, name: str) -> Inside | None:
    """What is done to the input `name` by arithmetic with constants, before anything else looks at it."""
    constants = constants_of(graph)
    scale, offset, kinds = np.ones(1), np.zeros(1), []
    while True:
        users = [node for node in graph.node if name in node.input]
        if len(users) != 1:
            break
        (node,) = users
        others = [other for other in node.input if other != name]
        if node.op_type in PASSING:
            name = node.output[0]
            continue
        if node.op_type not in ARITHMETIC or len(others) != 1 or others[0] not in constants:
            break
        value = constants[others[0]].astype(np.float64).reshape(-1)
        first = node.input[0] == name
        if value.size not in (1, 3) or (node.op_type == "Div" and not first):
            break
        if node.op_type in ("Sub", "Add"):
            sign = -1.0 if node.op_type == "Sub" else 1.0
            turned = node.op_type == "Sub" and not first  # constant − image
            scale, offset = (-scale, value - offset) if turned else (scale, offset + sign * value)
        else:
            factor = value if node.op_type == "Mul" else 1 / np.where(value == 0, np.nan, value)
            scale, offset = scale * factor, offset * factor
        kinds.append(node.op_type)
        name = node.output[0]
    if not kinds or not np.isfinite(scale).all() or (scale == 0).any():
        return None
    mean, std = np.broadcast_arrays(-offset / scale, 1 / scale)
    return Inside(tuple(mean.tolist()), tuple(np.abs(std).tolist()), tuple(kinds))


def free_the_batch(proto: onnx.ModelProto, fixed: int) -> None:
    """Let a graph that was exported for batches of `fixed` take any: its reshapes keep the batch that comes.

    Whether that was all of it is to be tried (`converters.foreign`).
    """
    graph = proto.graph
    constants = constants_of(graph)
    for node in graph.node:
        if node.op_type != "Reshape" or len(node.input) < 2:
            continue
        name = node.input[1]
        shape = constants.get(name)
        if shape is None or not shape.size or shape.reshape(-1)[0] != fixed:
            continue
        shape = shape.astype(np.int64).reshape(-1).copy()
        if (shape == -1).any():  # as it comes in: 0, which an attribute may have made a length
            shape[0] = 0
            kept = [attribute for attribute in node.attribute if attribute.name != "allowzero"]
            if (shape[1:] == 0).any() and len(kept) < len(node.attribute):
                continue
            del node.attribute[:]
            node.attribute.extend(kept)
        else:
            shape[0] = -1
        fresh = f"{name}_of_any_batch_{node.output[0]}"  # of its own: the constant may serve elsewhere
        graph.initializer.append(numpy_helper.from_array(shape, fresh))
        node.input[1] = fresh
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        dims = value.type.tensor_type.shape.dim
        if len(dims) and dims[0].dim_value == fixed:
            dims[0].dim_param = BATCH


def constants_of(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    """The values of initialisers and of Constant nodes, by name, where they are no more than `SMALL`."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    found[node.output[0]] = attribute.t
    small = {name: tensor for name, tensor in found.items() if int(np.prod(tensor.dims or [1])) <= SMALL}
    return {name: numpy_helper.to_array(tensor) for name, tensor in small.items()}
