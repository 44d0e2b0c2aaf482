"""What the figures are of: the GPU, its driver, the versions, the sources. Nothing here changes from run to run."""

import hashlib
import importlib.metadata
import platform
import re
import shutil
import subprocess
from pathlib import Path

from benchmarks.gpu_parts.findings import Findings, Unavailable
from sdk.engines.gpu import find_gpu

ROOT = Path(__file__).parents[2]
SOURCES = ("sdk/engines", "sdk/cutting.py", "sdk/preprocess.py", "converters/plugin", "benchmarks/gpu_parts")
"""What the figures depend on."""
PACKAGES = (
    "numpy", "opencv-python", "opencv-python-headless", "onnxruntime", "onnx", "torch", "triton", "pycuda", "tensorrt",
    "tensorrt-rtx",
)  # fmt: skip
PROGRAMS = ("nvcc", "cmake", "compute-sanitizer", "nvidia-smi")


def describe(found: Findings) -> None:
    """All of it; unavailable where there is no GPU, having said all else."""
    found.note("machine", f"{platform.system()} {platform.machine()}")
    found.note("Python", platform.python_version())
    found.note("packages", {name: version for name in PACKAGES if (version := _version(name))})
    programs = {name: path for name in PROGRAMS if (path := shutil.which(name))}
    found.note("programs", programs)
    found.note("not here", [name for name in (*PACKAGES, *PROGRAMS) if not _version(name) and name not in programs])
    if "nvcc" in programs:
        words = _asked([programs["nvcc"], "--version"])
        found.note("CUDA of nvcc", match[1] if (match := re.search(r"release \S+ (V\S+)", words)) else "unknown")
    found.note("sources", sources())
    if commit := _asked(["git", "-C", str(ROOT), "rev-parse", "HEAD"]):
        found.note("commit", commit)
    gpu = find_gpu()
    if isinstance(gpu, str):
        raise Unavailable(f"this benchmark needs an NVIDIA GPU: {gpu}")
    found.note("GPU", gpu.name)
    found.note("architecture", gpu.architecture)
    found.note("driver's CUDA", gpu.driver)
    if "nvidia-smi" in programs:
        query = ["--query-gpu=driver_version,memory.total,power.limit", "--format=csv,noheader"]
        found.note("driver, memory, power limit", _asked([programs["nvidia-smi"], *query]))


def sources() -> str:
    """The beginning of a hash of the files that the figures depend on."""
    digest = hashlib.sha256()
    for place in SOURCES:
        path = ROOT / place
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _asked(command: list[str]) -> str:
    """What a program says; nothing where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
