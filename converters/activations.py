"""What runs between the nodes of a graph: how large each activation becomes on crops, and how its values spread."""

from collections.abc import Iterable

import numpy as np
import onnx

from sdk.engines.contract import INPUT
from sdk.engines.onnx import open_session
from sdk.terminal import track

BATCH = 2
"""Crops run at once: every activation that is asked for is held in memory together."""
BINS = 2048


def measure_peaks(proto: onnx.ModelProto, names: Iterable[str], batch: np.ndarray) -> dict[str, float]:
    """The largest magnitude of each tensor in `names` over the crops `batch`, uint8 `[N, H, W, 3]`; NaN counts."""
    peaks: dict[str, float] = dict.fromkeys(names, 0.0)
    for values in _run(proto, list(peaks), batch, "measuring activations"):
        for name, value in values.items():
            peak = float(np.abs(value).max(initial=0))
            peaks[name] = peak if not peak <= peaks[name] else peaks[name]
    return peaks


def measure_histograms(proto: onnx.ModelProto, peaks: dict[str, float], batch: np.ndarray) -> dict[str, np.ndarray]:
    """How often each magnitude occurs: int64 `[BINS]` from 0 to the tensor's peak, over the crops `batch`."""
    counts = {name: np.zeros(BINS, np.int64) for name in peaks}
    for values in _run(proto, list(peaks), batch, "calibrating"):
        for name, value in values.items():
            top = peaks[name] or 1.0
            counts[name] += np.histogram(np.abs(value), BINS, (0, top))[0]
    return counts


def _run(proto: onnx.ModelProto, names: list[str], batch: np.ndarray, description: str):
    probed = onnx.ModelProto.FromString(proto.SerializeToString())
    known = {output.name for output in probed.graph.output}
    for name in names:
        if name not in known:
            probed.graph.output.append(onnx.ValueInfoProto(name=name))
    session = open_session(onnx.shape_inference.infer_shapes(probed).SerializeToString())
    for start in track(range(0, len(batch), BATCH), description):
        yield dict(zip(names, session.run(names, {INPUT: batch[start : start + BATCH]}), strict=True))
