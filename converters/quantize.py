"""INT8 as QuantizeLinear/DequantizeLinear nodes: calibrated on crops, on the CPU, before any engine is built.

TensorRT 11 has no calibrators any more; it, TensorRT 10, TensorRT-RTX and ONNX Runtime all take this form. Symmetric
(zero point 0), activations a scale a tensor, weights a scale an output channel. The layers that bear it worst, by
measurement, are left as they were.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from converters.activations import measure_histograms, measure_peaks
from converters.precision import constants_to_initializers
from sdk.engines.contract import EMBEDDING, INPUT
from sdk.engines.onnx import open_session
from sdk.errors import DataError, EngineError
from sdk.terminal import track

QUANTISABLE = ("Conv", "Gemm")
LEVELS = 127
"""Of int8, symmetric."""
SMALLEST_SCALE = 2.0**-14
"""FP16's smallest normal number: scales are FP16 where the rest is."""
OPSET = 19
"""The first in which a scale may be float16."""

MEAN_COSINE = 0.995
"""Of the INT8 features to the FP32 ones on the calibration crops; layers are left out until it is reached."""
MOST_LEFT_OUT = 0.5
"""Share of the layers; a model of which more must be left out is better off in FP16."""
MIN_CROPS = 32
MEASURED_CROPS = 64
"""How many crops tell how sensitive a layer is."""


@dataclass(frozen=True)
class Quantized:
    """What came of it."""

    proto: onnx.ModelProto
    """FP32 but for the quantised layers."""
    layers: tuple[str, ...]
    """Of all layers that could be quantised, those that are: names of their weights."""
    left_out: tuple[str, ...]
    mean_cosine: float
    """To FP32, on the calibration crops."""


def quantize(proto: onnx.ModelProto, batch: np.ndarray) -> Quantized:
    """Quantise an FP32 graph on the calibration crops `batch`, uint8 `[N, H, W, 3]`.

    Raises `DataError` for too few crops, and `EngineError` where too many layers would have to be left out.
    """
    if len(batch) < MIN_CROPS:
        raise DataError(f"{len(batch)} calibration crops; INT8 needs at least {MIN_CROPS}, some hundred are better")
    proto = onnx.ModelProto.FromString(proto.SerializeToString())
    constants_to_initializers(proto)
    weights = {tensor.name for tensor in proto.graph.initializer if tensor.data_type == TensorProto.FLOAT}
    layers = [node for node in proto.graph.node if node.op_type in QUANTISABLE and node.input[1] in weights]
    names = list(dict.fromkeys(node.input[1] for node in layers))  # a layer may work at several places: OSNet's gates
    scales = calibrate(proto, sorted({node.input[0] for node in layers}), batch)
    sample = batch[np.linspace(0, len(batch) - 1, min(len(batch), MEASURED_CROPS)).round().astype(int)]
    reference = _embed(proto, sample)

    def cosine(chosen: list[str]) -> float:
        return float((reference * _embed(insert(proto, chosen, scales), sample)).sum(1).mean())

    chosen = list(names)
    reached = cosine(chosen)
    if reached < MEAN_COSINE:
        alone = {name: cosine([name]) for name in track(names, "measuring each layer")}
        for name in sorted(alone, key=alone.get):
            chosen.remove(name)
            if len(chosen) < (1 - MOST_LEFT_OUT) * len(names):
                raise EngineError(
                    f"INT8 changes this model too much: with half of its {len(names)} layers left out the mean cosine "
                    f"is {reached:.4f}, {MEAN_COSINE} is wanted; use --fp16, or calibrate on more of your crops"
                )
            reached = cosine(chosen)
            if reached >= MEAN_COSINE:
                break
    left_out = tuple(name for name in names if name not in chosen)
    return Quantized(insert(proto, chosen, scales), tuple(chosen), left_out, reached)


def calibrate(proto: onnx.ModelProto, tensors: list[str], batch: np.ndarray) -> dict[str, float]:
    """The scale of each activation that makes the squared error of its quantised values least on `batch`."""
    peaks = measure_peaks(proto, tensors, batch)
    if broken := [name for name, peak in peaks.items() if not np.isfinite(peak)]:
        raise EngineError(f"the activation {broken[0]} is not finite on these crops; the model is damaged")
    counts = measure_histograms(proto, peaks, batch)
    return {name: _best_scale(counts[name], peaks[name] or 1.0) for name in tensors}


