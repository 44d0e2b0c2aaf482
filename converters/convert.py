"""`reid convert`: from a model to files that have been checked against it, or to no file at all."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from converters.authors import Authors
from converters.plausible import check_alone, check_features, doubts
from converters.sources import Source, open_source, require, tools
from converters.threshold import transfer_threshold
from converters.verify import (
    Agreement,
    Crops,
    Embedder,
    Ranking,
    check,
    compare_features,
    compare_ranking,
    embed_all,
    embedder,
)
from sdk.calibration import CameraStatistics
from sdk.engines import load_engine
from sdk.engines.builder import BuildOptions, build_engine
from sdk.engines.contract import EMBEDDING, INPUT
from sdk.engines.gpu import Gpu, find_gpu
from sdk.engines.metadata import Metadata
from sdk.engines.onnx import open_session
from sdk.engines.plan import RTX, SUFFIXES, TENSORRT, plan_files, short
from sdk.engines.versions import Library, import_library
from sdk.errors import DataError, MissingPackageError
from sdk.output import check_output, whole_files
from sdk.preprocess import to_batch

PRECISIONS = ("fp32", "fp16", "int8")
TARGETS = {"onnx": None, "tensorrt": TENSORRT, "rtx": RTX}
SOME_CROPS = 32
"""How many crops tell how large the activations become, and are enough for a second check."""


@dataclass(frozen=True)
class ConvertOptions:
    """What a user may choose."""

    precision: str | None = None
    """One of `PRECISIONS`; None: as the model is."""
    calibration: tuple[np.ndarray, ...] | None = None
    """Crops for INT8, uint8 BGR `[H, W, 3]` each."""
    rescore: bool = False
    target: str | None = None
    """One of `TARGETS`; None: by the output's name and what is installed."""
    build: BuildOptions = field(default_factory=BuildOptions)
    authors: Authors = field(default_factory=Authors)
    """What is known of another project's model."""


@dataclass(frozen=True)
class Converted:
    """What was written, and how well it agrees."""

    files: tuple[Path, ...]
    """The model first; then what goes with it."""
    metadata: Metadata
    agreement: Agreement
    ranking: Ranking | None
    original: str
    """What it was compared with."""
    notes: tuple[str, ...] = ()
    """What a user should know, a line each."""


def convert(
    source_path: Path,
    output: Path,
    crops: Crops,
    options: ConvertOptions | None = None,
    inspect: Callable[[Agreement], None] = lambda agreement: None,
) -> Converted:
    """Write `output`, having compared it with the model in `source_path` on `crops`.

    `model.engine` comes with `model.onnx`, from which it was built, and with `model.engine.json` where its metadata are
    too long for it; with `rescore` come `model.rescore.onnx` and `model.rescore.engine`. All appear under their names
    when all are there and the model agrees. `inspect` is shown how it agrees before that is judged. Raises `DataError`
    for an unusable source or output name, `EngineError` where it does not agree or cannot be built.
    """
    options = options or ConvertOptions()
    output, library, notes = choose_target(output, options.target)
    check_output(output)
    source = open_source(source_path, options.rescore, options.authors)
    _keep_source(source_path, source, output, options)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".convert-", dir=output.parent) as folder:
            converted = _convert_into(Path(folder), output, source, crops, options, library, inspect)
            files = [file for file in converted.files if not _is_file(file, source_path)]
            with whole_files(files, private=False) as places:
                for file, place in zip(files, places, strict=True):
                    with (Path(folder) / file.name).open("rb") as made:
                        shutil.copyfileobj(made, place)
    except OSError as error:
        raise DataError(f"{output}: cannot be written ({error.strerror or error})") from error
    return replace(converted, notes=notes + source.notes + converted.notes)


def choose_target(output: Path, target: str | None) -> tuple[Path, Library | None, tuple[str, ...]]:
    """The file to write, the library to build it with (None: ONNX alone), and notes.

    Without a target an engine is built by TensorRT if it is here with a GPU, else by TensorRT-RTX if that is here;
    else the ONNX file is written that an engine can be built from. Raises `DataError` where name and target disagree.
    """
    suffixes = (".onnx", *SUFFIXES)
    if output.suffix not in suffixes:
        raise DataError(f"{output}: name it model.onnx or model.engine (known are {', '.join(suffixes)})")
    if target is not None and target not in TARGETS:
        raise DataError(f"--target {target}: unknown; {', '.join(TARGETS)}")
    wants_onnx = output.suffix == ".onnx"
    if target is not None and wants_onnx != (target == "onnx"):
        wanted = "model.onnx" if target == "onnx" else "model.engine"
        raise DataError(f"{output}: --target {target} writes {wanted}; name it so, or leave --target away")
    if wants_onnx:
        return output, None, ()
    if target is not None:
        return output, import_library(TARGETS[target]), ()
    gpu, notes = find_gpu(), []
    for name in (TENSORRT, RTX):
        if name == TENSORRT and not isinstance(gpu, Gpu):
            continue
        try:
            library = import_library(name)
        except MissingPackageError:
            continue
        if isinstance(gpu, Gpu) and (refusal := library.refusal(gpu)):
            notes.append(refusal)
            continue
        return output, library, ()
    beside = output.with_suffix(".onnx")
    notes.append(
        f"no TensorRT that can build an engine here, so {beside.name} is written; go on where it shall run: "
        f"reid convert {beside.name} -o {output.name}"
    )
    return beside, None, tuple(notes)


