"""What an ONNX file of ours is, whoever made its graph: its versions, and the metadata inside. Without PyTorch."""

import onnx

from sdk.engines.metadata import KEY, Metadata
from sdk.engines.seal import SEAL_KEY, UNSEALED, seal

OPSET = 18
"""PyTorch's exporter's own, so that no version conversion is needed; TensorRT 10.3 (JetPack 6) reads up to 20."""
IR_VERSION = 9
"""Of the file, which newer exporters set higher than older runtimes read; nothing newer is used."""


def with_metadata(proto: onnx.ModelProto, metadata: Metadata) -> bytes:
    """The bytes of an ONNX file that says of itself what it is, sealed (`sdk.engines.seal`). Raises what
    the checker has against the graph."""
    proto.ir_version = min(proto.ir_version, IR_VERSION)
    onnx.helper.set_model_props(proto, {KEY: metadata.to_json(), SEAL_KEY: UNSEALED})
    onnx.checker.check_model(proto)
    return seal(proto.SerializeToString())