def insert(proto: onnx.ModelProto, chosen: list[str], scales: dict[str, float]) -> onnx.ModelProto:
    """A copy in which the layers with the weights `chosen` work on 8-bit numbers.

    A shortcut that adds the same activation as such a layer reads takes the quantised one too, so that TensorRT can
    fuse the addition. A layer that works at several places in the graph is quantised once, what it reads at each.
    """
    proto = onnx.ModelProto.FromString(proto.SerializeToString())
    graph = proto.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    layers = [node for node in graph.node if node.op_type in QUANTISABLE and node.input[1] in chosen]
    nodes: list[onnx.NodeProto] = []
    done: set[str] = set()  # weights
    activations = {node.input[0] for node in layers}
    produced = {name for node in graph.node for name in node.output} | {value.name for value in graph.input}
    added: list[TensorProto] = []

    def quantise_activation(name: str) -> None:
        added.append(numpy_helper.from_array(np.float32(scales[name]), f"{name}_scale"))
        added.append(numpy_helper.from_array(np.int8(0), f"{name}_zero"))
        how = [f"{name}_scale", f"{name}_zero"]
        nodes.append(helper.make_node("QuantizeLinear", [name, *how], [f"{name}_int8"], name=f"quantise_{name}"))
        nodes.append(
            helper.make_node("DequantizeLinear", [f"{name}_int8", *how], [f"{name}_back"], name=f"dequantise_{name}")
        )

    def quantise_weight(name: str, axis: int) -> None:
        done.add(name)
        values, scale = _quantise_weight(numpy_helper.to_array(tensors[name]), axis)
        added.append(numpy_helper.from_array(values, f"{name}_int8"))
        added.append(numpy_helper.from_array(scale, f"{name}_scale"))
        added.append(numpy_helper.from_array(np.zeros(len(scale), np.int8), f"{name}_zero"))
        how = [f"{name}_int8", f"{name}_scale", f"{name}_zero"]
        nodes.append(helper.make_node("DequantizeLinear", how, [f"{name}_back"], name=f"dequantise_{name}", axis=axis))

    for name in activations - produced:
        raise EngineError(f"the graph has no activation {name}")
    for node in graph.node:
        layer = node.op_type in QUANTISABLE and node.input[1] in chosen
        if layer:
            name = node.input[1]
            if name not in done:
                quantise_weight(name, _channel_axis(node))
            node.input[1] = f"{name}_back"
        if layer or node.op_type == "Add":
            for place, name in enumerate(node.input):
                if name in activations and (place == 0 or node.op_type == "Add"):
                    node.input[place] = f"{name}_back"
        nodes.append(node)
        for name in node.output:
            if name in activations:
                quantise_activation(name)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    kept = [TensorProto.FromString(tensor.SerializeToString()) for tensor in (*kept, *added)]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(copies)
    graph.initializer.extend(kept)
    for opset in proto.opset_import:
        if opset.domain == "" and opset.version < OPSET:
            opset.version = OPSET
    return onnx.shape_inference.infer_shapes(proto)


def _channel_axis(node: onnx.NodeProto) -> int:
    """Of the output channels in the weights."""
    if node.op_type == "Conv":
        return 0
    transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    return 0 if transposed else 1


def _quantise_weight(weight: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """int8 values and float32 scales `[channels]`; the scales are numbers that FP16 has too."""
    others = tuple(i for i in range(weight.ndim) if i != axis)
    scale = np.maximum(np.abs(weight).max(axis=others) / LEVELS, SMALLEST_SCALE).astype(np.float16).astype(np.float32)
    shape = [1] * weight.ndim
    shape[axis] = -1
    values = np.clip(np.rint(weight / scale.reshape(shape)), -LEVELS, LEVELS).astype(np.int8)
    return values, scale


def _best_scale(counts: np.ndarray, peak: float) -> float:
    centres = (np.arange(len(counts)) + 0.5) * peak / len(counts)
    best, least = peak / LEVELS, np.inf
    for share in np.linspace(0.2, 1, 81):
        scale = float(np.float16(max(share * peak / LEVELS, SMALLEST_SCALE)))
        error = float((counts * np.square(centres - np.minimum(np.rint(centres / scale), LEVELS) * scale)).sum())
        if error < least:
            best, least = scale, error
    return best


def _embed(proto: onnx.ModelProto, batch: np.ndarray) -> np.ndarray:
    session = open_session(proto.SerializeToString())
    return np.concatenate([session.run([EMBEDDING], {INPUT: batch[i : i + 16]})[0] for i in range(0, len(batch), 16)])
