"""What stands between a plan on disk and its deserialisation: does it fit this machine, and is it the one meant?"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from sdk.engines.gpu import Gpu, find_gpu, serves
from sdk.engines.metadata import Metadata
from sdk.engines.plan import RTX, TENSORRT, plan_files, read_header, read_name, read_plan_metadata
from sdk.engines.versions import import_library, version_fits
from sdk.errors import EngineError, MissingPackageError
from sdk.output import whole_files
from sdk.terminal import notes

if TYPE_CHECKING:
    from sdk.engines import Engine


def open_plan(path: Path, rebuild: bool = False, host_code: bool = False, graphs: bool = False) -> "Engine":
    """The engine of a plan that fits this machine, as `sdk.engines.load_engine` promises it."""
    try:
        metadata = check_plan(path)
        if metadata.version_compatible and not host_code:
            raise EngineError(
                f"{path}: was built with --version-compatible and so brings code for the processor, which TensorRT "
                "runs only where that is allowed: with host_code=True (--host-code) if you trust whoever built it"
            )
    except MissingPackageError:
        raise
    except EngineError as error:
        if isinstance(find_gpu(), str):  # a new engine would be of no use either
            raise
        beside = path.with_suffix(".onnx")
        if not rebuild:
            hint = f", or load it with rebuild=True, which builds it from {beside.name}" if beside.is_file() else ""
            raise EngineError(f"{error}{hint}") from error
        notes.print(f"{error}; building it again from {beside}")
        metadata = rebuild_plan(path, beside)
    from sdk.engines.tensorrt import TensorRTEngine

    asked = {"host_code": host_code, "graphs": graphs}
    return TensorRTEngine(path, metadata, **{name: True for name, wanted in asked.items() if wanted})


def check_plan(path: Path) -> Metadata:
    """The metadata of a model's plan that this machine can run; nothing is deserialised.

    Raises `EngineError` for one that is truncated, no plan, not ours, or of another version or GPU, and
    `MissingPackageError` where its library is not installed.
    """
    read_header(path)
    metadata = read_plan_metadata(path)
    check_fits(path, metadata)
    return metadata


def check_fits(path: Path, metadata: Metadata | None, gpu: Gpu | None = None) -> None:
    """Raise as `check_plan`, unless this plan is for the library that is here, and for this machine's GPU.

    metadata: None: it has none, and is judged by its header. gpu: None: that of `find_gpu`.
    """
    header = read_header(path)
    library = import_library(header.library)
    if not version_fits(header.version, library.version, metadata is not None and metadata.version_compatible):
        raise EngineError(f"{path}: built by {header.title}, here is {library.title}; {_remedy(path)}")
    said = None if metadata is None else metadata.tools.get(library.name)
    if said is not None and not version_fits(header.version, said, version_compatible=False):
        raise EngineError(
            f"{path}: its metadata names {header.library} {said}, its header {header.title}; {_remedy(path)}"
        )
    gpu = require_gpu(path) if gpu is None else gpu
    if refusal := library.refusal(gpu):
        raise EngineError(f"{path}: {refusal}")
    target = None if metadata is None else metadata.target
    if target is not None and not serves(target, gpu.capability):
        raise EngineError(f"{path}: built for {target}, this GPU ({gpu.name}) is {gpu.architecture}; {_remedy(path)}")


def rebuild_plan(path: Path, onnx_path: Path) -> Metadata:
    """Build `path` anew from the ONNX file beside it, for this GPU, with the largest batch that it had.

    Raises `EngineError` where that file is missing or is not the one that the engine was built from.
    """
    from sdk.engines.builder import BuildOptions, build_engine

    if not onnx_path.is_file():
        raise EngineError(f"{path}: cannot be built again, {onnx_path} is not here; copy it beside the engine")
    options = BuildOptions()
    try:
        before, _ = read_name(path)
    except (EngineError, OSError, ValueError):  # too damaged to tell
        pass
    else:
        if before.onnx_sha256 and before.onnx_sha256 != sha256_of(onnx_path):
            raise EngineError(
                f"{path}: was built from another {onnx_path.name} than is beside it; convert that one yourself"
            )
        options = BuildOptions(max_batch=before.max_batch or options.max_batch)
    content, metadata = build_engine(onnx_path, _library_at_hand(path), options)
    files = plan_files(path, content, metadata)
    with whole_files(list(files), error=EngineError, private=False) as places:
        for place, part in zip(places, files.values(), strict=True):
            place.write(part)
    return metadata


def require_gpu(path: Path) -> Gpu:
    """This machine's GPU. Raises `EngineError` where there is none."""
    gpu = find_gpu()
    if isinstance(gpu, str):
        raise EngineError(f"{path}: a TensorRT engine needs an NVIDIA GPU: {gpu}; without one, run the .onnx file")
    return gpu


def check_sha256(path: Path, expected: str) -> None:
    """Raise `EngineError` unless the file has this hash, hexadecimal."""
    actual = sha256_of(path)
    if actual != expected.strip().lower():
        raise EngineError(
            f"{path}: not the file you meant, its SHA-256 is {actual}; fetch it again from where you trust"
        )


def sha256_of(path: Path) -> str:
    """Of the file's content, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def _library_at_hand(path: Path):
    """The library of the plan as far as its header tells; else the other one, if it is here and runs on this GPU."""
    try:
        wanted = read_header(path).library
    except EngineError:
        wanted = TENSORRT
    lacking = []
    for name in (wanted, RTX if wanted == TENSORRT else TENSORRT):
        try:
            library = import_library(name)
        except MissingPackageError as error:
            lacking.append(error)
            continue
        refusal = library.refusal(require_gpu(path))
        if refusal is None:
            return library
        lacking.append(EngineError(f"{path}: {refusal}"))
    raise lacking[0]


def _remedy(path: Path) -> str:
    model, rescoring, _ = path.name.partition(".rescore.")
    if rescoring:
        return f"build it again here: reid convert --rescore {model}.onnx -o {model}.engine"
    return f"build it again here: reid convert {path.with_suffix('.onnx').name} -o {path.name}"
