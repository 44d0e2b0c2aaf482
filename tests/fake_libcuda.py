"""The strict stand-in for NVIDIA's driver (fake_libcuda.c): compiled, in this process or around another one."""

import ctypes
import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def build_fake(folder: Path) -> Path:
    """The library, under the driver's name; skips where there is no C compiler."""
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or sys.platform != "linux":
        pytest.skip("the stand-in for the driver needs Linux and a C compiler")
    path = folder / "libcuda.so.1"
    options = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers", "-pthread"]
    source = Path(__file__).with_name("fake_libcuda.c")
    command = [compiler, *options, "-Wl,-soname,libcuda.so.1", "-o", path, source]
    built = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert built.returncode == 0, built.stderr
    return path


@contextmanager
def installed(path: Path) -> Iterator[ctypes.CDLL]:
    """The built-in driver works with the stand-in, pycuda is not there; at the end no rule may have been broken, and
    all must have been freed that was made meanwhile.

    Gives the library, whose functions `fake_…` say what has happened.
    """
    from sdk.engines import cuda, libcuda

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(libcuda, "LIBRARY", str(path))
        patch.setitem(sys.modules, "pycuda", None)
        patch.setattr(cuda, "_devices", {})
        libcuda.library.cache_clear()
        fake = libcuda.library()
        fake.fake_limit.argtypes = [ctypes.c_size_t]
        faults = fake.fake_faults()
        try:
            yield fake
            gc.collect()
            cuda.close_devices()
        finally:
            fake.fake_limit(1 << 34)
            fake.fake_eager(0)
            libcuda.library.cache_clear()
        assert (fake.fake_faults() - faults, fake.fake_living(), fake.fake_refs(), fake.fake_depth()) == (0, 0, 0, 0)


def run_under_fake(
    path: Path, program: str, *, pycuda: bool = False, **environment: str
) -> subprocess.CompletedProcess:
    """A program in a process of its own, whose driver is the stand-in; what that says at the end is in `stderr`."""
    # pycuda's library names calls that the stand-in lacks: they are looked for when they are made.
    forced = (
        "import os, sys; sys.setdlopenflags(os.RTLD_LAZY)\n" if pycuda else "import sys; sys.modules['pycuda'] = None\n"
    )
    packages = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-c", forced + program],
        env=os.environ
        | {"LD_LIBRARY_PATH": str(path.parent), "FAKE_REPORT": "1", "PYTHONPATH": packages, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
