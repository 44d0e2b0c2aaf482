"""A Jetson's way to its first engine, step by step, as docs/jetson.md has it: which are done, and what is the next."""

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from sdk.engines.native import PLUGIN, find_library
from sdk.findings import BROKEN, MISSING, OK, Finding

RELEASE = "etc/nv_tegra_release"
"""The file by which a Jetson is known; in it the release of Jetson Linux."""
PYTHONS = {36: (3, 10), 38: (3, 12), 39: (3, 12)}
"""Of each major release of Jetson Linux the system's Python, for which JetPack's TensorRT is; JetPack 6 is 36, 7 is 38
and 39."""
MEMORY_MIB = 12_000
"""With swap together, less is short for building an engine beside a desktop."""
CUDA = "usr/local/cuda/bin/nvcc"


def is_jetson(root: Path = Path("/")) -> bool:
    """Whether this machine is one. root: of the file system, here as in all of this module."""
    return (root / RELEASE).is_file()


def steps(root: Path = Path("/")) -> Iterator[Finding]:
    """The steps in order; nothing is changed. Of the first that is not `OK` the remedy is what to do next."""
    for what, look in _STEPS.items():
        state, found, remedy = look(root)
        yield Finding(f"Jetson: {what}", state, found, "" if state == OK else remedy, step=True)


def _jetpack(root: Path) -> tuple[str, str, str]:
    text = (root / RELEASE).read_text(errors="replace")
    found = re.search(r"R(\d+).*?REVISION:\s*([\d.]+)", text)
    if found is None:
        return BROKEN, text.strip()[:60] or "an empty file", f"/{RELEASE} does not say which release it is"
    release = int(found[1])
    words = f"Jetson Linux {release}.{found[2]}"
    if release < min(PYTHONS):
        return BROKEN, words, "JetPack 5 and earlier have TensorRT 8 and Python 3.8: flash JetPack 6.2 or later"
    return OK, f"{words}, JetPack {6 if release == 36 else 7}", ""


def _python(root: Path) -> tuple[str, str, str]:
    wanted, here = _system_python(root), sys.version_info[:2]
    words = f"{here[0]}.{here[1]}"
    if wanted is None or here == wanted:
        return OK, words, ""
    version = ".".join(map(str, wanted))
    return (
        BROKEN,
        words,
        (
            f"JetPack's TensorRT is for the system's Python {version}: "
            f"/usr/bin/python{version} -m venv --system-site-packages ~/reid, and install aligned-reid there"
        ),
    )


def _device(root: Path) -> tuple[str, str, str]:
    nodes = [path for path in (root / "dev/nvmap", root / "dev/nvhost-gpu", root / "dev/nvidia0") if path.exists()]
    closed = [path for path in nodes if not os.access(path, os.R_OK | os.W_OK)]
    if closed:
        return (
            BROKEN,
            f"/{closed[0].relative_to(root)} is closed to this user",
            ("sudo usermod -aG video,render $USER, then log in again"),
        )
    if not nodes:
        return MISSING, "no device of it in /dev", "in a container: docker run --runtime nvidia --gpus all"
    return OK, "open to this user", ""


def _tensorrt(root: Path) -> tuple[str, str, str]:
    if importlib.util.find_spec("tensorrt") is not None:
        return OK, "its Python module is here", ""
    places = sorted(root.glob("usr/lib/python3*/dist-packages/tensorrt"))
    if places:
        return (
            BROKEN,
            f"in /{places[0].relative_to(root).parent}, which this environment does not see",
            (
                "python3 -m venv --system-site-packages ~/reid makes one that does; in this one set "
                f"include-system-site-packages = true in {Path(sys.prefix) / 'pyvenv.cfg'}"
            ),
        )
    return MISSING, "not installed", "sudo apt-get install nvidia-jetpack (on a small disk: python3-libnvinfer-dev)"


def _nvcc(root: Path) -> tuple[str, str, str]:
    if path := shutil.which("nvcc"):
        return OK, path, ""
    if (root / CUDA).is_file():
        return MISSING, f"/{CUDA}, not on PATH", f"export PATH=/{Path(CUDA).parent}:$PATH (and in ~/.profile)"
    return (
        MISSING,
        "not installed",
        "sudo apt-get install nvidia-jetpack; it builds the plugin, and engines run without",
    )


def _plugin(root: Path) -> tuple[str, str, str]:
    path = find_library(PLUGIN)
    if path is not None:
        return OK, str(path), ""
    return (
        MISSING,
        "not built",
        (
            "for re-scoring in one kernel, in a clone of the project: cmake -S . -B build && cmake --build build && "
            'cmake --install build --prefix "$VIRTUAL_ENV"'
        ),
    )


def _memory(root: Path) -> tuple[str, str, str]:
    try:
        text = (root / "proc/meminfo").read_text()
        memory, swap = (int(re.search(rf"^{name}:\s*(\d+) kB", text, re.M)[1]) >> 10 for name in _MEMINFO)
    except (OSError, TypeError):
        return OK, "not told", ""
    words = f"{memory} MiB, and {swap} MiB of swap"
    if memory + swap >= MEMORY_MIB:
        return OK, words, ""
    return (
        MISSING,
        words,
        (
            "an engine may not build: sudo fallocate -l 8G /swapfile && sudo chmod 600 /swapfile && "
            "sudo mkswap /swapfile && sudo swapon /swapfile, and a line in /etc/fstab"
        ),
    )


def _power(root: Path) -> tuple[str, str, str]:
    try:
        mode = re.search(r"pmode:(\d+)", (root / "var/lib/nvpmodel/status").read_text())
    except OSError:
        mode = None
    words = "not told (sudo nvpmodel -q)" if mode is None else f"nvpmodel {int(mode[1])}"
    return OK, f"{words}; the modes are in /etc/nvpmodel.conf, sudo jetson_clocks holds the clocks high", ""


_MEMINFO = ("MemTotal", "SwapTotal")
_STEPS = {
    "JetPack": _jetpack,
    "Python": _python,
    "GPU": _device,
    "TensorRT": _tensorrt,
    "nvcc": _nvcc,
    "plugin": _plugin,
    "memory": _memory,
    "power": _power,
}


def _system_python(root: Path) -> tuple[int, int] | None:
    found = re.search(r"R(\d+)", (root / RELEASE).read_text(errors="replace"))
    return PYTHONS.get(int(found[1])) if found else None
