"""What is on this machine, what is missing, what that costs, and how to get it: `reid doctor`."""

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sdk.detector_files import DEFAULT, PUBLISHED, state
from sdk.engines import Metadata, read_metadata
from sdk.engines.device_crops import CropKernel
from sdk.engines.gpu import Gpu, find_gpu
from sdk.engines.loading import check_plan, sha256_of
from sdk.engines.native import KERNEL, PLUGIN, find_library, how_to_build
from sdk.engines.plan import RTX, SUFFIXES, TENSORRT, TITLES, read_header
from sdk.engines.versions import EXTRAS, import_library
from sdk.errors import EngineError, MissingPackageError
from sdk.findings import BROKEN, MISSING, OK, Finding
from sdk.installing import how_to_install
from sdk.jetson import is_jetson, steps
from sdk.rescoring import available

PYTHON = ((3, 10), (3, 13))

PACKAGES = (
    # distribution, what it is for, the extra that brings it
    ("numpy", "everything", None),
    ("opencv-python", "images and videos", None),
    ("onnxruntime", "running .onnx models", None),
    ("supervision", "reid track, MultiCameraTracker", "track"),
    ("trackers", "reid track, MultiCameraTracker", "track"),
    ("h11", "reid serve, reid human", "track"),
    ("torch", "reid train, converting checkpoints", "train"),
    ("onnx", "reid convert", "convert"),
    ("onnxscript", "converting checkpoints", "convert"),
)
ALSO = {"opencv-python": ("opencv-python-headless", "opencv-contrib-python", "opencv")}
"""Other distributions of the same module."""


def examine() -> Iterator[Finding]:
    """All of the machine, one thing after the other; nothing is changed."""
    yield _python()
    if is_jetson():
        yield from steps()
    yield from _packages()
    yield from _gpu()
    yield from _libraries()
    yield from _native()
    yield _detector()
    usable = ", ".join(f"{way.name} ({way.reason})" for way in available() if way.usable)
    yield Finding("re-scoring", OK, f"{usable}; reid doctor MODEL tells of its own files")


def examine_model(path: Path) -> tuple[Metadata, list[Finding]]:
    """What a model file says of itself, and whether this machine can run it.

    Raises `EngineError` for a file that cannot be read at all.
    """
    metadata = read_metadata(path)
    findings = [Finding("SHA-256", OK, sha256_of(path))]
    if path.suffix.lower() in SUFFIXES:
        findings.append(Finding("built by", OK, read_header(path).title))
        try:
            check_plan(path)
        except MissingPackageError as error:
            findings.append(Finding("runs here", MISSING, "no", str(error)))
        except EngineError as error:
            state = BROKEN if isinstance(find_gpu(), Gpu) else MISSING
            findings.append(Finding("runs here", state, "no", str(error)))
        else:
            findings.append(Finding("runs here", OK, "yes, as far as can be told without loading it"))
    else:
        findings.append(Finding("runs here", OK, "yes, in ONNX Runtime on the processor"))
    if metadata.stripes:
        findings.extend(_rescoring(path))
    return metadata, findings


def _python() -> Finding:
    here = sys.version_info[:2]
    found = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    if PYTHON[0] <= here <= PYTHON[1]:
        return Finding("Python", OK, found)
    return Finding("Python", BROKEN, found, "aligned-reid is tested on 3.10 to 3.13; use one of these")


def _packages() -> Iterator[Finding]:
    for package, purpose, extra in PACKAGES:
        installed = _version(package, *ALSO.get(package, ()))
        if installed is None:
            yield Finding(package, MISSING, "not installed", f"needed for {purpose}: {how_to_install(extra)}")
        else:
            yield Finding(package, OK, installed)


def _gpu() -> Iterator[Finding]:
    gpu = find_gpu()
    if isinstance(gpu, Gpu):
        yield Finding("GPU", OK, f"{gpu.name}, {gpu.architecture}, driver for CUDA {gpu.driver}")
        pycuda = _version("pycuda")
        yield Finding("CUDA calls", OK, f"pycuda {pycuda}" if pycuda else "the driver itself; pycuda is not needed")
    else:
        yield Finding("GPU", MISSING, gpu, "models run on the processor; engines need an NVIDIA GPU and its driver")


def _libraries() -> Iterator[Finding]:
    for name in (TENSORRT, RTX):
        try:
            library = import_library(name)
        except MissingPackageError:
            cost = "no engines for RTX cards, none built without a GPU" if name == RTX else "no engines for this GPU"
            yield Finding(TITLES[name], MISSING, "not installed", f"{cost}: {how_to_install(EXTRAS[name])}")
        except EngineError as error:
            yield Finding(TITLES[name], BROKEN, "does not load", str(error))
        else:
            gpu = find_gpu()
            refusal = library.refusal(gpu) if isinstance(gpu, Gpu) else None
            if refusal is None:
                yield Finding(TITLES[name], OK, library.version)
            else:
                yield Finding(TITLES[name], MISSING, f"{library.version}, which is not for this GPU", refusal)


def _native() -> Iterator[Finding]:
    for name, cost in (
        (PLUGIN, "a TensorRT engine re-scores by many kernels instead of one"),
        (KERNEL, "crops are cut on the processor, and re-scoring stays off the GPU without TensorRT's plugin"),
    ):
        path = find_library(name)
        if path is None:
            yield Finding(name, MISSING, "not built", f"{cost}: {how_to_build(name)}")
        elif name == KERNEL and (trouble := _without_crops(path)):
            yield Finding(name, BROKEN, str(path), f"crops are cut on the processor: {trouble}")
        else:
            yield Finding(name, OK, str(path))


def _without_crops(library: Path) -> str | None:
    """Why the kernels' library cannot cut crops: it is an older one, or of another machine."""
    try:
        CropKernel(library)
    except EngineError as error:
        return str(error)
    return None


def _detector() -> Finding:
    found, what = state(PUBLISHED[DEFAULT]), f"detector {DEFAULT}"
    if found.sound:
        return Finding(what, OK, str(found.path))
    remedy = f"reid track and serve take hog, which misses many people: reid detector get {DEFAULT}"
    return Finding(what, BROKEN if found.here else MISSING, found.trouble, remedy)


def _rescoring(model: Path) -> Iterator[Finding]:
    for way in available(model):
        if way.usable:
            yield Finding(f"re-scoring: {way.name}", OK, way.reason)
        else:
            yield Finding(f"re-scoring: {way.name}", MISSING, "no", way.reason)


def _version(*names: str) -> str | None:
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None