def _keep_source(source_path: Path, source: Source, output: Path, options: ConvertOptions) -> None:
    """Raise `DataError` if the model would be overwritten by what is made of it. As it is, it may lie in its place."""
    beside = output.with_suffix(".onnx")
    precision = options.precision or source.metadata.precision
    for path in (output, beside, rescore_path(output), rescore_path(output).with_suffix(".engine")):
        stays = path == beside and source.file is not None and precision == source.metadata.precision
        if _is_file(path, source_path) and not stays:
            raise DataError(
                f"{path}: would be overwritten by its {precision} version; choose another name for the output"
            )


def _is_file(path: Path, other: Path) -> bool:
    return path.exists() and path.samefile(other)


def rescore_path(model: Path) -> Path:
    """Where the re-scoring graph of a model lies: model.rescore.onnx."""
    return model.with_name(f"{model.stem}.rescore.onnx")


def _convert_into(
    folder: Path,
    output: Path,
    source: Source,
    crops: Crops,
    options: ConvertOptions,
    library: Library | None,
    inspect: Callable[[Agreement], None],
) -> Converted:
    """Write all files into `folder`, under the names that they will have."""
    beside = output.with_suffix(".onnx")
    onnx_path = folder / beside.name
    precision = options.precision or source.metadata.precision
    reference = embed_all(source.embed, crops.images)
    if source.file is not None and precision == source.metadata.precision:  # as it is
        as_it_is = source.file.read_bytes()
        mended = _with_cast_first(source)
        stays = _is_file(beside, source.file)
        onnx_path.write_bytes(as_it_is if stays else mended)
        agreement = _agreement(onnx_path, reference, crops)
        built_from = mended if stays and mended != as_it_is else None
        if precision == "int8" and library is not None:
            built_from = _half_around(source)
    elif source.metadata.precision != "fp32":
        raise DataError(
            f"{source.original}: is {source.metadata.precision} already; convert the FP32 model to {precision}"
        )
    else:
        agreement, built_from = _write_onnx(onnx_path, precision, source, reference, crops, options)
    inspect(agreement)
    ranking = _check(agreement, output, crops, precision)
    metadata, files = load_engine(onnx_path).metadata, [beside]
    notes = [*_plausible(onnx_path, crops, ranking, metadata, f"{output}: not written")]
    if library is not None:
        content, metadata = build_engine(onnx_path, library, options.build, built_from)
        engine_path = folder / output.name
        for path, part in plan_files(engine_path, content, metadata).items():
            path.write_bytes(part)
            files.append(output.with_name(path.name))
        files.append(files.pop(0))  # the ONNX file behind the engine
        gpu = find_gpu()
        reason = library.refusal(gpu) if isinstance(gpu, Gpu) else gpu
        if reason is None:
            agreement = _agreement(engine_path, reference, crops)
            inspect(agreement)
            ranking = _check(agreement, output, crops, precision)
            _plausible(engine_path, crops, ranking, metadata, f"{output}: not written")
        else:
            notes.append(f"{output.name} is built but was not run: {reason}; what was compared is its ONNX graph")
            if built_from is not None:
                _check_graph(built_from, output, metadata, reference, crops)
    if metadata.stripes and options.rescore:
        files += _write_rescoring(folder, output, metadata, library, options.build)
    return Converted(tuple(files), metadata, agreement, ranking, source.original, tuple(notes))


def _write_onnx(
    path: Path, precision: str, source: Source, reference: np.ndarray, crops: Crops, options: ConvertOptions
) -> tuple[Agreement, bytes | None]:
    """Write the ONNX file; how it agrees, and what an engine is to be built from where that is another graph.

    INT8 leaves FP32 around its layers in the ONNX file, which ONNX Runtime runs, and FP16 in the engine.
    """
    require("onnx")
    from converters.activations import measure_peaks
    from converters.onnx_file import with_metadata
    from converters.precision import check_range, count_half, half_activations, prove_half, to_half

    graph = source.graph()
    metadata = replace(source.metadata, precision=precision, tools=tools())
    if precision == "fp32":
        path.write_bytes(with_metadata(graph, metadata))
        return _agreement(path, reference, crops), None
    batch = to_batch(crops.images, metadata.input_size)
    activations = half_activations(graph)
    report = {"largest_activation": check_range(measure_peaks(graph, activations, _some(batch)), activations)}
    for_engine = None
    if precision == "int8":
        from converters.quantize import quantize

        if not options.calibration:
            raise DataError("--int8 needs crops of your cameras to calibrate on: --calibration FOLDER")
        quantized = quantize(graph, to_batch(options.calibration, metadata.input_size))
        graph, for_engine = quantized.proto, to_half(quantized.proto)
        report |= {
            "calibration_crops": len(options.calibration),
            "int8_layers": len(quantized.layers),
            "left_out": list(quantized.left_out),
        }
    else:
        graph = to_half(graph)
        prove_half(graph)
    report |= count_half(graph if for_engine is None else for_engine).to_dict()
    path.write_bytes(with_metadata(graph, metadata))
    agreement = _agreement(path, reference, crops)
    metadata = replace(
        metadata,
        threshold=transfer_threshold(metadata.threshold, precision, *_as_compared(agreement, metadata, crops)),
        precision_report=report | {"cosine": agreement.to_dict()},
    )
    path.write_bytes(with_metadata(graph, metadata))
    return agreement, None if for_engine is None else with_metadata(for_engine, metadata)


