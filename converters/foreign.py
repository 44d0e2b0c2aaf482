"""Other projects' ONNX files: their preprocessing is written into the graph, where it cannot be lost.

With one image input `[B, 3, H, W]` or `[B, H, W, 3]`, as torchreid's and fast-reid's exports have. What cannot be made
right is refused: a graph in training mode, two normalisations, an output that nobody chose.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from converters.authors import FLAGS, PROJECTS, Authors
from sdk.engines.contract import EMBEDDING, INPUT
from sdk.engines.metadata import LARGEST_SIDE
from sdk.engines.onnx import open_session
from sdk.errors import DataError, EngineError
from sdk.preprocess import to_batch

__all__ = ["FLAGS", "PROJECTS", "Authors", "Foreign", "read_foreign_onnx"]

LEAST_LENGTH = 1e-12
"""Of features before they are made as long as 1."""
TYPES = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}
"""Of an image input."""
LARGEST_BATCH = 1024
"""That a file may be exported for."""
TRIED = 3
"""Crops by which a freed batch is tried, besides those that the file was exported for."""
SAME = 1e-4
"""How near features at unit length must be to be the same."""


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
    authors: Authors
    """All that is settled of its preprocessing."""
    notes: tuple[str, ...] = ()
    """What a user should know of how it was read."""
    stripes: tuple[int, int] = (0, 0)
    """How many, and their length; zeros where the graph gives none."""
    has_local_branch: bool = False
    """Whether it could give stripes."""


@dataclass(frozen=True)
class _Form:
    """How the file takes images and gives features."""

    name: str
    output: str
    size: tuple[int, int]
    channels_last: bool
    kind: type
    """Of the numbers that it takes."""
    batch: int | None
    """That it was exported for; None: any."""


def read_foreign_onnx(path: Path, authors: Authors) -> Foreign:
    """An ONNX file with one image input. Raises `DataError` saying what does not fit."""
    if not authors.given:
        raise DataError(
            f"{path}: not written by `reid convert`, so its preprocessing is unknown; say what its authors did, with "
            f"{FLAGS}, or who they are, with --from {'|'.join(PROJECTS)}"
        )
    import onnx

    from converters.foreign_graph import normalisation_inside, training_mode

    session = open_session(path)
    form = _form(session, path, authors)
    try:
        proto = onnx.load(path)
        trained = training_mode(proto)
        inside = normalisation_inside(proto.graph, form.name)
    except Exception as error:  # of protobuf and of ONNX, kinds of their own; of this reading, what damage leads to
        raise DataError(f"{path}: cannot be read ({_first_line(error)}); export it again") from error
    if trained is not None:
        raise DataError(
            f"{path}: was exported in training mode ({trained}), so the features of a crop depend on the others of "
            "its batch; export it again, after model.eval()"
        )
    authors, notes = _settle(path, authors, form, inside)
    authors = replace(authors, input_size=form.size)

    def run(images: np.ndarray) -> np.ndarray:
        images = images if form.channels_last else images.transpose(0, 3, 1, 2)
        images = np.ascontiguousarray(images.astype(form.kind, copy=False))
        step = form.batch or len(images)
        parts = []
        for start in range(0, len(images), step):
            part = images[start : start + step]
            whole = np.concatenate((part, np.repeat(part[-1:], step - len(part), 0)))
            parts.append(_unit(_run(session, form, whole, path))[: len(part)])
        return np.concatenate(parts)

    def embed(crops):
        return run(authors.apply(to_batch(crops, form.size)))

    dimension = embed([np.zeros((*form.size, 3), np.uint8)]).shape[1]
    if form.batch is not None:
        from converters.foreign_graph import free_the_batch

        free_the_batch(proto, form.batch)
        _try_free(proto, form, run, path)
        notes = (*notes, f"{path.name}: exported for batches of {form.batch}; made free, and tried against it")
    return Foreign(lambda: wrap(proto, authors, form, path), path.stem, form.size, dimension, embed, authors, notes)


def _form(session, path: Path, authors: Authors) -> _Form:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    found = ", ".join(f"{node.name} {node.type} {node.shape}" for node in inputs)
    if len(inputs) != 1:
        raise DataError(
            f"{path}: one image input is needed; it has {len(inputs)}: {found}; export it with the others set"
        )
    if inputs[0].type == "tensor(float16)":
        raise DataError(f"{path}: takes float16; export it in float32, and let --fp16 make half of it")
    if inputs[0].type not in TYPES or len(inputs[0].shape) != 4:
        raise DataError(f"{path}: one image input [B, 3, H, W] is needed; it has {found}")
    shape = inputs[0].shape
    channels_last = shape[3] == 3 and shape[1] != 3
    if not channels_last and shape[1] != 3:
        raise DataError(f"{path}: its input {shape} has no three channels")
    said = tuple(shape[1:3] if channels_last else shape[2:])
    fixed = all(isinstance(side, int) for side in said)
    size = said if fixed else authors.input_size
    if size is None:
        raise DataError(f"{path}: does not say the size of its input; say it with --input-size 256x128")
    batch = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else None
    if not all(0 < side <= LARGEST_SIDE for side in size) or (batch or 1) > LARGEST_BATCH:
        raise DataError(f"{path}: its input {shape} is no crop of a person; export it for one, as of 256x128")
    if authors.input_size not in (None, size):
        raise DataError(f"{path}: its input is {said[0]}x{said[1]}; leave --input-size away")
    return _Form(inputs[0].name, _output(outputs, path, authors), size, channels_last, TYPES[inputs[0].type], batch)


def _output(outputs, path: Path, authors: Authors) -> str:
    names = [node.name for node in outputs]
    if not names:
        raise DataError(f"{path}: has no output; export it again")
    described = ", ".join(f"{node.name} {node.shape}" for node in outputs)
    if authors.output_name is None and len(names) > 1:
        raise DataError(
            f"{path}: has {len(names)} outputs ({described}); say which is the feature, and not the scores of "
            "classes: --output-name NAME"
        )
    name = authors.output_name or names[0]
    if name not in names:
        raise DataError(f"--output-name {name}: {path} has {described}")
    node = outputs[names.index(name)]
    if node.type not in ("tensor(float)", "tensor(double)"):
        raise DataError(f"{path}: its output {name} is {node.type}; features are float32: export it so")
    return name


def _settle(path: Path, authors: Authors, form: _Form, inside) -> tuple[Authors, tuple[str, ...]]:
    """What is to be done ahead of the file's graph, and what to say of it."""
    said_outside = [
        flag
        for flag, value in (("--mean", authors.mean), ("--std", authors.std), ("--value-range", authors.value_range))
        if value is not None
    ]
    if form.kind is np.uint8:
        if said_outside:
            raise DataError(
                f"{path}: takes uint8, so it scales and normalises by itself; leave {', '.join(said_outside)} away"
            )
        said = replace(authors, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), value_range=255)
        return said, (f"{path.name}: takes uint8, so nothing is normalised ahead of it",)
    project = PROJECTS.get(authors.project) or Authors()
    if inside is None:
        return authors.or_else(replace(project, input_size=None)), ()
    formula = f"{', '.join(inside.nodes)}: mean {_numbers(inside.mean)}, deviation {_numbers(inside.std)}"
    if authors.mean is not None or authors.std is not None:
        raise DataError(
            f"{path}: normalises its input inside ({formula}), so --mean and --std would do it twice; leave them away"
        )
    if authors.value_range not in (None, inside.value_range):
        raise DataError(
            f"{path}: normalises its input inside ({formula}), where white is {inside.value_range}; leave "
            "--value-range away"
        )
    settled = replace(
        authors.or_else(replace(project, input_size=None)),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        value_range=inside.value_range,
    )
    return settled, (f"{path.name}: normalises its input inside ({formula}), so nothing is ahead of it but the range",)


