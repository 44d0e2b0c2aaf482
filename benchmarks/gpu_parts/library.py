"""The library of the kernels, of this tree's sources for this GPU."""

import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.gpu_parts.findings import Findings, Unavailable
from sdk.engines.gpu import find_gpu
from sdk.engines.native import KERNEL, VARIABLE, filename, find_library, how_to_build

SOURCES = Path(__file__).parents[2] / "converters" / "plugin"
OPTIONS = ("-O3", "-std=c++17", "--shared", "-lineinfo", "-cudart", "static", "-Xcompiler", "-fPIC,-fvisibility=hidden")
"""As CMakeLists.txt has them; -lineinfo, which costs nothing, for what compute-sanitizer says."""
FOLDER = "libraries"
"""Of the parts' folder: the library that all of them take, unless ALIGNED_REID_LIBRARIES names another."""


def build(found: Findings) -> None:
    """With nvcc alone; without it the one that is found."""
    own, nvcc = found.folder.resolve() / FOLDER, shutil.which("nvcc")
    if os.environ.get(VARIABLE, str(own)) == str(own) and nvcc is not None:
        own.mkdir(parents=True, exist_ok=True)
        command = [nvcc, *OPTIONS, f"-arch={find_gpu().architecture}", "-o", str(own / filename(KERNEL))]
        command += [str(SOURCES / "kernel.cu"), str(SOURCES / "crop.cu")]
        subprocess.run(command, check=True, timeout=found.left())
        found.note("built with", " ".join(command[:1] + command[-5:]))
    path = find_library(KERNEL)
    if path is None:
        raise Unavailable(f"there is no nvcc on PATH, and {how_to_build(KERNEL)}")
    found.note("library", str(path))