def _with_cast_first(source: Source) -> bytes:
    """The source's own file; of an earlier release, whose input went elsewhere too (`cast_first`), with that mended."""
    try:
        from converters.uint8_input import cast_first
    except ImportError:  # on a Jetson, an engine is built without the package onnx
        return source.file.read_bytes()
    import onnx

    content = source.file.read_bytes()
    try:
        proto = onnx.ModelProto.FromString(content)
    except Exception:  # protobuf's own: what ONNX Runtime reads and onnx does not stays as it is
        return content
    return proto.SerializeToString() if cast_first(proto) else content


def _as_compared(agreement: Agreement, metadata: Metadata, crops: Crops) -> tuple[np.ndarray, np.ndarray]:
    """Both models' features as their distances are measured, which the threshold is of: without what cameras add."""
    if not metadata.cameras:
        return agreement.features
    statistics = CameraStatistics.from_dict(metadata.cameras)
    cameras = [None] * len(crops) if crops.cameras is None else crops.cameras.tolist()
    first, second = (statistics.normalise(features, cameras) for features in agreement.features)
    return first, second


def _half_around(source: Source) -> bytes:
    """An INT8 graph of ours with FP16 for FP32 between its layers."""
    require("onnx")
    from converters.onnx_file import with_metadata
    from converters.precision import to_half

    return with_metadata(to_half(source.graph()), source.metadata)


def _agreement(model: Path, reference: np.ndarray, crops: Crops) -> Agreement:
    features = embed_all(_embedder(model), crops.images)
    check_features(features, f"{model.name}: not written")
    return compare_features(reference, features)


def _plausible(model: Path, crops: Crops, ranking: Ranking | None, metadata: Metadata, name: str) -> tuple[str, ...]:
    """Doubts about a written file. Raises `EngineError` where a crop's features depend on its batch."""
    embed = _embedder(model)
    check_alone(embed, crops, metadata.precision, name)
    return doubts(embed, crops, ranking, foreign=metadata.preprocessing is not None)


def _embedder(model: Path) -> Embedder:
    """Of a file that was made here and now: an engine of it may bring its own code."""
    return embedder(load_engine(model, host_code=True))


def _check_graph(graph: bytes, output: Path, metadata: Metadata, reference: np.ndarray, crops: Crops) -> None:
    """The graph that an engine is built from, where it is another than the ONNX file's, on some of the crops.

    As it is written: ONNX Runtime's optimisation of half-precision scales spoils the features (docs/convert.md).
    """
    session = open_session(graph, optimised=False)
    chosen = _some(np.arange(len(crops)))

    def embed(images):
        return session.run([EMBEDDING], {INPUT: to_batch(images, metadata.input_size)})[0]

    agreement = compare_features(reference[chosen], embed_all(embed, [crops.images[i] for i in chosen]))
    check(agreement, None, metadata.precision, f"{output}: not written")


def _check(agreement: Agreement, output: Path, crops: Crops, precision: str) -> Ranking | None:
    ranking = compare_ranking(agreement, crops)
    check(agreement, ranking, precision, f"{output}: not written")
    return ranking


def _write_rescoring(folder: Path, output: Path, metadata: Metadata, library: Library | None, build: BuildOptions):
    """The re-scoring graph, and its engine where one is built; their final names."""
    require("onnx")
    from converters.rescore_export import build_rescoring, rescore_graph

    graph = rescore_graph(replace(short(metadata), max_batch=None, target=None))
    files = [rescore_path(output)]
    (folder / files[0].name).write_bytes(graph.SerializeToString())
    if library is not None:
        files.append(files[0].with_suffix(".engine"))
        (folder / files[1].name).write_bytes(build_rescoring(graph, library, build))
    return files


def _some(batch: np.ndarray) -> np.ndarray:
    return batch[np.linspace(0, len(batch) - 1, min(len(batch), SOME_CROPS)).round().astype(int)]


if __name__ == "__main__":
    from converters.commands import main

    main()