def _numbers(values) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def _run(session, form: _Form, images: np.ndarray, path: Path) -> np.ndarray:
    try:
        features = session.run([form.output], {form.name: images})[0]
    except Exception as error:  # ONNX Runtime's own share no public base class
        raise DataError(f"{path}: ONNX Runtime cannot run it on {images.shape}: {_first_line(error)}") from error
    if features.ndim < 2 or len(features) != len(images):
        raise DataError(
            f"{path}: gives {list(features.shape)} for {len(images)} crops, not a row of features for each; export it "
            "with a dynamic batch, or say another --output-name"
        )
    return features.reshape(len(images), -1)


def _unit(features: np.ndarray) -> np.ndarray:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), LEAST_LENGTH)


def _try_free(proto, form: _Form, run: Callable[[np.ndarray], np.ndarray], path: Path) -> None:
    """Raise `DataError` unless the freed graph gives, in another batch, what the file gives in its own."""
    shape = (form.batch + TRIED, *form.size, 3)
    images = np.random.RandomState(0).uniform(0, 255 if form.kind is np.uint8 else 1, shape).astype(np.float32)
    free = replace(form, batch=None)
    try:
        session = open_session(proto.SerializeToString())
        ordered = images if form.channels_last else np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        found = _unit(_run(session, free, ordered.astype(form.kind), path))
        same = np.abs(found - run(images)).max() < SAME
    except (DataError, EngineError):
        same = False
    if not same:
        raise DataError(
            f"{path}: its graph is for batches of {form.batch} and cannot be made free of it; export it again with "
            f"dynamic_axes={{'{form.name}': {{0: 'batch'}}}}, or with dynamic_shapes"
        )


