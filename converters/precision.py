"""FP16 in the graph itself, and the proof that it is there.

TensorRT 11 and TensorRT-RTX take every type from the graph, so a half-precision engine needs a half-precision ONNX
file. What is half: all from the first convolution to the last, and the activations behind it. What stays in FP32: the
preprocessing, the pooling, the normalisation of the features, and all outputs but the stripes.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sdk.errors import EngineError

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""What holds the weights and does the work."""
FOLLOWERS = ("Relu", "LeakyRelu", "PRelu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "Add", "Mul", "MaxPool")
"""What goes on in half precision behind a node that does."""
IN_FLOAT = ("ReduceL2", "ReduceL1", "ReduceSum", "ReduceSumSquare", "LpNormalization", "InstanceNormalization")
IN_FLOAT += ("LayerNormalization", "Softmax", "Exp", "Pow", "Sqrt", "Div", "Resize", "Cast")
IN_FLOAT += ("ReduceMean", "GlobalAveragePool")
"""What does not even between convolutions: sums (of squares above all) overflow at 65 504, small divisors vanish."""

MIN_WEIGHT_SHARE = 0.98
"""Of the weights' numbers that must be half for a graph to be called so; the rest is the last normalisation."""
LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class HalfReport:
    """How much of a graph is half-precision, counted in the graph as it is written."""

    weights: float
    """Share of the weights' numbers that are float16, or int8."""
    nodes: float
    """Share of the convolutions and matrix products whose result is float16."""
    tensors: float
    """Share of all floating-point tensors between nodes."""

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


def to_half(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of an FP32 graph with its convolutions and activations in FP16; outputs keep their types.

    Raises `EngineError` naming a weight that FP16 cannot hold.
    """
    proto = onnx.ModelProto.FromString(proto.SerializeToString())
    constants_to_initializers(proto)
    graph = proto.graph
    floats = _of_type(proto, TensorProto.FLOAT)
    half = _half_nodes(graph, floats)
    half_outputs = {name for index in half for name in graph.node[index].output if name in floats}
    weights = {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}
    nodes, cast, used_as_float = [], {}, set()

    def converted(name: str, to: int) -> str:
        """The name under which a tensor is found in the other type; adds the cast where it is first needed."""
        key = (name, to)
        if key not in cast:
            cast[key] = f"{name}_{'half' if to == TensorProto.FLOAT16 else 'float'}"
            nodes.append(helper.make_node("Cast", [name], [cast[key]], name=f"cast_{cast[key]}", to=to))
        return cast[key]

    half_weights: dict[str, str] = {}
    for index, node in enumerate(graph.node):
        for place, name in enumerate(node.input):
            if index in half and name in weights:
                half_weights[name] = node.input[place] = f"{name}_half"
            elif index in half and name in floats and name not in half_outputs:
                node.input[place] = converted(name, TensorProto.FLOAT16)
            elif index not in half and name in half_outputs:
                node.input[place] = converted(name, TensorProto.FLOAT)
            elif index not in half and name in weights:
                used_as_float.add(name)
        nodes.append(node)
    for output in graph.output:
        if output.name in half_outputs:
            rename_tensor(nodes, output.name, f"{output.name}_as_half")
            nodes.append(helper.make_node("Cast", [f"{output.name}_as_half"], [output.name], to=TensorProto.FLOAT))
    kept = [tensor for tensor in graph.initializer if tensor.name not in half_weights or tensor.name in used_as_float]
    kept += [_half_tensor(weights[name], as_half) for name, as_half in half_weights.items()]
    _replace(graph.node, nodes)
    _replace(graph.initializer, kept)
    del graph.value_info[:]
    return onnx.shape_inference.infer_shapes(proto)


def prove_half(proto: onnx.ModelProto) -> HalfReport:
    """Count what is half-precision. Raises `EngineError` where that is too little to be called FP16."""
    report = count_half(proto)
    if report.weights < MIN_WEIGHT_SHARE or report.nodes < 1:
        raise EngineError(
            f"the graph is not half-precision: {report.weights:.1%} of the weights and {report.nodes:.1%} of the "
            "convolutions and products are; convert it without --fp16, and please report the model"
        )
    return report


def count_half(proto: onnx.ModelProto) -> HalfReport:
    """What `HalfReport` says, of any graph."""
    types = _types(proto)
    weights = [(numpy_helper.to_array(tensor).size, tensor.data_type) for tensor in proto.graph.initializer]
    small = sum(size for size, kind in weights if kind in (TensorProto.FLOAT16, TensorProto.INT8))
    of_all = small + sum(size for size, kind in weights if kind == TensorProto.FLOAT)
    products = [types.get(node.output[0]) for node in proto.graph.node if node.op_type in WEIGHTED]
    results = [types.get(name) for node in proto.graph.node for name in node.output]
    halves = results.count(TensorProto.FLOAT16)
    return HalfReport(
        weights=small / max(1, of_all),
        nodes=products.count(TensorProto.FLOAT16) / max(1, len(products)),
        tensors=halves / max(1, halves + results.count(TensorProto.FLOAT)),
    )


def check_range(peaks: dict[str, float], names: Iterable[str]) -> float:
    """The largest magnitude among the activations `names`. Raises `EngineError` where FP16 could overflow.

    peaks: of each tensor, as `converters.activations` measures them on crops; half of FP16's range is left for
    crops that were not seen.
    """
    name, peak = max(((name, peaks[name]) for name in names if name in peaks), key=lambda item: item[1])
    if not peak < LARGEST / 2:
        raise EngineError(
            f"the activation {name} reaches {peak:.0f}, too near to FP16's largest number, {LARGEST:.0f}; "
            "convert without --fp16"
        )
    return peak


def half_activations(proto: onnx.ModelProto) -> list[str]:
    """The tensors of an FP32 graph that `to_half` would make half."""
    proto = onnx.ModelProto.FromString(proto.SerializeToString())
    constants_to_initializers(proto)
    floats = _of_type(proto, TensorProto.FLOAT)
    half = _half_nodes(proto.graph, floats)
    return [name for index in sorted(half) for name in proto.graph.node[index].output if name in floats]


def constants_to_initializers(proto: onnx.ModelProto) -> None:
    """Other exporters write weights as nodes `Constant`; here there is one way."""
    kept = []
    for node in proto.graph.node:
        value = {attribute.name: attribute for attribute in node.attribute}.get("value")
        if node.op_type == "Constant" and value is not None:
            tensor = value.t
            tensor.name = node.output[0]
            proto.graph.initializer.append(tensor)
        else:
            kept.append(node)
    _replace(proto.graph.node, kept)


def _half_nodes(graph: onnx.GraphProto, floats: set[str]) -> set[int]:
    """Indices of the nodes to convert: in order, so that every node stands behind those that it hears from."""
    after: set[str] = set()  # tensors that depend on a weighted node
    for node in graph.node:
        if node.op_type in WEIGHTED or any(name in after for name in node.input):
            after.update(node.output)
    before: set[str] = set()  # tensors that a weighted node depends on
    for node in reversed(graph.node):
        if node.op_type in WEIGHTED or any(name in before for name in node.output):
            before.update(node.input)
    half, half_outputs = set(), set()
    for index, node in enumerate(graph.node):
        if not any(name in floats for name in (*node.output, *node.input)):
            continue
        between = any(name in after for name in node.input) and any(name in before for name in node.output)
        quantises = node.op_type in ("QuantizeLinear", "DequantizeLinear") and any(
            name in before for name in node.output
        )
        follows = node.op_type in FOLLOWERS and any(name in half_outputs for name in node.input)
        if node.op_type in WEIGHTED or (between and node.op_type not in IN_FLOAT) or follows or quantises:
            half.add(index)
            half_outputs.update(node.output)
    return half


def _types(proto: onnx.ModelProto) -> dict[str, int]:
    """The element type of every tensor that shape inference finds."""
    graph = onnx.shape_inference.infer_shapes(proto).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        types[value.name] = value.type.tensor_type.elem_type
    return types


def _of_type(proto: onnx.ModelProto, kind: int) -> set[str]:
    return {name for name, found in _types(proto).items() if found == kind}


def _half_tensor(tensor: TensorProto, name: str) -> TensorProto:
    values = numpy_helper.to_array(tensor)
    if not np.abs(values).max(initial=0) <= LARGEST:
        raise EngineError(
            f"the weight {tensor.name} is beyond FP16's largest number, {LARGEST:.0f}; convert without --fp16"
        )
    return numpy_helper.from_array(values.astype(np.float16), name)


def rename_tensor(nodes: Iterable[onnx.NodeProto], old: str, new: str) -> None:
    """Wherever it is written or read."""
    for node in nodes:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new


def _replace(repeated, items: list) -> None:
    # Copies first: deleting from a repeated field invalidates what it held.
    copies = [type(item).FromString(item.SerializeToString()) for item in items]
    del repeated[:]
    repeated.extend(copies)
