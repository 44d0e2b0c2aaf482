"""Models of other projects: their preprocessing, given by flags, is written into the graph, where it cannot be lost.

An ONNX file with a float input `[B, 3, H, W]` (or `[B, H, W, 3]`), as torchreid's and fast-reid's exports have; or
their checkpoint of a ResNet with torchvision's names for the weights.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from sdk.engines.contract import EMBEDDING, INPUT
from sdk.engines.onnx import open_session
from sdk.errors import DataError
from sdk.preprocess import MEAN, STD, to_batch

FLAGS = "--color, --mean, --std, --value-range"
PROJECTS = ("torchreid",)
"""Whose name (`--from`) says what the flags say: torchreid's preprocessing is torchvision's."""
LEAST_LENGTH = 1e-12
"""Of features before they are made as long as 1."""


@dataclass(frozen=True)
class Authors:
    """What the authors of a model did to an image before it; None: not said, torchvision's convention."""

    color: str | None = None
    """"rgb" or "bgr"."""
    mean: tuple[float, float, float] | None = None
    """In the order of `color`, in units of `value_range`."""
    std: tuple[float, float, float] | None = None
    value_range: int | None = None
    """What white was: 1 or 255."""
    input_size: tuple[int, int] | None = None
    """Height and width (px), where the file does not say it."""
    backbone: str | None = None
    """Of a checkpoint, which does not say it: "resnet50", …"""
    last_stride: int | None = None
    """Of a checkpoint: 1 or 2, the stride of the backbone's last stage."""
    project: str | None = None
    """One of `PROJECTS`: settles what is not said otherwise."""

    @property
    def given(self) -> bool:
        """Whether anything was said, so that the model is another project's."""
        return any(getattr(self, field.name) is not None for field in fields(self))

    def describe(self) -> str:
        color, mean, std, white = self._settled()
        return f"{color}, values 0 to {white}, mean {mean}, std {std}, resized without keeping the aspect ratio"

    def apply(self, batch: np.ndarray) -> np.ndarray:
        """uint8 BGR `[B, H, W, 3]` → float32 `[B, H, W, 3]` as the model wants it: the reference for the graph."""
        color, mean, std, white = self._settled()
        images = batch[..., ::-1] if color == "rgb" else batch
        return (images.astype(np.float32) * np.float32(white / 255) - np.float32(mean)) / np.float32(std)

    def constants(self) -> tuple[bool, np.ndarray, np.ndarray]:
        """Whether to reverse the channels; mean and std of values from 0 to 255, float32 `[3]`."""
        color, mean, std, white = self._settled()
        return color == "rgb", np.float32(mean) * (255 / white), np.float32(std) * (255 / white)

    def _settled(self) -> tuple[str, tuple, tuple, int]:
        return self.color or "rgb", self.mean or MEAN, self.std or STD, self.value_range or 1


@dataclass(frozen=True)
class Foreign:
    """Another project's model, its graph already keeping the SDK's contract."""

    graph: Callable[[], object]
    """Gives the `onnx.ModelProto`."""
    backbone: str
    input_size: tuple[int, int]
    embedding_dim: int
    embed: Callable[[Sequence[np.ndarray]], np.ndarray]
    """The model as it came, its preprocessing done outside, at unit length: what the graph is compared with, and what
    people are ranked by."""


def read_foreign_onnx(path: Path, authors: Authors) -> Foreign:
    """An ONNX file with one float input. Raises `DataError` saying what does not fit."""
    if not authors.given:
        raise DataError(
            f"{path}: not written by `reid convert`, so its preprocessing is unknown; say what its authors did, with "
            f"{FLAGS}, or who they are, with --from {'|'.join(PROJECTS)}"
        )
    session = open_session(path)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 4:
        found = ", ".join(f"{node.name} {node.type} {node.shape}" for node in inputs)
        raise DataError(f"{path}: one float input [B, 3, H, W] is needed; it has {found}")
    shape = inputs[0].shape
    channels_last = shape[3] == 3 and shape[1] != 3
    if not channels_last and shape[1] != 3:
        raise DataError(f"{path}: its input {shape} has no three channels")
    said = tuple(shape[1:3] if channels_last else shape[2:])
    size = said if all(isinstance(side, int) for side in said) else authors.input_size
    if size is None:
        raise DataError(f"{path}: does not say the size of its input; say it with --input-size 256x128")
    if authors.input_size not in (None, size):
        raise DataError(f"{path}: its input is {said[0]}x{said[1]}; leave --input-size away")
    name, output = inputs[0].name, outputs[0].name

    def embed(crops):
        images = authors.apply(to_batch(crops, size))
        images = images if channels_last else np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        try:
            features = session.run([output], {name: images})[0]
        except Exception:  # ONNX Runtime's own; a fixed batch is the usual reason
            if len(images) == 1:
                raise
            features = np.concatenate([session.run([output], {name: image[None]})[0] for image in images])
        features = features.reshape(len(images), -1)
        return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), LEAST_LENGTH)

    dimension = embed([np.zeros((*size, 3), np.uint8)]).shape[1]
    return Foreign(lambda: wrap(path, authors, name, output, size, channels_last), path.stem, size, dimension, embed)


def wrap(path: Path, authors: Authors, name: str, output: str, size, channels_last: bool):
    """The file's graph with the preprocessing before it and the normalisation to unit length behind it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from converters.onnx_export import OPSET
    from converters.precision import rename_tensor

    proto = onnx.load(path)
    if next(item.version for item in proto.opset_import if item.domain == "") < OPSET:
        proto = onnx.version_converter.convert_version(proto, OPSET)
    graph = proto.graph
    for taken in (INPUT, EMBEDDING):
        rename_tensor(graph.node, taken, f"{taken}_of_the_model")
    name, output = (f"{item}_of_the_model" if item in (INPUT, EMBEDDING) else item for item in (name, output))
    reverse, mean, std = authors.constants()
    wide = (1, 1, 1, 3)
    constants = {
        "sdk_mean": mean.reshape(wide),
        "sdk_std": std.reshape(wide),
        "sdk_reversed": np.array([2, 1, 0], np.int64),
        "sdk_axis": np.array([1], np.int64),
        "sdk_least": np.float32(LEAST_LENGTH),
    }
    before = [helper.make_node("Cast", [INPUT], ["sdk_float"], to=TensorProto.FLOAT)]
    last = "sdk_float"
    if reverse:
        before.append(helper.make_node("Gather", [last, "sdk_reversed"], ["sdk_rgb"], axis=3))
        last = "sdk_rgb"
    before.append(helper.make_node("Sub", [last, "sdk_mean"], ["sdk_centred"]))
    ready = name if channels_last else "sdk_scaled"
    before.append(helper.make_node("Div", ["sdk_centred", "sdk_std"], [ready]))
    if not channels_last:
        before.append(helper.make_node("Transpose", [ready], [name], perm=[0, 3, 1, 2]))
    behind = [
        helper.make_node("Flatten", [output], ["sdk_flat"], axis=1),
        helper.make_node("ReduceL2", ["sdk_flat", "sdk_axis"], ["sdk_length"], keepdims=1),
        helper.make_node("Max", ["sdk_length", "sdk_least"], ["sdk_divisor"]),
        helper.make_node("Div", ["sdk_flat", "sdk_divisor"], [EMBEDDING]),
    ]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in (*before, *graph.node, *behind)]
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:], proto.metadata_props[:]
    graph.node.extend(copies)
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["batch", *size, 3]))
    graph.output.append(helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["batch", None]))
    graph.initializer.extend(numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items())
    return onnx.shape_inference.infer_shapes(proto)