def wrap(proto, authors: Authors, form: _Form, path: Path):
    """The file's graph with the preprocessing before it and the normalisation to unit length behind it."""
    import onnx
    import onnx.checker
    import onnx.shape_inference
    import onnx.version_converter
    from onnx import TensorProto, helper, numpy_helper

    from converters.foreign_graph import opset_of
    from converters.onnx_file import IR_VERSION, OPSET
    from converters.precision import rename_tensor

    if opset_of(proto) < OPSET:
        try:
            proto = onnx.version_converter.convert_version(proto, OPSET)
        except Exception as error:  # RuntimeError and kinds of its own
            raise DataError(
                f"{path}: is of opset {opset_of(proto)}, and cannot be brought to {OPSET} ({_first_line(error)}); "
                f"export it with opset_version={OPSET}"
            ) from error
    proto = onnx.ModelProto.FromString(proto.SerializeToString())
    proto.ir_version = IR_VERSION  # before 4, initialisers had to be inputs too
    graph = proto.graph
    for taken in (INPUT, EMBEDDING):
        rename_tensor(graph.node, taken, f"{taken}_of_the_model")
    name, output = (f"{item}_of_the_model" if item in (INPUT, EMBEDDING) else item for item in (form.name, form.output))
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
    if form.kind is np.uint8:
        before.append(helper.make_node("Cast", [last], ["sdk_scaled"], to=TensorProto.UINT8))
    else:
        before.append(helper.make_node("Sub", [last, "sdk_mean"], ["sdk_centred"]))
        before.append(helper.make_node("Div", ["sdk_centred", "sdk_std"], ["sdk_scaled"]))
    if form.channels_last:
        before.append(helper.make_node("Identity", ["sdk_scaled"], [name]))
    else:
        before.append(helper.make_node("Transpose", ["sdk_scaled"], [name], perm=[0, 3, 1, 2]))
    behind = [
        helper.make_node("Cast", [output], ["sdk_features"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["sdk_features"], ["sdk_flat"], axis=1),
        helper.make_node("ReduceL2", ["sdk_flat", "sdk_axis"], ["sdk_length"], keepdims=1),
        helper.make_node("Max", ["sdk_length", "sdk_least"], ["sdk_divisor"]),
        helper.make_node("Div", ["sdk_flat", "sdk_divisor"], [EMBEDDING]),
    ]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in (*before, *graph.node, *behind)]
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:], proto.metadata_props[:]
    graph.node.extend(copies)
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["batch", *form.size, 3]))
    graph.output.append(helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["batch", None]))
    graph.initializer.extend(numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items())
    try:
        proto = onnx.shape_inference.infer_shapes(proto)
        onnx.checker.check_model(proto)
    except Exception as error:  # of both, kinds of their own
        raise DataError(
            f"{path}: its graph does not keep ONNX's rules ({_first_line(error)}); export it again"
        ) from error
    return proto


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
